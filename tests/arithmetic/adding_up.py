"""What holds for the layer table of every network."""

import math

from torch import nn

from convatlas.arithmetic.tables.table import LayerTable


def assert_adds_up(table: LayerTable, network: nn.Module) -> None:
    """The sums are of the rows, the parameters those of the network, and each formula comes to its number."""
    totals = table.totals
    assert totals.parameters == sum(each.numel() for each in network.parameters())
    assert totals.trainable == sum(each.numel() for each in network.parameters() if each.requires_grad)
    assert totals.buffers == sum(each.numel() for each in network.buffers())
    assert sum(row.parameters for row in table.rows) == totals.parameters
    for name in ("trainable", "connections", "macs", "torch_macs", "activation_bytes"):
        assert sum(getattr(row, name) for row in table.rows) == getattr(totals, name)
    for row in table.rows:
        if " = " in row.formula:
            written, _, value = row.formula.replace(",", "").partition(" = ")
            terms = [math.prod(map(int, term.split("·"))) for term in written.split(" + ")]
            assert sum(terms) == int(value) == row.parameters

"""The layer table: its rows by hand, folded, half-way, in words, and beside another."""

import csv
import io
import json
import math

import pytest
import torch
from torch import Tensor, nn

from convatlas.arithmetic import layers
from convatlas.arithmetic.tables.alignment import layer_differences
from convatlas.arithmetic.tables.table import LayerTable, layer_table
from convatlas.arithmetic.tables.text import cells, to_csv, to_dict, to_markdown, told_bytes, totals
from convatlas.arithmetic.tracing.trace import TraceError, trace
from convatlas.catalog import card
from convatlas.models import create_model
from tests.arithmetic.adding_up import assert_adds_up
from tests.arithmetic.strangers import HalfWay, Torture, torture_inputs

pytestmark = [pytest.mark.row("A-10"), pytest.mark.row("A-03"), pytest.mark.row("A-04")]


def image(*shape: int) -> Tensor:
    return torch.empty(1, *shape, device="meta")


def table_of(network: nn.Module, *inputs: object) -> LayerTable:
    return layer_table(trace(network, *inputs))


def ours(name: str) -> nn.Module:
    with torch.device("meta"):
        return create_model(name)


# --- Rows by hand


def test_vgg16_has_the_rows_of_its_papers_table() -> None:
    table = table_of(ours("vgg16"), image(3, 224, 224))
    rows = {row.path: row for row in table.rows}
    conv = rows["stages.1.conv1"]
    assert conv.operation == "Conv2d 3x3, padding 1"
    assert conv.outputs == ((1, 128, 112, 112),)
    assert conv.formula == "9·64·128 + 128 = 73,856"
    assert conv.macs == conv.torch_macs == 9 * 64 * 128 * 112 * 112
    assert conv.connections == (9 * 64 + 1) * 128 * 112 * 112
    assert conv.activation_bytes == 4 * 128 * 112 * 112
    assert conv.field is not None
    assert [(int(axis.size), axis.jump) for axis in conv.field.axes] == [(10, 2), (10, 2)]
    assert rows["stages.4.pool"].operation == "MaxPool2d 2x2, stride 2"
    assert rows["head.fc6"].formula == "25088·4096 + 4096 = 102,764,544"
    assert rows["head.dropout6"].activation_bytes == 0
    assert len([row for row in table.rows if row.parameters]) == 16
    assert table.totals.parameters == 138_357_544
    assert table.totals.macs == 15_470_264_320
    assert table.totals.state_bytes == 4 * 138_357_544


def test_lenet5_has_the_connections_that_its_paper_counts() -> None:
    table = table_of(ours("lenet5"), image(1, 32, 32))
    counted = {path: sum(row.connections for row in table.rows if row.path.startswith(path)) for path in
               ("c1", "s2", "c3", "s4", "c5", "f6", "output")}  # fmt: skip
    assert counted == {
        "c1": 122_304, "s2": 5_880, "c3": 151_600, "s4": 2_000, "c5": 48_120, "f6": 10_164, "output": 840,
    }  # fmt: skip
    assert table.totals.connections == 340_908
    assert table.totals.parameters == 60_000
    assert table.totals.macs == card("lenet5").macs
    # The paper's third layer leaves links out; torch multiplies by zeros there.
    assert table.totals.torch_macs - table.totals.macs == 100 * (6 * 16 - 60) * 25


def test_every_part_of_a_hard_network_is_counted_once() -> None:
    network = Torture()
    table = table_of(network, *torture_inputs())
    assert_adds_up(table, network)
    assert table.totals.parameters == 224 + 144 + 16 + (64 + 8) + 8 + (192 + 64) + (192 + 24 + 64 + 8) + 8 + 5
    assert table.totals.parameters - table.totals.trainable == 5
    projections = 16 * (192 + 64)  # of 16 tokens, in each of the two attentions
    assert table.totals.macs == 2 * 27 * 8 * 64 + 2 * 9 * 2 * 8 * 64 + 2 * projections + 2 * 64
    assert table.totals.torch_macs == table.totals.macs + 2 * 16 * 16 * 8 + 2 * 2 * 16 * 16 * 4
    told = {(row.path, row.call, row.operation.split()[0]): row for row in table.rows}
    assert told["conv", 0, "Conv2d"].formula == "9·3·8 + 8 = 224"
    assert told["conv", 1, "Conv2d"].formula == "counted above"
    assert told["twice", 0, "Conv2d"].formula == "9·2·8 = 144"
    assert told["twice", 0, "Conv2d"].operation == "Conv2d 3x3, padding 1, groups 4"
    assert told["heads", 0, "MultiheadAttention"].formula == "8·24 + 24 + 8·8 + 8 = 288"
    assert told["one", 0, "Linear"].formula == "8·8 + 8 = 72"
    assert told["other", 0, "Linear"].parameters == 8  # its bias: the weight is counted with `one`
    assert told["attention", 0, "mm"].formula == "8·24 = 192"
    assert told["", 0, "mul"].parameters == 8
    assert told["", 0, "max_pool2d_with_indices"].operation.endswith("2x2, stride 2")
    assert told["", 0, "not"].parameters == 5
    assert told["relu", 0, "ReLU"].activation_bytes == 0  # in place


class Scaling(nn.Module):
    """A layer that convatlas does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.ones(3, 1, 1))
        self.powers = nn.Parameter(torch.ones(3, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.factors).abs() ** self.powers


def test_a_layer_that_is_not_known_has_a_count_without_a_formula() -> None:
    (row,) = table_of(nn.Sequential(Scaling()), image(3, 8, 8)).rows
    assert (row.operation, row.parameters, row.formula) == ("Scaling", 3 + 3 * 64, "")


def test_connections_are_those_of_the_closed_forms() -> None:
    network = nn.Sequential(
        nn.Conv2d(4, 6, (3, 5), stride=2, padding=1, groups=2),
        nn.BatchNorm2d(6),
        nn.MaxPool2d(3, stride=2),
        nn.ConvTranspose2d(6, 4, 2, stride=2, bias=False),
        nn.AvgPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    rows = table_of(network, image(4, 29, 31)).rows
    first = layers.convolution((29, 31), in_channels=4, out_channels=6, kernel=(3, 5), stride=2, padding=1, groups=2)
    pooled = layers.pooling(first.outputs[1:], channels=6, kernel=3, stride=2)
    transposed = layers.transposed_convolution(
        pooled.outputs[1:], in_channels=6, out_channels=4, kernel=2, stride=2, bias=False
    )
    average = layers.pooling(transposed.outputs[1:], channels=4, kernel=2, average=True)
    expected = [
        first,
        layers.batch_norm(6, first.outputs[1:]),
        pooled,
        transposed,
        average,
        layers.global_average_pooling(4, average.outputs[1:]),
        None,
        layers.dense(4, 3),
    ]
    for row, layer in zip(rows, expected, strict=True):
        assert row.connections == (0 if layer is None else layer.connections), row.operation
        if layer is not None:
            assert (row.parameters, row.macs) == (layer.parameters, layer.macs), row.operation
        if row.formula:
            assert layer is not None
            assert row.formula.partition(" = ")[2] == layer.parameters_formula.partition(" = ")[2]


@pytest.mark.parametrize(
    ("pooling", "size"),
    [
        (nn.AdaptiveAvgPool2d(3), (7, 7)),  # windows of 3 and 3 and 3, that overlap: 9·9 values
        (nn.AdaptiveAvgPool2d((2, 3)), (5, 6)),
        (nn.AdaptiveAvgPool2d(5), (3, 4)),  # more places than pixels
        (nn.AdaptiveMaxPool2d((4, 3)), (10, 8)),
        (nn.AdaptiveAvgPool1d(3), (8,)),
        (nn.AdaptiveMaxPool1d(4), (7,)),
        (nn.AdaptiveAvgPool3d((1, 2, 3)), (3, 3, 4)),
        (nn.AdaptiveAvgPool2d(1), (5, 6)),
    ],
    ids=repr,
)
def test_an_adaptive_pooling_reads_what_torch_lets_it_read(pooling: nn.Module, size: tuple[int, ...]) -> None:
    """The brute-force twin changes one value at a time, to the largest, and counts the outputs that follow."""
    followed = 0
    for pixel in torch.eye(math.prod(size)).view(-1, *size):
        followed += int((pooling(pixel[None, None]) > 0).sum())
    total = table_of(pooling, image(2, *size)).totals.connections
    assert total == 2 * followed
    assert size != (7, 7) or total == 2 * 81


# --- What a module states itself


class Sparse(nn.Module):
    """Layers that do less than it seems: 5 for each number that it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.second = nn.Conv2d(4, 4, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(x) + (x.flatten(2) @ x.flatten(2).transpose(1, 2)).mean()

    def multiply_accumulates(self, output: Tensor) -> int:
        return 5 * output.numel()


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_what_a_module_states_stands_for_all_that_it_calls(depth: int) -> None:
    network: nn.Module = Sparse()
    for _ in range(depth):
        network = nn.Sequential(network)
    table = table_of(nn.Sequential(network, nn.Conv2d(4, 2, 1)) if depth else network, image(3, 6, 6))
    assert_adds_up(table, network if not depth else nn.Sequential(network, nn.Conv2d(4, 2, 1)))
    stated = table.rows[0]
    assert (stated.operation, stated.macs) == ("Sparse", 5 * 64)
    assert stated.formula == "9·3·4 + 4 + 4·4 = 128"
    assert stated.connections == 5 * 64 + 64 + 16  # the biases and what the mean reads come on top
    assert stated.torch_macs == 27 * 64 + 4 * 64 + 4 * 4 * 16
    assert [row.operation for row in table.rows[1:]] == (["Conv2d 1x1"] if depth else [])


# --- Folding


def test_folding_joins_the_rows_of_a_module_and_keeps_the_sums() -> None:
    table = table_of(ours("resnet18"), image(3, 224, 224))
    folded = table.folded(2)
    assert folded.totals == table.totals
    block = next(row for row in folded.rows if row.path == "stages.1.0")
    inside = [row for row in table.rows if row.path.startswith("stages.1.0")]
    assert block.operation == f"ResidualBlock ({len(inside)} rows)"
    assert block.outputs == ((1, 128, 28, 28),)
    for name in ("parameters", "macs", "connections", "activation_bytes"):
        assert getattr(block, name) == sum(getattr(row, name) for row in inside)
    (whole,) = table.folded(0).rows
    assert (whole.parameters, whole.macs) == (table.totals.parameters, table.totals.macs)
    assert table.folded(99).rows == table.rows


# --- Failing


def test_the_table_until_a_network_stopped() -> None:
    with pytest.raises(TraceError) as caught:
        table_of(HalfWay(), image(3, 8, 8))
    table = layer_table(caught.value.partial)
    assert [(row.path, row.operation) for row in table.rows] == [
        ("first.0", "Conv2d 3x3"),
        ("first.1", "BatchNorm2d"),
        ("first.2", "ReLU"),
        ("second.0", "Flatten"),
        ("second.1", "Linear (stopped here, got 1x144)"),
        ("third", "not reached"),
    ]
    assert sum(row.parameters for row in table.rows) == table.totals.parameters


class Refuses(nn.Module):
    """Stops in its own words, after its layer has ended well."""

    def __init__(self, *, within: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(3))
        self.inner = Refuses(within=False) if within else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(x)
        if self.inner is not None:
            x = self.inner(x)
        raise KeyError("no such thing")


@pytest.mark.parametrize("within", [False, True])
def test_a_module_with_parts_that_stops_itself_has_a_row_for_it(within: bool) -> None:
    with pytest.raises(TraceError) as caught:
        table_of(Refuses(within=within), image(4))
    table = layer_table(caught.value.partial)
    rows = {row.path: (row.operation, row.parameters) for row in table.rows}
    assert rows["layer"] == ("Linear", 20)
    assert rows["inner" if within else ""] == ("Refuses (stopped here, got 1x4)", 3)
    assert sum(row.parameters for row in table.rows) == table.totals.parameters
    assert sum("stopped here" in row.operation for row in table.rows) == 1


def test_where_fields_become_unknown_is_noted_with_the_reason() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"), nn.ReLU())
    (words,) = table_of(network, image(3, 8, 8)).notes
    assert words.startswith("receptive fields are not known from 1 (Conv2d 3x3) on: ")
    assert table_of(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), image(4)).notes == ()


# --- Words


def test_the_cells_leave_out_columns_that_say_nothing() -> None:
    names, rows = cells(table_of(ours("resnet18"), image(3, 64, 64)))
    assert "as torch counts" not in names
    assert {"sees", "jump"} <= set(names)
    assert all(len(row) == len(names) for row in rows)
    for network, given in (
        (nn.Sequential(nn.Linear(4, 2), nn.ReLU()), image(4)),
        (nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2)), torch.zeros(1, 3, dtype=torch.long, device="meta")),
    ):
        names, rows = cells(table_of(network, given))  # no picture: nothing that could be seen
        assert not {"sees", "jump"} & set(names)
        assert {len(row) for row in rows} == {len(names)}
    assert "as torch counts" in cells(table_of(Torture(), *torture_inputs()))[0]


def test_each_form_holds_every_row() -> None:
    table = table_of(Torture(), *torture_inputs())
    records = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [int(record["parameters"]) for record in records] == [row.parameters for row in table.rows]
    assert records[0]["outputs"] == "1x8x8x8"
    values = json.loads(json.dumps(to_dict(table), allow_nan=False))
    assert [row["macs"] for row in values["rows"]] == [row.macs for row in table.rows]
    assert values["totals"]["parameters"] == table.totals.parameters
    assert to_markdown(table).count("\n| ") == len(table.rows) + 1
    assert f"{table.totals.macs:,}" in str(table)


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 B"), (336, "336 B"), (16_384, "16.4 kB"), (12_845_056, "12.8 MB"), (3_100_000_000, "3.1 GB")],
)
def test_bytes_are_told_in_decimal_units(count: int, told: str) -> None:
    assert told_bytes(count) == told


def test_a_network_without_parameters_has_0_bytes_of_them() -> None:
    table = table_of(nn.Flatten(), image(3, 2, 2))
    assert dict(totals(table))["memory"] == "0 B of weights, 0 B of outputs"
    names, rows = cells(table)
    assert {row[names.index("memory")] for row in rows} == {""}


# --- Two tables


def test_differences_are_aligned_as_a_diff_is() -> None:
    first = table_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)), image(3, 8, 8))
    second = table_of(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 7)), image(3, 8, 8)
    )
    told = [
        (each.change, each.first and each.first.path, each.second and each.second.path)
        for each in layer_differences(first, second)
    ]
    assert told == [
        ("same", "0", "0"),
        ("only second", None, "1"),
        ("same", "1", "2"),
        ("same", "2", "3"),
        ("changed", "3", "4"),
    ]
    assert {each.change for each in layer_differences(first, first)} == {"same"}

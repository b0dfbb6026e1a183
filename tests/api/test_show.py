"""`convatlas.show` with inputs that the command line cannot give."""

import pytest
import torch
from torch import Tensor, nn

import convatlas
from convatlas.errors import UsageError

pytestmark = pytest.mark.row("A-10")


class Nested(nn.Module):
    """Takes a tensor and a list of others, as detectors do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor, others: list[Tensor]) -> Tensor:
        total: Tensor = self.layer(x)
        for other in others:
            total = total + self.layer(other)
        return total


@pytest.mark.parametrize("kind", [list, tuple])
def test_lists_of_tensors_are_given_as_they_are(kind):
    table = convatlas.show(Nested(), "4", kind([torch.rand(1, 4), torch.rand(1, 4)]))
    assert table.totals.parameters == 10
    assert table.totals.macs == 3 * 8
    assert table.inputs == ((1, 4), (1, 4), (1, 4))


def test_another_number_of_inputs_is_refused_with_what_forward_takes():
    with pytest.raises(UsageError, match=r"missing a required argument: 'others': its forward is forward\(x.*others"):
        convatlas.show(Nested(), "4")


@pytest.mark.parametrize("wrong", [(3, -1), (3, 2.5), ("x", 1), {"x": 3}])
def test_what_is_no_shape_is_refused(wrong):
    with pytest.raises(UsageError, match="input: expected whole numbers of at least 1"):
        convatlas.show(nn.Identity(), wrong)

"""How often each pixel is visited: worked by hand, counted one by one, and as the gradient of a sum pooling."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from convatlas.arithmetic.field.closed import ReceptiveField, WindowLayer, field_of_chain
from convatlas.arithmetic.field.theoretical import layer_fields
from convatlas.arithmetic.field.visits import field_visits, path_visits, visits_along, window_visits
from convatlas.errors import UsageError

pytestmark = pytest.mark.row("A-01")


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"kernel": 3}, [1, 2, 3, 3, 2, 1]),
        ({"kernel": 3, "padding": 1}, [2, 3, 3, 3, 3, 2]),
        ({"kernel": 3, "padding": 2}, [3, 3, 3, 3, 3, 3]),  # full padding: the border as often as the middle
        ({"kernel": 2, "stride": 2}, [1, 1, 1, 1, 1, 1]),
        ({"kernel": 3, "stride": 2}, [1, 1, 2, 1, 1, 0]),  # the last pixel is lost
        ({"kernel": 3, "stride": 2, "ceil_mode": True}, [1, 1, 2, 1, 2, 1]),
        ({"kernel": 1, "stride": 3}, [1, 0, 0, 1, 0, 0]),
        ({"kernel": 3, "dilation": 2}, [1, 1, 1, 1, 1, 1]),
        ({"kernel": 2, "dilation": 2, "stride": 2}, [1, 0, 2, 0, 1, 0]),
    ],
)
def test_six_pixels_by_hand(how: dict, expected: list[int]) -> None:
    assert visits_along(6, **how).tolist() == expected


def test_the_notes_picture_of_6x6_and_its_filter_of_3x3() -> None:
    """A corner is read once, the middle nine times."""
    counts = window_visits((6, 6), WindowLayer(kernel=3))
    assert counts[0].tolist() == [1, 2, 3, 3, 2, 1]
    assert counts[2].tolist() == [3, 6, 9, 9, 6, 3]
    assert counts.sum() == 4 * 4 * 9


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.data())
def test_as_counted_one_by_one(data: st.DataObject) -> None:
    kernel, stride, dilation = (data.draw(st.integers(1, most)) for most in (6, 7, 6))
    ceil_mode = data.draw(st.booleans())
    padding = data.draw(st.integers(0, kernel // 2 if ceil_mode else 4))
    extent = dilation * (kernel - 1) + 1
    pixels = data.draw(st.integers(max(extent - 2 * padding, 1), extent + 25))
    places = (pixels + 2 * padding - extent) // stride + 1
    if ceil_mode and (pixels + 2 * padding - extent) % stride and places * stride < pixels + padding:
        places += 1
    counted = np.zeros(pixels, dtype=int)
    for place in range(places):
        for tap in range(kernel):
            x = place * stride - padding + tap * dilation
            if 0 <= x < pixels:
                counted[x] += 1
    found = visits_along(pixels, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    assert found.tolist() == counted.tolist()


def sum_pooling(x: torch.Tensor, window: WindowLayer) -> torch.Tensor:
    kernel, stride, padding, dilation = zip(*window.along(2), strict=True)
    return F.conv2d(x, torch.ones(1, 1, *kernel, dtype=x.dtype), None, stride, padding, dilation)


@pytest.mark.parametrize(
    "layers",
    [
        [WindowLayer(kernel=3, padding=1)],
        [WindowLayer(kernel=(3, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 2))],
        [WindowLayer(kernel=3), WindowLayer(kernel=3)],
        [
            WindowLayer(kernel=7, stride=2, padding=3),
            WindowLayer(kernel=3, stride=2, padding=1),
            WindowLayer(kernel=3, padding=1),
        ],
        [
            WindowLayer(kernel=(2, 3), stride=2),
            WindowLayer(kernel=3, dilation=2),
            WindowLayer(kernel=2, stride=3, padding=1),
        ],
    ],
    ids=["one", "uneven axes", "two", "stem", "dilated"],
)
def test_paths_are_the_gradient_of_sum_poolings(layers: list[WindowLayer]) -> None:
    x = torch.ones(1, 1, 37, 41, dtype=torch.float64, requires_grad=True)
    y = x
    for window in layers:
        y = sum_pooling(y, window)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert path_visits((37, 41), layers).tolist() == gradient[0, 0].tolist()
    if len(layers) == 1:
        assert window_visits((37, 41), layers[0]).tolist() == gradient[0, 0].tolist()


def test_the_windows_of_a_layer_are_the_fields_of_its_units() -> None:
    window = WindowLayer(kernel=3, stride=2, padding=1)
    field = field_of_chain([window])
    assert field_visits((9, 9), (5, 5), field).tolist() == window_visits((9, 9), window).tolist()


def test_units_of_a_branched_network_counted_one_by_one() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(1, 1, 5, padding=2), nn.Conv2d(1, 1, 3, padding=1)
            self.pool = nn.AvgPool2d(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.pool(self.left(x) + self.right(x))
            return y

    network = Branches()
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    x = torch.ones(1, 1, 12, 10, requires_grad=True)
    y = network(x)
    counted = torch.zeros(12, 10)
    for row, column in np.ndindex(6, 5):
        (gradient,) = torch.autograd.grad(y[0, 0, row, column], x, retain_graph=True)
        counted += gradient[0, 0] > 0
    (layer,) = (each for each in layer_fields(network, (1, 12, 10)) if each.layer == "pool")
    assert field_visits((12, 10), (6, 5), layer.field).tolist() == counted.tolist()


def test_the_border_is_visited_less() -> None:
    counts = field_visits((224, 224), (14, 14), field_of_chain([WindowLayer(kernel=196, stride=16, padding=90)]))
    assert (counts.min(), counts.max()) == (counts[0, 0], 169)  # conv5 of VGG-16: at most 13 x 13 of its 14 x 14 units


def test_what_cannot_be_counted() -> None:
    with pytest.raises(UsageError, match="kernel"):
        visits_along(4, kernel=5)
    with pytest.raises(UsageError, match="stride"):
        visits_along(4, kernel=3, stride=0)
    with pytest.raises(UsageError, match="size"):
        visits_along(0, kernel=1)
    with pytest.raises(UsageError, match="this is unknown: no reason"):
        field_visits((4, 4), (2, 2), ReceptiveField(unknown="no reason"))


def test_closed_forms_need_no_torch() -> None:
    code = "import sys, convatlas.arithmetic.field.visits; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

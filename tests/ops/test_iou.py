"""IoU, GIoU, DIoU, CIoU: torchvision, hand cases, exact fractions, finite differences, and boxes at the limits."""

import math
from fractions import Fraction

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.errors import UsageError
from convatlas.ops.iou import (
    ciou,
    diou,
    giou,
    iou,
    pairwise_ciou,
    pairwise_diou,
    pairwise_giou,
    pairwise_iou,
)
from tests.ops.test_boxes import some_boxes

pytestmark = pytest.mark.row("C-01")

ALIGNED = {"iou": iou, "giou": giou, "diou": diou, "ciou": ciou}
PAIRWISE = {"iou": pairwise_iou, "giou": pairwise_giou, "diou": pairwise_diou, "ciou": pairwise_ciou}
TORCHVISION = {
    "iou": torchvision.ops.box_iou,
    "giou": torchvision.ops.generalized_box_iou,
    "diou": torchvision.ops.distance_box_iou,
    "ciou": torchvision.ops.complete_box_iou,
}
DTYPES = [torch.float32, torch.float64]
V = 4 / math.pi**2 * (math.atan(2) - math.atan(1)) ** 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALIGNED)
def test_pairs_agree_with_torchvision(name, dtype):
    first, second = some_boxes(60, 1, dtype), some_boxes(40, 2, dtype)
    ours = PAIRWISE[name](first, second)
    assert ours.dtype == dtype
    assert ours.shape == (60, 40)
    tolerance = 2e-6 if dtype == torch.float32 else 1e-7  # torchvision adds 1e-7 to denominators
    torch.testing.assert_close(ours, TORCHVISION[name](first, second), atol=tolerance, rtol=0)
    torch.testing.assert_close(ALIGNED[name](first[:40], second), ours[:40].diagonal())


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0, 0, 2, 2), (1, 1, 3, 3), (1 / 7, 1 / 7 - 2 / 9, 1 / 7 - 2 / 18, 1 / 7 - 2 / 18)),
        ((0, 0, 4, 2), (0, 0, 2, 2), (0.5, 0.5, 0.5 - 1 / 20, 0.5 - 1 / 20 - V * V / (0.5 + V))),
        ((0, 0, 1, 1), (1, 0, 2, 1), (0, 0, -1 / 5, -1 / 5)),  # they touch
        ((0, 0, 1, 1), (3, 0, 4, 1), (0, -2 / 4, -9 / 17, -9 / 17)),
        ((1, 1, 3, 4), (1, 1, 3, 4), (1, 1, 1, 1)),
        ((1, 1, 3, 3), (0, 0, 4, 4), (1 / 4, 1 / 4, 1 / 4, 1 / 4)),
        ((2, 2, 2, 2), (0, 0, 4, 4), (0, 0, 0, 0)),  # a point in the middle: no area, as square
        ((2, 2, 2, 2), (2, 2, 2, 2), (0, 0, 0, 0)),  # 0 / 0 everywhere
        ((0, 1, 4, 1), (0, 1, 4, 1), (0, 0, 0, 0)),  # a line with itself
        ((3, 3, 1, 1), (0, 0, 4, 4), (0, 0, 0, 0)),  # reversed: counts as empty
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_by_hand(first, second, expected, dtype):
    for order in ((first, second), (second, first)):
        pair = [torch.tensor(box, dtype=dtype) for box in order]
        ours = [float(function(*pair)) for function in ALIGNED.values()]
        assert ours == pytest.approx(expected, abs=1e-6)


WHOLE = st.tuples(*[st.integers(0, 9)] * 4).map(
    lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
)


@settings(derandomize=True, max_examples=200)
@given(st.lists(st.tuples(WHOLE, WHOLE), min_size=1, max_size=20))
def test_whole_numbers_give_the_nearest_float_of_the_exact_share(pairs):
    first, second = (torch.tensor(side, dtype=torch.float32) for side in zip(*pairs, strict=True))
    for (a, b), ours in zip(pairs, iou(first, second), strict=True):
        width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        shared = max(width, 0) * max(height, 0)
        united = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
        exact = Fraction(shared, united) if united else Fraction(0)
        assert float(ours) == float(torch.tensor(float(exact), dtype=torch.float32))


@pytest.mark.parametrize("name", ["iou", "giou", "diou"])
def test_gradients_are_what_finite_differences_find(name):
    first, second = some_boxes(30, 3, torch.float64), some_boxes(30, 4, torch.float64)
    first.requires_grad_()
    second.requires_grad_()
    assert torch.autograd.gradcheck(ALIGNED[name], (first, second))
    assert torch.autograd.gradcheck(PAIRWISE[name], (first[:4], second[:3]))


def test_ciou_s_gradient_holds_alpha_constant():
    first, second = some_boxes(30, 3, torch.float64), some_boxes(30, 4, torch.float64)

    def angle(boxes):
        return torch.atan((boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1]))

    def shape_term(a, b):
        return 4 / math.pi**2 * (angle(a) - angle(b)) ** 2

    v = shape_term(first, second)
    alpha = v / (1 - iou(first, second) + v)
    first.requires_grad_()
    ciou(first, second).sum().backward()
    ours = first.grad.clone()
    first.grad = None
    assert torch.autograd.gradcheck(lambda a: diou(a, second) - alpha * shape_term(a, second), (first,))
    (diou(first, second) - alpha * shape_term(first, second)).sum().backward()
    torch.testing.assert_close(ours, first.grad)


@pytest.mark.parametrize("name", ALIGNED)
def test_gradients_agree_with_torchvision_s_losses(name):
    losses = {
        "giou": torchvision.ops.generalized_box_iou_loss,
        "diou": torchvision.ops.distance_box_iou_loss,
        "ciou": torchvision.ops.complete_box_iou_loss,
    }
    first, second = some_boxes(50, 5, torch.float64).requires_grad_(), some_boxes(50, 6, torch.float64)
    if name == "iou":
        theirs = torchvision.ops.box_iou(first, second).diagonal().sum()
    else:
        theirs = -losses[name](first, second, reduction="sum")
    (expected,) = torch.autograd.grad(theirs, first)
    (ours,) = torch.autograd.grad(ALIGNED[name](first, second).sum(), first)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)


ODD = [
    ((2.0, 2, 2, 2), (0.0, 0, 4, 4)),  # a point inside
    ((2.0, 2, 2, 2), (2.0, 2, 2, 2)),
    ((0.0, 1, 4, 1), (0.0, 1, 4, 1)),
    ((0.0, 0, 0, 0), (5.0, 0, 5, 0)),  # two points on one line
    ((0.0, 0, 1, 1), (1.0, 0, 2, 1)),  # touching
    ((0.0, 0, 1, 1), (0.0, 0, 1, 1)),
    ((3.0, 3, 1, 1), (0.0, 0, 4, 4)),
    ((0.0, 0, 3e38, 3e38), (0.0, 0, 3e38, 1.5e38)),
    ((0.0, 0, 3e38, 1e-3), (0.0, 0, 3e38, 1e-3)),
    ((0.0, 0, 1e25, 1e25), (0.0, 0, 10, 10)),
    ((-1e38, -1e38, 1e38, 1e38), (0.0, 0, 1e38, 1e38)),
    ((0.0, 0, 10, 10), (1e30, 1e30, 2e30, 2e30)),
    ((0.0, 0, 1e-30, 1e-30), (0.0, 0, 1e-30, 1e-30)),
    ((0.0, 0, 1e-30, 1e30), (0.0, 0, 1e30, 1e-30)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALIGNED)
@pytest.mark.parametrize(("a", "b"), ODD)
def test_nothing_overflows_and_no_gradient_is_lost(name, a, b, dtype):
    for first, second in ((a, b), (b, a)):
        x = torch.tensor(first, dtype=dtype, requires_grad=True)
        y = torch.tensor(second, dtype=dtype, requires_grad=True)
        value = ALIGNED[name](x, y)
        value.backward()
        assert value.isfinite()
        assert x.grad.isfinite().all()
        assert y.grad.isfinite().all()


@pytest.mark.parametrize("name", ALIGNED)
@pytest.mark.parametrize("size", [2.0**60, 2.0**120])
def test_huge_boxes_are_small_boxes_scaled(name, size):
    first, second = some_boxes(100, 7), some_boxes(100, 8)
    small, large = first.clone().requires_grad_(), (first * (size / 256)).requires_grad_()
    values = ALIGNED[name](small, second), ALIGNED[name](large, second * (size / 256))
    torch.testing.assert_close(values[0], values[1], atol=1e-6, rtol=0)
    for value in values:
        value.sum().backward()
    torch.testing.assert_close(small.grad, large.grad * (size / 256), atol=1e-6, rtol=1e-4)


def test_float64_has_its_own_limit():
    huge = torch.tensor([0.0, 0, 1e300, 1e300], dtype=torch.float64)
    half = torch.tensor([0.0, 0, 1e300, 5e299], dtype=torch.float64)
    assert float(iou(huge, half)) == 0.5
    assert float(giou(huge, half)) == 0.5
    assert float(diou(huge, half)) == pytest.approx(0.5 - (0.25**2) / 2)


@pytest.mark.parametrize("name", ALIGNED)
def test_a_nan_is_not_hidden(name):
    boxes = torch.tensor([[0.0, 0, 1, 1], [0, 0, float("nan"), 1]])
    values = ALIGNED[name](boxes, torch.tensor([0.0, 0, 1, 1]))
    assert values.isnan().tolist() == [False, True]


def test_gradient_of_a_box_without_width_or_just_touching_widens_it():
    thin = torch.tensor([1.0, 0, 1, 2], dtype=torch.float64, requires_grad=True)
    iou(thin, torch.tensor([0.0, 0, 4, 2], dtype=torch.float64)).backward()
    assert thin.grad.tolist() == pytest.approx([-1 / 4, 0, 1 / 4, 0])  # each pixel of width is a quarter
    beside = torch.tensor([4.0, 0, 8, 2], dtype=torch.float64, requires_grad=True)
    iou(beside, torch.tensor([0.0, 0, 4, 2], dtype=torch.float64)).backward()
    assert float(beside.grad[0]) == pytest.approx(-2 / 16)


@pytest.mark.parametrize("name", ALIGNED)
def test_no_boxes(name):
    none, some = torch.zeros(0, 4), some_boxes(3)
    assert ALIGNED[name](none, none).shape == (0,)
    assert PAIRWISE[name](none, some).shape == (0, 3)
    assert PAIRWISE[name](some, none).shape == (3, 0)


@pytest.mark.parametrize("name", ALIGNED)
def test_leading_axes_broadcast(name):
    first, second = some_boxes(6).reshape(2, 3, 4), some_boxes(3, 9)
    together = ALIGNED[name](first, second)
    assert together.shape == (2, 3)
    assert torch.equal(together[1], ALIGNED[name](first[1], second))


@pytest.mark.parametrize("function", [iou, pairwise_ciou])
@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (torch.zeros(2, 4).long(), torch.zeros(2, 4), "first: expected float32 or float64"),
        (torch.zeros(2, 4), torch.zeros(2, 4).half(), "second: expected float32 or float64"),
        (torch.zeros(2, 4), torch.zeros(2, 3), r"second: expected \(..., 4\)"),
        (torch.zeros(2, 4), torch.zeros(2, 4).double(), "one dtype"),
    ],
)
def test_wrong_boxes_are_named(function, first, second, said):
    with pytest.raises(UsageError, match=said):
        function(first, second)


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="pairwise"):
        iou(torch.zeros(2, 4), torch.zeros(3, 4))
    with pytest.raises(UsageError, match=r"second: expected boxes \(N, 4\)"):
        pairwise_iou(torch.zeros(2, 4), torch.zeros(4))

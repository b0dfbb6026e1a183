"""Valid boxes, their other forms, clipping and small boxes: torchvision, hand cases, and what a message says."""

import pytest
import torch
import torchvision

from convatlas.errors import UsageError
from convatlas.ops.boxes import (
    areas,
    check_boxes,
    clip_boxes,
    from_cxcywh,
    from_xywh,
    inside_picture,
    large_enough,
    sides,
    to_cxcywh,
    to_xywh,
)


def some_boxes(count: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=random, dtype=dtype) * 200 - 50
    return torch.cat((corner, corner + torch.rand(count, 2, generator=random, dtype=dtype) * 80), dim=1)


@pytest.mark.row("C-01")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_good_boxes_come_back_as_they_are(dtype):
    boxes = torch.tensor([[0, 0, 0, 0], [1, 2, 1, 5], [0, 0, 1e30, 1e30]], dtype=dtype)
    assert check_boxes(boxes) is boxes
    assert check_boxes(boxes[:0]).shape == (0, 4)
    outside = boxes - 3
    assert check_boxes(outside, outside=True) is outside


@pytest.mark.row("C-01")
@pytest.mark.parametrize(
    ("row", "said"),
    [
        ([0, 0, float("nan"), 1], "finite"),
        ([0, float("inf"), 2, float("inf")], "finite"),
        ([0, 0, 1, float("inf")], "finite"),
        ([float("-inf"), 0, 1, 1], "finite"),
        ([5, 0, 4, 1], r"x1 <= x2 and y1 <= y2, got \[5.0, 0.0, 4.0, 1.0\]"),
        ([0, 3, 1, 2], "x1 <= x2"),
        ([-3e38, 0, 3e38, 1], "sides that float32 can hold"),
        ([-0.5, 0, 1, 1], "below 0"),
    ],
)
def test_a_wrong_box_is_named(row, said):
    boxes = torch.tensor([[0.0, 0, 1, 1], [2, 2, 3, 3], row, row])
    with pytest.raises(UsageError, match=rf"^street\.jpg: boxes\[2\]: expected .*{said}"):
        check_boxes(boxes, "street.jpg: boxes")


@pytest.mark.row("C-01")
@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        (torch.zeros(2, 4, dtype=torch.int64), "expected float32 or float64, got torch.int64"),
        (torch.zeros(2, 4, dtype=torch.bfloat16), "got torch.bfloat16"),
        (torch.zeros(2, 5), r"got shape \(2, 5\)"),
        (torch.zeros(4), r"got shape \(4,\)"),
        (torch.zeros(1, 2, 4), r"got shape \(1, 2, 4\)"),
        (torch.tensor(1.0), r"got shape \(\)"),
    ],
)
def test_a_wrong_dtype_or_shape_is_named(boxes, said):
    with pytest.raises(UsageError, match=rf"^boxes: .*{said}"):
        check_boxes(boxes)


@pytest.mark.row("C-01")
def test_other_forms_agree_with_torchvision_and_come_back():
    boxes = some_boxes(200)
    convert = torchvision.ops.box_convert
    torch.testing.assert_close(to_cxcywh(boxes), convert(boxes, "xyxy", "cxcywh"))
    torch.testing.assert_close(to_xywh(boxes), convert(boxes, "xyxy", "xywh"))
    torch.testing.assert_close(from_cxcywh(to_cxcywh(boxes)), boxes, atol=1e-4, rtol=0)
    torch.testing.assert_close(from_xywh(to_xywh(boxes)), boxes, atol=1e-4, rtol=0)
    torch.testing.assert_close(areas(boxes), torchvision.ops.box_area(boxes))


@pytest.mark.row("C-04")
def test_clipping_agrees_with_torchvision_whatever_the_leading_axes():
    boxes = some_boxes(300).reshape(3, 100, 4)
    clipped = clip_boxes(boxes, (60, 90))
    assert torch.equal(clipped, torchvision.ops.clip_boxes_to_image(boxes, (60, 90)))
    assert clip_boxes(torch.tensor([[100.0, 0, 120, 10]]), (60, 90)).tolist() == [[90, 0, 90, 10]]
    assert clip_boxes(boxes[:0], (60, 90)).shape == (0, 100, 4)


@pytest.mark.row("C-04")
def test_small_boxes_go_as_torchvision_s_do():
    boxes = some_boxes(300)
    boxes[7] = torch.tensor([0.0, 0, 10, 30])  # a side of just the limit stays
    kept = large_enough(boxes, 10)
    assert torch.equal(kept, torchvision.ops.remove_small_boxes(boxes, 10))
    assert 7 in kept
    assert 0 < len(kept) < 300


@pytest.mark.row("C-03")
def test_which_anchors_lie_inside():
    boxes = torch.tensor([[0.0, 0, 8, 6], [-1, 0, 3, 3], [0, 0, 8.5, 6], [2, 2, 3, 7]])
    assert inside_picture(boxes, (6, 8)).tolist() == [True, False, False, False]
    assert inside_picture(boxes, (6, 8), margin=1).tolist() == [True, True, True, True]


@pytest.mark.row("C-01")
def test_a_reversed_box_has_no_sides():
    width, height = sides(torch.tensor([3.0, 0, 1, 5]))
    assert (float(width), float(height)) == (0, 5)


@pytest.mark.row("C-01")
@pytest.mark.parametrize(
    "use",
    [
        sides, areas, to_cxcywh, from_cxcywh, to_xywh, from_xywh, lambda b: clip_boxes(b, (6, 8)),
        lambda b: large_enough(b, 1), lambda b: inside_picture(b, (6, 8)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("wrong", [torch.zeros(2, 5), torch.zeros(2, 4).long(), torch.tensor(1.0)])
def test_every_function_names_boxes_of_a_wrong_form(use, wrong):
    with pytest.raises(UsageError, match=r"^boxes\w*: expected"):
        use(wrong)


@pytest.mark.row("C-04")
def test_indices_are_those_of_rows():
    for use in (lambda b: large_enough(b, 1), lambda b: inside_picture(b, (6, 8))):
        with pytest.raises(UsageError, match=r"boxes: expected N x 4 values .* got shape \(2, 3, 4\)"):
            use(torch.zeros(2, 3, 4))


@pytest.mark.parametrize("size", [(5,), (5, 5, 3), 5, None])
def test_a_picture_has_two_sides(size):
    boxes = torch.ones(1, 4)
    for measure in (clip_boxes, inside_picture):
        with pytest.raises(UsageError, match="size: expected height and width"):
            measure(boxes, size)


def test_boxes_that_are_no_tensor_are_named():
    with pytest.raises(UsageError, match="boxes: expected a tensor, got list"):
        clip_boxes([[0, 0, 1, 1]], (5, 5))

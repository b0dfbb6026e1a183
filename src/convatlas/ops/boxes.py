"""Boxes as tensors: valid ones, their other forms, and what a picture leaves of them.

A box is xyxy (x1, y1, x2, y2): continuous pixel edges, x2 and y2 exclusive, so its sides are x2 - x1 and y2 - y1. Any
other form is in the name: `cxcywh` is centre and sides, `xywh` the top left and sides (COCO's). Boxes of a dtype other
than float32 and float64, or of another shape, raise UsageError.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from convatlas.errors import UsageError
from convatlas.ops.box_checks import check_box_array

FLOATS = (torch.float32, torch.float64)


def check_boxes(boxes: Tensor, name: str = "boxes", *, outside: bool = False) -> Tensor:
    """The boxes themselves, (N, 4) float32 or float64 xyxy, N may be 0; what comes from outside passes here once.

    name: what messages call them, the file too where there is one. outside: allows values below 0, as anchors and raw
    predictions have them.
    Raises UsageError that names the first box with a value that is not finite, with x1 > x2 or y1 > y2, or with a
    value below 0; or says which dtype or shape was expected. Waits for the device.
    """
    _check_rows(boxes, name)
    check_box_array(boxes.numpy(force=True), name, outside=outside)
    return boxes


def check_form(boxes: Tensor, name: str) -> None:
    """Raise UsageError unless it is float32 or float64 (..., 4); looks at no value, so it never waits for a device."""
    check_tensor(boxes, name)
    if boxes.dtype not in FLOATS:
        raise UsageError(f"{name}: expected float32 or float64, got {boxes.dtype}: convert with .float()")
    if boxes.dim() == 0 or boxes.shape[-1] != 4:
        raise UsageError(f"{name}: expected (..., 4) values x1, y1, x2, y2, got shape {tuple(boxes.shape)}")


def check_tensor(given: object, name: str) -> None:
    """Raise UsageError unless it is a tensor."""
    if not isinstance(given, Tensor):
        raise UsageError(f"{name}: expected a tensor, got {type(given).__name__}")


def _height_and_width(size: tuple[int, int]) -> tuple[int, int]:
    if not isinstance(size, Sequence) or len(size) != 2:
        raise UsageError(f"size: expected height and width, got {size}")
    return size[0], size[1]


def _check_rows(boxes: Tensor, name: str = "boxes") -> None:
    check_form(boxes, name)
    if boxes.dim() != 2:
        raise UsageError(f"{name}: expected N x 4 values x1, y1, x2, y2, got shape {tuple(boxes.shape)}")


def sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Width and height, each (...), of boxes (..., 4); 0 for a reversed box."""
    check_form(boxes, "boxes")
    return not_negative(boxes[..., 2] - boxes[..., 0]), not_negative(boxes[..., 3] - boxes[..., 1])


def not_negative(lengths: Tensor) -> Tensor:
    """The lengths, 0 for those below it; one of just 0 keeps its gradient, so that it can grow, as in no clamp."""
    return lengths.masked_fill(lengths < 0, 0)


def areas(boxes: Tensor) -> Tensor:
    """Width times height in square pixels: (..., 4) -> (...). A side above 1e19 may overflow float32."""
    width, height = sides(boxes)
    return width * height


def to_cxcywh(boxes: Tensor) -> Tensor:
    """Corners xyxy (..., 4) -> centre and sides (..., 4)."""
    check_form(boxes, "boxes")
    x1, y1, x2, y2 = boxes.unbind(-1)
    width, height = x2 - x1, y2 - y1
    return torch.stack((x1 + width / 2, y1 + height / 2, width, height), dim=-1)


def from_cxcywh(boxes_cxcywh: Tensor) -> Tensor:
    """Centre and sides (..., 4) -> corners xyxy (..., 4)."""
    check_form(boxes_cxcywh, "boxes_cxcywh")
    x, y, width, height = boxes_cxcywh.unbind(-1)
    return torch.stack((x - width / 2, y - height / 2, x + width / 2, y + height / 2), dim=-1)


def to_xywh(boxes: Tensor) -> Tensor:
    """Corners xyxy (..., 4) -> top left and sides (..., 4)."""
    check_form(boxes, "boxes")
    return torch.cat((boxes[..., :2], boxes[..., 2:] - boxes[..., :2]), dim=-1)


def from_xywh(boxes_xywh: Tensor) -> Tensor:
    """Top left and sides (..., 4) -> corners xyxy (..., 4)."""
    check_form(boxes_xywh, "boxes_xywh")
    return torch.cat((boxes_xywh[..., :2], boxes_xywh[..., :2] + boxes_xywh[..., 2:]), dim=-1)


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """What lies inside a picture of `size` (H, W) pixels: (..., 4) -> (..., 4).

    A box that lies wholly outside becomes one without area on the border. The gradient of a clipped edge is 0.
    """
    check_form(boxes, "boxes")
    height, width = _height_and_width(size)
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack(
        (x1.clamp(0, width), y1.clamp(0, height), x2.clamp(0, width), y2.clamp(0, height)),
        dim=-1,
    )


def large_enough(boxes: Tensor, smallest: float) -> Tensor:
    """Which boxes (N, 4) have both sides >= `smallest` pixels: their indices, ascending, (K,) int64."""
    _check_rows(boxes)
    width, height = sides(boxes)
    return torch.nonzero((width >= smallest) & (height >= smallest)).squeeze(1)


def inside_picture(boxes: Tensor, size: tuple[int, int], *, margin: float = 0.0) -> Tensor:
    """Which boxes (N, 4) reach no further than `margin` pixels out of a picture of (H, W): (N,) bool.

    Faster R-CNN trains on those with margin 0 alone (https://arxiv.org/abs/1506.01497, Section 3.3).
    """
    _check_rows(boxes)
    height, width = _height_and_width(size)
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x1 >= -margin) & (y1 >= -margin) & (x2 <= width + margin) & (y2 <= height + margin)

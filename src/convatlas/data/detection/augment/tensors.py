"""A picture's objects as torchvision's tv_tensors, so that its `transforms.v2` change all of them together.

torchvision mirrors keypoints as though the middle of a pixel lay at a whole number, and resizes them as though its edge
did, so keypoints are a tensor of our own, whose middle of a pixel is at .5 as in `Sample`.
Shapes: N objects, P keypoints, H x W pixels.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional

from convatlas.data.detection.augment.annotated import Annotated
from convatlas.types import Rle, Sample

Parts = dict[str, Any]  # "image", "boxes", "points" and, where an object has a mask, "masks": tv_tensors of one size
Change = Callable[[Parts], Parts]

SMALLEST = 2.0  # pixels: a box with a shorter side is removed
LEAST_SEEN = 0.1  # a box of which a smaller part of its area is left in the picture is removed


def changed(picture: Annotated, change: Change, *, mirror: Sequence[int] = ()) -> Annotated:
    """The picture and its objects after a change that mirrors, crops, pads, resizes or recolours: always RGB.

    Boxes are clipped to the picture. An object goes when its box has a side below SMALLEST pixels, less than LEAST_SEEN
    of its area is left, or nothing of its mask. The box of an object that is cut is drawn in to what is left of its
    mask. Keypoints outside the picture become unlabelled. Stated areas become the mask's, or shrink with the box.
    mirror: the number of the keypoint that each is in the mirror (a left eye's is the right eye's); each itself
    without it.
    """
    parts = change(_parts(picture, mirror))
    height, width = (int(side) for side in parts["image"].shape[-2:])
    points = parts["points"].numpy().astype(np.float32)
    whole = np.concatenate([points[:, :2, :2].min(axis=1), points[:, :2, :2].max(axis=1)], axis=1)
    boxes = _clipped(parts["boxes"].numpy(), height, width)
    dense = parts["masks"].numpy() if "masks" in parts else None
    masks = [
        None if mask is None or dense is None else Rle.from_mask(dense[row])
        for row, mask in enumerate(picture.sample.masks)
    ]
    _draw_in(boxes, whole, masks, height, width)
    seen = _areas(boxes) >= LEAST_SEEN * _areas(whole)
    keep = seen & ((boxes[:, 2:] - boxes[:, :2]) >= SMALLEST).all(axis=1)
    keep &= np.array([mask is None or mask.area > 0 for mask in masks], np.bool_)
    kept_masks = tuple(mask for mask, stays in zip(masks, keep, strict=True) if stays)
    old = picture.sample
    areas = old.areas * _areas(boxes) / _areas(old.boxes)
    sample = Sample(
        name=old.name,
        height=height,
        width=width,
        boxes=boxes[keep],
        classes=old.classes[keep],
        masks=kept_masks,
        keypoints=_labelled(points[:, 2:], height, width)[keep],
        iscrowd=old.iscrowd[keep],
        difficult=old.difficult[keep],
        areas=np.array(
            [area if mask is None else mask.area for area, mask in zip(areas[keep], kept_masks, strict=True)],
            np.float64,
        ),
    )
    pixels = np.ascontiguousarray(parts["image"].permute(1, 2, 0).numpy())
    return Annotated(pixels=pixels, sample=sample, weights=picture.weights[keep])


class Points(tv_tensors.TVTensor):  # type: ignore[misc]  # torchvision has no types
    """(N, 2 + P, 3) float32 x, y, visibility: two corners of the whole box, however it is cut, then the keypoints."""

    canvas_size: tuple[int, int]
    mirror: tuple[int, ...]  # the place of each of the 2 + P in the mirror


def _points(values: Tensor, canvas_size: tuple[int, int], mirror: tuple[int, ...]) -> Points:
    points = values.as_subclass(Points)
    points.canvas_size, points.mirror = canvas_size, mirror
    return points


def _mirrored(points: Points) -> Points:
    values = points.as_subclass(Tensor)[:, list(points.mirror)]
    values[:, :, 0] = points.canvas_size[1] - values[:, :, 0]
    return _points(values, points.canvas_size, points.mirror)


def _cropped(points: Points, top: int, left: int, height: int, width: int) -> Points:
    moved = points.as_subclass(Tensor) - torch.tensor([left, top, 0.0])
    return _points(moved, (height, width), points.mirror)


def _padded(points: Points, padding: Sequence[int], **_: object) -> Points:
    left, top, right, bottom = padding
    height, width = points.canvas_size
    moved = points.as_subclass(Tensor) + torch.tensor([left, top, 0.0])
    return _points(moved, (height + top + bottom, width + left + right), points.mirror)


def _resized(points: Points, size: Sequence[int], **_: object) -> Points:
    height, width = points.canvas_size
    scaled = points.as_subclass(Tensor) * torch.tensor([size[1] / width, size[0] / height, 1.0])
    return _points(scaled, (size[0], size[1]), points.mirror)


for _operation, _kernel in (
    (functional.horizontal_flip, _mirrored),
    (functional.crop, _cropped),
    (functional.pad, _padded),
    (functional.resize, _resized),
):
    functional.register_kernel(_operation, Points)(_kernel)


def _parts(picture: Annotated, mirror: Sequence[int]) -> Parts:
    sample = picture.sample
    size = (sample.height, sample.width)
    rgb = np.ascontiguousarray(np.broadcast_to(picture.pixels, (*size, 3)).transpose(2, 0, 1))
    corners = np.concatenate([sample.boxes.reshape(-1, 2, 2), np.zeros((len(sample), 2, 1), np.float32)], axis=2)
    order = tuple(mirror) or tuple(range(sample.keypoints.shape[1]))
    parts: Parts = {
        "image": tv_tensors.Image(torch.from_numpy(rgb.copy())),
        "boxes": tv_tensors.BoundingBoxes(
            torch.from_numpy(sample.boxes.copy()), format=tv_tensors.BoundingBoxFormat.XYXY, canvas_size=size
        ),
        "points": _points(
            torch.from_numpy(np.concatenate([corners, sample.keypoints], axis=1)),
            size,
            (0, 1, *(2 + each for each in order)),
        ),
    }
    if any(mask is not None for mask in sample.masks):
        empty = np.zeros(size, np.bool_)
        dense = np.stack([empty if mask is None else mask.to_mask() for mask in sample.masks])
        parts["masks"] = tv_tensors.Mask(torch.from_numpy(dense.astype(np.uint8)))
    return parts


def _clipped(boxes: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(boxes, 0, limits).astype(np.float32)


def _draw_in(
    boxes: NDArray[np.float32], whole: NDArray[np.float32], masks: Sequence[Rle | None], height: int, width: int
) -> None:
    """Change the boxes of objects that the picture's edge cuts to what is left of their masks."""
    cut = (whole[:, :2] < 0).any(axis=1) | (whole[:, 2] > width) | (whole[:, 3] > height)
    for row in np.flatnonzero(cut).tolist():
        mask = masks[row]
        bounds = None if mask is None else mask.bounds()
        if bounds is not None:
            boxes[row, :2] = np.maximum(boxes[row, :2], bounds[:2])
            boxes[row, 2:] = np.minimum(boxes[row, 2:], bounds[2:])


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    sides = np.maximum(boxes[:, 2:].astype(np.float64) - boxes[:, :2], 0)
    return sides[:, 0] * sides[:, 1]


def _labelled(points: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """The keypoints (N, P, 3) with those outside the picture unlabelled: 0, 0, 0."""
    inside = (points[:, :, :2] >= 0).all(axis=2) & (points[:, :, 0] < width) & (points[:, :, 1] < height)
    return np.where((inside & (points[:, :, 2] > 0))[:, :, None], points, 0).astype(np.float32)

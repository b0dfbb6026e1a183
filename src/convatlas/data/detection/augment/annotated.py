"""A picture with its objects: what augmentation takes and gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.types import Pixels, Rle, Sample, check_pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Annotated:
    """Pixels and what is known of them.

    pixels: (H, W, 1 or 3) uint8. sample: the N objects, of the same H x W.
    weights: (N,) float32, how much each object counts in a loss, 0..1; 1 without an argument (`mixup` gives others).

    Raises UsageError that names the sample when these do not fit together.
    """

    pixels: Pixels
    sample: Sample
    weights: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        name, size = self.sample.name, (self.sample.height, self.sample.width)
        if check_pixels(self.pixels).shape[:2] != size:
            have = self.pixels.shape
            raise UsageError(f"{name}: pixels: expected {size[0]} x {size[1]} pixels, got {have[0]} x {have[1]}")
        if not self.weights.size:
            object.__setattr__(self, "weights", np.ones(len(self.sample), np.float32))
        if self.weights.shape != (len(self.sample),) or self.weights.dtype != np.float32:
            raise UsageError(f"{name}: weights: expected {len(self.sample)} of float32, one an object")


def joined(
    parts: Sequence[Annotated],
    corners: Sequence[tuple[int, int]],
    *,
    pixels: Pixels,
    name: str,
    weights: Sequence[float] | None = None,
) -> Annotated:
    """One picture with the objects of several: part i's top left lies at column and row `corners[i]` of `pixels`.

    weights: a factor for each part's weights. Objects of parts with fewer keypoints get more that are not labelled.
    """
    height, width = pixels.shape[:2]
    samples = [part.sample for part in parts]
    factors = [1.0] * len(parts) if weights is None else weights
    points = max(sample.keypoints.shape[1] for sample in samples)
    placed = list(zip(samples, corners, strict=True))
    sample = Sample(
        name=name,
        height=height,
        width=width,
        boxes=np.concatenate([each.boxes + np.array([x, y, x, y], np.float32) for each, (x, y) in placed]),
        classes=np.concatenate([each.classes for each in samples]),
        masks=tuple(_moved(mask, x, y, height, width) for each, (x, y) in placed for mask in each.masks),
        keypoints=np.concatenate([_moved_points(each, x, y, points) for each, (x, y) in placed]),
        iscrowd=np.concatenate([each.iscrowd for each in samples]),
        difficult=np.concatenate([each.difficult for each in samples]),
        areas=np.concatenate([each.areas for each in samples]),
    )
    counts = [part.weights * np.float32(factor) for part, factor in zip(parts, factors, strict=True)]
    return Annotated(pixels=pixels, sample=sample, weights=np.concatenate(counts))


def _moved(mask: Rle | None, x: int, y: int, height: int, width: int) -> Rle | None:
    if mask is None:
        return None
    canvas = np.zeros((height, width), np.bool_)
    canvas[y : y + mask.height, x : x + mask.width] = mask.to_mask()
    return Rle.from_mask(canvas)


def _moved_points(sample: Sample, x: int, y: int, points: int) -> NDArray[np.float32]:
    """(N, points, 3); what is not labelled stays 0, 0, 0."""
    moved = np.zeros((len(sample), points, 3), np.float32)
    moved[:, : sample.keypoints.shape[1]] = sample.keypoints
    moved[:, :, :2] += np.where(moved[:, :, 2:] > 0, np.array([x, y], np.float32), 0)
    return moved

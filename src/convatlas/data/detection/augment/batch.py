"""Pictures of several sizes as one batch: a padded tensor, and the size of each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from convatlas.data.detection.augment.annotated import Annotated
from convatlas.errors import UsageError
from convatlas.types import Sample


class ObjectBatch(NamedTuple):
    """B pictures, picture i with n objects.

    pixels: (B, 3, H, W) uint8, each picture at the top left, 0 below and to the right of it. sizes: (B, 2) int64, the
    height and width of each. boxes: B of (n, 4) float32 xyxy. labels: B of (n,) int64. weights: B of (n,) float32.
    samples: B, with what else is known of the objects.
    """

    pixels: Tensor
    sizes: Tensor
    boxes: tuple[Tensor, ...]
    labels: tuple[Tensor, ...]
    weights: tuple[Tensor, ...]
    samples: tuple[Sample, ...]


def batch_of(pictures: Sequence[Annotated], *, multiple: int = 32) -> ObjectBatch:
    """One batch of at least one picture, grey ones as RGB. H and W are the least multiples that hold every picture.

    Raises UsageError without a picture, and for a multiple below 1.
    """
    if not pictures or multiple < 1:
        raise UsageError(f"expected at least one picture and a multiple from 1, got {len(pictures)} and {multiple}")
    sizes = np.array([picture.pixels.shape[:2] for picture in pictures], np.int64)
    height, width = (int(-(-side // multiple) * multiple) for side in sizes.max(axis=0))
    pixels = np.zeros((len(pictures), 3, height, width), np.uint8)
    for place, picture in zip(pixels, pictures, strict=True):
        own_height, own_width = picture.pixels.shape[:2]
        place[:, :own_height, :own_width] = picture.pixels.transpose(2, 0, 1)
    samples = tuple(picture.sample for picture in pictures)
    return ObjectBatch(
        pixels=torch.from_numpy(pixels),
        sizes=torch.from_numpy(sizes),
        boxes=tuple(torch.from_numpy(sample.boxes.copy()) for sample in samples),
        labels=tuple(torch.from_numpy(sample.classes.copy()) for sample in samples),
        weights=tuple(torch.from_numpy(picture.weights.copy()) for picture in pictures),
        samples=samples,
    )

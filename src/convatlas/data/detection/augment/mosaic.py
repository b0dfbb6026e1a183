"""Mosaic: four pictures as one, so that each batch shows four times the contexts and smaller objects.

Bochkovskiy, Wang, Liao, "YOLOv4: Optimal Speed and Accuracy of Object Detection", 2020,
https://arxiv.org/abs/2004.10934, Section 3.3 ("Additional improvements") and Figure 3. The paper does not say how the
four are scaled and cut. Here each is scaled, its aspect kept, until it just covers its quarter, and cut to it.
"""

from collections.abc import Sequence

import numpy as np
import torch

from convatlas.data.detection.augment.annotated import Annotated, joined
from convatlas.data.detection.augment.random_changes import random_window, resized
from convatlas.data.detection.augment.tensors import Parts, changed
from convatlas.errors import UsageError


def mosaic(pictures: Sequence[Annotated], size: int, *, middle: tuple[float, float] = (0.3, 0.7)) -> Annotated:
    """Four pictures around a point, one in each quarter (top left, top right, bottom left, bottom right).

    size: the height and width of the result in pixels, 32 to 8192. middle: the point is drawn from this part of it,
    each way, 0.1..0.9. Which objects remain says `tensors.changed`. Torch's seed decides.
    Raises UsageError for another number of pictures, or a size or middle out of range.
    """
    if len(pictures) != 4:
        raise UsageError(f"mosaic: expected 4 pictures, got {len(pictures)}")
    if not 32 <= size <= 8192:
        raise UsageError(f"size: expected 32 to 8192 pixels, got {size}")
    if not 0.1 <= middle[0] <= middle[1] <= 0.9:
        raise UsageError(f"middle: expected 0.1 <= first <= last <= 0.9, got {middle}")
    x, y = (round(size * float(torch.empty(()).uniform_(*middle))) for _ in range(2))
    corners = ((0, 0), (x, 0), (0, y), (x, y))
    sizes = ((y, x), (y, size - x), (size - y, x), (size - y, size - x))
    quarters = [_covering(picture, *each) for picture, each in zip(pictures, sizes, strict=True)]
    pixels = np.empty((size, size, 3), np.uint8)
    for quarter, (left, top) in zip(quarters, corners, strict=True):
        height, width = quarter.pixels.shape[:2]
        pixels[top : top + height, left : left + width] = quarter.pixels
    name = "mosaic of " + ", ".join(picture.sample.name for picture in pictures)
    return joined(quarters, corners, pixels=pixels, name=name)


def _covering(picture: Annotated, height: int, width: int) -> Annotated:
    """A part of the picture with height x width pixels, as large a part as its aspect allows."""
    own_height, own_width = picture.pixels.shape[:2]
    factor = max(height / own_height, width / own_width)
    scaled_height, scaled_width = max(height, round(own_height * factor)), max(width, round(own_width * factor))

    def cover(parts: Parts) -> Parts:
        return random_window(resized(parts, scaled_height, scaled_width), height, width)

    return changed(picture, cover)

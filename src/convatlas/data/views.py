"""More views of a picture than the one on which a bundle answers: what papers average when they test. No torch.

Ten crops: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012,
Sections 2 and 4.1: of the central 256 x 256 of a picture whose shorter side is 256 pixels, the four corners and the
centre of 224 x 224, and their mirror images.
The whole picture: Simonyan, Zisserman, https://arxiv.org/abs/1409.1556, Section 3.2: scaled but not cropped, and its
mirror image.
Shapes: C channels, H x W pixels of the bundle's `Preprocess`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from convatlas.data.preprocess import Preprocess
from convatlas.errors import DataError, UsageError, did_you_mean
from convatlas.types import Pixels, check_pixels

Views = Literal["single", "ten-crop", "dense"]

DESCRIBED: Mapping[Views, str] = {
    "single": "one view of each picture",
    "ten-crop": "ten crops of each picture (corners, centre, and their mirror images), probabilities averaged",
    "dense": "each whole picture and its mirror image (dense evaluation), probabilities averaged",
}
MAX_WHOLE_PIXELS = 1 << 24  # 4096 x 4096; a network's maps take some hundred times the memory of its picture


def named_views(name: str) -> Views:
    """The views of this name; raises UsageError for an unknown one, with the nearest."""
    if not isinstance(name, str) or name not in DESCRIBED:
        known = ", ".join(DESCRIBED)
        raise UsageError(f"views: expected one of {known}, got {name!r}.{did_you_mean(str(name), DESCRIBED)}")
    return cast("Views", name)


def check_cropped(preprocess: Preprocess) -> None:
    """Raise UsageError unless the preprocess cuts its view out of the picture, so that there are others."""
    if preprocess.fit != "crop":
        raise UsageError(
            f'views: this bundle sees all of each picture already (fit="{preprocess.fit}"); ten-crop and dense need '
            "one that cuts out the centre. Use single, or a bundle trained with --fit crop"
        )


def crop_margin(preprocess: Preprocess) -> int:
    """The side of the square that ten crops are cut from: `resize`, or, where that leaves no margin, 256/224 of a crop.

    256/224 is AlexNet's, and what most published weights were measured with.
    """
    longer = max(preprocess.height, preprocess.width)
    if preprocess.resize is not None and preprocess.resize > longer:
        return preprocess.resize
    return round(longer * 256 / 224)


def ten_crops(picture: Pixels, preprocess: Preprocess) -> NDArray[np.uint8]:
    """(H', W', 1 or 3) uint8 pixels of any size -> (10, C, H, W) uint8.

    The corners (top left, top right, bottom left, bottom right) and the centre, then their mirror images in this order.
    Raises what `check_cropped` raises.
    """
    check_cropped(preprocess)
    height, width, side = preprocess.height, preprocess.width, crop_margin(preprocess)
    square = replace(preprocess, height=side, width=side, resize=side)(picture)
    bottom, right = side - height, side - width
    places = ((0, 0), (0, right), (bottom, 0), (bottom, right), (round(bottom / 2), round(right / 2)))
    five = np.stack([square[:, top : top + height, left : left + width] for top, left in places])
    return np.concatenate([five, five[..., ::-1]])


def whole_picture(picture: Pixels, preprocess: Preprocess, name: str = "picture") -> NDArray[np.uint8]:
    """(H', W', 1 or 3) uint8 pixels of any size -> (2, C, at least H, at least W) uint8: the picture, its mirror image.

    It is scaled as `preprocess` scales it (its shorter side to `resize`), but the centre is not cut out. Raises what
    `check_cropped` raises, and DataError that names a picture so long that it would have more than MAX_WHOLE_PIXELS.
    """
    check_cropped(preprocess)
    own_height, own_width = check_pixels(picture).shape[:2]
    width, height = preprocess.scaled_size(own_width, own_height)
    if width * height > MAX_WHOLE_PIXELS:
        raise DataError(
            f"{name}: {own_width} x {own_height} pixels become {width} x {height} for dense evaluation, more than "
            f"{MAX_WHOLE_PIXELS:,}; leave it out, or use ten crops"
        )
    whole = replace(preprocess, height=height, width=width, fit="stretch", resize=None)(picture)
    return np.stack([whole, whole[..., ::-1]])

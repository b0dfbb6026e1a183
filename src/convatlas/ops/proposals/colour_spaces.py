"""The colour spaces of Selective Search: Uijlings et al., "Selective Search for Object Recognition", IJCV 2013.

https://doi.org/10.1007/s11263-013-0620-5 -- Section 3.2, "Complementary Colour Spaces", and Table 2: what each of them
does not change with (shadows and shading, highlights). Every space is scaled to 0..1, so that one threshold means about
the same in all of them.
Choices that the paper leaves open: a black pixel has no hue and no chromaticity, and gets those of grey. C is the
opponent space with its intensity divided out, (O1 / O3, O2 / O3), as the authors' other work defines it
(https://doi.org/10.1109/TPAMI.2009.154, Section 3.2).
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from skimage import color

from convatlas.errors import UsageError, did_you_mean
from convatlas.types import Pixels, check_pixels

ColourSpace = Literal["rgb", "intensity", "lab", "rgi", "hsv", "normalised_rgb", "c", "hue"]
COLOUR_SPACES: tuple[ColourSpace, ...] = get_args(ColourSpace)


def to_colour_space(picture: Pixels, space: ColourSpace) -> NDArray[np.float32]:
    """A picture, H x W x (1 or 3) uint8, in a colour space: (H, W, C) float32 in 0..1.

    C is 3, but 1 for intensity and hue and 2 for c. A grey picture is taken as one of equal red, green and blue. Raises
    UsageError for a name that is no colour space, TypeError or ValueError for what is no picture.
    """
    if space not in COLOUR_SPACES:
        raise UsageError(
            f"space: expected one of {', '.join(COLOUR_SPACES)}, not {space!r}.{did_you_mean(str(space), COLOUR_SPACES)}"
        )
    pixels = check_pixels(picture)
    rgb = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    values = rgb.astype(np.float32) / np.float32(255)
    converted: NDArray[np.float32] = np.ascontiguousarray(_convert(values, space), dtype=np.float32)
    return converted


def _convert(rgb: NDArray[np.float32], space: ColourSpace) -> NDArray[np.float32]:
    match space:
        case "rgb":
            return rgb
        case "intensity":
            return rgb.mean(axis=2, keepdims=True)
        case "lab":
            lab = color.rgb2lab(rgb)  # L in 0..100, a and b within -128..127
            return (lab + np.float32([0, 128, 128])) / np.float32([100, 255, 255])
        case "rgi":
            return np.concatenate([_chromaticity(rgb)[:, :, :2], rgb.mean(axis=2, keepdims=True)], axis=2)
        case "hsv":
            return _hsv(rgb)
        case "normalised_rgb":
            return _chromaticity(rgb)
        case "c":
            return _opponent_over_intensity(rgb)
        case "hue":
            return _hsv(rgb)[:, :, :1]


def _hsv(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    hsv: NDArray[np.float32] = color.rgb2hsv(rgb)
    return hsv


def _chromaticity(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """(r, g, b) of sum 1."""
    total = rgb.sum(axis=2, keepdims=True)
    return np.where(total > 0, rgb / np.maximum(total, np.float32(1e-6)), np.float32(1 / 3))


def _opponent_over_intensity(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """(R - G) / sqrt 2 and (R + G - 2B) / sqrt 6 over (R + G + B) / sqrt 3, from their least and most to 0..1."""
    red, green, blue = np.moveaxis(_chromaticity(rgb), 2, 0)
    first = (red - green) * np.float32(1.5**0.5)  # within -sqrt(3/2)..sqrt(3/2)
    second = (red + green - 2 * blue) * np.float32(0.5**0.5)  # within -sqrt(2)..sqrt(1/2)
    stretched = [first / np.float32(6**0.5) + np.float32(0.5), (second + np.float32(2**0.5)) / np.float32(4.5**0.5)]
    return np.clip(np.stack(stretched, axis=2), 0, 1)

"""The colour spaces of Selective Search: Uijlings et al., "Selective Search for Object Recognition", IJCV 2013.

https://doi.org/10.1007/s11263-013-0620-5 -- Section 3.2, "Complementary Colour Spaces": what each of them does not
change with (shadows and shading, highlights). Every space is scaled to 0..1, so that one threshold means about
the same in all of them.
Choices that the paper leaves open: a black pixel has no hue and no chromaticity, and gets those of grey. C is the
opponent space with its intensity divided out, (O1 / O3, O2 / O3), as the authors' other work defines it
(https://doi.org/10.1109/TPAMI.2009.154, Section 3.2).
"""

from collections.abc import Callable
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from skimage import color

from convatlas.errors import UsageError, did_you_mean
from convatlas.types import Pixels, check_pixels

ColourSpace = Literal["rgb", "intensity", "lab", "rgi", "hsv", "normalised_rgb", "c", "hue"]
COLOUR_SPACES: Final[tuple[ColourSpace, ...]] = get_args(ColourSpace)

_Colours = NDArray[np.float32]  # (H, W, C)


def check_spaces(spaces: tuple[ColourSpace, ...], name: str) -> None:
    """Raise UsageError, with what a setting is called, unless it has one colour space or more, each of them once."""
    if not isinstance(spaces, tuple) or not spaces or len(set(spaces)) < len(spaces):
        raise UsageError(f"{name} must be one value or more, each of them once, not {spaces!r}")
    if not set(spaces) <= set(COLOUR_SPACES):
        raise UsageError(f"{name} must be among {', '.join(COLOUR_SPACES)}, not {spaces!r}")


def to_colour_space(picture: Pixels, space: ColourSpace) -> NDArray[np.float32]:
    """A picture, H x W x (1 or 3) uint8, in a colour space: (H, W, C) float32 in 0..1.

    C is 3, but 1 for intensity and hue and 2 for c. A grey picture is taken as one of equal red, green and blue. Raises
    UsageError for a name that is no colour space, TypeError or ValueError for what is no picture.
    """
    if space not in COLOUR_SPACES:
        hint = did_you_mean(str(space), COLOUR_SPACES)
        raise UsageError(f"space: expected one of {', '.join(COLOUR_SPACES)}, not {space!r}.{hint}")
    pixels = check_pixels(picture)
    rgb = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    return np.ascontiguousarray(_CONVERSIONS[space](rgb.astype(np.float32) / np.float32(255)))


def _rgb(rgb: _Colours) -> _Colours:
    return rgb


def _intensity(rgb: _Colours) -> _Colours:
    mean: _Colours = rgb.mean(axis=2, keepdims=True)
    return mean


def _lab(rgb: _Colours) -> _Colours:
    lab: _Colours = color.rgb2lab(rgb)  # L in 0..100, a and b within -128..127
    stretched = (lab + np.array([0, 128, 128], np.float32)) / np.array([100, 255, 255], np.float32)
    return np.clip(stretched, 0, 1)  # white is 1 but for rounding


def _hsv(rgb: _Colours) -> _Colours:
    hsv: _Colours = color.rgb2hsv(rgb)
    return hsv


def _hue(rgb: _Colours) -> _Colours:
    return _hsv(rgb)[:, :, :1]


def _chromaticity(rgb: _Colours) -> _Colours:
    """(r, g, b) of sum 1."""
    total = rgb.sum(axis=2, keepdims=True)
    shares: _Colours = np.where(total > 0, rgb / np.maximum(total, np.float32(1e-6)), np.float32(1 / 3))
    return shares


def _rgi(rgb: _Colours) -> _Colours:
    return np.concatenate([_chromaticity(rgb)[:, :, :2], _intensity(rgb)], axis=2)


def _opponent_over_intensity(rgb: _Colours) -> _Colours:
    """(R - G) / sqrt 2 and (R + G - 2B) / sqrt 6 over (R + G + B) / sqrt 3, from their least and most to 0..1."""
    red, green, blue = np.moveaxis(_chromaticity(rgb), 2, 0)
    first = (red - green) * np.float32(1.5**0.5)  # within -sqrt(3/2)..sqrt(3/2)
    second = (red + green - 2 * blue) * np.float32(0.5**0.5)  # within -sqrt(2)..sqrt(1/2)
    stretched = [first / np.float32(6**0.5) + np.float32(0.5), (second + np.float32(2**0.5)) / np.float32(4.5**0.5)]
    values: _Colours = np.clip(np.stack(stretched, axis=2), 0, 1)
    return values


_CONVERSIONS: Final[dict[ColourSpace, Callable[[_Colours], _Colours]]] = {
    "rgb": _rgb,
    "intensity": _intensity,
    "lab": _lab,
    "rgi": _rgi,
    "hsv": _hsv,
    "normalised_rgb": _chromaticity,
    "c": _opponent_over_intensity,
    "hue": _hue,
}

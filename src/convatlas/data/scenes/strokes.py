"""One handwritten digit at another size and turned a little: how much ink each pixel has.

All arithmetic is in whole numbers, so that a stroke is the same everywhere.
"""

import math

import numpy as np
from numpy.typing import NDArray

Ink = NDArray[np.uint8]  # (h, w), 0 none .. 255 full

_SIDE = 28
_MARGIN = 2  # empty pixels around a digit, so that its neighbours can be looked up
_ONE = 1 << 14  # sine and cosine in so many parts
MOST_DEGREES = 15
_SINES = [round(math.sin(math.radians(degrees)) * _ONE) for degrees in range(MOST_DEGREES + 1)]
_COSINES = [round(math.cos(math.radians(degrees)) * _ONE) for degrees in range(MOST_DEGREES + 1)]


def drawn(digit: NDArray[np.uint8], side: int, degrees: int) -> Ink:
    """The digit (28, 28) as (side, side), turned clockwise by -15 to 15 degrees about its middle, cut to its ink.

    Where it becomes smaller, each pixel is the mean of four, so that thin strokes stay; the most ink is 255. The result
    is (h, w), at most side x side.
    """
    ink = _means_of_four(_turned(digit, 2 * side, degrees)) if side < _SIDE else _turned(digit, side, degrees)
    full: Ink = (ink * 255 // ink.max()).astype(np.uint8)
    rows, columns = np.flatnonzero(full.any(axis=1)), np.flatnonzero(full.any(axis=0))
    return full[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _turned(digit: NDArray[np.uint8], side: int, degrees: int) -> NDArray[np.int32]:
    """(side, side), each pixel interpolated from the four of the digit that are nearest to its middle; 0..255."""
    padded = np.zeros((_SIDE + 2 * _MARGIN, _SIDE + 2 * _MARGIN), np.int32)
    padded[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = digit
    sine = _SINES[abs(degrees)] * (1 if degrees >= 0 else -1)
    cosine = _COSINES[abs(degrees)]
    from_middle = 2 * np.arange(side, dtype=np.int64) + 1 - side  # in half pixels
    across, down = from_middle[None, :], from_middle[:, None]
    x, right = _source(across * cosine + down * sine, side)
    y, below = _source(down * cosine - across * sine, side)
    upper = padded[y, x] * (256 - right) + padded[y, x + 1] * right
    lower = padded[y + 1, x] * (256 - right) + padded[y + 1, x + 1] * right
    return ((upper * (256 - below) + lower * below) // 65536).astype(np.int32, copy=False)


def _means_of_four(ink: NDArray[np.int32]) -> NDArray[np.int32]:
    return ((ink[::2, ::2] + ink[1::2, ::2] + ink[::2, 1::2] + ink[1::2, 1::2]) // 4).astype(np.int32, copy=False)


def _source(turned: NDArray[np.int64], side: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The pixel of the padded digit at or before a place, and how far behind it the place lies, in 256ths."""
    place = turned * (_SIDE * 256) // (2 * side * _ONE) + (_SIDE // 2 + _MARGIN) * 256 - 128
    place = np.clip(place, 0, (_SIDE + 2 * _MARGIN - 2) * 256).astype(np.int32)
    return place >> 8, place & 255


def extreme_points(stroke: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Column and row of the topmost, rightmost, lowest and leftmost pixel of a stroke (h, w) that has one.

    Of several that lie equally far out, the one in the middle.
    """
    rows, columns = np.flatnonzero(stroke.any(axis=1)), np.flatnonzero(stroke.any(axis=0))
    top, bottom, left, right = (int(each) for each in (rows[0], rows[-1], columns[0], columns[-1]))
    return (
        (_middle(stroke[top]), top),
        (right, _middle(stroke[:, right])),
        (_middle(stroke[bottom]), bottom),
        (left, _middle(stroke[:, left])),
    )


def _middle(line: NDArray[np.bool_]) -> int:
    places = np.flatnonzero(line)
    return int(places[places.size // 2])

"""The outline of a mask, along the edges of its pixels: one polygon that holds exactly its pixels, where there is one.

The line between inside and outside turns at some corners of pixels. Along a row of such corners it runs from the first
to the second, from the third to the fourth, and so on, and so it does along a column. Where two pixels touch at a
corner only, it passes twice, and its four ends there can be joined in two ways that hold the same pixels: the ways that
make one loop out of two are taken.
"""

import numpy as np
from numpy.typing import NDArray

from convatlas.types import Rle
from convatlas.types.polygons import Polygon

_MOST = 100_000  # corners: a line of labels with more is no drawing, but noise


def outline_of_mask(mask: Rle) -> Polygon | None:
    """The polygon (P, 2) whose inside, by the even-odd rule, is the mask; None where a single one cannot be it.

    Its corners are whole numbers of pixels from the picture's top left edge. None for several parts, which do not even
    touch at corners, for holes, for no pixel, and for more than 100,000 corners.
    """
    bounds = mask.bounds()
    if bounds is None:
        return None
    x1, y1, x2, y2 = bounds
    points, twice = _turns(mask.to_mask()[y1:y2, x1:x2])
    if len(points) > _MOST:
        return None
    along_row = np.arange(len(points)) ^ 1
    by_column = np.lexsort((points[:, 1], points[:, 0]))
    along_column = np.empty_like(by_column)
    along_column[by_column] = by_column[np.arange(len(points)) ^ 1]
    order = _single_loop(along_row.tolist(), along_column.tolist(), twice)
    corner = np.array([x1, y1], np.float64)
    return None if order is None else corner + points[order]


def _turns(inside: NDArray[np.bool_]) -> tuple[NDArray[np.int64], list[int]]:
    """The corners (P, 2), x and y, at which the line turns, row by row, and where in them those passed twice start."""
    padded = np.pad(inside, 1)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    crossing = (a == d) & (b == c) & (a != b)
    times = (a ^ b ^ c ^ d) + 2 * crossing
    y, x = np.nonzero(times)
    count = times[y, x]
    starts = np.cumsum(count) - count
    return np.repeat(np.stack([x, y], axis=1), count, axis=0), starts[count == 2].tolist()


def _single_loop(along_row: list[int], along_column: list[int], twice: list[int]) -> list[int] | None:
    """The corners in the order of one walk along all of the line; None if it does not hang together."""
    loop = [-1] * len(along_row)
    for start in range(len(loop)):
        for corner in _walk(start, along_row, along_column) if loop[start] < 0 else ():
            loop[corner] = start

    def root(each: int) -> int:
        while loop[each] != each:
            loop[each] = loop[loop[each]]
            each = loop[each]
        return each

    for first in twice:
        second = first + 1
        if root(first) != root(second):
            loop[root(first)] = root(second)
            one, other = along_column[first], along_column[second]
            along_column[first], along_column[second] = other, one
            along_column[one], along_column[other] = second, first
    order = _walk(0, along_row, along_column)
    return order if len(order) == len(along_row) else None


def _walk(start: int, along_row: list[int], along_column: list[int]) -> list[int]:
    """The corners from one on, by row and by column in turn, until it comes again."""
    order = []
    corner = start
    while True:
        order += [corner, along_row[corner]]
        corner = along_column[along_row[corner]]
        if corner == start:
            return order

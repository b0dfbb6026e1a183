"""Pooling whose windows are fractions of a map or of a box: whatever the size, the result has one length.

Bin i of n along w places goes from floor(i w / n) to ceil((i + 1) w / n), its end left out: all places are covered, and
bins share a place where n does not divide w. (He et al., SPPnet, https://arxiv.org/abs/1406.4729, Appendix A.)
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.arithmetic.axes import whole
from convatlas.arithmetic.scratch.checks import Array, floats, shaped
from convatlas.errors import UsageError

EMPTY = -1  # the place of a bin that has no pixel


class Pooled(NamedTuple):
    """The largest number of each bin, and its place in the map (row * W + column; EMPTY: none, and y is 0)."""

    y: Array
    places: NDArray[np.int64]


def pyramid_pool(x: ArrayLike, levels: Sequence[int] = (1, 2, 4)) -> Pooled:
    """(N, C, H, W) of any H and W -> (N, C * bins), bins = the sum of n * n over the levels.

    Level n lays a grid of n x n bins over the map. Level by level, within a level channel by channel, bins row by row.
    """
    x = floats("x", x, axes=4)
    height, width = x.shape[2:]
    if not levels or 0 in x.shape[2:]:
        raise UsageError(f"levels, and x, must not be empty: got {tuple(levels)} and {x.shape}")
    parts = [
        _largest(x, [(rows, columns) for rows in bins(height, n) for columns in bins(width, n)])
        for n in (whole("levels", level, least=1) for level in levels)
    ]
    y, places = (np.concatenate([part[i].reshape(len(x), -1) for part in parts], axis=1) for i in (0, 1))
    return Pooled(y, places)


def pyramid_pool_backward(
    grad: ArrayLike, places: NDArray[np.int64], shape: tuple[int, int, int, int], levels: Sequence[int] = (1, 2, 4)
) -> Array:
    """dL/dy (N, C * bins), the places and the input's shape -> dL/dx (N, C, H, W): all to the largest numbers.

    A pixel that is the largest at several levels receives from each.
    """
    grad = shaped("grad", grad, _within_map(places, shape).shape)
    pictures, channels = shape[:2]
    shaped("grad", grad, (pictures, channels * sum(level * level for level in levels)))
    d_x = np.zeros((pictures, channels, shape[2] * shape[3]), grad.dtype)
    begin = 0
    for level in levels:
        end = begin + channels * level * level
        of_level = (pictures, channels, level * level)
        _add(d_x, places[:, begin:end].reshape(of_level), grad[:, begin:end].reshape(of_level))
        begin = end
    return d_x.reshape(shape)


def roi_pool(x: ArrayLike, boxes: ArrayLike, pictures: ArrayLike, out: tuple[int, int], scale: float = 1.0) -> Pooled:
    """Region-of-interest max pooling of Fast R-CNN: (N, C, H, W) and R boxes -> (R, C, *out).

    boxes: (R, 4) as x1, y1, x2, y2 in pixels of the picture; pictures: (R,) which picture each lies in; scale: places
    of the map a pixel, 1/16 for VGG-16. A box times `scale` is rounded to whole places (halves away from zero), both
    its ends belong to it, it is at least 1 x 1, and is divided into bins; a bin outside of the map gives 0.
    Raises UsageError, naming what does not fit.
    """
    x, boxes = floats("x", x, axes=4), floats("boxes", boxes, axes=2)
    which = _pictures(pictures, len(boxes), len(x))
    shaped("boxes", boxes, (len(boxes), 4))
    if not np.isfinite(boxes).all():
        raise UsageError("boxes must be finite numbers")
    rows, columns = (whole("out", n, least=1) for n in out)
    if not scale > 0:
        raise UsageError(f"scale must be above 0, not {scale!r}")
    y = np.zeros((len(boxes), x.shape[1], rows, columns), x.dtype)
    places = np.full(y.shape, EMPTY, np.int64)
    for r, (box, picture) in enumerate(zip(boxes, which, strict=True)):
        left, top, right, bottom = (int(np.copysign(np.floor(abs(v) + 0.5), v)) for v in box * scale)
        down = [_within(each, top, x.shape[2]) for each in bins(max(bottom - top + 1, 1), rows)]
        along = [_within(each, left, x.shape[3]) for each in bins(max(right - left + 1, 1), columns)]
        found = _largest(x[picture][None], [(one, other) for one in down for other in along])
        y[r], places[r] = (part.reshape(y.shape[1:]) for part in found)
    return Pooled(y, places)


def roi_pool_backward(
    grad: ArrayLike, places: NDArray[np.int64], pictures: ArrayLike, shape: tuple[int, int, int, int]
) -> Array:
    """dL/dy (R, C, *out), the places, each box's picture and the input's shape -> dL/dx (N, C, H, W).

    Boxes overlap, so a pixel may receive from many of them.
    """
    grad = shaped("grad", grad, _within_map(places, shape).shape)
    which = _pictures(pictures, len(grad), shape[0])
    d_x = np.zeros((*shape[:2], shape[2] * shape[3]), grad.dtype)
    for r, picture in enumerate(which):
        flat = (1, shape[1], -1)
        _add(d_x[picture][None], places[r].reshape(flat), grad[r].reshape(flat))
    return d_x.reshape(shape)


def bins(length: int, count: int) -> list[tuple[int, int]]:
    """The bins of `length` places: (begin, end) of each, end left out. In whole numbers, so that none is lost."""
    return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


def _pictures(pictures: ArrayLike, boxes: int, count: int) -> NDArray[np.int64]:
    which = np.asarray(pictures)
    if which.shape != (boxes,) or which.dtype.kind not in "iu" or ((which < 0) | (which >= count)).any():
        raise UsageError(f"pictures must be {boxes} whole numbers within 0..{count - 1}, one for each box")
    return which.astype(np.int64)


def _within_map(places: NDArray[np.int64], shape: tuple[int, int, int, int]) -> NDArray[np.int64]:
    where, pixels = np.asarray(places), shape[2] * shape[3]
    if where.dtype.kind not in "iu" or ((where < EMPTY) | (where >= pixels)).any():
        raise UsageError(f"places must be whole numbers below {pixels}, the places of a map of {shape[2:]}, or {EMPTY}")
    return where


def _within(part: tuple[int, int], first: int, length: int) -> tuple[int, int]:
    return min(max(part[0] + first, 0), length), min(max(part[1] + first, 0), length)


def _largest(x: Array, grid: list[tuple[tuple[int, int], tuple[int, int]]]) -> Pooled:
    """(N, C, H, W) and bins as (rows, columns) -> the largest of each: (N, C, bins)."""
    y = np.zeros((*x.shape[:2], len(grid)), x.dtype)
    places = np.full(y.shape, EMPTY, np.int64)
    for index, ((top, bottom), (left, right)) in enumerate(grid):
        if top < bottom and left < right:
            part = x[:, :, top:bottom, left:right].reshape(*x.shape[:2], -1)
            first = part.argmax(axis=2)
            row, column = np.divmod(first, right - left)
            y[:, :, index] = np.take_along_axis(part, first[..., None], axis=2)[..., 0]
            places[:, :, index] = (row + top) * x.shape[3] + column + left
    return Pooled(y, places)


def _add(d_x: Array, places: NDArray[np.int64], grad: Array) -> None:
    """Add (N, C, bins) to (N, C, pixels) at the places, in place; empty bins give nothing."""
    n, c, _ = np.nonzero(places != EMPTY)
    some = places != EMPTY
    np.add.at(d_x, (n, c, places[some]), grad[some])

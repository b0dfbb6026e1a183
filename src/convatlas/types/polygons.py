"""Polygons to masks, pixel for pixel as COCO's own tools make them.

Which pixels a polygon covers is a matter of definition. COCO's (https://github.com/cocodataset/cocoapi, `rleFrPoly`):
corners are rounded to fifths of a pixel; each edge is walked in such steps along its longer axis; where the walk
crosses the middle of a column the mask changes sides, from the first pixel whose middle lies at or below the crossing.
So a polygon that crosses itself is filled by the even-odd rule; several polygons of one object are united.
Shapes: H x W pixels; a polygon of P corners.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.types.rle import Rle, from_changes, union

Polygon = NDArray[np.float64]  # (P, 2), x and y in pixels from the picture's top left edge, P >= 3

_STEPS = 5  # a pixel
_MIDDLE = 2  # the step of a pixel at which its middle is reached
_LONGEST = 10_000_000  # steps of an outline: two million pixels; walking them takes half a gigabyte


def check_polygon(numbers: object, name: str = "polygon") -> Polygon:
    """A flat list x1, y1, x2, y2, … of three corners or more, as (P, 2) float64; else UsageError that says why not."""
    try:
        array = np.asarray(numbers) if isinstance(numbers, Sequence | np.ndarray) and len(numbers) else np.zeros(0)
    except ValueError:  # lists among the numbers
        raise UsageError(f"{name}: expected numbers only") from None
    if array.dtype.kind not in "iuf" or array.ndim != 1:
        raise UsageError(f"{name}: expected numbers only")
    flat = array.astype(np.float64)
    if flat.size < 6 or flat.size % 2:
        raise UsageError(f"{name}: expected x, y of three corners or more (6, 8, … numbers), got {flat.size}")
    if not np.isfinite(flat).all():
        raise UsageError(f"{name}: number {int(np.argmin(np.isfinite(flat)))} is not finite")
    return flat.reshape(-1, 2)


def rle_of_polygons(polygons: Sequence[Polygon], height: int, width: int) -> Rle:
    """The mask of an object of one polygon or more.

    Parts outside of the picture are cut. Raises UsageError for no polygon, for one with fewer than three corners, and
    for corners farther outside than the picture is large, which no drawing explains.
    """
    if not polygons:
        raise UsageError("polygons: expected at least one")
    return union([_filled(polygon, height, width) for polygon in polygons])


def check_reach(polygon: Polygon, height: int, width: int) -> None:
    """Raise UsageError for a corner that lies farther outside of the picture than the picture is large.

    Also for an outline that is too long for any drawing: to fill one takes memory in proportion.
    """
    farthest = max(float(polygon.max()), -float(polygon.min()))
    # Nearly always both are told quickly, without a look at each edge.
    if (
        farthest > 2 * min(width, height) + _STEPS
        and (np.abs(polygon).max(axis=0) > (2 * width + _STEPS, 2 * height + _STEPS)).any()
    ):
        raise UsageError(f"polygon: a corner lies far outside of the picture of {width} x {height} pixels")
    if 2 * farthest * _STEPS * len(polygon) > _LONGEST:
        edges = np.abs(np.roll(polygon, -1, axis=0) - polygon)
        if float(edges.max(axis=1).sum()) * _STEPS > _LONGEST:
            raise UsageError(f"polygon: its outline is longer than {_LONGEST // _STEPS:,} pixels")


def _filled(polygon: Polygon, height: int, width: int) -> Rle:
    corners = check_polygon(polygon.ravel())
    check_reach(corners, height, width)
    x, y = _walk(np.trunc(corners * _STEPS + 0.5).astype(np.int64))
    moved = x[1:] != x[:-1]
    left = np.minimum(x[1:], x[:-1])[moved] - _MIDDLE
    upper = np.minimum(y[1:], y[:-1])[moved] - _MIDDLE
    column, off_middle = np.divmod(left, _STEPS)
    crossed = (off_middle == 0) & (column >= 0) & (column < width)
    row = np.clip(-(-upper[crossed] // _STEPS), 0, height)
    positions, times = np.unique(column[crossed] * height + row, return_counts=True)
    changes = positions[times % 2 == 1]
    return from_changes(changes[changes < height * width], height, width)


def _walk(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All points of the closed line through whole-numbered corners (P, 2), a step apart along each edge's longer axis.

    An edge gives the same points in either direction, so that neighbours that share it leave no gap.
    """
    ends = np.roll(corners, -1, axis=0)
    across = np.abs(ends - corners)
    steps = across.max(axis=1)
    along_x = across[:, 0] >= across[:, 1]
    longer = np.where(along_x, 0, 1)
    rows = np.arange(len(corners))
    backwards = corners[rows, longer] > ends[rows, longer]
    low = np.where(backwards[:, None], ends, corners)
    high = np.where(backwards[:, None], corners, ends)
    slope = (high - low)[rows, 1 - longer] / np.maximum(steps, 1)
    edge = np.repeat(rows, steps + 1)
    step = np.arange(edge.size) - (np.cumsum(steps + 1) - (steps + 1))[edge]
    step = np.where(backwards[edge], steps[edge] - step, step)
    on_longer = low[rows, longer][edge] + step
    on_shorter = np.trunc(low[rows, 1 - longer][edge] + slope[edge] * step + 0.5).astype(np.int64)
    x = np.where(along_x[edge], on_longer, on_shorter)
    y = np.where(along_x[edge], on_shorter, on_longer)
    return x, y

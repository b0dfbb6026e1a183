"""Non-maximum suppression in NumPy: exact, and for boxes all over a picture not quadratic.

Girshick et al., "Rich feature hierarchies" (R-CNN), CVPR 2014, https://arxiv.org/abs/1311.2524, Section 2.2: "greedy
non-maximum suppression (for each class independently) that rejects a region if it has an intersection-over-union (IoU)
overlap with a higher scoring selected region larger than a [...] threshold".

torchvision's kernel compares each kept box with every later one. Here a box is compared with its neighbours alone. Two
sides w <= v overlap by at most (w + v) / 2 - d at distance d of their centres, and IoU > t needs more than t v of it:
so d < v ((1 + w / v) / 2 - t), which is at most w (1 - t), or w (1 / t - 1) / 2 where that is more. The boxes lie in
the cells of a grid, sorted by cell, and a box looks into the cells within that reach. Near a threshold of 0 it is the
largest box that says how far; there the few that are far larger than the rest are compared with every box instead.
Boxes are taken in the order of their scores, some hundreds at a time, and what they suppress is gone before the next
are taken: of many boxes on one object few ever look for neighbours. Where few have one label no grid is needed.

IoU has torchvision's order of operations and the dtype of the boxes, so that both agree on the threshold itself.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convatlas.ops.box_checks import check_box_array, check_fraction, check_label_array, check_score_array

Indices = NDArray[np.intp]

_FEW_PAIRS = 1 << 14  # if boxes of one label make no more pairs, all are compared: a grid would cost more
_PAIR_BY_PAIR = 1 << 10  # so few overlaps are gone through one by one, more of them box by box
_CELLS = 1 << 16  # most cells of all grids together: sorting by numbers of 16 bits is fast
_FIRST_PAIRS = 1 << 15  # pairs looked at in the first step; twice as many in each next one
_MOST_PAIRS = 1 << 18  # some megabytes: what the processor's cache holds
_MOST_BOXES = 1 << 12  # most boxes of one step
_LOW = 0.1  # below this threshold giants are compared apart,
_MOST_GIANTS = 500  # if there are no more


def nms(boxes: NDArray[np.floating], scores: NDArray[np.floating], threshold: float) -> NDArray[np.int64]:
    """Indices (K,) of the boxes that no kept box of a higher score overlaps by more than `threshold`, best first.

    boxes (N, 4) xyxy, scores (N,), each float32 or float64; threshold 0..1. Of equal scores the lower index goes first.
    A box without area neither suppresses nor is suppressed. Raises UsageError for anything else.
    """
    return nms_per_class(boxes, scores, np.zeros(np.shape(boxes)[:1], np.int64), threshold)


def nms_per_class(
    boxes: NDArray[np.floating], scores: NDArray[np.floating], labels: NDArray[np.integer], threshold: float
) -> NDArray[np.int64]:
    """`nms` in which only boxes of one label (N,) suppress each other; the best first, whatever their labels."""
    check_box_array(boxes)
    check_score_array(scores, len(boxes))
    check_label_array(labels, len(boxes))
    check_fraction(threshold, "threshold")
    order = np.argsort(-scores, kind="stable")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # areas of huge boxes, as torchvision has them
        kept = _greedy(_Columns.of(boxes[order]), labels[order], threshold)
    return order[kept].astype(np.int64, copy=False)


@dataclass(frozen=True)
class _Columns:
    """The boxes' corners and areas, an array each."""

    x1: NDArray[np.floating]
    y1: NDArray[np.floating]
    x2: NDArray[np.floating]
    y2: NDArray[np.floating]
    areas: NDArray[np.floating]

    @classmethod
    def of(cls, boxes: NDArray[np.floating]) -> "_Columns":
        x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)
        return cls(x1, y1, x2, y2, (x2 - x1) * (y2 - y1))

    def iou(self, first: Indices, second: Indices) -> NDArray[np.floating]:
        """Of pairs of rows (P,); nan of two without area."""
        width = np.minimum(self.x2[first], self.x2[second]) - np.maximum(self.x1[first], self.x1[second])
        height = np.minimum(self.y2[first], self.y2[second]) - np.maximum(self.y1[first], self.y1[second])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        overlap: NDArray[np.floating] = shared / (self.areas[first] + self.areas[second] - shared)
        return overlap


@dataclass(frozen=True)
class _Grid:
    """Where boxes lie and where each looks for those it may overlap: numbers of cells, an entry a box."""

    cells: NDArray[np.unsignedinteger]  # the cell of a box's centre: group, then column, then row
    count: int  # of cells
    rows: int  # of a column
    first_column: Indices  # counted through all groups
    last_column: Indices
    first_row: Indices
    last_row: Indices
    groups: Indices
    giants: NDArray[np.bool_]  # which others need not reach


def _greedy(boxes: _Columns, labels: NDArray[np.integer], threshold: float) -> Indices:
    """The rows that are kept, ascending; boxes come the best first."""
    limit = _not_above(threshold, boxes.areas.dtype)
    by_label = np.argsort(labels, kind="stable")  # of each label the best first
    ordered = labels[by_label]
    after, stops = np.arange(1, len(labels) + 1), np.searchsorted(ordered, ordered, side="right")
    if (stops - after).sum() <= _FEW_PAIRS:
        first, second = _runs(after, stops)
        over = boxes.iou(by_label[first], by_label[second]) > limit
        dead = np.empty(len(labels), np.bool_)
        dead[by_label] = _suppressed(first[over], second[over], len(labels))
        return np.flatnonzero(~dead)
    kept = ~(boxes.areas > 0)  # no box overlaps an empty one
    alive = np.flatnonzero(boxes.areas > 0)
    if not len(alive):
        return np.flatnonzero(kept)
    groups = np.zeros(len(labels), np.intp)  # labels as 0, 1, ...
    groups[by_label[1:]] = np.cumsum(ordered[1:] != ordered[:-1])
    grid = _grid(boxes, groups, alive, threshold)
    pairs = _FIRST_PAIRS
    while len(alive):
        done, first, second = _neighbours(grid, alive, pairs)
        over = boxes.iou(alive[first], alive[second]) > limit
        dead = _suppressed(first[over], second[over], len(alive))
        kept[alive[:done][~dead[:done]]] = True
        alive = alive[done:][~dead[done:]]
        pairs = min(2 * pairs, _MOST_PAIRS)
    return np.flatnonzero(kept)


def _grid(boxes: _Columns, groups: Indices, some: Indices, threshold: float) -> _Grid:
    """A grid a group, over the middle 98 % of the centres of `some` boxes; others lie in its border cells."""
    number = int(groups.max()) + 1
    side = max(1, math.isqrt(_CELLS // number))
    giants = _giants(boxes, some, threshold)
    column, first_column, last_column, columns = _axis(boxes.x1, boxes.x2, some, giants, threshold, side)
    row, first_row, last_row, rows = _axis(boxes.y1, boxes.y2, some, giants, threshold, side)
    count = number * columns * rows
    return _Grid(
        cells=((groups * columns + column) * rows + row).astype(np.min_scalar_type(count - 1)),
        count=count,
        rows=rows,
        first_column=groups * columns + first_column,
        last_column=groups * columns + last_column,
        first_row=first_row,
        last_row=last_row,
        groups=groups,
        giants=giants,
    )


def _giants(boxes: _Columns, some: Indices, threshold: float) -> NDArray[np.bool_]:
    """Which boxes have a side above twice that of 99 % of `some`; none where all reach by their own sides."""
    none = np.zeros(len(boxes.areas), np.bool_)
    if threshold >= _LOW:
        return none
    giants = none
    for low, high in ((boxes.x1, boxes.x2), (boxes.y1, boxes.y2)):
        side = high.astype(np.float64) / 4 - low.astype(np.float64) / 4
        giants = giants | (side > 2 * np.quantile(side[some], 0.99))
    return giants if np.count_nonzero(giants) <= _MOST_GIANTS else none


def _axis(
    low: NDArray[np.floating],
    high: NDArray[np.floating],
    some: Indices,
    giants: NDArray[np.bool_],
    threshold: float,
    most: int,
) -> tuple[Indices, Indices, Indices, int]:
    """Along one axis: the place of each box, the first and last place it looks at, and how many places there are."""
    start, stop = low.astype(np.float64) / 4, high.astype(np.float64) / 4  # in a unit in which no sum overflows
    side, centre = stop - start, (start + stop) / 2
    t = threshold * (1 - 1e-4)  # rounding of an IoU moves it by far less
    share = max(1 - t, (1 / t - 1) / 2) if t > 0 else math.inf
    largest = np.where(giants, side.max(), side[~giants].max(initial=0))  # a giant looks at every box
    reach = np.minimum(side * share, (side + largest) / 2)
    begin, end = (float(each) for each in np.quantile(centre[some], (0.01, 0.99)))
    step = max(float(np.median(reach[some])), (end - begin) / most)
    count = min(most, max(1, math.ceil((end - begin) / step)))

    def place(where: NDArray[np.float64]) -> Indices:
        return np.clip((where - begin) / step, 0, count - 1).astype(np.intp)

    return place(centre), place(centre - reach), place(centre + reach), count


def _neighbours(grid: _Grid, alive: Indices, pairs: int) -> tuple[int, Indices, Indices]:
    """How many boxes, the first alive ones, are done, and whom they may overlap: pairs (P,) with first < second.

    As many are done as have about `pairs` pairs, at least one. Both are counted among those alive; `first` ascends.
    """
    cells = grid.cells[alive]
    by_cell = np.argsort(cells, kind="stable")
    begins = np.zeros(grid.count + 1, np.intp)
    np.cumsum(np.bincount(cells, minlength=grid.count), out=begins[1:])
    # A box looks at a run of rows in each of some columns; by_cell has the boxes of such a run together.
    giants = np.flatnonzero(grid.giants[alive])
    boxes = alive[: min(_MOST_BOXES, max(1, _MOST_PAIRS // max(1, len(giants))))]
    first_column, last_column = grid.first_column[boxes], grid.last_column[boxes]
    looker, column = _runs(first_column, last_column + 1)
    start = begins[column * grid.rows + grid.first_row[boxes[looker]]]
    stop = begins[column * grid.rows + grid.last_row[boxes[looker]] + 1]
    runs_so_far = np.cumsum(last_column - first_column + 1)
    pairs_so_far = np.cumsum(stop - start)[runs_so_far - 1]
    done = max(1, int(np.searchsorted(pairs_so_far, pairs, side="right")))
    runs = runs_so_far[done - 1]
    run, position = _runs(start[:runs], stop[:runs])
    first, second = looker[run], by_cell[position]
    if len(giants):
        first, second = _with_giants(grid.groups[alive], done, giants, first, second)
    later = second > first
    return done, first[later], second[later]


def _with_giants(
    groups: Indices, done: int, giants: Indices, first: Indices, second: Indices
) -> tuple[Indices, Indices]:
    """The pairs, and those of the first `done` boxes with all giants of their groups; `first` ascends."""
    looker, giant = np.repeat(np.arange(done), len(giants)), np.tile(giants, done)
    same = groups[looker] == groups[giant]
    first, second = np.concatenate([first, looker[same]]), np.concatenate([second, giant[same]])
    by_first = np.argsort(first, kind="stable")
    return first[by_first], second[by_first]


def _runs(starts: Indices, stops: Indices) -> tuple[Indices, Indices]:
    """Every number of every range starts[i] .. stops[i] - 1, in order, with its i."""
    lengths = stops - starts
    owner = np.repeat(np.arange(len(starts)), lengths)
    skipped = np.cumsum(lengths) - lengths
    return owner, np.arange(len(owner)) + (starts - skipped)[owner]


def _suppressed(first: Indices, second: Indices, count: int) -> NDArray[np.bool_]:
    """Which of `count` boxes go, when each `first` that stays suppresses its `second`; `first` ascends.

    Ascending must be the order of the scores, as far as boxes of one label go.
    """
    dead = bytearray(count)  # quicker to ask one by one than an array
    flags = np.frombuffer(dead, np.bool_)
    if len(first) <= _PAIR_BY_PAIR:
        for box, rival in zip(first.tolist(), second.tolist(), strict=True):
            if not dead[box]:
                dead[rival] = True
        return flags
    starts = np.flatnonzero(np.diff(first, prepend=-1))
    stops = np.append(starts, len(first))[1:]
    for box, start, stop in zip(first[starts].tolist(), starts.tolist(), stops.tolist(), strict=True):
        if not dead[box]:
            flags[second[start:stop]] = True
    return flags


def _not_above(threshold: float, dtype: np.dtype[np.floating]) -> np.floating:
    """The largest number of the dtype that is not above the threshold: a value exceeds both or neither."""
    rounded = dtype.type(threshold)
    return rounded if float(rounded) <= threshold else np.nextafter(rounded, dtype.type(-1))

"""Masks as run lengths: area, tight box, intersection and intersection over union, without unpacking a pixel.

The form is COCO's (Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and its mask format): the pixels
are read column by column, from the top down, and the counts are the lengths of runs of 0 and 1 in turn, the first of 0
(it is 0 long when the first pixel is 1). The counts of a mask add up to height x width.
Shapes: M masks with R runs in all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError

_BLOCK = 1 << 21  # runs that are looked up at once: bounds the memory, some 16 MB an array
_LARGEST = 2**31 - 1  # pixels of one mask: a position fits 32 bits


@dataclass(frozen=True, kw_only=True, eq=False)
class Runs:
    """M masks laid end to end; `pack` makes it, and checks."""

    sizes: NDArray[np.int64]  # (M, 2) height, width in pixels
    first: NDArray[np.int64]  # (M + 1,) where each mask's runs begin; the last is R
    ends: NDArray[np.int64]  # (R,) pixel of its mask at which a run ends, 0..height * width
    ones: NDArray[np.int64]  # (R + 1,) pixels that are 1 in all runs before this one, of any mask
    areas: NDArray[np.int64]  # (M,) pixels that are 1
    boxes: NDArray[np.float64]  # (M, 4) tight, xyxy with x2 and y2 exclusive; 0, 0, 0, 0 for a mask without a 1

    def __len__(self) -> int:
        return len(self.sizes)


def pack(
    counts: Sequence[ArrayLike],
    sizes: ArrayLike,
    called: Callable[[int], str] = lambda mask: f"masks[{mask}]",
) -> Runs:
    """The counts (whole numbers, one array a mask) and sizes (M, 2) of M masks, or one size for all, as `Runs`.

    `called` says what a mask is called in an error. Raises UsageError for counts that are not whole numbers >= 0 in one
    row, that do not add up to height x width, or for a mask without a pixel.
    """
    arrays = [np.asarray(each) for each in counts]
    for mask, array in enumerate(arrays):
        if array.ndim != 1 or array.dtype.kind not in "iu" or not array.size:
            raise UsageError(
                f"{called(mask)}: expected run lengths, one row of whole numbers, got {_shape(array)} of {array.dtype}"
            )
    size = np.asarray(sizes)
    if size.size and (size.dtype.kind not in "iu" or size.shape[-1:] != (2,) or size.ndim > 2):
        raise UsageError(f"{called(0)}: expected a size of (height, width) in whole pixels, got {size.tolist()!r}")
    size = np.broadcast_to(size.reshape(-1, 2), (len(arrays), 2)).astype(np.int64)

    first = np.zeros(len(arrays) + 1, np.int64)
    np.cumsum([len(array) for array in arrays], out=first[1:])
    flat = np.concatenate(arrays).astype(np.int64) if arrays else np.zeros(0, np.int64)
    owner = np.repeat(np.arange(len(arrays)), np.diff(first))
    before = np.concatenate([[0], np.cumsum(flat)])
    _check_counts(flat, owner, size, before[first[1:]] - before[first[:-1]], called)
    odd = (np.arange(len(flat)) - first[owner]) % 2
    ends = before[1:] - before[first[owner]]
    ones = np.concatenate([[0], np.cumsum(flat * odd)])
    return Runs(
        sizes=size,
        first=first,
        ends=ends,
        ones=ones,
        areas=ones[first[1:]] - ones[first[:-1]],
        boxes=_tight_boxes(owner, ends - flat, ends, (odd == 1) & (flat > 0), size),
    )


def pair_intersections(left: Runs, right: Runs, i: NDArray[np.integer], j: NDArray[np.integer]) -> NDArray[np.int64]:
    """Pixels that are 1 in both left[i] and right[j], for n pairs: (n,). The two of a pair must be of one size.

    Each run of ones [start, end) of the left mask adds F(end) - F(start), where F(x) counts the ones of the right mask
    before pixel x: it is linear within a run, and the run is found by bisection in all right masks at once.
    """
    wrong = np.flatnonzero((left.sizes[i] != right.sizes[j]).any(axis=1))
    if wrong.size:
        at = wrong[0]
        raise UsageError(
            f"masks: expected both of a pair of one size, got {left.sizes[i[at]].tolist()} for mask {i[at]} and "
            f"{right.sizes[j[at]].tolist()} for mask {j[at]}"
        )
    stride = int(right.sizes.prod(axis=1).max(initial=0)) + 1
    keys = right.ends + stride * np.repeat(np.arange(len(right)), np.diff(right.first))
    used = np.diff(left.first)[i] // 2 * 2  # a last run of zeros begins no run of ones
    upto = np.cumsum(used)
    shared = np.zeros(len(i), np.int64)
    begin = 0
    while begin < len(i):
        done = upto[begin - 1] if begin else 0
        stop = max(begin + 1, int(np.searchsorted(upto, done + _BLOCK, side="right")))
        shared[begin:stop] = _shared(left, right, i[begin:stop], j[begin:stop], used[begin:stop], keys, stride)
        begin = stop
    return shared


def mask_iou(left: Runs, right: Runs, crowd: ArrayLike | None = None) -> NDArray[np.float64]:
    """Intersection over union (N, M) of every pair; all masks of one size.

    Where crowd (M,) is True, the union is the left mask's area alone, as COCO has it for a region of many objects.
    """
    i, j = (index.ravel() for index in np.indices((len(left), len(right))))
    regions = np.zeros(len(right), np.bool_) if crowd is None else np.asarray(crowd, np.bool_)
    shared = pair_intersections(left, right, i, j)
    return union_shares(shared, left.areas[i], right.areas[j], regions[j]).reshape(len(left), len(right))


def union_shares(
    shared: NDArray[np.number], left: NDArray[np.number], right: NDArray[np.number], crowd: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Intersection over union of pairs (n,) from intersection and both areas; 0 where nothing is shared.

    Where crowd is True the union is the left area alone.
    """
    union = np.where(crowd, left, left + right - shared)
    out = np.zeros(shared.shape)
    np.divide(shared, union, out=out, where=shared > 0)
    return out


def _shared(
    left: Runs,
    right: Runs,
    i: NDArray[np.integer],
    j: NDArray[np.integer],
    used: NDArray[np.int64],
    keys: NDArray[np.int64],
    stride: int,
) -> NDArray[np.int64]:
    total = np.concatenate([[0], np.cumsum(used)])
    place = np.arange(total[-1]) - np.repeat(total[:-1], used)
    positions = left.ends[np.repeat(left.first[i], used) + place]
    run = np.searchsorted(keys, positions + stride * np.repeat(j, used))
    within = positions - right.ends[run]  # how far before the run's end, <= 0
    first = np.repeat(right.first[j], used)
    odd = (run - first) % 2
    before = right.ones[run + 1] - right.ones[first] + odd * within
    summed = np.concatenate([[0], np.cumsum(np.where(place % 2, before, -before))])
    answer: NDArray[np.int64] = summed[total[1:]] - summed[total[:-1]]
    return answer


def _tight_boxes(
    owner: NDArray[np.int64],
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    of_ones: NDArray[np.bool_],
    sizes: NDArray[np.int64],
) -> NDArray[np.float64]:
    boxes = np.zeros((len(sizes), 4))
    owner, start, last = owner[of_ones], start[of_ones], end[of_ones] - 1
    if len(owner):
        height = sizes[owner, 0]
        left, right = start // height, last // height
        # A run that goes on into the next column holds the bottom pixel of one and the top pixel of the other.
        crosses = right > left
        top = np.where(crosses, 0, start % height)
        bottom = np.where(crosses, height - 1, last % height)
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        boxes[owner[first], 0] = np.minimum.reduceat(left, first)
        boxes[owner[first], 1] = np.minimum.reduceat(top, first)
        boxes[owner[first], 2] = np.maximum.reduceat(right, first) + 1
        boxes[owner[first], 3] = np.maximum.reduceat(bottom, first) + 1
    return boxes


def _check_counts(
    counts: NDArray[np.int64],
    owner: NDArray[np.int64],
    sizes: NDArray[np.int64],
    sums: NDArray[np.int64],
    called: Callable[[int], str],
) -> None:
    bad = np.flatnonzero((sizes < 1).any(axis=1) | (sizes.astype(np.float64).prod(axis=1) > _LARGEST))
    if bad.size:
        raise UsageError(f"{called(int(bad[0]))}: expected 1 pixel or more a side, got size {sizes[bad[0]].tolist()}")
    bad = np.flatnonzero((counts < 0) | (counts > _LARGEST))
    if bad.size:
        raise UsageError(f"{called(int(owner[bad[0]]))}: expected run lengths >= 0, got {counts[bad[0]]}")
    bad = np.flatnonzero(sums != sizes.prod(axis=1))
    if bad.size:
        height, width = sizes[bad[0]].tolist()
        raise UsageError(
            f"{called(int(bad[0]))}: expected run lengths that add up to {height} x {width} = {height * width} pixels, "
            f"got {sums[bad[0]]}"
        )


def _shape(array: NDArray[np.generic]) -> str:
    return " x ".join(map(str, array.shape)) if array.ndim else "a single value"

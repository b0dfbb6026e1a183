"""Many masks at once: area, tight box and intersection, from their run lengths and without unpacking a pixel.

The runs of a mask are those of `convatlas.types.Rle`: down the columns, outside (0) and inside (1) in turn.
Shapes: M masks with R runs in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convatlas.types import Rle

_BLOCK = 1 << 21  # runs that are looked up at once: bounds the memory, some 16 MB an array


@dataclass(frozen=True, kw_only=True, eq=False)
class Runs:
    """M masks laid end to end; `pack` makes it."""

    first: NDArray[np.int64]  # (M + 1,) where each mask's runs begin; the last is R
    ends: NDArray[np.int64]  # (R,) pixel of its mask at which a run ends, 0..height * width
    ones: NDArray[np.int64]  # (R + 1,) pixels that are 1 in all runs before this one, of any mask
    areas: NDArray[np.int64]  # (M,) pixels that are 1
    boxes: NDArray[np.float64]  # (M, 4) tight, xyxy with x2 and y2 exclusive; 0, 0, 0, 0 for a mask without a 1
    largest: int  # pixels of the largest picture


def pack(masks: Sequence[Rle]) -> Runs:
    """M masks, of any sizes, as `Runs`."""
    lengths = np.array([mask.counts.size for mask in masks], np.int64)
    first = np.concatenate([[0], np.cumsum(lengths)])
    flat = np.concatenate([np.zeros(0, np.int64), *(mask.counts for mask in masks)])
    before = np.concatenate([[0], np.cumsum(flat)])
    ends = before[1:] - np.repeat(before[first[:-1]], lengths)
    inside = (np.arange(len(flat)) - np.repeat(first[:-1], lengths)) % 2 == 1
    ones = np.concatenate([[0], np.cumsum(flat * inside)])
    return Runs(
        first=first,
        ends=ends,
        ones=ones,
        areas=ones[first[1:]] - ones[first[:-1]],
        boxes=_tight_boxes(flat, ends, np.flatnonzero(inside & (flat > 0)), lengths, masks),
        largest=max((mask.height * mask.width for mask in masks), default=0),
    )


def pair_intersections(left: Runs, right: Runs, i: NDArray[np.integer], j: NDArray[np.integer]) -> NDArray[np.int64]:
    """Pixels that are 1 in both left[i] and right[j], for n pairs: (n,). The two of a pair must be of one size.

    Each run of ones [start, end) of the left mask adds F(end) - F(start), where F(x) counts the ones of the right mask
    before pixel x: it is linear within a run, and the run is found by bisection in all right masks at once.
    """
    stride = right.largest + 1
    keys = right.ends + stride * np.repeat(np.arange(len(right.areas)), np.diff(right.first))
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
    counts: NDArray[np.int64],
    ends: NDArray[np.int64],
    held: NDArray[np.int64],
    lengths: NDArray[np.int64],
    masks: Sequence[Rle],
) -> NDArray[np.float64]:
    """Boxes (M, 4) around the runs of 1, whose places are `held`."""
    boxes = np.zeros((len(masks), 4))
    if len(held):
        owner = np.repeat(np.arange(len(masks)), lengths)[held]
        begins = np.flatnonzero(np.diff(owner, prepend=-1))
        some = owner[begins]
        height = np.array([mask.height for mask in masks])[owner]
        top = (ends[held] - counts[held]) % height
        bottom = top + counts[held]
        # A run that goes on into the next column holds the bottom pixel of one and the top pixel of the other.
        crosses = bottom > height
        top[crosses], bottom[crosses] = 0, height[crosses]
        final = np.append(begins[1:], len(owner)) - 1
        boxes[some, 0] = (ends[held[begins]] - counts[held[begins]]) // height[begins]
        boxes[some, 1] = np.minimum.reduceat(top, begins)
        boxes[some, 2] = (ends[held[final]] - 1) // height[begins] + 1
        boxes[some, 3] = np.maximum.reduceat(bottom, begins)
    return boxes

"""Segments: sets of regions, as figures of minimum cuts. Their boxes, how much they share, and which to show first.

Diversification by maximal marginal relevance: Carbonell, Goldstein, SIGIR 1998, as Carreira, Sminchisescu, "CPMC:
Automatic Object Segmentation Using Constrained Parametric Min-Cuts", TPAMI 2012, take it to segments.
Shapes: S segments, R regions.
"""

import numpy as np
from numpy.typing import NDArray

from convatlas.ops.proposals.regions import Regions

Segments = NDArray[np.bool_]  # (S, R): the regions that a segment has
_BATCH = 256  # segments whose borders are looked at at once: an entry for each pair of regions is kept


def segment_boxes(segments: Segments, regions: Regions) -> NDArray[np.float32]:
    """The box around each segment, none of them empty: (S, 4) xyxy."""
    boxes = np.empty((len(segments), 4), dtype=np.float32)
    for side in range(4):
        inside = np.where(segments, regions.boxes[:, side], regions.area if side < 2 else 0)
        boxes[:, side] = inside.min(axis=1) if side < 2 else inside.max(axis=1)
    return boxes


def segment_iou(segments: Segments, regions: Regions) -> NDArray[np.float64]:
    """Pixels that two segments share over pixels that either has: (S, S)."""
    members = segments.astype(np.float64)
    shared = (members * regions.sizes) @ members.T
    sizes = np.diagonal(shared)
    iou: NDArray[np.float64] = shared / np.maximum(sizes[:, None] + sizes[None] - shared, 1)
    return iou


def without_twins(segments: Segments, regions: Regions, quality: NDArray[np.floating], *, iou: float) -> Segments:
    """The segments by falling quality (S,), without those that share `iou` or more with a better one."""
    order = np.argsort(-quality, kind="stable")
    overlaps = segment_iou(segments[order], regions)
    kept: list[int] = []
    for index in range(len(order)):
        if not (overlaps[index, kept] >= iou).any():
            kept.append(index)
    return segments[order][kept]


def cut_ratio(segments: Segments, regions: Regions, weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean weight of the pairs of pixels along each segment's border: (S,). weights (P,): of one such pair.

    Wang, Siskind, "Image Segmentation with Ratio Cut", TPAMI 2003: low where the border follows edges. A segment
    without a border, the whole picture, gets the largest weight.
    """
    ratios, largest = np.empty(len(segments)), weights.max(initial=0.0)
    for first in range(0, len(segments), _BATCH):
        some = segments[first : first + _BATCH]
        apart = (some[:, regions.pairs[:, 0]] != some[:, regions.pairs[:, 1]]).astype(np.float64)
        length, summed = apart @ regions.borders, apart @ (regions.borders * weights)
        ratios[first : first + _BATCH] = np.where(length > 0, summed / np.maximum(length, 1), largest)
    return ratios


def diversified(quality: NDArray[np.floating], iou: NDArray[np.floating], *, relevance: float) -> NDArray[np.int64]:
    """The order (S,) in which to show segments of a quality (S,) that overlap by iou (S, S).

    Each time the next is the one of the largest relevance * quality - (1 - relevance) * overlap with the shown segment
    that it overlaps most. relevance 1 orders by quality alone.
    """
    count = len(quality)
    order = np.empty(count, dtype=np.int64)
    covered = np.zeros(count)
    waiting = np.ones(count, dtype=np.bool_)
    for place in range(count):
        gain = np.where(waiting, relevance * quality - (1 - relevance) * covered, -np.inf)
        order[place] = best = int(np.argmax(gain))
        waiting[best] = False
        covered = np.maximum(covered, iou[best])
    return order

"""How alike a detection and an object are: intersection over union of boxes and masks, object keypoint similarity.

Boxes and masks as in Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge",
IJCV 2010, Section 4.2; crowd regions and keypoints as in COCO (Lin et al., ECCV 2014, and the challenge's evaluation
pages). All in float64, in the order of operations of COCO's own code, so that a value on a threshold falls alike.
Shapes: n pairs, N and M boxes, J keypoints.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError
from convatlas.metrics.objects import AllDetections, AllTruths, Kind, box_areas
from convatlas.metrics.run_lengths import pack, pair_intersections, union_shares

# Standard deviation of where people mark each of COCO's 17 keypoints of a person, in units of the square root of the
# object's area: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles (left, right).
COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072,
    0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089,
)  # fmt: skip

_BLOCK = 1 << 20  # pairs that are computed at once: bounds the memory, some 8 MB an array


def box_iou(left: ArrayLike, right: ArrayLike, crowd: ArrayLike | None = None) -> NDArray[np.float64]:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4), xyxy; 0 where nothing is shared, so for empty boxes.

    Where crowd (M,) is True the union is the left box's area alone. The boxes are taken as they are: finite, x1 <= x2.
    """
    a, b = (np.asarray(each, np.float64).reshape(-1, 4) for each in (left, right))
    i, j = (index.ravel() for index in np.indices((len(a), len(b))))
    regions = None if crowd is None else np.asarray(crowd, np.bool_)[j]
    return aligned_box_iou(a[i], b[j], regions).reshape(len(a), len(b))


def aligned_box_iou(
    left: NDArray[np.float64], right: NDArray[np.float64], crowd: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Intersection over union (n,) of n pairs of boxes, (n, 4) each; see `box_iou`. crowd (n,) or None for none."""
    regions = np.zeros(len(left), np.bool_) if crowd is None else crowd
    return union_shares(_box_intersections(left, right), box_areas(left), box_areas(right), regions)


def keypoint_similarity(
    found: NDArray[np.float64],
    true: NDArray[np.float64],
    boxes: NDArray[np.float64],
    areas: NDArray[np.float64],
    sigmas: NDArray[np.float64],
) -> NDArray[np.float64]:
    """COCO's object keypoint similarity of n pairs, (n,) in 0..1.

    found (n, J, 2) or more columns; true (n, J, 3) with v; boxes (n, 4) and areas (n,) of the objects; sigmas (J,).
    OKS = mean over the labelled keypoints (v > 0) of exp(-d^2 / (2 area (2 sigma)^2)). An object without a labelled
    keypoint takes for d the distance of each keypoint to its box doubled about its centre, by axis; there COCO compares
    numbers of pixels with edges, half a pixel less than the middles of pixels that keypoints are here.
    """
    away = found[:, :, :2] - true[:, :, :2]
    labelled = true[:, :, 2] > 0
    count = labelled.sum(axis=1)
    none = np.flatnonzero(count == 0)
    if none.size:
        low, high = boxes[none, None, :2], boxes[none, None, 2:]
        side, points = high - low, found[none, :, :2] - 0.5
        away[none] = np.maximum(0, low - side - points) + np.maximum(0, points - (low + side * 2))
        labelled[none] = True
        count[none] = labelled.shape[1]
    spread = (sigmas * 2) ** 2
    error = (away**2).sum(axis=2) / spread / (areas + np.spacing(1))[:, None] / 2
    similarity: NDArray[np.float64] = np.where(labelled, np.exp(-error), 0).sum(axis=1) / count
    return similarity


def pair_overlaps(
    kind: Kind,
    detections: AllDetections,
    truths: AllTruths,
    d: NDArray[np.integer],
    t: NDArray[np.integer],
    *,
    floor: float = 0.0,
    sigmas: tuple[float, ...] | None = None,
) -> NDArray[np.float64]:
    """How alike detection d and object t are, for n pairs of rows: (n,) in 0..1.

    A pair of masks whose boxes and areas alone prove it below `floor` is not measured, and gives 0.
    """
    if kind == "box":
        return aligned_box_iou(detections.boxes[d], truths.boxes[t], truths.crowd[t])
    if kind == "mask":
        return _mask_pairs(detections, truths, d, t, floor)
    assert detections.keypoints is not None
    assert truths.keypoints is not None
    spread = check_sigmas(sigmas, truths.keypoints.shape[1], detections.keypoints.shape[1])
    return keypoint_similarity(detections.keypoints[d], truths.keypoints[t], truths.boxes[t], truths.areas[t], spread)


def pairs_in_range(
    first: NDArray[np.int64], last: NDArray[np.int64], block: int = _BLOCK
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Every pair (i, j) with first[i] <= j < last[i], in order, in blocks of about `block` that never split an i."""
    count = last - first
    upto = np.cumsum(count)
    begin = 0
    while begin < len(count):
        done = upto[begin - 1] if begin else 0
        stop = max(begin + 1, int(np.searchsorted(upto, done + block, side="right")))
        inside = count[begin:stop]
        total = int(inside.sum())
        if total:
            i = np.repeat(np.arange(begin, stop), inside)
            yield i, np.arange(total) - np.repeat(np.cumsum(inside) - inside, inside) + first[i]
        begin = stop


def best_of_each(
    owner: NDArray[np.int64], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Of n values in runs of one owner: the owners, the highest value of each, and its place (the first of equals).

    owner (n,) is of `pairs_in_range`: all of an owner stand together.
    """
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    best = np.maximum.reduceat(values, starts)
    is_best = values == np.repeat(best, np.diff(starts, append=len(owner)))
    place = np.minimum.reduceat(np.where(is_best, np.arange(len(owner)), len(owner)), starts)
    return owner[starts], best, place


def check_overlaps(overlaps: Sequence[float], name: str) -> None:
    """Raise UsageError, which calls them `name`, unless there is one or more, each above 0 and at most 1."""
    if not overlaps or not all(0 < each <= 1 for each in overlaps):
        raise UsageError(f"{name}: expected overlaps above 0 and at most 1, got {', '.join(map(str, overlaps))}")


def check_sigmas(sigmas: tuple[float, ...] | None, *keypoints: int) -> NDArray[np.float64]:
    """The deviation (J,) of each keypoint, COCO's 17 by default; raises UsageError unless there are J, all above 0."""
    spread = np.asarray(COCO_SIGMAS if sigmas is None else sigmas, np.float64)
    if not (np.isfinite(spread).all() and (spread > 0).all()):
        raise UsageError(f"sigmas: expected finite numbers above 0, got {spread.tolist()}")
    for count in keypoints:
        if count != len(spread):
            raise UsageError(f"sigmas: expected one a keypoint, got {len(spread)} for {count} keypoints")
    return spread


def _box_intersections(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    width = np.minimum(left[:, 2], right[:, 2]) - np.maximum(left[:, 0], right[:, 0])
    height = np.minimum(left[:, 3], right[:, 3]) - np.maximum(left[:, 1], right[:, 1])
    return np.where((width > 0) & (height > 0), width * height, 0.0)


def _mask_pairs(
    detections: AllDetections, truths: AllTruths, d: NDArray[np.integer], t: NDArray[np.integer], floor: float
) -> NDArray[np.float64]:
    assert detections.masks is not None
    assert truths.masks is not None
    # Only the masks that meet another of their class and picture are laid out, which most never do.
    (rows, left), (true_rows, right) = (np.unique(each, return_inverse=True) for each in (d, t))
    found, true = (
        pack([masks[row] for row in chosen.tolist()])
        for masks, chosen in ((detections.masks, rows), (truths.masks, true_rows))
    )
    area, true_area, crowd = found.areas[left], true.areas[right], truths.crowd[t]
    most = np.minimum(_box_intersections(found.boxes[left], true.boxes[right]), np.minimum(area, true_area))
    kept = np.flatnonzero((most > 0) & (union_shares(most, area, true_area, crowd) >= floor))
    overlaps = np.zeros(len(d))
    shared = pair_intersections(found, true, left[kept], right[kept])
    overlaps[kept] = union_shares(shared, area[kept], true_area[kept], crowd[kept])
    return overlaps

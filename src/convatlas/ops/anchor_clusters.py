"""Anchors from the boxes of a data set: k-means under 1 - IoU. NumPy.

Redmon, Farhadi, "YOLO9000", CVPR 2017, https://arxiv.org/abs/1612.08242, Section 2, "Dimension Clusters", and Figure 2:
Euclidean distance would favour large boxes, so d(box, centroid) = 1 - IoU(box, centroid), boxes laid on one centre.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError

Sides = NDArray[np.float64]  # (N, 2): width, height

_SMALLEST = 1e-100  # and its inverse the largest: no area of such sides overflows, or vanishes


@dataclass(frozen=True, kw_only=True)
class AnchorClusters:
    """k shapes and how well they fit.

    sides (k, 2) float64: width and height, in the unit of the boxes, by ascending area; mean_iou: of the boxes, each
    with the shape that fits it best, 0..1.
    """

    sides: Sides
    mean_iou: float


def cluster_sides(
    sides: ArrayLike, count: int, *, seed: int = 0, restarts: int = 8, rounds: int = 100
) -> AnchorClusters:
    """The best of `restarts` runs of k-means under 1 - IoU with k = count.

    sides (N, 2): widths and heights, all above 0, in any unit. Each run starts from boxes drawn by k-means++ (Arthur,
    Vassilvitskii, SODA 2007) under the same distance, and ends when no box changes its cluster or after `rounds`. The
    mean of a cluster's sides need not lower the mean of 1 - IoU, so the best shapes seen are kept.
    Raises UsageError for fewer different boxes than `count`, or a side that is no number from 1e-100 to 1e100.
    """
    boxes = _checked(sides)
    _check_count(boxes, count, restarts, rounds)
    random = np.random.default_rng(seed)
    return _best(_k_means(boxes, _drawn(boxes, count, random), rounds) for _ in range(restarts))


def mean_iou_curve(
    sides: ArrayLike, counts: Sequence[int], *, seed: int = 0, restarts: int = 8, rounds: int = 100
) -> tuple[AnchorClusters, ...]:
    """Figure 2: the clusters for each k of `counts`, ascending; their `mean_iou` never falls.

    A run also starts from the shapes of the k before, and from the boxes that those fit worst.
    """
    boxes = _checked(sides)
    if not counts or list(counts) != sorted(set(counts)):
        raise UsageError(f"counts: expected ascending numbers, got {list(counts)}")
    curve: list[AnchorClusters] = []
    for count in counts:
        found = cluster_sides(boxes, count, seed=seed, restarts=restarts, rounds=rounds)
        if curve:
            wider = _widened(boxes, curve[-1].sides, count)
            found = _best([found, _k_means(boxes, wider, rounds)])
        curve.append(found)
    return tuple(curve)


def mean_best_iou(sides: ArrayLike, anchors: ArrayLike) -> float:
    """Mean over boxes (N, 2) of the IoU with the best of the shapes (k, 2), 0..1: Table 1's "Avg IOU"."""
    return float(_shape_iou(_checked(sides), _checked(anchors, "anchors")).max(axis=1).mean())


def _checked(sides: ArrayLike, name: str = "sides") -> Sides:
    try:
        given = np.asarray(sides)
    except ValueError as error:
        raise UsageError(f"{name}: expected widths and heights (N, 2), got rows of different lengths") from error
    if given.ndim != 2 or given.shape[1] != 2 or not len(given) or given.dtype.kind not in "iuf":
        raise UsageError(f"{name}: expected widths and heights (N, 2), got shape {given.shape} of {given.dtype}")
    array = given.astype(np.float64)
    right = ((array >= _SMALLEST) & (array <= 1 / _SMALLEST)).all(axis=1)
    if not right.all():
        row = int(np.argmin(right))
        raise UsageError(
            f"{name}[{row}]: expected finite numbers above 0, got {array[row].tolist()}; "
            f"{_SMALLEST} to {1 / _SMALLEST} are taken"
        )
    return array


def _check_count(boxes: Sides, count: int, restarts: int, rounds: int) -> None:
    different = len(np.unique(boxes, axis=0))
    if not 1 <= count <= different:
        raise UsageError(f"count: expected 1..{different}, the number of different boxes, got {count}")
    if restarts < 1 or rounds < 1:
        raise UsageError(f"restarts, rounds: expected 1 or more, got {restarts} and {rounds}")


def _shape_iou(boxes: Sides, shapes: Sides) -> NDArray[np.float64]:
    shared = np.minimum(boxes[:, None, 0], shapes[:, 0]) * np.minimum(boxes[:, None, 1], shapes[:, 1])
    iou: NDArray[np.float64] = shared / (boxes.prod(axis=1)[:, None] + shapes.prod(axis=1) - shared)
    return iou


def _drawn(boxes: Sides, count: int, random: np.random.Generator) -> Sides:
    """k-means++: each next one with a chance that grows with its distance squared to those drawn."""
    chosen = [int(random.integers(len(boxes)))]
    away = 1 - _shape_iou(boxes, boxes[chosen])[:, 0]
    while len(chosen) < count:
        chance = away**2 + np.finfo(np.float64).tiny  # boxes that differ by rounding alone have no distance
        chosen.append(int(random.choice(len(boxes), p=chance / chance.sum())))
        away = np.minimum(away, 1 - _shape_iou(boxes, boxes[chosen[-1:]])[:, 0])
    return boxes[chosen]


def _widened(boxes: Sides, shapes: Sides, count: int) -> Sides:
    """The shapes, and boxes that they fit worst, one after the other: (count, 2)."""
    while len(shapes) < count:
        worst = int(_shape_iou(boxes, shapes).max(axis=1).argmin())
        shapes = np.concatenate([shapes, boxes[worst : worst + 1]])
    return shapes


def _k_means(boxes: Sides, shapes: Sides, rounds: int) -> AnchorClusters:
    best, before = None, None
    for _ in range(rounds):
        iou = _shape_iou(boxes, shapes)
        cluster = iou.argmax(axis=1)
        mean = float(iou[np.arange(len(boxes)), cluster].mean())
        if best is None or mean > best.mean_iou:
            best = AnchorClusters(sides=shapes[np.lexsort((shapes[:, 0], shapes.prod(axis=1)))], mean_iou=mean)
        if before is not None and (cluster == before).all():
            break
        before = cluster
        sizes = np.bincount(cluster, minlength=len(shapes))
        sums = np.stack([np.bincount(cluster, boxes[:, axis], len(shapes)) for axis in (0, 1)], axis=1)
        # A cluster that lost all its boxes keeps its shape.
        shapes = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], shapes)
    assert best is not None
    return best


def _best(runs: Iterable[AnchorClusters]) -> AnchorClusters:
    return max(runs, key=lambda run: run.mean_iou)

"""How well proposals cover the objects, whatever their class: recall, average recall, average best overlap.

Uijlings et al., "Selective Search for Object Recognition", IJCV 2013, Section 5: the best overlap of an object is that
of the proposal nearest to it; ABO is its mean over the objects of a class (equation 7), MABO the mean of ABO over the
classes. Hosang et al., "What makes for effective detection proposals?", TPAMI 2016 (arXiv 2015),
https://arxiv.org/abs/1502.05082: recall at a count of proposals and an overlap, and average recall, AR = 2 x the area
under recall over overlaps 0.5 to 1 = the mean over the objects of 2 max(best overlap - 0.5, 0).
Crowds and difficult objects are not counted.
Shapes: G objects that count, K classes, C counts, T overlaps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError
from convatlas.metrics.objects import (
    PictureDetections,
    PictureId,
    PictureTruths,
    check_classes,
    lay_detections,
    lay_truths,
)
from convatlas.metrics.overlaps import box_iou
from convatlas.metrics.tables import shown, text_table

COUNTS = (10, 50, 100, 200, 500, 1000, 2000)
OVERLAPS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureProposals:
    """The proposals of one picture, the best first: boxes (N, 4) absolute xyxy, x2 and y2 exclusive."""

    picture: PictureId
    boxes: ArrayLike


@dataclass(frozen=True, kw_only=True, eq=False)
class ProposalResult:
    """How well the first proposals of each picture cover the objects. Shares are 0..1; NaN where no object counts."""

    pictures: int
    classes: tuple[str, ...]
    objects: NDArray[np.int64]  # (K,)
    counts: tuple[int, ...]  # proposals a picture that were looked at, at most
    overlaps: tuple[float, ...]
    mean_proposals: NDArray[np.float64]  # (C,) that there were, a picture
    recall: NDArray[np.float64]  # (C, T) share of objects with a best overlap of T or more
    average_recall: NDArray[np.float64]  # (C,)
    abo: NDArray[np.float64]  # (C, K)
    mabo: NDArray[np.float64]  # (C,)
    best_overlaps: NDArray[np.float64]  # (C, G) of each object, in the order of the pictures' ids

    def recall_at(self, count: int, overlap: float = 0.5) -> float | None:
        """Recall with the first `count` proposals; raises UsageError for what was not measured."""
        if count not in self.counts:
            raise UsageError(f"count: expected one of {', '.join(map(str, self.counts))}, got {count}")
        near = np.flatnonzero(np.isclose(self.overlaps, overlap, rtol=0, atol=1e-9))
        if not near.size:
            raise UsageError(f"overlap: expected one of {', '.join(f'{o:g}' for o in self.overlaps)}, got {overlap}")
        return _defined(self.recall[self.counts.index(count), near[0]])

    def to_dict(self) -> dict[str, object]:
        """Everything but the single objects, as JSON can hold it; undefined values are None."""
        return {
            "measure": "proposals",
            "pictures": self.pictures,
            "overlaps": list(self.overlaps),
            "counts": [
                {
                    "count": count,
                    "mean_proposals": float(self.mean_proposals[c]),
                    "recall": [_defined(each) for each in self.recall[c]],
                    "average_recall": _defined(self.average_recall[c]),
                    "mabo": _defined(self.mabo[c]),
                    "abo": {label: _defined(self.abo[c, k]) for k, label in enumerate(self.classes)},
                }
                for c, count in enumerate(self.counts)
            ],
        }

    def __str__(self) -> str:
        columns = [t for t, overlap in enumerate(self.overlaps) if round(overlap, 6) in (0.5, 0.7, 0.9)]
        header = ["proposals", "a picture", *(f"recall {self.overlaps[t]:g}" for t in columns), "AR", "MABO"]
        rows = [
            [
                str(count),
                f"{self.mean_proposals[c]:.0f}",
                *(shown(_defined(self.recall[c, t])) for t in columns),
                shown(_defined(self.average_recall[c])),
                shown(_defined(self.mabo[c])),
            ]
            for c, count in enumerate(self.counts)
        ]
        return f"{int(self.objects.sum())} objects, {self.pictures} pictures\n{text_table(header, rows)}"


def evaluate_proposals(
    truths: Sequence[PictureTruths],
    proposals: Sequence[PictureProposals],
    classes: Sequence[str],
    *,
    counts: tuple[int, ...] = COUNTS,
    overlaps: tuple[float, ...] = OVERLAPS,
) -> ProposalResult:
    """Recall, average recall, ABO and MABO of the first proposals of each picture, for each of `counts`.

    `classes` names the K classes of the truths by index. A picture without proposals may be left out. counts and
    overlaps ascend. Raises UsageError that names picture, field and row as `evaluate_coco` does.
    """
    if not counts or counts[0] < 1 or any(a >= b for a, b in pairwise(counts)):
        raise UsageError(f"counts: expected ascending counts from 1, got {counts}")
    if not overlaps or not all(0 < each <= 1 for each in overlaps) or any(a >= b for a, b in pairwise(overlaps)):
        raise UsageError(f"overlaps: expected ascending overlaps above 0 and at most 1, got {overlaps}")
    names = check_classes(classes)
    true = lay_truths(truths, len(names))
    found = lay_detections([_as_detections(each) for each in proposals], true, 1, argument="proposals")

    counted = ~true.ignored()
    boxes, picture, true_classes = true.boxes[counted], true.picture[counted], true.classes[counted]
    places = np.arange(len(true.pictures) + 1)
    truth_ends, proposal_ends = np.searchsorted(picture, places), np.searchsorted(found.picture, places)
    best = np.zeros((len(counts), len(boxes)))
    given = np.diff(proposal_ends)
    for p in range(len(true.pictures)):
        t, d = slice(*truth_ends[p : p + 2]), slice(*proposal_ends[p : p + 2])
        if not given[p] or t.start == t.stop:
            continue
        upto = np.maximum.accumulate(box_iou(found.boxes[d][: counts[-1]], boxes[t]), axis=0)
        best[:, t] = upto[np.minimum(counts, len(upto)) - 1]

    objects = np.bincount(true_classes, minlength=len(names))
    abo = np.full((len(counts), len(names)), np.nan)
    for k in np.flatnonzero(objects):
        abo[:, k] = best[:, true_classes == k].mean(axis=1)
    some = len(boxes) > 0
    nothing = np.full(len(counts), np.nan)
    return ProposalResult(
        pictures=len(true.pictures),
        classes=names,
        objects=objects,
        counts=counts,
        overlaps=overlaps,
        mean_proposals=np.array([np.minimum(given, count).mean() for count in counts]),
        recall=np.stack([(best >= each).mean(axis=1) if some else nothing for each in overlaps], axis=1),
        average_recall=2 * np.maximum(best - 0.5, 0).mean(axis=1) if some else nothing,
        abo=abo,
        mabo=abo[:, objects > 0].mean(axis=1) if some else nothing,
        best_overlaps=best,
    )


def _as_detections(proposals: PictureProposals) -> PictureDetections:
    count = len(np.atleast_1d(np.asarray(proposals.boxes)))
    return PictureDetections(
        picture=proposals.picture, boxes=proposals.boxes, classes=np.zeros(count, np.int64), scores=np.zeros(count)
    )


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

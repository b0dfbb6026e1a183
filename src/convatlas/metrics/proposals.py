"""How well proposals cover the objects, whatever their class: recall, average recall, average best overlap.

Uijlings et al., "Selective Search for Object Recognition", IJCV 2013, Section 5: the best overlap of an object is that
of the proposal nearest to it; ABO is its mean over the objects of a class (equation 7), MABO the mean of ABO over the
classes. Hosang et al., "What makes for effective detection proposals?", TPAMI 2016 (arXiv 2015),
https://arxiv.org/abs/1502.05082: recall at a count of proposals and an overlap, and average recall, AR = 2 x the area
under recall over overlaps 0.5 to 1 = the mean over the objects of 2 max(best overlap - 0.5, 0).
Crowds and difficult objects are not counted.
Shapes: G objects that count, K classes, C counts, T overlaps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError, did_you_mean
from convatlas.metrics.objects import check_classes, join_truths
from convatlas.metrics.overlaps import box_iou, check_overlaps
from convatlas.metrics.tables import shown, text_table
from convatlas.types import Boxes, Sample

COUNTS = (10, 50, 100, 200, 500, 1000, 2000)
OVERLAPS: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())


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
    best_overlaps: NDArray[np.float64]  # (C, G) of each object, in the order of the pictures' names

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
    truths: Sequence[Sample],
    proposals: Mapping[str, Boxes],
    classes: Sequence[str],
    *,
    counts: tuple[int, ...] = COUNTS,
    overlaps: tuple[float, ...] = OVERLAPS,
) -> ProposalResult:
    """Recall, average recall, ABO and MABO of the first proposals of each picture, for each of `counts`.

    proposals: by the picture's name, (N, 4) boxes as a `Sample` has them, the best first; a picture without proposals
    may be left out. `classes` names the K classes of the truths by index. counts and overlaps ascend.
    Raises UsageError that names the picture for boxes that are not finite, reversed, of another shape or of a picture
    that the truths do not have, for what is no mapping, and for truths as `evaluate_coco` does.
    """
    if not counts or counts[0] < 1 or any(a >= b for a, b in pairwise(counts)):
        raise UsageError(f"counts: expected ascending counts from 1, got {counts}")
    check_overlaps(overlaps, "overlaps")
    if any(a >= b for a, b in pairwise(overlaps)):
        raise UsageError(f"overlaps: expected ascending overlaps, got {overlaps}")
    names = check_classes(classes)
    true = join_truths(truths, len(names))
    if not isinstance(proposals, Mapping):
        raise UsageError(
            f"proposals: expected the boxes of each picture by its name, a dict, got {type(proposals).__name__}"
        )
    for name, boxes in proposals.items():
        _check_boxes(name, boxes, true.pictures)

    counted = ~true.ignored()
    true_boxes, true_classes = true.boxes[counted], true.classes[counted]
    ends = np.searchsorted(true.picture[counted], np.arange(len(true.pictures) + 1))
    given = np.array([len(proposals.get(name, ())) for name in true.pictures])
    best = np.zeros((len(counts), len(true_boxes)))
    for p in np.flatnonzero((given > 0) & (np.diff(ends) > 0)):
        here = slice(ends[p], ends[p + 1])
        upto = np.maximum.accumulate(box_iou(proposals[true.pictures[p]][: counts[-1]], true_boxes[here]), axis=0)
        best[:, here] = upto[np.minimum(counts, len(upto)) - 1]

    objects = np.bincount(true_classes, minlength=len(names))
    abo = np.full((len(counts), len(names)), np.nan)
    for k in np.flatnonzero(objects):
        abo[:, k] = best[:, true_classes == k].mean(axis=1)
    some = len(true_boxes) > 0
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


def _check_boxes(name: str, boxes: Boxes, pictures: Sequence[str]) -> None:
    if name not in pictures:
        hint = did_you_mean(str(name), pictures)
        raise UsageError(f"proposals: picture {name!r} is not among the {len(pictures)} of truths.{hint}")
    place = f"proposals: picture {name!r}: boxes"
    if not isinstance(boxes, np.ndarray) or boxes.dtype.kind != "f" or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UsageError(f"{place}: expected float32 N x 4, got {np.asarray(boxes).dtype} {np.shape(boxes)}")
    right = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] >= boxes[:, :2]).all(axis=1)
    if not right.all():
        row = int(np.argmin(right))
        raise UsageError(f"{place}[{row}]: expected finite numbers, x1 <= x2 and y1 <= y2, got {boxes[row].tolist()}")


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

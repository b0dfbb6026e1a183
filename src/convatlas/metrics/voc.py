"""VOC's average precision: the eleven points of 2007, and the area under the curve of 2010 and later.

Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", IJCV 2010, Section 4.2, and the challenge's
development kit (VOCevaldet, VOCap), whose rule of matching is not COCO's: a detection means the object of its class
that it overlaps most, taken or not. A second detection of an object is wrong; one of a difficult object is neither
right nor wrong, and difficult objects are not counted. An overlap of exactly the threshold suffices, as in the kit.
VOC's own boxes count pixels inclusively from 1; its reader has turned them into (x1 - 1, y1 - 1, x2, y2).
Shapes: K classes, D detections, G objects.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.metrics.matching import arrange
from convatlas.metrics.objects import AllDetections, AllTruths, check_classes, join_detections, join_truths
from convatlas.metrics.overlaps import aligned_box_iou, best_of_each, check_overlaps, pairs_in_range
from convatlas.metrics.tables import shown, text_table
from convatlas.types import Detections, Sample

Method = Literal["eleven_point", "area"]
METHODS: tuple[Method, ...] = ("eleven_point", "area")


@dataclass(frozen=True, kw_only=True, eq=False)
class VocClass:
    """One class: its average precision 0..1, None without an object, and the curve, one point a detection counted."""

    label: str
    average_precision: float | None
    objects: int  # that are not difficult
    recall: NDArray[np.float64]  # rising
    precision: NDArray[np.float64]
    scores: NDArray[np.float64]  # falling


@dataclass(frozen=True, kw_only=True, eq=False)
class VocResult:
    """VOC's average precision of every class, and their mean over the classes that have an object."""

    method: Method
    threshold: float  # least overlap of a right detection
    pictures: int
    mean_ap: float | None
    per_class: tuple[VocClass, ...]

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON can hold it; undefined values are None, the curves are lists."""
        arrays = ("recall", "precision", "scores")
        per_class = [asdict(each) | {name: getattr(each, name).tolist() for name in arrays} for each in self.per_class]
        return {
            "measure": "voc",
            "method": self.method,
            "threshold": self.threshold,
            "pictures": self.pictures,
            "mean_ap": self.mean_ap,
            "per_class": per_class,
        }

    def __str__(self) -> str:
        rows = [(each.label, str(each.objects), shown(each.average_precision)) for each in self.per_class]
        rows.append(("mean", str(sum(each.objects for each in self.per_class)), shown(self.mean_ap)))
        method = self.method.replace("_", "-")
        return f"VOC, {method}, IoU {self.threshold:g}, {self.pictures} pictures\n" + text_table(
            ("class", "objects", "AP"), rows
        )


def evaluate_voc(
    truths: Sequence[Sample],
    detections: Sequence[Detections],
    classes: Sequence[str],
    *,
    method: Method = "area",
    threshold: float = 0.5,
) -> VocResult:
    """VOC's average precision of a detector's boxes over all pictures of `truths`.

    `classes` names the K classes by index. A crowd counts as difficult. Equal scores rank by the pictures' names, then
    as given. Raises UsageError as `evaluate_coco` does.
    """
    if method not in METHODS:
        raise UsageError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    check_overlaps([threshold], "threshold")
    names = check_classes(classes)
    true = join_truths(truths, len(names))
    found = join_detections(detections, truths, len(names))
    meant, overlap = _meant_objects(found, true)
    difficult = np.append(true.ignored(), False)  # the last for a detection that means no object, whose place is -1
    per_class = []
    for k, label in enumerate(names):
        mine = np.flatnonzero(found.classes == k)
        mine = mine[np.argsort(-found.scores[mine], kind="stable")]
        close = overlap[mine] >= threshold
        target = np.where(close, meant[mine], -1)
        first = np.zeros(len(mine), np.bool_)
        first[np.unique(target, return_index=True)[1]] = True  # the surest that means the object
        counted = ~difficult[target]
        right = (first & close)[counted]
        objects = int(((true.classes == k) & ~difficult[:-1]).sum())
        per_class.append(_one_class(label, right, objects, found.scores[mine][counted], method))
    defined = [each.average_precision for each in per_class if each.average_precision is not None]
    return VocResult(
        method=method,
        threshold=threshold,
        pictures=len(true.pictures),
        mean_ap=sum(defined) / len(defined) if defined else None,
        per_class=tuple(per_class),
    )


def eleven_point_precision(right: NDArray[np.bool_], objects: int) -> float:
    """Mean over the recalls 0, 0.1 .. 1 of the best precision at that recall or beyond (0 where it is not reached).

    right (n,): detections in falling order of their scores; objects > 0. Recalls are compared as whole numbers, so that
    3 of 10 objects do reach 0.3.
    """
    true_positives = np.cumsum(right)
    best = _best_from_here(true_positives / np.arange(1, len(right) + 1))
    places = np.searchsorted(10 * true_positives, np.arange(11) * objects)
    return float(np.append(best, 0.0)[places].mean())


def area_precision(right: NDArray[np.bool_], objects: int) -> float:
    """The area under the curve of precision over recall, made to fall: every step of recall times the best precision
    there or beyond. right (n,): detections in falling order of their scores; objects > 0.
    """
    best = _best_from_here(np.cumsum(right) / np.arange(1, len(right) + 1))
    return float(best[right].sum() / objects)


def _one_class(
    label: str, right: NDArray[np.bool_], objects: int, scores: NDArray[np.float64], method: Method
) -> VocClass:
    measure = eleven_point_precision if method == "eleven_point" else area_precision
    true_positives = np.cumsum(right)
    return VocClass(
        label=label,
        average_precision=measure(right, objects) if objects else None,
        objects=objects,
        recall=true_positives / objects if objects else np.zeros(len(right)),
        precision=true_positives / np.arange(1, len(right) + 1),
        scores=scores,
    )


def _meant_objects(found: AllDetections, true: AllTruths) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The object (D,) of its class and picture that each detection overlaps most, the first of equals, and by how much.

    Without any overlap they are -1 and 0.
    """
    order = arrange(found, true, None)
    meant, most = np.full(len(found.classes), -1), np.zeros(len(found.classes))
    for d, t in pairs_in_range(order.first, order.last):
        overlaps = aligned_box_iou(found.boxes[order.detections[d]], true.boxes[order.truths[t]])
        owner, best, place = best_of_each(d, overlaps)
        rows = order.detections[owner]
        meant[rows] = np.where(best > 0, order.truths[t[place]], -1)
        most[rows] = best
    return meant, most


def _best_from_here(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum.accumulate(precision[::-1])[::-1]

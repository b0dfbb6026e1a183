"""COCO's average precision and average recall, for boxes, masks and keypoints.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, https://arxiv.org/abs/1405.0312, and the evaluation
pages of cocodataset.org (detection, keypoints). The values equal those of pycocotools; what is undefined (no object of
a class in an area range) is NaN in arrays and None in summaries, where pycocotools has -1.
Equal holds for what float32 holds, as `Sample` and `Detections` have it: of boxes in hundredths of a pixel, an overlap
within 1e-6 of a threshold may fall on its other side. Run lengths with empty runs inside, which pycocotools adds up to
too small an intersection, count here as the pixels that they stand for. Keypoints are the middles of pixels, half a
pixel more than the numbers in COCO's files.
Areas: an object's is as stated, and a detection's is of what is compared; pycocotools takes a detection's box instead
where a result file has both boxes and masks.
Shapes: K classes, T thresholds, A area ranges, M limits of detections, D detections, R = 101 recalls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError, did_you_mean
from convatlas.metrics.matching import arrange, find_candidates, judge, least_overlaps, match
from convatlas.metrics.objects import Kind, check_classes, check_kind, join_detections, join_truths
from convatlas.metrics.overlaps import check_overlaps, check_sigmas
from convatlas.metrics.tables import shown, text_table
from convatlas.types import Detections, Sample

RECALLS: NDArray[np.float64] = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True, kw_only=True)
class AreaRange:
    """Objects of `low` to `high` square pixels, both included; all others are ignored, neither right nor wrong."""

    name: str
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class CocoSettings:
    """What is compared, and how: COCO_BOXES, COCO_MASKS and COCO_KEYPOINTS are COCO's own, from which
    `dataclasses.replace` makes others. `max_detections` are the surest of a class in a picture.

    Raises UsageError that names the field.
    """

    kind: Kind = "box"
    thresholds: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())  # least overlap, above 0, at most 1
    areas: tuple[AreaRange, ...] = (
        AreaRange(name="all", low=0, high=1e5**2),
        AreaRange(name="small", low=0, high=32**2),
        AreaRange(name="medium", low=32**2, high=96**2),
        AreaRange(name="large", low=96**2, high=1e5**2),
    )
    max_detections: tuple[int, ...] = (1, 10, 100)  # ascending
    sigmas: tuple[float, ...] | None = None  # keypoints: the deviation of each; None: COCO's 17 of a person

    def __post_init__(self) -> None:
        check_kind(self.kind)
        check_overlaps(self.thresholds, "thresholds")
        if not self.areas or not all(0 <= each.low <= each.high for each in self.areas):
            raise UsageError(f"areas: expected ranges with 0 <= low <= high, got {self.areas}")
        limits = self.max_detections
        if not limits or limits[0] < 1 or any(a >= b for a, b in pairwise(limits)):
            raise UsageError(f"max_detections: expected ascending counts from 1, got {limits}")
        check_sigmas(self.sigmas)


COCO_BOXES = CocoSettings()
COCO_MASKS = CocoSettings(kind="mask")
COCO_KEYPOINTS = CocoSettings(
    kind="keypoint", areas=tuple(each for each in COCO_BOXES.areas if each.name != "small"), max_detections=(20,)
)


@dataclass(frozen=True, kw_only=True, eq=False)
class CocoResult:
    """Precision and recall of every class, threshold, area range and limit; NaN where no object counts."""

    settings: CocoSettings
    pictures: int
    classes: tuple[str, ...]
    objects: NDArray[np.int64]  # (K, A) that count
    precision: NDArray[np.float64]  # (T, R, K, A, M), at recalls 0, 0.01 .. 1, the best at that recall or beyond
    recall: NDArray[np.float64]  # (T, K, A, M)
    scores: NDArray[np.float64]  # (T, R, K, A, M): of the detection that reaches the recall; 0 where none does

    def average_precision(
        self,
        *,
        threshold: float | None = None,
        area: str | None = None,
        max_detections: int | None = None,
        label: str | None = None,
    ) -> float | None:
        """Mean precision 0..1 over recalls, thresholds and classes, or at one threshold and of one class.

        area: by name, the first by default; max_detections: the last by default. None where it is undefined. Raises
        UsageError for what the settings or the classes do not have.
        """
        t, k, a, m = self._places(threshold, label, area, max_detections)
        return _mean(self.precision[t][:, :, k, a, m])

    def average_recall(
        self,
        *,
        threshold: float | None = None,
        area: str | None = None,
        max_detections: int | None = None,
        label: str | None = None,
    ) -> float | None:
        """Mean highest recall 0..1 over thresholds and classes; see `average_precision`."""
        t, k, a, m = self._places(threshold, label, area, max_detections)
        return _mean(self.recall[t][:, k, a, m])

    def summary(self) -> dict[str, float | None]:
        """COCO's own lines, by name: AP, AP50, AP75, AP_small .., AR_1 .., AR_small ..; those the settings allow."""
        limits, areas = self.settings.max_detections, [each.name for each in self.settings.areas[1:]]
        single = [each for each in (0.5, 0.75) if any(np.isclose(each, self.settings.thresholds, rtol=0, atol=1e-9))]
        lines = {"AP": self.average_precision()}
        lines |= {f"AP{round(100 * each)}": self.average_precision(threshold=each) for each in single}
        lines |= {f"AP_{area}": self.average_precision(area=area) for area in areas}
        if len(limits) > 1:
            lines |= {f"AR_{limit}": self.average_recall(max_detections=limit) for limit in limits}
        else:
            lines |= {"AR": self.average_recall()}
            lines |= {f"AR{round(100 * each)}": self.average_recall(threshold=each) for each in single}
        return lines | {f"AR_{area}": self.average_recall(area=area) for area in areas}

    def to_dict(self) -> dict[str, object]:
        """The summary and each class's AP, AR and objects, as JSON can hold it; undefined values are None."""
        return {
            "measure": "coco",
            "kind": self.settings.kind,
            "pictures": self.pictures,
            "summary": self.summary(),
            "per_class": [
                {
                    "label": label,
                    "objects": int(self.objects[k, 0]),
                    "ap": self.average_precision(label=label),
                    "ar": self.average_recall(label=label),
                }
                for k, label in enumerate(self.classes)
            ],
        }

    def __str__(self) -> str:
        lines = [(name, shown(value)) for name, value in self.summary().items()]
        classes = [
            (
                label,
                str(self.objects[k, 0]),
                shown(self.average_precision(label=label)),
                shown(self.average_recall(label=label)),
            )
            for k, label in enumerate(self.classes)
        ]
        head = f"COCO, {self.settings.kind}, {self.pictures} pictures"
        return f"{text_table((head, ''), lines)}\n\n{text_table(('class', 'objects', 'AP', 'AR'), classes)}"

    def _places(
        self, threshold: float | None, label: str | None, area: str | None, limit: int | None
    ) -> tuple[slice, slice, int, int]:
        names = [each.name for each in self.settings.areas]
        t = slice(None) if threshold is None else _one(_near(self.settings.thresholds, threshold))
        k = slice(None) if label is None else _one(_find("label", self.classes, label))
        a = 0 if area is None else _find("area", names, area)
        return t, k, a, -1 if limit is None else _find("max_detections", self.settings.max_detections, limit)


def evaluate_coco(
    truths: Sequence[Sample],
    detections: Sequence[Detections],
    classes: Sequence[str],
    settings: CocoSettings = COCO_BOXES,
) -> CocoResult:
    """COCO's precision and recall of a detector over all pictures of `truths`.

    detections: one record a picture, found by its name; a picture without detections may be left out. classes: the
    names of the K classes by index. settings: COCO_BOXES, COCO_MASKS, COCO_KEYPOINTS or others. Equal scores
    rank by the pictures' names, then as given. A `difficult` object is one like others here.

    Raises UsageError that names picture and field for a picture that is there twice, unknown or of another size, for a
    class index beyond `classes`, for masks or keypoints that are to be compared and are not there, and for what are no
    settings.
    """
    if not isinstance(settings, CocoSettings):
        raise UsageError(
            "settings: expected convatlas.COCO_BOXES, COCO_MASKS, COCO_KEYPOINTS or other CocoSettings, "
            f"got {settings!r:.80}"
        )
    names = check_classes(classes)
    true = join_truths(truths, len(names), settings.kind)
    found = join_detections(detections, truths, len(names), settings.kind)
    order = arrange(found, true, settings.max_detections[-1])

    thresholds = least_overlaps(settings.thresholds)
    ignored = (_outside(true.areas, settings.areas) | true.ignored(difficult=False))[:, order.truths]
    candidates = find_candidates(found, true, order, settings.kind, float(thresholds.min()), settings.sigmas)
    pair = match(candidates, thresholds, ignored, true.crowd[order.truths])
    right, wrong = judge(candidates, pair, ignored, _outside(found.areas[order.detections], settings.areas))

    scores = found.scores[order.detections]
    places = np.arange(len(names) + 1)
    ends = np.searchsorted(found.classes[order.detections], places)
    true_ends = np.searchsorted(true.classes[order.truths], places)
    objects = np.stack([(~ignored[:, first:last]).sum(axis=1) for first, last in pairwise(true_ends)])
    shape = (len(settings.thresholds), len(RECALLS), len(names), len(settings.areas), len(settings.max_detections))
    precision, at_scores = np.full(shape, np.nan), np.full(shape, np.nan)
    recall = np.full(shape[:1] + shape[2:], np.nan)
    for k, (first, last) in enumerate(pairwise(ends)):
        # The detections of a class stand by picture and rank: equal scores stay in that order.
        by_score = first + np.argsort(-scores[first:last], kind="stable")
        for m, limit in enumerate(settings.max_detections):
            kept = by_score[order.rank[by_score] < limit]
            for a in np.flatnonzero(objects[k]):
                curve = precision_curve(right[a][:, kept], wrong[a][:, kept], int(objects[k, a]), scores[kept])
                precision[:, :, k, a, m], recall[:, k, a, m], at_scores[:, :, k, a, m] = curve
    return CocoResult(
        settings=settings,
        pictures=len(true.pictures),
        classes=names,
        objects=objects,
        precision=precision,
        recall=recall,
        scores=at_scores,
    )


def precision_curve(
    right: NDArray[np.bool_], wrong: NDArray[np.bool_], objects: int, scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision (T, R) at each of RECALLS, highest recall (T,), and the score (T, R) at which each recall is reached.

    right and wrong (T, n) and scores (n,) in falling order of the scores. A precision is the best at its recall or
    beyond, and 0 where the recall is never reached.
    """
    thresholds, count = right.shape
    precision, reached = np.zeros((thresholds, len(RECALLS))), np.zeros((thresholds, len(RECALLS)))
    if not count:
        return precision, np.zeros(thresholds), reached
    needed = np.searchsorted(np.arange(objects + 1) / objects, RECALLS)  # true positives that reach each recall
    false_positives = np.cumsum(wrong, axis=1, dtype=np.int32)
    for t in range(thresholds):
        # Precision rises at true positives alone, so that these are enough: the n-th is at places[n], and before the
        # first there is the start.
        places = np.concatenate([[0], np.flatnonzero(right[t])])
        number = np.arange(len(places))
        precisions = number / (false_positives[t, places] + number + np.spacing(1))
        best = np.maximum.accumulate(precisions[::-1])[::-1]
        within = needed[needed < len(places)]
        precision[t, : len(within)] = best[within]
        reached[t, : len(within)] = scores[places[within]]
    return precision, right.sum(axis=1) / objects, reached


def _outside(areas: NDArray[np.float64], ranges: tuple[AreaRange, ...]) -> NDArray[np.bool_]:
    low, high = (np.array(each)[:, None] for each in ([r.low for r in ranges], [r.high for r in ranges]))
    outside: NDArray[np.bool_] = (areas < low) | (areas > high)
    return outside


def _mean(values: NDArray[np.float64]) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None


def _one(index: int) -> slice:
    return slice(index, index + 1)


def _near(thresholds: tuple[float, ...], threshold: float) -> int:
    near = np.flatnonzero(np.isclose(thresholds, threshold, rtol=0, atol=1e-9))
    if not near.size:
        raise UsageError(f"threshold: expected one of {', '.join(f'{each:g}' for each in thresholds)}, got {threshold}")
    return int(near[0])


def _find(name: str, choices: Sequence[object], wanted: object) -> int:
    if wanted not in choices:
        listed = list(map(str, choices))
        hint = did_you_mean(str(wanted), listed)
        raise UsageError(f"{name}: expected one of {', '.join(listed)}, got {wanted!r}.{hint}")
    return list(choices).index(wanted)

"""Why average precision is lost: every mistake of a detector by its kind, and what mending each kind would gain.

Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020,
https://arxiv.org/abs/2008.08115 -- the kinds: Section 2.2 and Figure 2; mending ("oracles") and its gain: Section 2.3;
foreground 0.5 and background 0.1 are the paper's.

Of a wrong detection, let s be its highest overlap with an object of its class and o with one of another class:
  place       background <= s < foreground          right class, badly placed
  class       o >= foreground                       well placed on an object of another class
  duplicate   s >= foreground                       its object is taken by a surer detection
  background  neither s nor o reaches background    nothing is there
  both        what remains                          badly placed on an object of another class
The paper does not say which kind goes first where two fit; here it is the order above, as in its authors' program.
Objects that no detection found are `missed`, but for those that a `class` or `place` mistake would find once mended.
Average precision is COCO's at the foreground threshold; crowds and difficult objects do not count.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.metrics.coco import precision_curve
from convatlas.metrics.matching import SingleMatch, match_once
from convatlas.metrics.objects import AllDetections, AllTruths, Kind, check_classes, join_detections, join_truths
from convatlas.metrics.overlaps import best_of_each, pair_overlaps, pairs_in_range
from convatlas.metrics.tables import shown, text_table
from convatlas.types import Detections, Sample

ErrorKind = Literal["class", "place", "both", "duplicate", "background", "missed"]
ERROR_KINDS: tuple[ErrorKind, ...] = ("class", "place", "both", "duplicate", "background", "missed")
_OF_DETECTIONS: tuple[ErrorKind, ...] = ERROR_KINDS[:-1]
_CLASS, _PLACE, _BOTH, _DUPLICATE, _BACKGROUND = range(5)  # their places; the first two can be mended


@dataclass(frozen=True, kw_only=True)
class DetectionError:
    """One mistake. `detection` and `truth` are places in the arrays that the caller gave for the picture."""

    picture: str
    kind: ErrorKind
    detection: int | None  # None: missed
    truth: int | None  # the object meant or missed; None: background
    overlap: float  # of the two, 0..1; 0 for background and missed
    score: float | None  # of the detection


@dataclass(frozen=True, kw_only=True)
class ErrorSummary:
    """Every mistake, and by how much average precision would rise if all of one kind were mended. Shares are 0..1.

    Mending the misses of a class takes them from its objects (Section 2.3), so that those that are found count as all.
    Where none is found there is no precision to carry on with: the class stays at 0 and its misses gain nothing, though
    all is lost by them. Without any detection both gains of the misses are 0 for this reason.
    """

    kind: Kind
    foreground: float
    background: float
    pictures: int
    detections: int
    average_precision: float | None  # at `foreground`, mean over classes; None when no object counts
    counts: dict[ErrorKind, int]
    gains: dict[ErrorKind, float | None]
    gain_without_false_positives: float | None  # as if every wrong detection were removed
    gain_without_misses: float | None  # as if only the objects found were counted
    errors: tuple[DetectionError, ...]  # the surest detections first, the missed objects last

    def of_kind(self, kind: ErrorKind) -> tuple[DetectionError, ...]:
        """The mistakes of one kind, in the order of `errors`."""
        if kind not in ERROR_KINDS:
            raise UsageError(f"kind: expected one of {', '.join(ERROR_KINDS)}, got {kind!r}")
        return tuple(each for each in self.errors if each.kind == kind)

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON can hold it; undefined values are None."""
        return {"measure": "error_kinds", **asdict(self)}

    def __str__(self) -> str:
        rows: list[tuple[str, str, str]] = [
            (kind, str(self.counts[kind]), shown(self.gains[kind])) for kind in ERROR_KINDS
        ]
        wrong = sum(self.counts[kind] for kind in _OF_DETECTIONS)
        rows.append(("all false positives", str(wrong), shown(self.gain_without_false_positives)))
        rows.append(("all misses", "", shown(self.gain_without_misses)))
        head = (
            f"AP {shown(self.average_precision)} at IoU {self.foreground:g}, {self.kind}, {self.pictures} pictures; "
            f"background below {self.background:g}"
        )
        if not self.detections:
            head += "\nThere is no detection: with nothing found, mending the misses has no precision to go by"
        return f"{head}\n{text_table(('mistake', 'count', 'AP gained if mended'), rows)}"


def error_kinds(
    truths: Sequence[Sample],
    detections: Sequence[Detections],
    classes: Sequence[str],
    *,
    kind: Kind = "box",
    foreground: float = 0.5,
    background: float = 0.1,
    max_detections: int = 100,
) -> ErrorSummary:
    """Every mistake of a detector by its kind. kind: box or mask; max_detections: of a class in a picture.

    Raises UsageError as `evaluate_coco` does, and unless 0 < background < foreground <= 1.
    """
    if kind == "keypoint":
        raise UsageError("kind: expected box or mask: keypoints of another class have no similarity")
    if not 0 < background < foreground <= 1:
        raise UsageError(
            f"background, foreground: expected 0 < background < foreground <= 1, got {background} and {foreground}"
        )
    if max_detections < 1:
        raise UsageError(f"max_detections: expected 1 or more, got {max_detections}")
    names = check_classes(classes)
    true = join_truths(truths, len(names), kind)
    found = join_detections(detections, truths, len(names), kind)
    matched = match_once(found, true, kind=kind, threshold=foreground, most=max_detections)
    wrong = np.flatnonzero(matched.wrong)
    wrong = wrong[np.argsort(-found.scores[wrong], kind="stable")]  # the surest first
    codes, meant, overlap = _name_kinds(found, true, kind, wrong, foreground, background)
    missed = matched.missed.copy()
    missed[meant[codes <= _PLACE]] = False

    objects, lost, all_lost = (
        np.bincount(true.classes[rows], minlength=len(names)) for rows in (~true.ignored(), missed, matched.missed)
    )
    listed = np.flatnonzero(objects)
    average = _mean_precision(found.scores, found.classes, matched.right, matched.wrong, objects, listed)

    def gain(
        right: NDArray[np.bool_], still_wrong: NDArray[np.bool_], given: NDArray[np.int64], left: NDArray[np.int64]
    ) -> float | None:
        mended = _mean_precision(found.scores, given, right, still_wrong, left, listed)
        return None if mended is None or average is None else mended - average

    gains: dict[ErrorKind, float | None] = {}
    for code, each in enumerate(_OF_DETECTIONS):
        mine = codes == code
        still_wrong = matched.wrong.copy()
        still_wrong[wrong[mine]] = False
        right, given = matched.right, found.classes
        if code <= _PLACE:
            right, given = _mend(found, true, matched, wrong[mine], meant[mine])
        gains[each] = gain(right, still_wrong, given, objects)
    gains["missed"] = gain(matched.right, matched.wrong, found.classes, objects - lost)
    return ErrorSummary(
        kind=kind,
        foreground=foreground,
        background=background,
        pictures=len(true.pictures),
        detections=len(found.classes),
        average_precision=average,
        counts={
            each: int(missed.sum()) if each == "missed" else int((codes == code).sum())
            for code, each in enumerate(ERROR_KINDS)
        },
        gains=gains,
        gain_without_false_positives=gain(matched.right, np.zeros_like(matched.wrong), found.classes, objects),
        gain_without_misses=gain(matched.right, matched.wrong, found.classes, objects - all_lost),
        errors=_list_errors(found, true, wrong, codes, meant, overlap, np.flatnonzero(missed)),
    )


def _mean_precision(
    scores: NDArray[np.float64],
    classes: NDArray[np.int64],
    right: NDArray[np.bool_],
    wrong: NDArray[np.bool_],
    objects: NDArray[np.int64],
    listed: NDArray[np.int64],
) -> float | None:
    """Mean of average precision over the classes that are listed; 0 for one of which no object is left."""
    averages = []
    for k in listed.tolist():
        mine = np.flatnonzero((classes == k) & (right | wrong))
        mine = mine[np.argsort(-scores[mine], kind="stable")]
        average = 0.0
        if objects[k]:
            precision, _, _ = precision_curve(right[None, mine], wrong[None, mine], int(objects[k]), scores[mine])
            average = float(precision.mean())
        averages.append(average)
    return sum(averages) / len(averages) if averages else None


def _name_kinds(
    found: AllDetections, true: AllTruths, kind: Kind, wrong: NDArray[np.int64], foreground: float, background: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    # For each wrong detection: its kind as a place in ERROR_KINDS, the row of the object meant (-1: none), the overlap.
    counted = ~true.ignored()
    same, same_truth = np.zeros(len(wrong)), np.full(len(wrong), -1)
    other, other_truth = np.zeros(len(wrong)), np.full(len(wrong), -1)
    picture = found.picture[wrong]
    first, last = np.searchsorted(true.picture, picture), np.searchsorted(true.picture, picture, side="right")
    for d, t in pairs_in_range(first, last):
        overlaps = pair_overlaps(kind, found, true, wrong[d], t, floor=background) * counted[t]
        of_class = found.classes[wrong[d]] == true.classes[t]
        for chosen, most, truth in ((of_class, same, same_truth), (~of_class, other, other_truth)):
            owner, best, place = best_of_each(d, overlaps * chosen)
            most[owner], truth[owner] = best, t[place]
    codes = np.select(
        [
            (same >= background) & (same < foreground),
            other >= foreground,
            same >= foreground,
            np.maximum(same, other) < background,
        ],
        [_PLACE, _CLASS, _DUPLICATE, _BACKGROUND],
        _BOTH,
    )
    by_class = (codes == _PLACE) | (codes == _DUPLICATE)
    meant = np.where(codes == _BACKGROUND, -1, np.where(by_class, same_truth, other_truth))
    overlap = np.where(codes == _BACKGROUND, 0.0, np.where(by_class, same, other))
    return codes, meant, overlap


def _mend(
    found: AllDetections,
    true: AllTruths,
    matched: SingleMatch,
    mistakes: NDArray[np.int64],
    meant: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    # Every mistake now finds the object that it meant, and is of its class. Where that makes several detections of one
    # object, all but the surest are suppressed, be it the one that was right before. `mistakes`: the surest first.
    right, classes = matched.right.copy(), found.classes.copy()
    holder = np.full(len(true.classes), -1)
    holder[matched.truth[matched.right]] = np.flatnonzero(matched.right)
    objects, first = np.unique(meant, return_index=True)
    surest = mistakes[first]
    before = holder[objects]
    better = (before < 0) | (found.scores[surest] > found.scores[before])
    right[before[better & (before >= 0)]] = False
    right[surest[better]] = True
    classes[surest[better]] = true.classes[objects[better]]
    return right, classes


def _list_errors(
    found: AllDetections,
    true: AllTruths,
    wrong: NDArray[np.int64],
    codes: NDArray[np.int64],
    meant: NDArray[np.int64],
    overlap: NDArray[np.float64],
    missed: NDArray[np.int64],
) -> tuple[DetectionError, ...]:
    listed = [
        DetectionError(
            picture=true.pictures[found.picture[d]],
            kind=ERROR_KINDS[code],
            detection=int(found.row[d]),
            truth=int(true.row[t]) if t >= 0 else None,
            overlap=share,
            score=float(found.scores[d]),
        )
        for d, code, t, share in zip(wrong.tolist(), codes.tolist(), meant.tolist(), overlap.tolist(), strict=True)
    ]
    listed += [
        DetectionError(
            picture=true.pictures[true.picture[t]],
            kind="missed",
            detection=None,
            truth=int(true.row[t]),
            overlap=0.0,
            score=None,
        )
        for t in missed.tolist()
    ]
    return tuple(listed)

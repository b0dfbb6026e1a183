"""What became of every detection and object, picture by picture: found, wrong, ignored, missed.

The matching is COCO's (`metrics.matching`) at one threshold and over all areas. Crowds, difficult objects and objects
without a labelled keypoint are ignored, and so are the detections that take them. All indices are places in the arrays
that the caller gave.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from convatlas.errors import UsageError
from convatlas.metrics.classification import ClassScores, class_scores
from convatlas.metrics.matching import SingleMatch, match_once
from convatlas.metrics.objects import AllDetections, AllTruths, Kind, check_classes, join_detections, join_truths
from convatlas.metrics.tables import shown, text_table
from convatlas.types import Detections, Sample


@dataclass(frozen=True, kw_only=True)
class Found:
    """A detection that is right, the object that it found, and how well they overlap (0..1)."""

    detection: int
    truth: int
    overlap: float


@dataclass(frozen=True, kw_only=True)
class PictureOutcome:
    """One picture: its true positives, false positives, misses, and the detections that do not count."""

    picture: str
    found: tuple[Found, ...]  # true positives, by detection
    wrong: tuple[int, ...]  # false positives: detections
    missed: tuple[int, ...]  # misses: objects
    ignored: tuple[int, ...]  # detections of a crowd or of a difficult object

    @property
    def mistakes(self) -> int:
        """False positives and misses."""
        return len(self.wrong) + len(self.missed)


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """All pictures, in the order of the truths, and what each class scored."""

    kind: Kind
    threshold: float  # least overlap
    min_score: float | None  # detections below it were left out
    pictures: tuple[PictureOutcome, ...]
    per_class: tuple[ClassScores, ...]

    def worst(self, count: int = 10) -> tuple[PictureOutcome, ...]:
        """The `count` pictures with most mistakes, none without one; of equals, the first of the truths first."""
        if count < 0:
            raise UsageError(f"count: expected 0 or more, got {count}")
        ranked = sorted(self.pictures, key=lambda each: -each.mistakes)
        return tuple(each for each in ranked[:count] if each.mistakes)

    def totals(self) -> ClassScores:
        """Precision, recall and F1 over all classes together."""
        found, wrong, missed = (
            sum(len(part) for part in parts)
            for parts in zip(*((each.found, each.wrong, each.missed) for each in self.pictures), strict=True)
        )
        return class_scores("all", right=found, predictions=found + wrong, truths=found + missed)

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON can hold it; undefined values are None."""
        return {"measure": "outcomes", **asdict(self), "totals": asdict(self.totals())}

    def __str__(self) -> str:
        rows = [
            (each.label, str(each.support), shown(each.precision), shown(each.recall), shown(each.f1))
            for each in (*self.per_class, self.totals())
        ]
        above = "" if self.min_score is None else f", score {self.min_score:g} or more"
        head = f"{self.kind}, IoU {self.threshold:g}{above}, {len(self.pictures)} pictures"
        table = text_table(("class", "objects", "precision", "recall", "F1"), rows)
        worst = [
            (str(each.picture), str(len(each.found)), str(len(each.wrong)), str(len(each.missed)))
            for each in self.worst()
        ]
        if not worst:
            return f"{head}\n{table}\n\nNo mistake in any picture."
        return f"{head}\n{table}\n\n{text_table(('most mistakes', 'found', 'wrong', 'missed'), worst)}"


def picture_outcomes(
    truths: Sequence[Sample],
    detections: Sequence[Detections],
    classes: Sequence[str],
    *,
    kind: Kind = "box",
    threshold: float = 0.5,
    min_score: float | None = None,
    sigmas: tuple[float, ...] | None = None,
) -> Outcomes:
    """Each picture's true positives, false positives and misses, at one overlap and above one score.

    threshold: least overlap, above 0 and at most 1. min_score: detections below it are left out, neither right nor
    wrong. sigmas: for keypoints, the deviation of each; COCO's of a person by default. Raises UsageError as
    `evaluate_coco` does.
    """
    names = check_classes(classes)
    true = join_truths(truths, len(names), kind)
    found = join_detections(detections, truths, len(names), kind)
    matched = match_once(found, true, kind=kind, threshold=threshold, min_score=min_score, sigmas=sigmas)
    places = np.arange(len(true.pictures) + 1)
    detection_ends, truth_ends = np.searchsorted(found.picture, places), np.searchsorted(true.picture, places)
    pictures = {
        name: _one_picture(name, found, true, matched, slice(*detection_ends[p : p + 2]), slice(*truth_ends[p : p + 2]))
        for p, name in enumerate(true.pictures)
    }
    right, given, objects = (
        np.bincount(each, minlength=len(names)).tolist()
        for each in (
            found.classes[matched.right],
            found.classes[matched.right | matched.wrong],
            true.classes[~true.ignored()],
        )
    )
    return Outcomes(
        kind=kind,
        threshold=threshold,
        min_score=min_score,
        pictures=tuple(pictures[each.name] for each in truths),
        per_class=tuple(
            class_scores(label, right=right[k], predictions=given[k], truths=objects[k])
            for k, label in enumerate(names)
        ),
    )


def _one_picture(
    name: str, found: AllDetections, true: AllTruths, matched: SingleMatch, d: slice, t: slice
) -> PictureOutcome:
    rows = found.row[d]
    right, wrong = matched.right[d], matched.wrong[d]
    taken, overlaps = true.row[matched.truth[d][right]], matched.overlap[d][right]
    return PictureOutcome(
        picture=name,
        found=tuple(
            Found(detection=detection, truth=truth, overlap=overlap)
            for detection, truth, overlap in zip(rows[right].tolist(), taken.tolist(), overlaps.tolist(), strict=True)
        ),
        wrong=tuple(rows[wrong].tolist()),
        missed=tuple(true.row[t][matched.missed[t]].tolist()),
        ignored=tuple(rows[matched.considered[d] & ~right & ~wrong].tolist()),
    )

"""Right or wrong, one class a picture: top-k accuracy, the confusion matrix, and precision and recall of each class.

Shapes: N pictures, K classes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError
from convatlas.metrics.inputs import check_count, check_scores, check_targets


@dataclass(frozen=True, kw_only=True)
class ClassScores:
    """How one class fared; each value 0..1, None where it is undefined."""

    label: str
    support: int  # pictures that truly are of the class
    precision: float | None  # None: never predicted
    recall: float | None  # None: no picture of the class
    f1: float | None  # None: neither


def top_k_accuracy(scores: ArrayLike, targets: ArrayLike, k: int) -> float:
    """Share 0..1 of the pictures whose true class is among the k best scored.

    scores (N, K), any scale; targets (N,), class indices. Equal scores are ordered by class index, lower first, so
    that k = 1 is `argmax` and the answer never depends on a sorting algorithm. Raises UsageError unless 1 <= k <= K.
    """
    scores = check_scores(scores)
    pictures, num_classes = scores.shape
    targets = check_targets(targets, num_classes)
    check_count(len(targets), pictures, "targets", "picture")
    if not 1 <= k <= num_classes:
        raise UsageError(f"k: expected 1..{num_classes} (the number of classes), got {k}")
    true_score = scores[np.arange(pictures), targets][:, None]
    lower_index = np.arange(num_classes) < targets[:, None]
    ahead = (scores > true_score) | ((scores == true_score) & lower_index)
    return float((ahead.sum(axis=1) < k).mean())


def confusion_matrix(predicted: ArrayLike, targets: ArrayLike, num_classes: int) -> NDArray[np.int64]:
    """Counts (K, K): row = true class, column = predicted class. predicted and targets are class indices (N,)."""
    predicted = check_targets(predicted, num_classes, "predicted")
    targets = check_targets(targets, num_classes)
    check_count(len(predicted), len(targets), "predicted", "picture")
    pairs = np.bincount(targets * num_classes + predicted, minlength=num_classes * num_classes)
    return pairs.reshape(num_classes, num_classes).astype(np.int64)


def per_class(confusion: ArrayLike, classes: Sequence[str]) -> tuple[ClassScores, ...]:
    """Precision, recall and F1 of each class, from the counts (K, K) of `confusion_matrix`.

    F1 = 2 TP / (2 TP + FP + FN): it is 0 for a class that occurs but is never predicted, and None only for a class
    that neither occurs nor is predicted.
    """
    counts = np.asarray(confusion)
    if counts.shape != (len(classes), len(classes)):
        raise UsageError(f"confusion: expected {len(classes)} x {len(classes)} counts, got shape {counts.shape}")
    right, predictions, truths = np.diag(counts), counts.sum(axis=0), counts.sum(axis=1)
    return tuple(
        class_scores(label, right=int(right[i]), predictions=int(predictions[i]), truths=int(truths[i]))
        for i, label in enumerate(classes)
    )


def class_scores(label: str, *, right: int, predictions: int, truths: int) -> ClassScores:
    """One class from three counts: right predictions (TP), all predictions (TP + FP), all truths (TP + FN)."""
    return ClassScores(
        label=label,
        support=truths,
        precision=ratio(right, predictions),
        recall=ratio(right, truths),
        f1=ratio(2 * right, predictions + truths),
    )


def macro_f1(scores: Sequence[ClassScores]) -> float | None:
    """Mean F1 over the classes that have one, each class weighing the same; None when no class has one."""
    defined = [score.f1 for score in scores if score.f1 is not None]
    return ratio(sum(defined), len(defined))


def ratio(part: float, whole: float) -> float | None:
    """part / whole, or None where nothing was counted."""
    return part / whole if whole else None


def wilson_interval(correct: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """The interval (low, high), 0 <= low <= high <= 1, that holds the true accuracy with the given confidence.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 1927. Unlike the textbook
    +-1.96 sigma it stays within 0..1 and keeps a width at 0 % and 100 %.
    """
    if total < 1 or not 0 <= correct <= total:
        raise UsageError(f"correct, total: expected 0 <= correct <= total and total >= 1, got {correct} of {total}")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence: expected a value between 0 and 1, got {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    low = 0.0 if correct == 0 else max(0.0, centre - half)  # exactly 0 and 1 at the ends, whatever rounding does
    high = 1.0 if correct == total else min(1.0, centre + half)
    return low, high

"""Several labels a picture: average precision of each label, and F1 at a threshold.

Shapes: N pictures, K labels. A truth is 1 where the label holds. Logits are what the network gives before sigmoid.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError
from convatlas.metrics.calibration import best_temperature, check_temperature
from convatlas.metrics.classification import ClassScores, class_scores, macro_f1, ratio
from convatlas.metrics.inputs import check_count, check_probabilities, check_scores, check_truths


class F1(NamedTuple):
    """F1 0..1: micro counts each decision once, macro each label once; None where there is nothing to count."""

    micro: float | None
    macro: float | None


def sigmoid(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities 1 / (1 + exp(-logits / temperature)) of the same shape (N, K). Stable for any finite logits."""
    return _sigmoid(check_scores(logits, "logits") / check_temperature(temperature))


def binary_cross_entropy(logits: ArrayLike, targets: ArrayLike, temperature: float = 1.0) -> float:
    """Mean over pictures and labels of -log p(truth), in nats, >= 0. logits and targets (N, K), targets 0 or 1."""
    return float(picture_cross_entropies(logits, targets, temperature).mean())


def picture_cross_entropies(logits: ArrayLike, targets: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Mean over the labels of -log p(truth) of each picture (N,), in nats, >= 0."""
    logits = check_scores(logits, "logits") / check_temperature(temperature)
    targets = check_truths(targets, logits.shape, "targets")
    losses: NDArray[np.float64] = np.logaddexp(0, np.where(targets, -logits, logits)).mean(axis=1)
    return losses


def average_precision(scores: ArrayLike, truths: ArrayLike) -> float | None:
    """Area 0..1 under the steps of the precision-recall curve; None without a true one.

    scores (N,), any scale, higher is surer; truths (N,), 0 or 1. The sum over distinct scores, falling, of the gain
    in recall times the precision there; equal scores are one step, so their order does not matter, as in
    scikit-learn's `average_precision_score`. Nothing is interpolated (VOC's 11 points and COCO's 101 differ).
    """
    column = check_scores(np.asarray(scores)[:, None])[:, 0]
    truths = check_truths(truths, column.shape)
    positives = int(truths.sum())
    if positives == 0:
        return None
    order = np.argsort(-column, kind="stable")
    last_of_tie = np.append(np.diff(column[order]) != 0, True)
    hits = np.cumsum(truths[order])[last_of_tie]
    given = np.flatnonzero(last_of_tie) + 1
    gain = np.diff(hits, prepend=0) / positives
    return float((gain * hits / given).sum())


def mean_average_precision(scores: ArrayLike, truths: ArrayLike) -> tuple[float | None, tuple[float | None, ...]]:
    """The mean over the labels that occur, and the average precision of each label, None for one that never occurs.

    scores and truths (N, K). The mean is None when no label occurs at all.
    """
    scores = check_scores(scores)
    truths = check_truths(truths, scores.shape)
    each = tuple(average_precision(scores[:, label], truths[:, label]) for label in range(scores.shape[1]))
    defined = [value for value in each if value is not None]
    return ratio(sum(defined), len(defined)), each


def per_label(
    probabilities: ArrayLike, truths: ArrayLike, threshold: float, labels: tuple[str, ...]
) -> tuple[ClassScores, ...]:
    """Precision, recall and F1 of each label, which is given where its probability reaches the threshold."""
    probabilities = check_probabilities(probabilities)
    truths = check_truths(truths, probabilities.shape)
    check_count(len(labels), probabilities.shape[1], "labels", "class")
    given = probabilities >= check_threshold(threshold)
    return tuple(
        class_scores(
            label,
            right=int((given[:, i] & truths[:, i]).sum()),
            predictions=int(given[:, i].sum()),
            truths=int(truths[:, i].sum()),
        )
        for i, label in enumerate(labels)
    )


def f1_at(probabilities: ArrayLike, truths: ArrayLike, threshold: float) -> F1:
    """Micro and macro F1 when a label is given where its probability reaches the threshold.

    probabilities (N, K), values 0..1; truths (N, K). A label that neither occurs nor is given is left out of macro.
    """
    probabilities = check_probabilities(probabilities)
    truths = check_truths(truths, probabilities.shape)
    given = probabilities >= check_threshold(threshold)
    labels = tuple(str(i) for i in range(probabilities.shape[1]))
    return F1(
        micro=ratio(2 * int((given & truths).sum()), int(given.sum()) + int(truths.sum())),
        macro=macro_f1(per_label(probabilities, truths, threshold, labels)),
    )


def fit_temperature_binary(logits: ArrayLike, targets: ArrayLike, low: float = 0.05, high: float = 20.0) -> float:
    """The temperature in low..high that minimises the binary cross-entropy of a validation set (N, K).

    As `calibration.fit_temperature`: 1.0 where every label is on its right side of zero, for then there is no
    minimum; otherwise the unique minimum, clipped to low..high.
    """
    logits = check_scores(logits, "logits")
    targets = check_truths(targets, logits.shape, "targets")
    if (np.where(targets, logits, -logits) >= 0).all():
        return 1.0

    def slope_and_curvature(inverse: float) -> tuple[float, float]:
        probabilities = _sigmoid(inverse * logits)
        slope = (probabilities - targets) * logits
        curvature = probabilities * (1 - probabilities) * logits**2
        return float(slope.mean()), float(curvature.mean())

    return best_temperature(slope_and_curvature, low, high)


def check_threshold(threshold: float) -> float:
    """The threshold itself; raises UsageError unless it lies in 0..1."""
    if not 0 <= threshold <= 1:
        raise UsageError(f"threshold: expected a probability in 0..1, got {threshold}")
    return threshold


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    # exp(-log(1 + exp(-z))) never overflows: logaddexp works on the larger of the two
    return np.exp(-np.logaddexp(0, -logits))

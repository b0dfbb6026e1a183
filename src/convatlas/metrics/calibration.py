"""May a probability be believed? Reliability, expected calibration error, and the temperature that mends both.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. https://arxiv.org/abs/1706.04599
Reliability and ECE: Section 2, equations 2, 3 and 5; temperature scaling: Section 4.2, equation 9.
Shapes: N pictures, K classes. Logits are what the network gives before softmax.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError
from convatlas.metrics.inputs import check_count, check_probabilities, check_scores, check_targets


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """The pictures whose highest probability lies in (low, high]; the means are None in an empty bin."""

    low: float
    high: float
    count: int
    confidence: float | None  # mean highest probability, 0..1
    accuracy: float | None  # share that is right, 0..1


def softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities (N, K) of logits (N, K) / temperature; each row sums to 1. Stable for any finite logits."""
    return np.exp(_log_softmax(check_scores(logits, "logits") / check_temperature(temperature)))


def negative_log_likelihood(logits: ArrayLike, targets: ArrayLike, temperature: float = 1.0) -> float:
    """Mean of -log p(true class), in nats, >= 0: cross-entropy. logits (N, K), targets (N,)."""
    return float(picture_losses(logits, targets, temperature).mean())


def picture_losses(logits: ArrayLike, targets: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """-log p(true class) of each picture (N,), in nats, >= 0. logits (N, K), targets (N,)."""
    logits, targets = _check_pair(logits, targets, "logits")
    log_probabilities = _log_softmax(logits / check_temperature(temperature))
    losses: NDArray[np.float64] = (
        -log_probabilities[np.arange(len(targets)), targets] + 0.0
    )  # + 0.0: never prints as -0
    return losses


def standard_error(values: NDArray[np.float64]) -> float:
    """Of the mean of N values: how far it lies by chance from that of all such values. 0 for a single one."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def reliability(probabilities: ArrayLike, targets: ArrayLike, bins: int = 15) -> tuple[ReliabilityBin, ...]:
    """Mean confidence and accuracy of the pictures in each of `bins` equal bins of confidence.

    probabilities (N, K), values 0..1; targets (N,). A picture's confidence is its highest probability; a confidence
    on an edge belongs to the lower bin, and 0 to the first.
    """
    probabilities, targets = _check_pair(check_probabilities(probabilities), targets, "probabilities")
    if bins < 1:
        raise UsageError(f"bins: expected at least 1, got {bins}")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], confidence, side="left")
    found = []
    for index in range(bins):
        inside = place == index
        count = int(inside.sum())
        found.append(
            ReliabilityBin(
                low=float(edges[index]),
                high=float(edges[index + 1]),
                count=count,
                confidence=float(confidence[inside].mean()) if count else None,
                accuracy=float(right[inside].mean()) if count else None,
            )
        )
    return tuple(found)


def expected_calibration_error(probabilities: ArrayLike, targets: ArrayLike, bins: int = 15) -> float:
    """Mean distance 0..1 between confidence and accuracy, each bin weighing as many pictures as it holds."""
    return calibration_gap(reliability(probabilities, targets, bins))


def calibration_gap(bins: tuple[ReliabilityBin, ...]) -> float:
    """The expected calibration error of bins that `reliability` made."""
    total = sum(one.count for one in bins)
    gap = 0.0
    for one in bins:
        if one.accuracy is not None and one.confidence is not None:
            gap += one.count * abs(one.accuracy - one.confidence)
    return gap / total


def fit_temperature(logits: ArrayLike, targets: ArrayLike, low: float = 0.05, high: float = 20.0) -> float:
    """The temperature in low..high that minimises the negative log likelihood of a validation set.

    logits (N, K), targets (N,). A set on which every picture is right has no minimum: the likelihood grows without
    end as the temperature falls, and a set without a mistake cannot say how often the network errs. The answer is
    then 1.0, the probabilities as trained. With a mistake the minimum is unique, and is clipped to low..high.
    """
    logits, targets = _check_pair(logits, targets, "logits")
    true_logit = logits[np.arange(len(targets)), targets]
    if (true_logit >= logits.max(axis=1)).all():
        return 1.0

    def slope_and_curvature(inverse: float) -> tuple[float, float]:
        # of the mean of logsumexp(b z) - b z_true by b: E[z] - z_true and Var[z], both under softmax(b z)
        probabilities = np.exp(_log_softmax(inverse * logits))
        mean = (probabilities * logits).sum(axis=1)
        variance = (probabilities * (logits - mean[:, None]) ** 2).sum(axis=1)
        return float((mean - true_logit).mean()), float(variance.mean())

    return best_temperature(slope_and_curvature, low, high)


def best_temperature(slope_and_curvature: Callable[[float], tuple[float, float]], low: float, high: float) -> float:
    """The temperature in low..high at which a loss that is convex in b = 1 / temperature is least.

    `slope_and_curvature(b)` gives the loss's first and second derivative by b. Newton's steps, with bisection
    wherever a step would leave the interval that is known to hold the minimum.
    """
    if not 0 < low < high:
        raise UsageError(f"low, high: expected 0 < low < high, got {low} and {high}")
    left, right = 1 / high, 1 / low
    if slope_and_curvature(left)[0] >= 0:
        return high
    if slope_and_curvature(right)[0] <= 0:
        return low
    inverse = min(max(1.0, left), right)
    for _ in range(200):
        slope, curvature = slope_and_curvature(inverse)
        if slope < 0:
            left = inverse
        else:
            right = inverse
        newton = inverse - slope / curvature if curvature > 0 else np.inf
        following = newton if left <= newton <= right else (left + right) / 2
        if abs(following - inverse) <= 1e-9 * inverse:
            break
        inverse = following
    return 1 / inverse


def check_temperature(temperature: float) -> float:
    """The temperature itself; raises UsageError unless it is finite and above 0."""
    if not (np.isfinite(temperature) and temperature > 0):
        raise UsageError(f"temperature: expected a finite number above 0, got {temperature}")
    return temperature


def _log_softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probabilities: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_probabilities


def _check_pair(scores: ArrayLike, targets: ArrayLike, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    scores = check_scores(scores, name)
    targets = check_targets(targets, scores.shape[1])
    check_count(len(targets), len(scores), "targets", "picture")
    return scores, targets

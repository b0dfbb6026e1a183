"""One answer from several views of a picture: the mean of their probabilities.

Shapes: V views, K classes. The mean is given as logits, so that every measure of `metrics.summary` takes it, at
temperature 1: the temperature of the views is in it already.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.metrics.calibration import check_temperature
from convatlas.metrics.inputs import check_scores


def mean_softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Logits (V, K) -> (K,) whose softmax is the mean of softmax(logits / temperature). Finite for any float32 logits.

    Raises UsageError when there is no view, or a value is not finite.
    """
    scores = check_scores(logits, "logits") / check_temperature(temperature)
    return _log_mean(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))


def mean_sigmoid(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Logits (V, K) -> (K,) whose sigmoid is the mean of sigmoid(logits / temperature). Finite for any float32 logits.

    Raises UsageError when there is no view, or a value is not finite.
    """
    scores = check_scores(logits, "logits") / check_temperature(temperature)
    yes, no = -np.logaddexp(0, -scores), -np.logaddexp(0, scores)
    return _log_mean(yes) - _log_mean(no)


def _log_mean(logarithms: NDArray[np.float64]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.logaddexp.reduce(logarithms, axis=0) - np.log(len(logarithms))
    return mean

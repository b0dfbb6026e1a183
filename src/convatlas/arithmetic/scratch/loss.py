"""Softmax and cross-entropy: from scores to probabilities, and how wrong they are.

    p[k] = exp(z[k]) / sum over j of exp(z[j])        loss = - mean over pictures of log p[target]

Backwards, softmax alone: dp[k] / dz[j] = p[k] ((k = j) - p[j]), so dL/dz = p * (g - sum of g * p).
With cross-entropy nearly all of it cancels, and what is left is the error itself:

    dL/dz = (p - onehot(target)) / N
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.arithmetic.scratch.checks import Array, floats, shaped
from convatlas.errors import UsageError


def softmax(z: ArrayLike) -> Array:
    """Scores (N, K) -> probabilities (N, K); each row sums to 1."""
    z = floats("z", z, axes=2)
    powers = np.exp(z - z.max(axis=1, keepdims=True))  # the largest is exp(0): nothing overflows, and p is the same
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def softmax_backward(grad: ArrayLike, p: ArrayLike) -> Array:
    """dL/dp (N, K) and the probabilities (N, K) -> dL/dz (N, K)."""
    p = floats("p", p, axes=2)
    grad = shaped("grad", grad, p.shape)
    return np.asarray(p * (grad - (grad * p).sum(axis=1, keepdims=True)))


class CrossEntropy(NamedTuple):
    """The mean loss in nats, and the probabilities (N, K) that it came from."""

    loss: float
    p: Array


def cross_entropy(z: ArrayLike, targets: ArrayLike) -> CrossEntropy:
    """Scores (N, K) and targets (N,) within 0..K-1 -> the mean loss; log K for a network that knows nothing.

    Raises UsageError for targets that are no classes.
    """
    z = floats("z", z, axes=2)
    which = _classes(targets, z.shape)
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))  # log of p, not of a p that became 0
    return CrossEntropy(float(-log_p[np.arange(len(z)), which].mean()), np.exp(log_p))


def cross_entropy_backward(p: ArrayLike, targets: ArrayLike) -> Array:
    """Probabilities (N, K) and targets (N,) -> dL/dz (N, K)."""
    p = floats("p", p, axes=2)
    d_z = p.copy()
    d_z[np.arange(len(p)), _classes(targets, p.shape)] -= 1
    return d_z / p.dtype.type(len(p))


def _classes(targets: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.int64]:
    which = np.asarray(targets)
    pictures, classes = shape
    right = which.shape == (pictures,) and which.dtype.kind in "iu" and pictures > 0
    if not right or not 0 <= which.min() <= which.max() < classes:
        raise UsageError(f"targets must be {pictures} whole numbers within 0..{classes - 1}, one a row of scores")
    return which.astype(np.int64)

"""Batch normalisation: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, Algorithms 1 and 2.

For each channel, over all m = N * pixels numbers of the batch:

    mean = sum x / m        variance = sum (x - mean)^2 / m
    xhat = (x - mean) / sqrt(variance + epsilon)
    y    = gamma xhat + beta

In use there may be one picture, so mean and variance are then running averages, kept while training. Their variance is
the unbiased one, divided by m - 1. gamma and beta are learned: 2 C parameters; the averages are 2 C more numbers.

Backwards, mean and variance depend on each x too. With g = dL/dy:

    dL/dbeta = sum g        dL/dgamma = sum g xhat
    dL/dx = gamma / sqrt(variance + epsilon) * (g - dL/dbeta / m - xhat dL/dgamma / m)

The two terms taken away are the gradient's own mean and its share along xhat: what would only have moved all x together
or scaled them together is gone, for the normalisation would have undone it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.scratch.checks import Array, floats, shaped
from convatlas.errors import UsageError


class Normalised(NamedTuple):
    """`y` and `xhat` (N, C, *size), and of each channel (C,) the batch's mean and (biased) variance."""

    y: Array
    xhat: Array
    mean: Array
    variance: Array


def batch_norm(x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, *, epsilon: float = 1e-5) -> Normalised:
    """In training: (N, C, *size), gamma (C,), beta (C,) -> normalised by the batch itself.

    Raises UsageError for shapes that do not fit, and for a single number a channel, which has no variance.
    """
    x = floats("x", x, at_least=2)
    if x.size < 2 * x.shape[1]:
        raise UsageError(f"x: batch normalisation needs two numbers or more a channel, got the shape {x.shape}")
    axes = _all_but_channels(x)
    mean, variance = x.mean(axis=axes), x.var(axis=axes)
    xhat = (x - _wide(mean, x)) / np.sqrt(_wide(variance, x) + _epsilon(epsilon))
    return Normalised(_scaled(xhat, gamma, beta), xhat, mean, variance)


class NormGradients(NamedTuple):
    """Of the loss with respect to input (N, C, *size), gamma (C,) and beta (C,)."""

    x: Array
    gamma: Array
    beta: Array


def batch_norm_backward(
    grad: ArrayLike, normalised: Normalised, gamma: ArrayLike, *, epsilon: float = 1e-5
) -> NormGradients:
    """In training: dL/dy (N, C, *size), and what the forward pass gave -> dL/dx, dL/dgamma, dL/dbeta."""
    xhat = normalised.xhat
    grad = shaped("grad", grad, xhat.shape)
    gamma = shaped("gamma", gamma, xhat.shape[1:2])
    axes = _all_but_channels(xhat)
    d_beta, d_gamma = grad.sum(axis=axes), (grad * xhat).sum(axis=axes)
    m = xhat.dtype.type(xhat.size // xhat.shape[1])
    scale = gamma / np.sqrt(normalised.variance + _epsilon(epsilon))
    d_x = _wide(scale, grad) * (grad - _wide(d_beta / m, grad) - xhat * _wide(d_gamma / m, grad))
    return NormGradients(d_x, d_gamma, d_beta)


class Averages(NamedTuple):
    """The running mean (C,) and unbiased variance (C,) of each channel."""

    mean: Array
    variance: Array


def update(averages: Averages, normalised: Normalised, *, momentum: float = 0.1) -> Averages:
    """The averages after one more batch: (1 - momentum) * old + momentum * new. They start as 0 and 1."""
    if not 0 <= momentum <= 1:
        raise UsageError(f"momentum must lie within 0..1, not {momentum!r}")
    m = normalised.xhat.size // normalised.xhat.shape[1]
    return Averages(
        (1 - momentum) * averages.mean + momentum * normalised.mean,
        (1 - momentum) * averages.variance + momentum * normalised.variance * m / (m - 1),
    )


def batch_norm_in_use(
    x: ArrayLike, gamma: ArrayLike, beta: ArrayLike, averages: Averages, *, epsilon: float = 1e-5
) -> Array:
    """(N, C, *size) -> the same shape, normalised by the averages: each picture by itself."""
    x = floats("x", x, at_least=2)
    mean, variance = (shaped(name, one, x.shape[1:2]) for name, one in averages._asdict().items())
    xhat = (x - _wide(mean, x)) / np.sqrt(_wide(variance, x) + _epsilon(epsilon))
    return _scaled(xhat, gamma, beta)


def batch_norm_in_use_backward(
    grad: ArrayLike, x: ArrayLike, gamma: ArrayLike, averages: Averages, *, epsilon: float = 1e-5
) -> NormGradients:
    """dL/dy (N, C, *size) -> dL/dx, dL/dgamma, dL/dbeta when the averages are constants, as in fine-tuning.

    Then y is a straight line of x, and gamma / sqrt(variance + epsilon) its slope.
    """
    x = floats("x", x, at_least=2)
    grad, gamma = shaped("grad", grad, x.shape), shaped("gamma", gamma, x.shape[1:2])
    deviation = np.sqrt(shaped("variance", averages.variance, x.shape[1:2]) + _epsilon(epsilon))
    xhat = (x - _wide(shaped("mean", averages.mean, x.shape[1:2]), x)) / _wide(deviation, x)
    axes = _all_but_channels(x)
    return NormGradients(grad * _wide(gamma / deviation, x), (grad * xhat).sum(axis=axes), grad.sum(axis=axes))


def _scaled(xhat: Array, gamma: ArrayLike, beta: ArrayLike) -> Array:
    channels = xhat.shape[1:2]
    return _wide(shaped("gamma", gamma, channels), xhat) * xhat + _wide(shaped("beta", beta, channels), xhat)


def _all_but_channels(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _wide(values: Array, x: Array) -> Array:
    """(C,) -> (C, 1, ...), to stand beside (N, C, *size)."""
    return values.reshape(-1, *(1 for _ in x.shape[2:]))


def _epsilon(epsilon: float) -> float:
    if not epsilon > 0:
        raise UsageError(f"epsilon must be above 0, not {epsilon!r}")
    return epsilon

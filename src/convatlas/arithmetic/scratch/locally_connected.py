"""Locally connected layer: a convolution whose weights are not shared, a filter of its own for each place.

    y[n, k, p] = bias[k, p] + sum over c, a of x[n, c, stride * p + dilation * a - padding] * weight[p, k, c, a]

It fits where each place of the picture holds its own thing, as on aligned faces (DeepFace), and costs `places` times
the weights of a convolution: places * (taps * C + 1) * K with biases.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.axes import PerAxis
from convatlas.arithmetic.scratch.checks import Array, floats, shaped
from convatlas.arithmetic.scratch.im2col import col2im, im2col
from convatlas.arithmetic.scratch.window import Window, window
from convatlas.errors import UsageError


def locally_connected(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> Array:
    """(N, C, *size), filters (*out, K, C, *kernel), biases (K, *out) -> (N, K, *out).

    Raises UsageError, naming what does not fit.
    """
    x, weight, at, out = _operands(x, weight, stride, padding, dilation)
    y: Array = np.einsum("pkt,ntp->nkp", _by_place(weight, out), im2col(x, at)).reshape(len(x), -1, *out)
    return y if bias is None else y + shaped("bias", bias, y.shape[1:])


class LocalGradients(NamedTuple):
    """Of the loss with respect to input (N, C, *size), filters (*out, K, C, *kernel) and biases (K, *out)."""

    x: Array
    weight: Array
    bias: Array


def locally_connected_backward(
    grad: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> LocalGradients:
    """dL/dy (N, K, *out), and what the forward pass was given -> dL/dx, dL/dweight, dL/dbias.

    As for a convolution, but a weight has a hand in one place alone: its gradient is not summed over places.
    """
    x, weight, at, out = _operands(x, weight, stride, padding, dilation)
    grad = shaped("grad", grad, (len(x), weight.shape[len(out)], *out))
    g = grad.reshape(*grad.shape[:2], -1)
    d_weight = np.einsum("nkp,ntp->pkt", g, im2col(x, at)).reshape(weight.shape)
    d_x = col2im(np.einsum("pkt,nkp->ntp", _by_place(weight, out), g), at, x.shape[2:])
    return LocalGradients(d_x, d_weight, grad.sum(axis=0))


def _by_place(weight: Array, out: tuple[int, ...]) -> Array:
    """(*out, K, C, *kernel) -> (places, K, C * taps)."""
    return weight.reshape(int(np.prod(out)), weight.shape[len(out)], -1)


def _operands(
    x: ArrayLike, weight: ArrayLike, stride: PerAxis, padding: PerAxis, dilation: PerAxis
) -> tuple[Array, Array, Window, tuple[int, ...]]:
    x = floats("x", x, at_least=3)
    axes = x.ndim - 2
    weight = floats("weight", weight, axes=2 * axes + 2)
    at = window(weight.shape[axes + 2 :], stride=stride, padding=padding, dilation=dilation)
    out = at.out(x.shape[2:])
    if weight.shape[:axes] != out:
        raise UsageError(f"weight: it has filters for {weight.shape[:axes]} places, but the output has {out}")
    if weight.shape[axes + 1] != x.shape[1]:
        raise UsageError(f"weight: its filters see {weight.shape[axes + 1]} channels, but x has {x.shape[1]}")
    return x, weight, at, out

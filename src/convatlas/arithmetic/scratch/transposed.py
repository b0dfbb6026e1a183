"""Transposed convolution: each number of the input stamps a kernel into the output, and where stamps overlap they add.

    y[n, k, stride * p + dilation * a - padding] += x[n, c, p] * weight[c, k, a]

Nothing is undone by it ("deconvolution" is a misnomer): it goes the way of a convolution backwards in *shape* only. As
matrices, if convolution is T then this is T^T. So its forward pass is a convolution's backward pass, and the reverse:

    y         = input_gradient of a convolution whose output gradient is x
    dL/dx     = convolve(dL/dy, weight)
    dL/dweight = weight_gradient with the input and the gradient exchanged

It draws larger pictures from smaller ones, with weights that are learned: decoders and U-Net.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.axes import PerAxis, per_axis, whole
from convatlas.arithmetic.scratch.checks import Array, floats, shaped
from convatlas.arithmetic.scratch.convolution import convolve
from convatlas.arithmetic.scratch.gradients import weight_gradient
from convatlas.arithmetic.scratch.window import Window, window
from convatlas.errors import UsageError


def transpose_convolve(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """(N, C, *size), filters (C, K / groups, *kernel), biases (K,) -> (N, K, *out).

    out = (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 + output_padding. With a stride, convolutions
    of several sizes end at one size; output_padding says which of them to come back to. It must be below the stride or
    the dilation, as in torch.
    Raises UsageError, naming what does not fit.
    """
    x, weight = floats("x", x, at_least=3), floats("weight", weight, at_least=3)
    at, out = _geometry(x, weight, stride, padding, output_padding, dilation, groups)
    x, filters = _filled_up(x, at.out(out)), weight.shape[1] * groups
    stamps = [
        np.einsum("ncp,cka->nkpa", share.reshape(*share.shape[:2], -1), kernels.reshape(*kernels.shape[:2], -1))
        for share, kernels in zip(np.split(x, groups, axis=1), np.split(weight, groups), strict=True)
    ]
    windows = np.concatenate(stamps, axis=1).reshape(len(x), filters, *x.shape[2:], *at.kernel)
    y = at.put_back(windows, out)
    return y if bias is None else y + shaped("bias", bias, (filters,)).reshape(-1, *(1 for _ in out))


class TransposedGradients(NamedTuple):
    """Of the loss with respect to input (N, C, *size), filters (C, K / groups, *kernel) and biases (K,)."""

    x: Array
    weight: Array
    bias: Array


def transpose_convolve_backward(
    grad: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> TransposedGradients:
    """dL/dy (N, K, *out), and what the forward pass was given -> dL/dx, dL/dweight, dL/dbias."""
    x, weight = floats("x", x, at_least=3), floats("weight", weight, at_least=3)
    at, out = _geometry(x, weight, stride, padding, output_padding, dilation, groups)
    grad = shaped("grad", grad, (len(x), weight.shape[1] * groups, *out))
    # `weight` has the layout of a convolution from K to C channels: filters first.
    d_x = convolve(grad, weight, stride=at.stride, padding=at.padding, dilation=at.dilation, groups=groups)
    d_x = d_x[(slice(None), slice(None), *map(slice, x.shape[2:]))]  # the rest is of zeros that nobody gave
    d_weight = weight_gradient(
        _filled_up(x, at.out(out)),
        grad,
        at.kernel,
        stride=at.stride,
        padding=at.padding,
        dilation=at.dilation,
        groups=groups,
    )
    return TransposedGradients(d_x, d_weight, grad.sum(axis=(0, *range(2, grad.ndim))))


def _filled_up(x: Array, places: tuple[int, ...]) -> Array:
    """(N, C, *size) -> (N, C, *places): zeros after the end, which stamp nothing.

    Only an output_padding of a stride or more leaves room for windows that no number of x belongs to.
    """
    return np.pad(x, [(0, 0), (0, 0), *((0, more - n) for more, n in zip(places, x.shape[2:], strict=True))])


def _geometry(
    x: Array,
    weight: Array,
    stride: PerAxis,
    padding: PerAxis,
    output_padding: PerAxis,
    dilation: PerAxis,
    groups: int,
) -> tuple[Window, tuple[int, ...]]:
    """The convolution that this one is the transpose of, and the size of the output."""
    axes = x.ndim - 2
    weight = floats("weight", weight, axes=x.ndim)
    groups = whole("groups", groups, least=1)
    if len(weight) != x.shape[1]:
        raise UsageError(f"weight: it has filters for {len(weight)} channels, but x has {x.shape[1]}")
    if x.shape[1] == 0 or x.shape[1] % groups:
        raise UsageError(f"groups: {groups} does not divide the {x.shape[1]} channels of x")
    at = window(weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    extra = per_axis("output_padding", output_padding, axes, least=0)
    if any(e >= max(s, d) for e, s, d in zip(extra, at.stride, at.dilation, strict=True)):
        raise UsageError(
            f"output_padding: {output_padding!r} must be below the stride, {at.stride}, or the dilation, {at.dilation}"
        )
    out = _size(x.shape[2:], at, extra)
    if min(out) < 1:
        raise UsageError(f"padding: {padding!r} leaves no output: its size would be {out}")
    return at, out


def _size(size: Sequence[int], at: Window, extra: tuple[int, ...]) -> tuple[int, ...]:
    numbers = zip(size, at.stride, at.padding, at.extent, extra, strict=True)
    return tuple((n - 1) * s - 2 * p + extent + e for n, s, p, extent, e in numbers)

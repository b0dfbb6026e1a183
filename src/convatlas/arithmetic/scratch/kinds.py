"""The kinds of convolution that networks are built of: each is `convolve` with some of its weights left out or shared.

What a layer from C to K channels with k x k taps has in weights, where kind and full convolution differ:

    full                  k k C K
    1x1, pointwise        C K                     mixes channels, sees one pixel
    grouped, g groups     k k C K / g             each share of the channels by itself
    depthwise             k k C M                 grouped with g = C: M filters for each channel, K = C M
    depthwise separable   k k C + C K             depthwise, then 1x1: space and channels one after the other
    spatially separable   (k + k) for k k         a column, then a row: only where the kernel is their product
    dilated               k k C K                 the taps lie apart: it sees further for the same weights

Backwards each is `im2col.convolve_backward` again: with the same groups or dilation for the grouped and the dilated
one, and below for those whose weights have another shape. Of two layers in a row the second comes first.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.axes import PerAxis
from convatlas.arithmetic.scratch.checks import Array, floats, shaped
from convatlas.arithmetic.scratch.convolution import convolve
from convatlas.arithmetic.scratch.gradients import spread
from convatlas.arithmetic.scratch.im2col import ConvolutionGradients, convolve_backward
from convatlas.errors import UsageError


def pointwise(x: ArrayLike, weight: ArrayLike, bias: ArrayLike | None = None) -> Array:
    """The 1x1 convolution: (N, C, *size), weights (K, C), biases (K,) -> (N, K, *size).

    A dense layer that all pixels share: the dot product runs over the channels of one pixel.
    """
    x, weight = floats("x", x, at_least=3), floats("weight", weight, axes=2)
    if weight.shape[1] != x.shape[1]:
        raise UsageError(f"weight: it mixes {weight.shape[1]} channels, but x has {x.shape[1]}")
    y: Array = np.einsum("kc,nc...->nk...", weight, x)
    return y if bias is None else y + shaped("bias", bias, (len(weight),)).reshape(-1, *(1 for _ in x.shape[2:]))


def pointwise_backward(grad: ArrayLike, x: ArrayLike, weight: ArrayLike) -> ConvolutionGradients:
    """dL/dy (N, K, *size), and what the forward pass was given -> dL/dx, dL/dweight (K, C), dL/dbias (K,)."""
    x, weight = floats("x", x, at_least=3), floats("weight", weight, axes=2)
    d_x, d_weight, d_bias = convolve_backward(grad, x, weight.reshape(*weight.shape, *(1 for _ in x.shape[2:])))
    return ConvolutionGradients(d_x, d_weight.reshape(weight.shape), d_bias)


def grouped(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    groups: int,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> Array:
    """(N, C, *size), filters (K, C / groups, *kernel) -> (N, K, *out): `groups` convolutions side by side.

    AlexNet had two because it had two graphics cards; ResNeXt and ShuffleNet save work by it.
    """
    return convolve(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)


def depthwise(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> Array:
    """(N, C, *size), filters (C, M, *kernel), biases (C * M,) -> (N, C * M, *out): M filters for each channel alone.

    M is the depth multiplier, mostly 1. Channel c gives the maps c M to c M + M - 1. Nothing is summed over channels.
    """
    x = floats("x", x, at_least=3)
    weight = floats("weight", weight, axes=x.ndim)
    channels, multiplier = weight.shape[:2]
    if channels != x.shape[1]:
        raise UsageError(f"weight: it has filters for {channels} channels, but x has {x.shape[1]}")
    filters = weight.reshape(channels * multiplier, 1, *weight.shape[2:])
    return convolve(x, filters, bias, stride=stride, padding=padding, dilation=dilation, groups=channels)


def depthwise_backward(
    grad: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> ConvolutionGradients:
    """dL/dy (N, C * M, *out), and what the forward pass was given -> dL/dx, dL/dweight (C, M, *kernel), dL/dbias.

    A channel of x receives from its own M maps alone, and a filter learns from its own channel alone.
    """
    x = floats("x", x, at_least=3)
    weight = floats("weight", weight, axes=x.ndim)
    filters = weight.reshape(-1, 1, *weight.shape[2:])
    groups = x.shape[1]
    d_x, d_weight, d_bias = convolve_backward(
        grad, x, filters, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    return ConvolutionGradients(d_x, d_weight.reshape(weight.shape), d_bias)


def depthwise_separable(
    x: ArrayLike,
    depth: ArrayLike,
    point: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> Array:
    """(N, C, *size), `depth` (C, M, *kernel), `point` (K, C * M), biases (K,) -> (N, K, *out).

    Equal to one full convolution with filters weight[k, c] = sum over m of point[k, c M + m] depth[c, m]: of all full
    convolutions it can be only those whose filters look alike at each channel, but for a factor.
    """
    return pointwise(depthwise(x, depth, stride=stride, padding=padding, dilation=dilation), point, bias)


class SeparableGradients(NamedTuple):
    """Of the loss with respect to input (N, C, *size), `depth` (C, M, *kernel), `point` (K, C * M), biases (K,)."""

    x: Array
    depth: Array
    point: Array
    bias: Array


def depthwise_separable_backward(
    grad: ArrayLike,
    x: ArrayLike,
    depth: ArrayLike,
    point: ArrayLike,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> SeparableGradients:
    """dL/dy (N, K, *out), and what the forward pass was given -> dL/dx, dL/ddepth, dL/dpoint, dL/dbias."""
    between = depthwise(x, depth, stride=stride, padding=padding, dilation=dilation)
    second = pointwise_backward(grad, between, point)
    first = depthwise_backward(second.x, x, depth, stride=stride, padding=padding, dilation=dilation)
    return SeparableGradients(first.x, first.weight, second.weight, second.bias)


def spatially_separable(
    x: ArrayLike,
    column: ArrayLike,
    row: ArrayLike,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
) -> Array:
    """(N, C, H, W), `column` (kh,), `row` (kw,) -> (N, C, H', W'): both filter each channel alike.

    Equal to filtering with the kernel column[:, None] * row: kh + kw products for each place in place of kh * kw.
    """
    x, columns, rows = _tiled(x, column, row)
    between = depthwise(x, columns, stride=(stride[0], 1), padding=(padding[0], 0))
    return depthwise(between, rows, stride=(1, stride[1]), padding=(0, padding[1]))


class SpatialGradients(NamedTuple):
    """Of the loss with respect to input (N, C, H, W), `column` (kh,) and `row` (kw,)."""

    x: Array
    column: Array
    row: Array


def spatially_separable_backward(
    grad: ArrayLike,
    x: ArrayLike,
    column: ArrayLike,
    row: ArrayLike,
    *,
    stride: tuple[int, int] = (1, 1),
    padding: tuple[int, int] = (0, 0),
) -> SpatialGradients:
    """dL/dy (N, C, H', W'), and what the forward pass was given -> dL/dx, dL/dcolumn, dL/drow.

    All channels share column and row, so their gradients are sums over the channels.
    """
    x, columns, rows = _tiled(x, column, row)
    down, along = (
        {"stride": (stride[0], 1), "padding": (padding[0], 0)},
        {"stride": (1, stride[1]), "padding": (0, padding[1])},
    )
    second = depthwise_backward(grad, depthwise(x, columns, **down), rows, **along)
    first = depthwise_backward(second.x, x, columns, **down)
    return SpatialGradients(first.x, first.weight.sum(axis=(0, 1, 3)), second.weight.sum(axis=(0, 1, 2)))


def _tiled(x: ArrayLike, column: ArrayLike, row: ArrayLike) -> tuple[Array, Array, Array]:
    """x (N, C, H, W), and a depthwise filter for each channel: (C, 1, kh, 1) and (C, 1, 1, kw), all alike."""
    x = floats("x", x, axes=4)
    down, along = floats("column", column, axes=1), floats("row", row, axes=1)
    return x, np.tile(down.reshape(-1, 1), (x.shape[1], 1, 1, 1)), np.tile(along, (x.shape[1], 1, 1, 1))


class Factors(NamedTuple):
    """A column (kh,) and a row (kw,) whose product is a kernel."""

    column: Array
    row: Array


def separate(kernel: ArrayLike) -> Factors:
    """A kernel (kh, kw) of rank 1 as a column times a row; UsageError for all others, which have no such form.

    By singular values: a matrix is a sum of such products, and of rank 1 when all but the first of them vanish.
    """
    kernel = floats("kernel", kernel, axes=2)
    left, values, right = np.linalg.svd(kernel.astype(np.float64))
    rounding = 8 * max(kernel.shape) * np.finfo(kernel.dtype).eps * values[0]
    if len(values) > 1 and values[1] > rounding:
        raise UsageError("kernel: its rows are not multiples of one row, so it is not a column times a row")
    root = np.sqrt(values[0])
    sign = 1.0 if left[np.argmax(np.abs(left[:, 0])), 0] >= 0 else -1.0
    return Factors(sign * root * left[:, 0], sign * root * right[0])


def dilated(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    dilation: PerAxis,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    groups: int = 1,
) -> Array:
    """(N, C, *size), filters (K, C / groups, *kernel) -> (N, K, *out), by a kernel with zeros between its taps.

    So written it says what dilation means; `convolve(dilation=...)` gives the same without multiplying by zeros.
    """
    return convolve(x, spread(weight, dilation), bias, stride=stride, padding=padding, groups=groups)

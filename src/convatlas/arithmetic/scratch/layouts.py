"""NCHW and NHWC: two orders of the same numbers in memory.

Number (n, c, y, x) of N pictures with C channels of H x W pixels lies at

    NCHW, "channels first":  ((n * C + c) * H + y) * W + x        a map after the other
    NHWC, "channels last":   ((n * H + y) * W + x) * C + c        a pixel after the other, all its channels together

A loop is quick when it reads neighbours in memory: along x in the first, along c in the second. A convolution sums over
channels, so channels last suits matrix units; pictures on disk are channels last too. The numbers are the same.
Filters are (K, C, kh, kw), "OIHW", beside NCHW, and (kh, kw, C, K), "HWIO", beside NHWC.
"""

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.axes import PerAxis
from convatlas.arithmetic.scratch.checks import Array, floats, shaped
from convatlas.arithmetic.scratch.im2col import ConvolutionGradients
from convatlas.arithmetic.scratch.window import Window, window
from convatlas.errors import UsageError


def to_nhwc(x: ArrayLike) -> Array:
    """(N, C, H, W) -> (N, H, W, C), written anew in that order."""
    return np.ascontiguousarray(np.transpose(floats("x", x, axes=4), (0, 2, 3, 1)))


def to_nchw(x: ArrayLike) -> Array:
    """(N, H, W, C) -> (N, C, H, W), written anew in that order."""
    return np.ascontiguousarray(np.transpose(floats("x", x, axes=4), (0, 3, 1, 2)))


def to_hwio(weight: ArrayLike) -> Array:
    """Filters (K, C, kh, kw) -> (kh, kw, C, K), written anew in that order."""
    return np.ascontiguousarray(np.transpose(floats("weight", weight, axes=4), (2, 3, 1, 0)))


def to_oihw(weight: ArrayLike) -> Array:
    """Filters (kh, kw, C, K) -> (K, C, kh, kw), written anew in that order."""
    return np.ascontiguousarray(np.transpose(floats("weight", weight, axes=4), (3, 2, 0, 1)))


def convolve_nhwc(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> Array:
    """(N, H, W, C), filters (kh, kw, C, K), biases (K,) -> (N, H', W', K): im2col with a row for each place.

    Rows (N * places, kh * kw * C) @ filters (kh * kw * C, K): one product for all pictures, and what each row copies
    lies together in memory. Raises UsageError, naming what does not fit.
    """
    x, weight, at = _operands(x, weight, stride, padding, dilation)
    filters = weight.shape[3]
    y = (_rows(x, at) @ weight.reshape(-1, filters)).reshape(len(x), *at.out(x.shape[1:3]), filters)
    return y if bias is None else y + shaped("bias", bias, (filters,))


def convolve_nhwc_backward(
    grad: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> ConvolutionGradients:
    """dL/dy (N, H', W', K), and what the forward pass was given -> dL/dx, dL/dweight (kh, kw, C, K), dL/dbias (K,).

    The gradients of any product of matrices: rows^T @ G for the filters, and G @ filters^T for the rows, each number of
    which goes back to the place of the picture that it was copied from.
    """
    x, weight, at = _operands(x, weight, stride, padding, dilation)
    out, (*kernel, seen, filters) = at.out(x.shape[1:3]), weight.shape
    g = shaped("grad", grad, (len(x), *out, filters)).reshape(-1, filters)
    d_rows = (g @ weight.reshape(-1, filters).T).reshape(len(x), *out, *kernel, seen)
    d_x = at.put_back(np.transpose(d_rows, (0, 5, 1, 2, 3, 4)), x.shape[1:3])
    return ConvolutionGradients(to_nhwc(d_x), (_rows(x, at).T @ g).reshape(weight.shape), g.sum(axis=0))


def _rows(x: Array, at: Window) -> Array:
    """(N, H, W, C) -> (N * places, kh * kw * C): what each window sees."""
    windows = at.cut(np.transpose(x, (0, 3, 1, 2)))  # a view: (N, C, H', W', kh, kw)
    return np.transpose(windows, (0, 2, 3, 4, 5, 1)).reshape(-1, x.shape[3] * at.kernel[0] * at.kernel[1])


def _operands(
    x: ArrayLike, weight: ArrayLike, stride: PerAxis, padding: PerAxis, dilation: PerAxis
) -> tuple[Array, Array, Window]:
    x, weight = floats("x", x, axes=4), floats("weight", weight, axes=4)
    if weight.shape[2] != x.shape[3]:
        raise UsageError(f"weight: its filters see {weight.shape[2]} channels, but x has {x.shape[3]}")
    return x, weight, window(weight.shape[:2], stride=stride, padding=padding, dilation=dilation)

"""Convolution as one product of matrices, the quick way: `im2col` writes what each window sees into a column.

    columns = im2col(x)                   (N, C * taps, places)
    y       = W @ columns + bias          (K, C * taps) @ (N, C * taps, places) -> (N, K, places)

where W is the filters, each flattened into a row: the dot product of a filter with the chunk of the picture under it is
the dot product of two vectors. A number of the picture is written once for each window that sees it, so the columns are
up to `taps` times larger than the picture: memory is paid for speed.

Backwards (G = dL/dy, flattened to (N, K, places); the derivation is that of any product of matrices):

    dL/dW       = sum over n of G @ columns^T        (K, C * taps)
    dL/dcolumns = W^T @ G, and col2im adds each number to the place of the picture that it was copied from
    dL/dbias    = sum of G over pictures and places
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.axes import PerAxis
from convatlas.arithmetic.scratch.checks import Array, shaped
from convatlas.arithmetic.scratch.convolution import operands
from convatlas.arithmetic.scratch.window import Window


def im2col(x: Array, at: Window) -> Array:
    """(N, C, *size) -> (N, C * taps, places): a column for each place of the kernel, a row for each tap."""
    windows = at.cut(x)
    axes = len(at.kernel)
    taps_first = np.moveaxis(windows, range(2 + axes, 2 + 2 * axes), range(2, 2 + axes))
    return taps_first.reshape(len(x), -1, int(np.prod(windows.shape[2 : 2 + axes])))


def col2im(columns: Array, at: Window, size: Sequence[int]) -> Array:
    """(N, C * taps, places) -> (N, C, *size): the transpose of `im2col`; numbers of the same place are added up."""
    axes = len(at.kernel)
    taps_first = columns.reshape(len(columns), -1, *at.kernel, *at.out(size))
    return at.put_back(np.moveaxis(taps_first, range(2, 2 + axes), range(2 + axes, 2 + 2 * axes)), size)


def convolve_im2col(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """As `convolution.convolve`, in shapes and errors too: (N, C, *size) -> (N, K, *out)."""
    x, weight, bias, at = operands(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    columns = im2col(x, at)
    out = at.out(x.shape[2:])
    # (groups, K / groups, C * taps / groups) @ (N, groups, C * taps / groups, places): one product for each group
    y = weight.reshape(groups, len(weight) // groups, -1) @ columns.reshape(len(x), groups, -1, columns.shape[2])
    return y.reshape(len(x), len(weight), *out) + bias.reshape(-1, *(1 for _ in out))


class ConvolutionGradients(NamedTuple):
    """Of the loss with respect to input (N, C, *size), filters (K, C / groups, *kernel) and biases (K,)."""

    x: Array
    weight: Array
    bias: Array


def convolve_backward(
    grad: ArrayLike,
    x: ArrayLike,
    weight: ArrayLike,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> ConvolutionGradients:
    """dL/dy (N, K, *out), and what the forward pass was given -> dL/dx, dL/dweight, dL/dbias.

    `gradients` computes the same as two convolutions, and says why they are.
    """
    x, weight, _, at = operands(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    grad = shaped("grad", grad, (len(x), len(weight), *at.out(x.shape[2:])))
    g = grad.reshape(len(x), groups, len(weight) // groups, -1)
    columns = im2col(x, at).reshape(len(x), groups, -1, g.shape[3])
    w = weight.reshape(groups, len(weight) // groups, -1)
    d_weight = np.sum(g @ columns.swapaxes(2, 3), axis=0).reshape(weight.shape)
    d_columns = (w.swapaxes(1, 2) @ g).reshape(len(x), -1, g.shape[3])
    return ConvolutionGradients(col2im(d_columns, at, x.shape[2:]), d_weight, grad.sum(axis=(0, *range(2, grad.ndim))))

"""Convolution as one matrix: every output is a weighted sum of all inputs, most of the weights being zero.

Flatten the picture into a vector. Then the whole layer is

    y = T x        (K * places,) = (K * places, C * pixels) @ (C * pixels,)

where row (k, p) of T has filter k at the pixels that window p sees, and zeros elsewhere. With stride 1 each row is the
one above, moved to the right: such a matrix is called Toeplitz, and in two dimensions it is Toeplitz in blocks.

T shows at a glance what sets a convolution apart from a dense layer: it is sparse (a window sees few pixels), and its
few numbers repeat (all windows share one filter). It also makes the backward pass one word: dL/dx = T^T dL/dy, which is
the transposed convolution. T is far too large for real pictures; the functions are for looking.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.axes import PerAxis, per_axis, whole
from convatlas.arithmetic.scratch.checks import Array, floats
from convatlas.arithmetic.scratch.convolution import operands
from convatlas.errors import UsageError

MOST_NUMBERS = 25_000_000  # of a matrix: 200 MB in float64


def toeplitz_matrix(
    weight: ArrayLike,
    size: Sequence[int],
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """Filters (K, C / groups, *kernel) for pictures of this size -> T (K * places, C * pixels).

    Padding costs nothing: a tap outside of the picture has no column. Raises UsageError as `convolve` does, and when T
    would have more than 25 million numbers.
    """
    weight = floats("weight", weight, at_least=3)
    size, groups = per_axis("size", tuple(size), weight.ndim - 2, least=1), whole("groups", groups, least=1)
    picture = np.broadcast_to(weight.dtype.type(0), (1, weight.shape[1] * groups, *size))  # for its shape alone
    _, weight, _, at = operands(picture, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    filters, seen = weight.shape[:2]
    out = at.out(size)
    rows, columns = filters * int(np.prod(out)), picture.size
    if rows * columns > MOST_NUMBERS:
        raise UsageError(f"size: the matrix would have {rows:,} x {columns:,} numbers: take a smaller one")
    matrix = np.zeros((filters, *out, *picture.shape[1:]), weight.dtype)
    for k, *place in np.ndindex(filters, *out):
        for c, *tap in np.ndindex(seen, *at.kernel):
            pixel = [
                s * p + d * a - pad
                for s, p, d, a, pad in zip(at.stride, place, at.dilation, tap, at.padding, strict=True)
            ]
            if all(0 <= i < length for i, length in zip(pixel, size, strict=True)):
                channel = k // (filters // groups) * seen + c
                matrix[(k, *place, channel, *pixel)] = weight[(k, c, *tap)]
    return matrix.reshape(rows, columns)


def convolve_toeplitz(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """As `convolution.convolve`, in shapes and errors too: (N, C, *size) -> (N, K, *out), for small pictures."""
    x, weight, bias, at = operands(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    size = x.shape[2:]
    matrix = toeplitz_matrix(weight, size, stride=stride, padding=padding, dilation=dilation, groups=groups)
    y = (x.reshape(len(x), -1) @ matrix.T).reshape(len(x), len(weight), *at.out(size))
    return y + bias.reshape(-1, *(1 for _ in size))

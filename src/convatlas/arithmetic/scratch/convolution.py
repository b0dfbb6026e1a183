"""Convolution as it is defined: a kernel slides over the picture, and at each place there is one dot product.

    y[n, k, p] = bias[k] + sum over c, a of x[n, c, stride * p + dilation * a - padding] * weight[k, c, a]

where p and a have one number for each axis of space, c runs over the channels that filter k sees, and x is 0 outside of
the picture. So a filter always extends through the full depth of its input (with groups: of its group), all places of
one map share its weights and its bias, and there are as many maps as filters.

In loops, so that nothing is hidden; `im2col` gives the same numbers quickly. One to three axes of space are usual, and
the loops take any number.

What networks call convolution does not flip the kernel: mathematics calls it cross-correlation. The flipped one is
`true_convolve`. A network that learns its kernels learns them flipped and never notices.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.axes import PerAxis, whole
from convatlas.arithmetic.scratch.checks import Array, floats, shaped
from convatlas.arithmetic.scratch.window import Window, window
from convatlas.errors import UsageError


def convolve(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """(N, C, *size), filters (K, C / groups, *kernel), biases (K,) -> (N, K, *out).

    With groups the channels and the filters are dealt into that many equal shares, and each share of the filters sees
    its own share of the channels alone. Raises UsageError, naming what does not fit.
    """
    x, weight, bias, at = operands(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)
    seen, share = weight.shape[1], len(weight) // groups
    padded = at.pad(x)
    y = np.empty((len(x), len(weight), *at.out(x.shape[2:])), np.result_type(x, weight))
    for n, k in np.ndindex(*y.shape[:2]):
        first = k // share * seen  # the first channel of the filter's group
        for place in np.ndindex(*y.shape[2:]):
            taps = tuple(
                slice(s * p, s * p + extent, d)
                for s, p, extent, d in zip(at.stride, place, at.extent, at.dilation, strict=True)
            )
            chunk = padded[(n, slice(first, first + seen), *taps)]
            y[(n, k, *place)] = np.sum(chunk * weight[k]) + bias[k]
    return y


def true_convolve(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """Convolution as mathematics and SciPy's `convolve` define it: `convolve` with each kernel turned half round.

    Full padding, kernel - 1, gives the whole product, in which x and kernel may be exchanged: the product of two
    polynomials, for one.
    """
    return convolve(x, flip(weight), bias, stride=stride, padding=padding, dilation=dilation, groups=groups)


def flip(weight: ArrayLike) -> Array:
    """(K, C, *kernel) with every axis of space reversed; twice is nothing."""
    weight = floats("weight", weight, at_least=3)
    return np.flip(weight, axis=tuple(range(2, weight.ndim)))


class Operands(NamedTuple):
    """Input (N, C, *size), filters (K, C / groups, *kernel) and biases (K,) that fit, and where the kernel lies."""

    x: Array
    weight: Array
    bias: Array
    at: Window


def operands(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    stride: PerAxis,
    padding: PerAxis,
    dilation: PerAxis,
    groups: int,
) -> Operands:
    """What every convolution starts from, checked; a bias of None is zeros. Raises UsageError, naming what is wrong."""
    x = floats("x", x, at_least=3)
    weight = floats("weight", weight, axes=x.ndim)
    channels, filters = x.shape[1], len(weight)
    groups = whole("groups", groups, least=1)
    for what, count in (("channels of x", channels), ("filters of weight", filters)):
        if count == 0 or count % groups:
            raise UsageError(f"groups: {groups} does not divide the {count} {what}")
    if weight.shape[1] != channels // groups:
        raise UsageError(
            f"weight: its filters see {weight.shape[1]} channels, but x has {channels} channels in {groups} "
            f"group{'s' * (groups > 1)}: expected {channels // groups}"
        )
    bias = np.zeros(filters, weight.dtype) if bias is None else shaped("bias", bias, (filters,))
    at = window(weight.shape[2:], stride=stride, padding=padding, dilation=dilation)
    at.out(x.shape[2:])  # refuses a kernel that does not fit
    return Operands(x, weight, bias, at)

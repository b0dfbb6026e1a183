"""Pooling: a window becomes one number, each channel by itself. Forward and backward, along any number of axes.

Maximum and mean have nothing to learn. LeNet's subsampling has a coefficient and a bias for each map.
`stride` is the kernel when it is None: windows side by side.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.axes import PerAxis, per_axis
from convatlas.arithmetic.scratch.checks import Array, floats, shaped
from convatlas.arithmetic.scratch.window import Window, window
from convatlas.errors import UsageError


class MaxPooled(NamedTuple):
    """`y` (N, C, *out) and, for each number of it, where in the map it came from: `places` (N, C, *out).

    A place is the index into the map of that channel, flattened: row * W + column in two dimensions.
    """

    y: Array
    places: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]"


def max_pool(
    x: ArrayLike,
    kernel: PerAxis,
    *,
    stride: PerAxis | None = None,
    padding: PerAxis = 0,
) -> MaxPooled:
    """(N, C, *size) -> the largest number of each window, and its place; the first of equals.

    Padding counts as minus infinity and never wins. Raises UsageError for windows that do not fit, or for a padding
    above half of the kernel, where a window may lie on padding alone.
    """
    x, at = _operands(x, kernel, stride, padding)
    windows = at.cut(x, -np.inf)
    size, out = x.shape[2:], windows.shape[2 : x.ndim]
    flat = windows.reshape(*x.shape[:2], *out, -1)
    first = np.argmax(flat, axis=-1)
    y = np.take_along_axis(flat, first[..., None], axis=-1)[..., 0]
    taps = np.unravel_index(first, at.kernel)  # along each axis, which tap it was
    starts = (s * np.arange(o) - p for s, o, p in zip(at.stride, out, at.padding, strict=True))
    coordinates = tuple(start + tap for start, tap in zip(np.meshgrid(*starts, indexing="ij"), taps, strict=True))
    # Where all of a window is minus infinity the first tap may be padding: "clip" takes the pixel beside it.
    return MaxPooled(y, np.asarray(np.ravel_multi_index(coordinates, size, mode="clip"), np.int64))


def max_pool_backward(grad: ArrayLike, places: ArrayLike, size: tuple[int, ...]) -> Array:
    """dL/dy (N, C, *out), the places and the input's size -> dL/dx (N, C, *size).

    y moves with its largest number and with no other, so all of the gradient goes there, and none to the rest.
    """
    grad, where = floats("grad", grad, at_least=3), np.asarray(places)
    size = per_axis("size", tuple(size), grad.ndim - 2, least=1)
    if where.shape != grad.shape or where.dtype.kind not in "iu":
        raise UsageError(f"places must be whole numbers of the shape {grad.shape}, not {where.dtype} {where.shape}")
    pixels = int(np.prod(size))
    if where.size and not 0 <= where.min() <= where.max() < pixels:
        raise UsageError(f"places: they must lie within 0..{pixels - 1}, the places of a map of {size}")
    maps = grad.shape[0] * grad.shape[1]
    d_x = np.zeros(maps * pixels, grad.dtype)
    offsets = np.arange(maps).reshape(*grad.shape[:2], *(1 for _ in grad.shape[2:])) * pixels
    np.add.at(d_x, (where + offsets).ravel(), grad.ravel())  # windows may share their largest number: add, not set
    return d_x.reshape(*grad.shape[:2], *size)


def average_pool(x: ArrayLike, kernel: PerAxis, *, stride: PerAxis | None = None, padding: PerAxis = 0) -> Array:
    """(N, C, *size) -> (N, C, *out): the mean of each window, in which padding counts as zeros."""
    x, at = _operands(x, kernel, stride, padding)
    return np.asarray(at.cut(x).mean(axis=_taps(x)))


def average_pool_backward(
    grad: ArrayLike, size: tuple[int, ...], kernel: PerAxis, *, stride: PerAxis | None = None, padding: PerAxis = 0
) -> Array:
    """dL/dy (N, C, *out) and the input's size -> dL/dx (N, C, *size): an equal share for each tap of the window."""
    grad = floats("grad", grad, at_least=3)
    size = per_axis("size", tuple(size), grad.ndim - 2, least=1)
    _, at = _operands(np.broadcast_to(grad.dtype.type(0), (*grad.shape[:2], *size)), kernel, stride, padding)
    grad = shaped("grad", grad, (*grad.shape[:2], *at.out(size)))
    share = (grad / grad.dtype.type(np.prod(at.kernel))).reshape(*grad.shape, *(1 for _ in size))
    return at.put_back(np.broadcast_to(share, (*grad.shape, *at.kernel)), size)


def global_average_pool(x: ArrayLike) -> Array:
    """(N, C, *size) -> (N, C): the mean of each map. In place of a dense head it has no weights, and takes any size."""
    x = floats("x", x, at_least=3)
    return np.asarray(x.mean(axis=tuple(range(2, x.ndim))))


def global_average_pool_backward(grad: ArrayLike, size: tuple[int, ...]) -> Array:
    """dL/dy (N, C) and the input's size -> dL/dx (N, C, *size): an equal share for each pixel."""
    grad = floats("grad", grad, axes=2)
    size = per_axis("size", tuple(size), len(size), least=1)
    share = (grad / grad.dtype.type(np.prod(size))).reshape(*grad.shape, *(1 for _ in size))
    return np.broadcast_to(share, (*grad.shape, *size)).copy()


def subsample(x: ArrayLike, coefficient: ArrayLike, bias: ArrayLike, kernel: PerAxis = 2) -> Array:
    """LeNet-5's S2 and S4: (N, C, *size), coefficients (C,), biases (C,) -> (N, C, *out).

    The *sum* of each window, times the map's coefficient, plus its bias (LeCun et al. 1998, Section II.B); windows side
    by side. The paper squashes the result, which is an activation of its own: `activations.scaled_tanh`.
    """
    x, at = _operands(x, kernel, None, 0)
    sums: Array = at.cut(x).sum(axis=_taps(x))
    return sums * _of_maps("coefficient", coefficient, x) + _of_maps("bias", bias, x)


class SubsamplingGradients(NamedTuple):
    """Of the loss with respect to input (N, C, *size), coefficients (C,) and biases (C,)."""

    x: Array
    coefficient: Array
    bias: Array


def subsample_backward(
    grad: ArrayLike, x: ArrayLike, coefficient: ArrayLike, kernel: PerAxis = 2
) -> SubsamplingGradients:
    """dL/dy (N, C, *out), and what the forward pass was given -> dL/dx, dL/dcoefficient, dL/dbias."""
    x, at = _operands(x, kernel, None, 0)
    windows = at.cut(x)
    grad = shaped("grad", grad, windows.shape[: x.ndim])
    over_all = (0, *range(2, x.ndim))
    to_each = (grad * _of_maps("coefficient", coefficient, x)).reshape(*grad.shape, *(1 for _ in at.kernel))
    d_x = at.put_back(np.broadcast_to(to_each, windows.shape), x.shape[2:])
    return SubsamplingGradients(d_x, (grad * windows.sum(axis=_taps(x))).sum(axis=over_all), grad.sum(axis=over_all))


def _operands(x: ArrayLike, kernel: PerAxis, stride: PerAxis | None, padding: PerAxis) -> tuple[Array, Window]:
    x = floats("x", x, at_least=3)
    taps = per_axis("kernel", kernel, x.ndim - 2, least=1)
    at = window(taps, stride=taps if stride is None else stride, padding=padding)
    if any(2 * p > k for p, k in zip(at.padding, at.kernel, strict=True)):
        raise UsageError(f"padding: {padding!r} is above half of the kernel, {'x'.join(map(str, at.kernel))}")
    at.out(x.shape[2:])
    return x, at


def _taps(x: Array) -> tuple[int, ...]:
    """The axes of the taps in what `Window.cut` gives."""
    return tuple(range(x.ndim, 2 * x.ndim - 2))


def _of_maps(field: str, values: ArrayLike, x: Array) -> Array:
    """(C,) -> (C, 1, ...), to stand beside (N, C, *out)."""
    return shaped(field, values, x.shape[1:2]).reshape(-1, *(1 for _ in x.shape[2:]))

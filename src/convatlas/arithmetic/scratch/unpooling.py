"""Unpooling: a larger map from a smaller one, with nothing to learn. Decoders use it, and pictures of what a unit saw.

`unpool` needs the places that `pooling.max_pool` remembered, and puts each maximum back where it stood: the detail of
*where* survives, the rest is zeros. Without places there is `unpool_nearest`, which repeats each number, and the "bed
of nails", which puts it in the first corner of its window: `gradients.spread`.
"""

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.axes import PerAxis, per_axis
from convatlas.arithmetic.scratch.checks import Array, floats
from convatlas.arithmetic.scratch.pooling import average_pool
from convatlas.errors import UsageError


def unpool(y: ArrayLike, places: ArrayLike, size: tuple[int, ...]) -> Array:
    """(N, C, *out), its places and the size before pooling -> (N, C, *size), zeros but at the places.

    Where overlapping windows share a place they hold the same number, which stands there once. Raises UsageError for
    places that are not of that size.
    """
    y, where = floats("y", y, at_least=3), _places(places, size)
    if where.shape != y.shape:
        raise UsageError(f"places must have the shape {y.shape} of y, not {where.shape}")
    x = np.zeros((*y.shape[:2], int(np.prod(size))), y.dtype)
    np.put_along_axis(x, where.reshape(*y.shape[:2], -1), y.reshape(*y.shape[:2], -1), axis=2)
    return x.reshape(*y.shape[:2], *size)


def unpool_backward(grad: ArrayLike, places: ArrayLike) -> Array:
    """dL/dx (N, C, *size) and the places (N, C, *out) -> dL/dy (N, C, *out): what arrived at the places.

    For windows side by side; overlapping ones would write a place twice, and only one of them would be heard.
    """
    grad = floats("grad", grad, at_least=3)
    where = _places(places, grad.shape[2:])
    flat = grad.reshape(*grad.shape[:2], -1)
    if where.shape[:2] != grad.shape[:2]:
        raise UsageError(f"places must begin with {grad.shape[:2]}, pictures and channels, not {where.shape[:2]}")
    return np.take_along_axis(flat, where.reshape(*where.shape[:2], -1), axis=2).reshape(where.shape)


def unpool_nearest(y: ArrayLike, factor: PerAxis) -> Array:
    """(N, C, *out) -> (N, C, *(out * factor)): each number fills its window."""
    y = floats("y", y, at_least=3)
    for axis, times in enumerate(per_axis("factor", factor, y.ndim - 2, least=1), 2):
        y = np.repeat(y, times, axis=axis)
    return y


def unpool_nearest_backward(grad: ArrayLike, factor: PerAxis) -> Array:
    """dL/dx (N, C, *(out * factor)) -> dL/dy (N, C, *out): the sum over each window."""
    grad = floats("grad", grad, at_least=3)
    factors = per_axis("factor", factor, grad.ndim - 2, least=1)
    if any(length % times for length, times in zip(grad.shape[2:], factors, strict=True)):
        raise UsageError(f"factor: {factor!r} does not divide the size {grad.shape[2:]} of grad")
    return average_pool(grad, factors) * grad.dtype.type(np.prod(factors))


def _places(places: ArrayLike, size: tuple[int, ...]) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    where = np.asarray(places)
    pixels = int(np.prod(size))
    if where.dtype.kind not in "iu" or (where.size and not 0 <= where.min() <= where.max() < pixels):
        raise UsageError(f"places must be whole numbers within 0..{pixels - 1}, the places of a map of {size}")
    return where.astype(np.int64)

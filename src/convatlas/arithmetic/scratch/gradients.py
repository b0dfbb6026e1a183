"""Backpropagation through a convolution: both gradients are convolutions again.

Let g = dL/dy, the gradient with respect to the output, be given. Along one axis, with one channel, the forward pass is

    y[p] = sum over a of x[s p + d a - pad] w[a]        s stride, d dilation, x = 0 outside of the picture

**The weights.** w[a] has a hand in every y[p], and dy[p] / dw[a] = x[s p + d a - pad]. The chain rule adds up:

    dL/dw[a] = sum over p of g[p] x[s p + d a - pad]

This is the forward formula with g in the place of the kernel, and with p and a, hence stride and dilation, exchanged:
*the input cross-correlated with the gradient*. (`weight_gradient`)

**The input.** x[i] has a hand in those y[p] whose window has a tap on it, s p + d a - pad = i, with w[a]:

    dL/dx[i] = sum over p, a with s p + d a - pad = i of g[p] w[a]

For stride 1 that is sum over a of g[i + pad - d a] w[a]. The index runs *against* a: this is true convolution, so the
kernel is flipped; and pixels at the border are seen too, so the padding is full: d (k - 1) - pad on each side. With
stride s the gradient first gets s - 1 zeros between its numbers, at the windows that the stride left out.
(`input_gradient`)

**The bias** is added to every place: dL/db = sum over p of g[p].

With channels: filter k and channel c meet in w[k, c] alone, so dL/dw[k, c] is of x[c] with g[k], summed over pictures;
and dL/dx[c] sums over the filters k, as y[k] sums over the channels c: the first two axes of the weights change places.

The functions call the loops of `convolution.convolve`, to show that nothing else is needed. `im2col.convolve_backward`
gives the same quickly.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.axes import PerAxis, per_axis, whole
from convatlas.arithmetic.scratch.checks import Array, floats, shaped
from convatlas.arithmetic.scratch.convolution import convolve, flip, operands
from convatlas.arithmetic.scratch.window import window
from convatlas.errors import UsageError


def weight_gradient(
    grad: ArrayLike,
    x: ArrayLike,
    kernel: Sequence[int],
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """dL/dy (N, K, *out) and the input (N, C, *size) -> dL/dweight (K, C / groups, *kernel)."""
    x, groups = floats("x", x, at_least=3), whole("groups", groups, least=1)
    grad = floats("grad", grad, axes=x.ndim)
    for what, count in (("channels of x", x.shape[1]), ("channels of grad", grad.shape[1])):
        if count == 0 or count % groups:
            raise UsageError(f"groups: {groups} does not divide the {count} {what}")
    at = window(kernel, stride=stride, padding=padding, dilation=dilation)
    shaped("grad", grad, (len(x), grad.shape[1], *at.out(x.shape[2:])))
    gradients = []
    for x_share, grad_share in zip(np.split(x, groups, axis=1), np.split(grad, groups, axis=1), strict=True):
        # Channels are the pictures now, and pictures the channels, which a convolution sums over.
        swapped = convolve(
            x_share.swapaxes(0, 1),
            grad_share.swapaxes(0, 1),
            stride=at.dilation,
            dilation=at.stride,
            padding=at.padding,
        ).swapaxes(0, 1)
        # Where the stride did not reach the end of the picture, there is room for taps that the kernel has not.
        gradients.append(swapped[(slice(None), slice(None), *(slice(taps) for taps in at.kernel))])
    return np.concatenate(gradients)


def input_gradient(
    grad: ArrayLike,
    weight: ArrayLike,
    size: Sequence[int],
    *,
    stride: PerAxis = 1,
    padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
) -> Array:
    """dL/dy (N, K, *out) and the filters (K, C / groups, *kernel) -> dL/dx (N, C, *size)."""
    grad = floats("grad", grad, at_least=3)
    weight = floats("weight", weight, axes=grad.ndim)
    size, groups = per_axis("size", tuple(size), grad.ndim - 2, least=1), whole("groups", groups, least=1)
    x = np.broadcast_to(grad.dtype.type(0), (len(grad), weight.shape[1] * groups, *size))  # for its shape alone
    _, weight, _, at = operands(x, weight, stride=stride, padding=padding, dilation=dilation, groups=groups)
    grad = shaped("grad", grad, (len(grad), len(weight), *at.out(size)))

    padded_size = [s + 2 * p for s, p in zip(size, at.padding, strict=True)]
    room = tuple(length - extent + 1 for length, extent in zip(padded_size, at.extent, strict=True))
    shares = [
        convolve(
            spread(grad_share, at.stride, room),
            flip(weight_share).swapaxes(0, 1),
            padding=tuple(extent - 1 for extent in at.extent),
            dilation=at.dilation,
        )
        for grad_share, weight_share in zip(np.split(grad, groups, axis=1), np.split(weight, groups), strict=True)
    ]
    inside = tuple(slice(p, p + s) for p, s in zip(at.padding, size, strict=True))
    return np.concatenate(shares, axis=1)[(slice(None), slice(None), *inside)]


def spread(x: ArrayLike, step: PerAxis, size: Sequence[int] | None = None) -> Array:
    """(N, C, *places) -> (N, C, *size): the numbers `step` apart, zeros between them and after them.

    size: what to fill up to; None: up to the last number. Upsampling by this is called a bed of nails.
    """
    x = floats("x", x, at_least=3)
    steps = per_axis("step", step, x.ndim - 2, least=1)
    least = tuple(s * (n - 1) + 1 for s, n in zip(steps, x.shape[2:], strict=True))
    size = least if size is None else per_axis("size", tuple(size), x.ndim - 2, least=1)
    if any(wanted < needed for wanted, needed in zip(size, least, strict=True)):
        raise UsageError(f"size: {tuple(size)} has no room for numbers that spread over {least}")
    y = np.zeros((*x.shape[:2], *size), x.dtype)
    y[(slice(None), slice(None), *(slice(0, n, s) for n, s in zip(least, steps, strict=True)))] = x
    return y

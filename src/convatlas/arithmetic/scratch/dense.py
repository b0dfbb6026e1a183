"""The dense, or fully connected, layer: each output sees each input, with a weight of its own.

    y = x W^T + b        (N, out) = (N, in) @ (in, out) + (out,)

Backwards, with G = dL/dy (N, out):

    dL/dx = G W        dL/dW = G^T x        dL/db = sum of G over the pictures

A convolution whose kernel covers the whole picture is this layer; a 1x1 convolution is this layer at each pixel.
"""

from typing import NamedTuple

from numpy.typing import ArrayLike

from convatlas.arithmetic.scratch.checks import Array, floats, shaped
from convatlas.errors import UsageError


def dense(x: ArrayLike, weight: ArrayLike, bias: ArrayLike) -> Array:
    """(N, in), weights (out, in), biases (out,) -> (N, out). Raises UsageError for shapes that do not fit."""
    x, weight = _operands(x, weight)
    return x @ weight.T + shaped("bias", bias, weight.shape[:1])


class DenseGradients(NamedTuple):
    """Of the loss with respect to input (N, in), weights (out, in) and biases (out,)."""

    x: Array
    weight: Array
    bias: Array


def dense_backward(grad: ArrayLike, x: ArrayLike, weight: ArrayLike) -> DenseGradients:
    """dL/dy (N, out), and what the forward pass was given -> dL/dx, dL/dweight, dL/dbias."""
    x, weight = _operands(x, weight)
    grad = shaped("grad", grad, (len(x), len(weight)))
    return DenseGradients(grad @ weight, grad.T @ x, grad.sum(axis=0))


def _operands(x: ArrayLike, weight: ArrayLike) -> tuple[Array, Array]:
    x, weight = floats("x", x, axes=2), floats("weight", weight, axes=2)
    if x.shape[1] != weight.shape[1]:
        raise UsageError(f"weight: it takes {weight.shape[1]} inputs, but x has {x.shape[1]}")
    return x, weight

"""Dropout: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html.

In training each number is dropped with probability `rate`, and the others are divided by 1 - rate:

    y = x * mask,        mask = 0 with probability rate, else 1 / (1 - rate)

so that the mean of y is x, and in use there is nothing to do. (The paper multiplies by 1 - rate in use instead, Section
4: the same on average.) Backwards the mask is a constant: dL/dx = dL/dy * mask.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.scratch.checks import Array, floats, shaped
from convatlas.errors import UsageError


class Dropped(NamedTuple):
    """`y` and `mask`, both of the input's shape."""

    y: Array
    mask: Array


def dropout(x: ArrayLike, rate: float, random: np.random.Generator) -> Dropped:
    """In training: any shape -> the same shape. Raises UsageError for a rate outside of 0..1, or of 1."""
    x = floats("x", x)
    if not 0 <= rate < 1:
        raise UsageError(f"rate must lie within 0..1, below 1, not {rate!r}")
    kept = random.random(x.shape) >= rate
    mask = kept.astype(x.dtype) / x.dtype.type(1 - rate)
    return Dropped(x * mask, mask)


def dropout_backward(grad: ArrayLike, mask: Array) -> Array:
    """dL/dy and the mask -> dL/dx, all of one shape."""
    return shaped("grad", grad, mask.shape) * mask

"""What the tests of this room share: finite differences, and settings of a convolution as hypothesis draws them."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st

CONVOLUTION = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


def finite_differences(loss: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """dloss/dx in float64: each number moved up and down by `step`."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (loss(up) - loss(down)) / (2 * step)
    return gradient


def close(ours: object, theirs: object, tolerance: float = 1e-9) -> None:
    if isinstance(theirs, torch.Tensor):
        theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


def tensor(array: np.ndarray) -> torch.Tensor:
    """A copy that asks for its gradient."""
    return torch.tensor(array, requires_grad=True)


class Setting(NamedTuple):
    """x (N, C, *size), weight (K, C / groups, *kernel), bias (K,), and how the kernel moves."""

    x: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def moves(self) -> dict[str, tuple[int, ...]]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    @property
    def how(self) -> dict[str, object]:
        return {**self.moves, "groups": self.groups}


@st.composite
def settings_of(draw: st.DrawFn, axes: tuple[int, ...] = (1, 2, 3)) -> Setting:
    """Small convolutions that fit, along one to three axes."""
    number = draw(st.sampled_from(axes))
    longest = {1: 9, 2: 7, 3: 4}[number]

    def each(least: int, most: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(least, most)) for _ in range(number))

    kernel, stride, padding, dilation = each(1, 3), each(1, 3), each(0, 2), each(1, 2)
    size = tuple(
        draw(st.integers(max(1, d * (k - 1) + 1 - 2 * p), max(longest, d * (k - 1) + 1)))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    groups, seen, share = (draw(st.integers(1, most)) for most in (3, 2, 2))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Setting(
        x=random.normal(size=(draw(st.integers(1, 2)), groups * seen, *size)),
        weight=random.normal(size=(groups * share, seen, *kernel)),
        bias=random.normal(size=groups * share),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )

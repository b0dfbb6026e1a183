"""Filters that people made by hand, before networks learned theirs, and what they find on a picture.

All are cross-correlated, as a network does it. A kernel whose numbers sum to 0 is silent on a plain surface and answers
to change; one whose numbers sum to 1 keeps the brightness. Sobel's and Scharr's kernels are a difference along one axis
times a mean along the other, so they are spatially separable.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from convatlas.arithmetic.axes import per_axis, whole
from convatlas.arithmetic.scratch.activations import relu
from convatlas.arithmetic.scratch.checks import Array, floats
from convatlas.arithmetic.scratch.im2col import convolve_im2col
from convatlas.errors import UsageError

VERTICAL_EDGE: Final = ((1, 0, -1), (1, 0, -1), (1, 0, -1))  # bright on the left, dark on the right
HORIZONTAL_EDGE: Final = ((1, 1, 1), (0, 0, 0), (-1, -1, -1))
SOBEL_X: Final = ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1))  # grows to the right
SOBEL_Y: Final = ((-1, -2, -1), (0, 0, 0), (1, 2, 1))  # grows downwards
SCHARR_X: Final = ((-3, 0, 3), (-10, 0, 10), (-3, 0, 3))  # as Sobel, but alike for edges of all directions
SCHARR_Y: Final = ((-3, -10, -3), (0, 0, 0), (3, 10, 3))
LAPLACE: Final = ((0, 1, 0), (1, -4, 1), (0, 1, 0))  # the sum of both second differences
SHARPEN: Final = ((0, -1, 0), (-1, 5, -1), (0, -1, 0))  # the picture less its Laplacian
MEAN: Final = tuple((1 / 9,) * 3 for _ in range(3))
GAUSS: Final = tuple(tuple(n / 16 for n in row) for row in ((1, 2, 1), (2, 4, 2), (1, 2, 1)))

LUMA: Final = (0.299, 0.587, 0.114)  # how bright red, green and blue look: ITU-R BT.601


def apply(picture: ArrayLike, kernel: ArrayLike, *, channels: tuple[float, ...] = LUMA, padding: int = 0) -> Array:
    """A grey picture (H, W) or a colour one (H, W, C), and a kernel (kh, kw) -> one map (H', W').

    channels: how much each channel of a colour picture counts. The filter is then (C, kh, kw), the kernel times each of
    them: (1, 0, 0) looks at red alone, (1, -1, 0) for red beside green. A grey picture has no use for it.
    Raises UsageError for other shapes.
    """
    picture, kernel = floats("picture", picture, at_least=2), floats("kernel", kernel, axes=2)
    if picture.ndim == 2:
        picture, channels = picture[:, :, None], (1.0,)
    if picture.ndim != 3 or picture.shape[2] != len(channels):
        raise UsageError(
            f"picture must be (H, W), or (H, W, {len(channels)}) for the weights of {len(channels)} channels, "
            f"not {picture.shape}"
        )
    weight = np.asarray(channels, kernel.dtype)[:, None, None] * kernel
    maps = convolve_im2col(np.moveaxis(picture, 2, 0)[None], weight[None], padding=padding)
    return np.asarray(maps[0, 0])


def edge_strength(picture: ArrayLike, kernel_x: ArrayLike = SOBEL_X, kernel_y: ArrayLike = SOBEL_Y) -> Array:
    """(H, W) or (H, W, 3) -> (H - 2, W - 2) for kernels of 3 x 3: the length of the gradient, in any direction."""
    return np.hypot(apply(picture, kernel_x), apply(picture, kernel_y))


@dataclass(frozen=True, kw_only=True)
class Example:
    """A picture, a kernel, what the filter answers, and that after bias and ReLU."""

    picture: Array
    kernel: Array
    response: Array
    bias: float
    activated: Array


def edge_example(bright: float = 10) -> Example:
    """The notes' example: 6 x 6, its left half bright, and a vertical edge in the middle (under "Edge Detection").

    The two columns in the middle are above 0: each of the four rows is 0, 3 bright, 3 bright, 0. The notes give the
    signs; the numbers are those of the course that they name.
    """
    picture = np.zeros((6, 6))
    picture[:, :3] = bright
    return _example(picture, VERTICAL_EDGE, bias=0)


def bias_example() -> Example:
    """The notes' exercise: a 5 x 5 picture, a 3 x 3 kernel, bias -500, ReLU (under "Exercise").

    The notes give no numbers; these show what such a bias does. A step in brightness from 0 to 255 answers with 255 a
    row of the kernel, so that with -500 a unit fires only when two rows or more see the edge: 510 - 500 = 10, and
    765 - 500 = 265 for all three. The bias is a threshold. The layer has 3 * 3 + 1 = 10 parameters.
    """
    picture = np.zeros((5, 5))
    picture[:3, :2] = 255  # an edge that ends after three rows
    return _example(picture, VERTICAL_EDGE, bias=-500)


def depthwise_parameters(channels: int, kernel: int | tuple[int, ...] = (3, 3), *, bias: bool = False) -> int:
    """A filter for each channel: 3 * 3 * 32 = 288 for the notes' exercise, 32 more with biases."""
    channels = whole("channels", channels, least=1)
    taps = per_axis("kernel", kernel, 2 if isinstance(kernel, int) else len(kernel), least=1)
    return int(np.prod(taps)) * channels + bias * channels


def _example(picture: Array, kernel: ArrayLike, bias: float) -> Example:
    response = apply(picture, kernel)
    return Example(
        picture=picture,
        kernel=floats("kernel", kernel),
        response=response,
        bias=bias,
        activated=relu(response + bias),
    )

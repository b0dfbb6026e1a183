"""A photograph beside what hand-made filters answer to it: edges, their strength, blur, and colours weighted."""

from typing import Final

import numpy as np
from matplotlib.figure import Figure

from convatlas.arithmetic.scratch import filters
from convatlas.arithmetic.scratch.checks import Array
from convatlas.errors import UsageError
from convatlas.types import Pixels, check_pixels

INK: Final = "#222222"


def filtered_photograph(photograph: Pixels) -> Figure:
    """A colour photograph, H x W x 3 uint8 and at least 3 x 3, in a grid: the picture, then eight answers.

    A signed answer is drawn so that grey is 0, white is above it and black below; all others from black to white.
    Raises UsageError for a grey photograph: there are no channels to weigh.
    """
    pixels = check_pixels(photograph)
    if pixels.shape[2] != 3 or min(pixels.shape[:2]) < 3:
        raise UsageError(f"photograph must be a colour picture of 3 x 3 pixels or more, not {pixels.shape}")
    figure = Figure(figsize=(9.6, 9.6 * pixels.shape[0] / pixels.shape[1] + 0.8), facecolor="white")
    grid = figure.subplots(3, 3, squeeze=False)
    grid[0, 0].imshow(pixels)
    grid[0, 0].set_title("the photograph", fontsize=10, color=INK, loc="left")
    for axes, (title, answer, signed) in zip(grid.ravel()[1:], _answers(pixels), strict=True):
        most = float(np.percentile(np.abs(answer), 99.5)) or 1.0  # a few glaring pixels shall not darken the rest
        axes.imshow(answer, cmap="gray", vmin=-most if signed else 0, vmax=most)
        axes.set_title(title, fontsize=10, color=INK, loc="left")
    for axes in grid.ravel():
        axes.set_axis_off()
    figure.subplots_adjust(left=0.01, right=0.99, top=0.96, bottom=0.01, wspace=0.03, hspace=0.13)
    return figure


def _answers(pixels: Pixels) -> list[tuple[str, Array, bool]]:
    """(title, map, whether it is signed) of each filter; (1, -1, 0) and its like are weights of red, green, blue."""
    identity = ((0, 0, 0), (0, 1, 0), (0, 0, 0))
    apply = filters.apply
    return [
        ("Sobel, along x: upright edges", apply(pixels, filters.SOBEL_X), True),
        ("Sobel, along y: level edges", apply(pixels, filters.SOBEL_Y), True),
        ("strength of the edge, both together", filters.edge_strength(pixels), False),
        ("the same by Scharr", filters.edge_strength(pixels, filters.SCHARR_X, filters.SCHARR_Y), False),
        ("Laplace: fine detail", apply(pixels, filters.LAPLACE), True),
        ("Gauss: blurred", apply(pixels, filters.GAUSS), False),
        ("weights (1, 0, 0): red alone", apply(pixels, identity, channels=(1, 0, 0)), False),
        ("weights (1, -1, 0): red against green", apply(pixels, identity, channels=(1, -1, 0)), True),
    ]

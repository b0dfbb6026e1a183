"""Anchor boxes: a few shapes, set on every cell of a feature map.

Ren et al., "Faster R-CNN", NIPS 2015, https://arxiv.org/abs/1506.01497, Section 3.1.1: scales and ratios at each place.
Lin et al., "Focal Loss" (RetinaNet), ICCV 2017, https://arxiv.org/abs/1708.02002, Section 4: three scales an octave.
Tian et al., "FCOS", ICCV 2019, https://arxiv.org/abs/1904.01355, Section 3.1: points instead of boxes.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from convatlas.errors import UsageError
from convatlas.ops.boxes import check_form


def octave_sizes(size: float, per_octave: int = 3) -> tuple[float, ...]:
    """RetinaNet's scales of one level: `size` times 2^(i / per_octave), i from 0."""
    if per_octave < 1:
        raise UsageError(f"per_octave: expected 1 or more, got {per_octave}")
    return tuple(size * 2 ** (i / per_octave) for i in range(per_octave))


def anchor_shapes(sizes: Sequence[float], ratios: Sequence[float]) -> Tensor:
    """Boxes (A, 4) float32 xyxy about the origin: each ratio at each size, A = len(ratios) * len(sizes).

    size: the square root of the area, in pixels; ratio: height / width; both above 0. In the order of torchvision: all
    sizes of the first ratio, then those of the next. torchvision's detectors round the corners to whole pixels:
    `anchor_shapes(...).round()`.
    """
    for name, values in (("sizes", sizes), ("ratios", ratios)):
        if not values or not all(0 < value < math.inf for value in values):
            raise UsageError(f"{name}: expected one finite number above 0 or more, got {tuple(values)}")
    tall = torch.tensor(ratios, dtype=torch.float32).sqrt()[:, None]
    size = torch.tensor(sizes, dtype=torch.float32)[None]
    width, height = (1 / tall * size).flatten(), (tall * size).flatten()
    return torch.stack((-width, -height, width, height), dim=1) / 2


def anchor_grid(shapes: Tensor, grid: tuple[int, int], stride: int | tuple[int, int], *, place: float = 0.0) -> Tensor:
    """Every shape at every cell: (rows * columns * A, 4) of the dtype and device of shapes (A, 4).

    grid: (rows, columns) of the feature map; stride: pixels of the picture between cells, or (down, across).
    place: where in a cell a shape is centred, as a share of the stride: 0 its top left (torchvision), 0.5 its middle.
    Row by row, and cell by cell all A shapes: as a head's (N, A * ..., rows, columns) reads after permute.
    """
    check_form(shapes, "shapes")
    if shapes.dim() != 2:
        raise UsageError(f"shapes: expected (A, 4), got shape {tuple(shapes.shape)}")
    points = grid_points(grid, stride, place=place, like=shapes)
    return (points.repeat(1, 2)[:, None] + shapes[None]).flatten(0, 1)


def grid_points(
    grid: tuple[int, int],
    stride: int | tuple[int, int],
    *,
    place: float = 0.5,
    like: Tensor | None = None,
) -> Tensor:
    """A point (x, y) in pixels of the picture for each cell, row by row: (rows * columns, 2).

    See `anchor_grid` for grid, stride and place; like: a tensor whose dtype and device are taken, else float32.
    """
    down, across = _pair("stride", stride, 1)
    rows, columns = _pair("grid", grid, 0)
    dtype, device = (torch.float32, None) if like is None else (like.dtype, like.device)
    ys = (torch.arange(rows, dtype=dtype, device=device) + place) * down
    xs = (torch.arange(columns, dtype=dtype, device=device) + place) * across
    y, x = torch.meshgrid(ys, xs, indexing="ij")
    return torch.stack((x.flatten(), y.flatten()), dim=1)


def _pair(name: str, given: int | tuple[int, int], smallest: int) -> tuple[int, int]:
    pair = (given, given) if isinstance(given, int) else given
    if (
        not isinstance(pair, Sequence)
        or len(pair) != 2
        or not all(isinstance(each, int | torch.SymInt) and each >= smallest for each in pair)  # SymInt: in an export
    ):
        raise UsageError(f"{name}: expected two whole numbers, rows and columns, from {smallest}, got {given}")
    return pair[0], pair[1]

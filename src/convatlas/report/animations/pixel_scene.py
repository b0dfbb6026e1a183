"""A small picture to look for something in: a cross, and other things that are none. Ink from 0 to 1."""

import numpy as np

from convatlas.report.animations.animation import Numbers
from convatlas.report.animations.drawing import Grid, Shape, ShapeRole

_LEVELS: tuple[ShapeRole, ...] = ("ink1", "ink2", "ink3", "ink4")


def cross(side: int) -> Numbers:
    """(side, side): 1 along the middle row and column, else 0."""
    middle = slice((side - 1) // 2, side // 2 + 1)
    shape = np.zeros((side, side))
    shape[middle, :] = shape[:, middle] = 1
    return shape


def template(side: int) -> Numbers:
    """(side, side): weights that give a cross of this size 1, and all else less: pixels beside it count against."""
    shape = cross(side)
    return np.asarray((2 * shape - 1) / shape.sum(), np.float64)


def pixel_scene(size: int, side: int, seed: int, *, step: int = 1) -> Numbers:
    """(size, size): a cross of `side`, whose place is a multiple of `step`, a frame of that size, and faint spots.

    The frame is left out where it finds no room beside the cross.
    """
    random = np.random.default_rng(seed)
    scene = 0.25 * (random.random((size, size)) < 0.08)
    places = (size - side) // step + 1
    row, column = (int(random.integers(0, places)) * step for _ in range(2))
    across = column + side + 1 if column + 2 * side + 1 <= size else column - side - 1
    down = row + side + 1 if row + 2 * side + 1 <= size else row - side - 1
    if across >= 0 and down >= 0:
        frame = np.ones((side, side))
        frame[1:-1, 1:-1] = 0
        scene[down : down + side, across : across + side] = 0.75 * frame
    scene[row : row + side, column : column + side] = cross(side)
    return np.asarray(scene, np.float64)


def shading(grid: Grid, values: Numbers) -> tuple[Shape, ...]:
    """The cells in four strengths of ink, of the largest number and in proportion; zero and less is left blank."""
    most = float(values.max())
    if most <= 0:
        return ()
    level = np.ceil(np.clip(values / most, 0, 1) * len(_LEVELS) - 1e-9).astype(int)
    shapes = []
    for number, role in enumerate(_LEVELS, 1):
        places = [(int(row), int(column)) for row, column in np.argwhere(level == number)]
        if places:
            shapes.append(grid.shape(role, places))
    return tuple(shapes)

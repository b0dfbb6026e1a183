"""Pictures of the levels of a hierarchy: how the regions of Selective Search grow together.

After Figure 2 of Uijlings et al., "Selective Search for Object Recognition", IJCV 2013.
"""

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.ops.proposals.grouping import Hierarchy
from convatlas.ops.proposals.regions import means, regions_of
from convatlas.types import Pixels, check_pixels

_BORDER = 255  # white: regions are painted in their mean, which seldom is


def level(hierarchy: Hierarchy, count: int) -> NDArray[np.int32]:
    """The label map (H, W), 0 .. count - 1, when `count` regions are left; raises UsageError unless 1 <= count <= R."""
    initial = len(hierarchy.merges) + 1
    if not 1 <= count <= initial:
        raise UsageError(f"count must be 1 .. {initial}, the number of initial regions, not {count!r}")
    part_of = np.arange(2 * initial - 1)
    for step in range(initial - count - 1, -1, -1):  # from the top, so that one look leads to the end
        part_of[hierarchy.merges[step]] = part_of[initial + step]
    _, labels = np.unique(part_of[:initial], return_inverse=True)
    painted: NDArray[np.int32] = labels.astype(np.int32)[hierarchy.labels]
    return painted


def paint(picture: Pixels, labels: NDArray[np.integer]) -> Pixels:
    """Each region in its mean colour, with white lines between: H x W x (1 or 3) uint8, and labels (H, W) -> the same.

    Raises UsageError when the label map is of another size.
    """
    pixels: Pixels = check_pixels(picture)
    if labels.shape != pixels.shape[:2]:
        raise UsageError(f"labels: expected {pixels.shape[:2]}, the picture's size, got {labels.shape}")
    regions = regions_of(labels)
    painted: Pixels = np.round(means(regions, pixels)).astype(np.uint8)[labels]
    between = np.zeros(labels.shape, dtype=np.bool_)
    between[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    between[:-1] |= labels[:-1] != labels[1:]
    painted[between] = _BORDER
    return painted


def level_pictures(picture: Pixels, hierarchy: Hierarchy, counts: tuple[int, ...]) -> list[Pixels]:
    """The painted picture for each number of regions left, as `paint` gives it."""
    return [paint(picture, level(hierarchy, count)) for count in counts]

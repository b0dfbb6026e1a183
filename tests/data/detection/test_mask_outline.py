"""The outline of a mask: filled again it is the mask, and there is one wherever the line around it hangs together."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as theirs
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from convatlas.data.detection.mask_outline import outline_of_mask
from convatlas.types import Rle
from convatlas.types.polygons import rle_of_polygons

pytestmark = pytest.mark.row("C-10")


def hangs_together(inside: NDArray[np.bool_]) -> bool:
    """Whether the sides of pixels between inside and outside are one graph, joined at the pixels' corners."""
    padded = np.pad(inside, 1)
    corners = np.arange(padded.size).reshape(padded.shape)
    upright = padded[1:-1, 1:] != padded[1:-1, :-1]  # between a pixel and its right neighbour
    level = padded[1:, 1:-1] != padded[:-1, 1:-1]
    ends = np.concatenate(
        [
            np.stack([corners[:-2, :-1][upright], corners[1:-1, :-1][upright]], axis=1),
            np.stack([corners[:-1, :-2][level], corners[:-1, 1:-1][level]], axis=1),
        ]
    )
    used = np.unique(ends)
    graph = coo_array((np.ones(len(ends)), np.searchsorted(used, ends).T), shape=(used.size, used.size))
    return bool(connected_components(graph, directed=False)[0] == 1)


def test_random_masks() -> None:
    """The most tangled ones: pixels by chance, in pictures of up to 8 x 8, filled by pycocotools."""
    chance = np.random.default_rng(0)
    found = 0
    for _ in range(1500):
        height, width = (int(side) for side in chance.integers(1, 9, 2))
        inside = chance.random((height, width)) < chance.uniform(0.2, 1)
        outline = outline_of_mask(Rle.from_mask(inside))
        assert (outline is not None) == (inside.any() and hangs_together(inside)), inside
        if outline is not None:
            found += 1
            (filled,) = theirs.frPyObjects([outline.ravel().tolist()], height, width)
            assert np.array_equal(Rle.from_string(filled["counts"], height, width).to_mask(), inside), inside
    assert 500 < found < 1400


def test_known_outlines() -> None:
    inside = np.zeros((6, 7), bool)
    inside[1:4, 2:5] = True
    outline = outline_of_mask(Rle.from_mask(inside))
    assert outline is not None
    assert outline.tolist() == [[2, 1], [5, 1], [5, 4], [2, 4]]
    inside[2, 3] = False  # a hole
    assert outline_of_mask(Rle.from_mask(inside)) is None
    inside[2, 3], inside[5, 6] = True, True  # another part
    assert outline_of_mask(Rle.from_mask(inside)) is None
    inside[4, 5] = True  # which touches both at a corner
    outline = outline_of_mask(Rle.from_mask(inside))
    assert outline is not None
    assert len(outline) == 12
    assert np.array_equal(rle_of_polygons([outline], 6, 7).to_mask(), inside)


def test_what_is_no_outline() -> None:
    assert outline_of_mask(Rle.from_mask(np.zeros((5, 5), bool))) is None
    chequered = np.indices((300, 300)).sum(axis=0) % 2 == 0  # 180,000 corners
    assert outline_of_mask(Rle.from_mask(chequered)) is None
    small = outline_of_mask(Rle.from_mask(chequered[:100, :100]))
    assert small is not None
    assert len(small) == 4 * 5000

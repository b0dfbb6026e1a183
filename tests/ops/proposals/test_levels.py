"""The levels of a hierarchy and their pictures."""

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.ops.proposals.grouping import Hierarchy
from convatlas.ops.proposals.levels import level, level_pictures, paint
from convatlas.ops.proposals.selective_search import SINGLE, groupings
from tests.ops.proposals.pictures import scenes

pytestmark = pytest.mark.row("C-06")


def test_levels_by_hand():
    labels = np.array([[0, 0, 1, 2, 3]], np.int32)
    hierarchy = Hierarchy(labels=labels, merges=np.array([[2, 3], [0, 1], [4, 5]]), boxes=np.zeros((7, 4), np.float32))
    assert level(hierarchy, 4).tolist() == [[0, 0, 1, 2, 3]]
    assert level(hierarchy, 3).tolist() == [[0, 0, 1, 2, 2]]
    assert level(hierarchy, 2).tolist() == [[1, 1, 1, 0, 0]]
    assert level(hierarchy, 1).tolist() == [[0, 0, 0, 0, 0]]
    for count in (0, 5):
        with pytest.raises(UsageError, match=r"count must be 1 \.\. 4"):
            level(hierarchy, count)


def test_each_level_lies_within_the_next():
    hierarchy = next(groupings(scenes(1)[0].pixels, SINGLE))
    initial = len(hierarchy.merges) + 1
    assert initial > 5
    finer = level(hierarchy, initial)
    assert np.array_equal(finer, hierarchy.labels)
    for count in range(initial - 1, 0, -1):
        coarser = level(hierarchy, count)
        assert len(np.unique(coarser)) == count
        assert len(np.unique(np.stack([finer.ravel(), coarser.ravel()]), axis=1).T) == count + 1
        finer = coarser


def test_painted_in_the_mean_colour_with_lines_between():
    picture = np.zeros((2, 6, 3), np.uint8)
    picture[:, :3] = [[[10, 0, 30], [20, 0, 30], [30, 0, 30]], [[10, 0, 30], [20, 0, 30], [30, 0, 30]]]
    picture[:, 3:] = [7, 8, 9]
    labels = np.array([[0, 0, 0, 1, 1, 1]] * 2)
    painted = paint(picture, labels)
    assert painted.dtype == np.uint8
    assert painted[:, :2].tolist() == [[[20, 0, 30]] * 2] * 2
    assert (painted[:, 2] == 255).all()
    assert painted[:, 3:].tolist() == [[[7, 8, 9]] * 3] * 2
    assert np.array_equal(paint(painted[:, 3:, :1], labels[:, 3:] * 0), painted[:, 3:, :1])  # grey
    with pytest.raises(UsageError, match=r"expected \(2, 6\), the picture's size, got \(2, 5\)"):
        paint(picture, labels[:, 1:])


def test_pictures_of_several_levels():
    picture = scenes(1)[0].pixels
    hierarchy = next(groupings(picture, SINGLE))
    found = level_pictures(picture, hierarchy, (5, 1))
    assert np.array_equal(found[0], paint(picture, level(hierarchy, 5)))
    assert (found[1] == np.round(picture.mean(axis=(0, 1))).astype(np.uint8)).all()

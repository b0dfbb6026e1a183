"""Run lengths against pycocotools, on masks drawn by chance and on the awkward ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from convatlas.errors import UsageError
from convatlas.types.rle import Rle, union

pytestmark = pytest.mark.row("C-10")

MASKS = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda shape: arrays(np.bool_, shape))
AWKWARD = {
    "empty": np.zeros((3, 5), bool),
    "full": np.ones((3, 5), bool),
    "one pixel, inside": np.ones((1, 1), bool),
    "first pixel": np.arange(12).reshape(3, 4) == 0,
    "last pixel": np.arange(12).reshape(3, 4) == 11,
    "one column": np.tile([False, True, False], (4, 1)),
    "chequered": np.indices((5, 6)).sum(axis=0) % 2 == 0,
    "runs of many groups": np.pad(np.ones((700, 900), bool), 150),
}


def same_as_coco(mask: np.ndarray) -> None:
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    ours = Rle.from_mask(mask)
    assert ours.to_string().encode() == theirs["counts"]
    assert ours.area == coco.area(theirs)
    assert (ours.to_mask() == mask).all()
    back = Rle.from_string(theirs["counts"], *mask.shape)
    assert back.counts.tolist() == ours.counts.tolist()
    x, y, w, h = coco.toBbox(theirs)
    bounds = ours.bounds()
    assert bounds == (None if not mask.any() else (x, y, x + w, y + h))


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_masks(name: str) -> None:
    same_as_coco(AWKWARD[name])


@given(MASKS)
def test_masks_by_chance(mask: np.ndarray) -> None:
    same_as_coco(mask)


@given(st.lists(arrays(np.bool_, (6, 7)), min_size=1, max_size=4))
def test_union(masks: list[np.ndarray]) -> None:
    joined = union([Rle.from_mask(mask) for mask in masks])
    assert (joined.to_mask() == np.any(masks, axis=0)).all()
    theirs = coco.merge([coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks])
    assert joined.to_string().encode() == theirs["counts"]


def test_counts_as_coco_lists_them() -> None:
    rle = Rle.from_counts([3, 2, 1], 3, 2)
    assert rle.to_mask().tolist() == [[False, True], [False, True], [False, False]]
    theirs = coco.frPyObjects({"counts": [3, 2, 1], "size": [3, 2]}, 3, 2)
    assert rle.to_string().encode() == theirs["counts"]


def test_runs_without_length_are_read() -> None:
    rle = Rle.from_counts([2, 0, 1, 3], 3, 2)
    assert rle.area == 3
    assert rle.bounds() == (1, 0, 2, 3)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([3, 2], "add up to 5 pixels; 3 x 2 are 6"),
        ([], "add up to 0"),
        ([7, -1], "run 1 is negative"),
        ([3.0, 3.0], "whole numbers"),
        (["3", "3"], "whole numbers"),
        ([[3], [3]], "list of whole numbers"),
    ],
)
def test_wrong_counts(counts: list[int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Rle.from_counts(counts, 3, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "add up to 0"),
        ("32", "add up to 5"),
        ("3 2", "character 1 is no part"),
        ("32~", "character 2 is no part"),
        ("3ü", "character 1 is no part"),
        ("3P", "breaks off"),
        ("P" * 8 + "1", "larger than any picture"),
        ("3K", "negative|add up"),
    ],
)
def test_wrong_strings(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Rle.from_string(text, 3, 2)


def test_nothing_of_a_mask_can_be_written() -> None:
    counts = np.array([1, 2, 3])
    rle = Rle(height=3, width=2, counts=counts)
    with pytest.raises(ValueError, match="read-only"):
        rle.counts[0] = 5
    counts[0] = 1  # the caller's own array stays as it was


def test_masks_of_different_sizes_have_no_union() -> None:
    with pytest.raises(UsageError, match="one size"):
        union([Rle.from_mask(np.ones((2, 3))), Rle.from_mask(np.ones((3, 2)))])
    with pytest.raises(UsageError, match="at least one"):
        union([])

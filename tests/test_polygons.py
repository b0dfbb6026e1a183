"""Polygons become the very pixels that COCO's own code gives them."""

import numpy as np
import pytest
from pycocotools import mask as coco

from convatlas.errors import UsageError
from convatlas.types.polygons import check_polygon, check_reach, rle_of_polygons

pytestmark = pytest.mark.row("C-10")


def same_as_coco(polygons: list[list[float]], height: int, width: int) -> None:
    theirs = coco.merge(coco.frPyObjects(polygons, height, width))
    ours = rle_of_polygons([check_polygon(each) for each in polygons], height, width)
    assert ours.to_string().encode() == theirs["counts"]


@pytest.mark.parametrize(
    "polygons",
    [
        [[2, 2, 10, 2, 10, 8, 2, 8]],
        [[0, 0, 20, 0, 20, 16, 0, 16]],  # all of the picture
        [[0.4, 0.4, 0.6, 0.4, 0.6, 0.6]],  # between the middles of pixels
        [[2, 2, 10, 8, 10, 2, 2, 8]],  # crosses itself
        [[2, 2, 10, 2, 10, 8, 2, 8, 2, 2]],  # closed by hand: the first corner once more
        [[5, 5, 5, 5, 5, 5]],  # a point
        [[5, 1, 5, 9, 5, 4]],  # a line down
        [[1, 5, 9, 5, 4, 5]],  # a line across
        [[-4, -3, 10, 2, 25, 20, 3, 14]],  # partly outside
        [[-9, -9, -2, -9, -2, -2]],  # wholly outside
        [[1, 1, 6, 1, 6, 6, 1, 6], [4, 4, 12, 4, 12, 12, 4, 12]],  # two that overlap
        [[3.2, 15.9, 17.7, 15.9, 19.99, 16.0, 10.1, 0.0]],
    ],
)
def test_awkward_polygons(polygons: list[list[float]]) -> None:
    same_as_coco(polygons, 16, 20)


def test_polygons_by_chance() -> None:
    chance = np.random.default_rng(0)
    for _ in range(400):
        height, width = chance.integers(1, 60, 2).tolist()
        polygons = [
            (chance.uniform(-0.2, 1.2, (chance.integers(3, 12), 2)) * [width, height]).round(2).ravel().tolist()
            for _ in range(chance.integers(1, 4))
        ]
        same_as_coco(polygons, height, width)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([1, 2, 3, 4], "three corners or more.*got 4"),
        ([1, 2, 3, 4, 5, 6, 7], "got 7"),
        ([], "expected"),
        (["1", "2", "3", "4", "5", "6"], "numbers only"),
        ([1, 2, None, 4, 5, 6], "numbers only"),
        ([1, 2, float("nan"), 4, 5, 6], "number 2 is not finite"),
        ("123456", "numbers only|expected"),
        (7, "expected"),
    ],
)
def test_what_is_no_polygon(numbers: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_polygon(numbers)


@pytest.mark.parametrize("numbers", [[1, 2, [3], 4, 5, 6], [[1, 2], [3, 4], [5, 6]], [[1, 2], [3], [4, 5, 6]]])
def test_lists_among_the_numbers(numbers: list[object]) -> None:
    with pytest.raises(UsageError, match="expected numbers only"):
        check_polygon(numbers)


def test_an_outline_that_would_fill_the_memory() -> None:
    zigzag = np.zeros((10_000, 2))
    zigzag[1::2] = 10_000  # 10,000 times across a picture of 10,000 x 10,000: half a billion steps
    with pytest.raises(UsageError, match="outline is longer than 2,000,000 pixels"):
        rle_of_polygons([zigzag], 10_000, 10_000)
    check_reach(zigzag[:150], 10_000, 10_000)


def test_a_corner_that_no_drawing_explains() -> None:
    with pytest.raises(UsageError, match="far outside"):
        rle_of_polygons([check_polygon([0, 0, 1e9, 0, 0, 5])], 16, 20)
    with pytest.raises(UsageError, match="at least one"):
        rle_of_polygons([], 16, 20)

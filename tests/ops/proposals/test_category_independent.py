"""Category-independent proposals: what stands between regions, which are seeds, and what is found."""

import itertools

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.ops.proposals import category_independent as methods
from convatlas.ops.proposals.category_independent import (
    CategoryIndependentConfig,
    category_independent,
    same_object,
    seed_segments,
    strongest_boundary,
)
from convatlas.ops.proposals.grouping import Hierarchy
from convatlas.ops.proposals.regions import regions_of
from tests.ops.proposals.pictures import better_than_random, noise, scenes

pytestmark = pytest.mark.row("C-07")


def test_more_regions_than_memory_allows_are_refused(monkeypatch):
    monkeypatch.setattr(methods, "MOST_REGIONS", 2)
    with pytest.raises(
        UsageError, match=r"picture: its \d+ regions are more than 2: make it smaller, or k=1\.0 larger"
    ):
        category_independent(noise(0, 12, 12), CategoryIndependentConfig(k=1.0))


@pytest.mark.parametrize("seed", range(5))
def test_the_easiest_way_between_two_regions(seed):
    """Floyd and Warshall's shortest ways, with the largest step in place of the sum."""
    random = np.random.default_rng(seed)
    regions = regions_of(random.permutation(20).reshape(4, 5))
    boundaries = random.integers(0, 5, len(regions.pairs)) / 5
    walls = np.full((20, 20), np.inf)
    np.fill_diagonal(walls, 0)
    for (a, b), height in zip(regions.pairs, boundaries, strict=True):
        walls[a, b] = walls[b, a] = height
    for via, one, other in itertools.product(range(20), repeat=3):
        walls[one, other] = min(walls[one, other], max(walls[one, via], walls[via, other]))
    np.testing.assert_allclose(strongest_boundary(regions, boundaries), walls, atol=1e-12)


def test_same_object_by_hand():
    regions = regions_of(np.array([[0, 0, 0, 1, 2, 2]]))
    colour = np.array([[1, 0], [0, 1], [0.5, 0.5]], np.float32)
    texture = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    walls = np.array([[0, 0.2, 0.6], [0.2, 0, 0.4], [0.6, 0.4, 0]])
    seed = np.array([True, True, False])  # colour (3 x 1, 1 x 1) / 4, texture (1, 0); region 2 shares 0.75 and 0
    assert same_object(seed, regions, colour, texture, walls).tolist() == pytest.approx([1, 1, 0.375 - 0.4 / 2])


def test_seeds_are_of_allowed_size_and_the_best_separated_first():
    regions = regions_of(np.array([[0, 1, 2, 2]]))
    hierarchy = Hierarchy(labels=regions.labels, merges=np.array([[0, 1], [2, 3]]), boxes=np.zeros((5, 4), np.float32))
    weights = np.array([0.9, 0.2])  # 0 | 1 is hard to cut, 1 | 2 easy
    config = CategoryIndependentConfig(sizes=(0.3, 0.6))
    left, right = [True, True, False], [False, False, True]
    assert sorted(seed_segments(hierarchy, regions, weights, config).tolist()) == sorted([left, right])
    config = CategoryIndependentConfig(sizes=(0.0, 0.9), seeds=2)
    assert sorted(seed_segments(hierarchy, regions, weights, config).tolist()) == sorted([left, right])
    config = CategoryIndependentConfig(sizes=(0.0, 0.1))
    assert seed_segments(hierarchy, regions, weights, config).tolist() == [[True] * 3]


def test_a_figure_on_a_plain_ground_is_found_first():
    picture = np.full((60, 80, 3), 40, np.uint8)
    picture[20:45, 25:60] = (200, 60, 30)
    found = category_independent(picture)
    assert [25, 20, 60, 45] in found.first(2).boxes.tolist()


def test_finds_objects_better_than_chance():
    pictures = scenes(8)
    found, chance = better_than_random([category_independent(each.pixels).boxes for each in pictures], pictures, 30)
    assert found > chance + 0.1


def test_the_same_every_time_and_small_pictures():
    picture = scenes(1)[0].pixels
    first, again = (category_independent(picture) for _ in range(2))
    assert np.array_equal(first.boxes, again.boxes)
    assert category_independent(noise(0, 2, 3)).boxes.tolist() == [[0, 0, 3, 2]]


@pytest.mark.parametrize(
    "changes",
    [
        {"k": 0.5},
        {"seeds": 0},
        {"sizes": (0.5, 0.1)},
        {"biases": ()},
        {"biases": (1.5,)},
        {"smoothness": -1},
        {"same": 0},
        {"relevance": 2},
    ],
)
def test_impossible_settings_name_the_field(changes):
    with pytest.raises(UsageError, match=rf"CategoryIndependentConfig\.{next(iter(changes))} must be"):
        CategoryIndependentConfig(**changes)

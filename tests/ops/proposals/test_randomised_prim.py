"""Randomised Prim: trees are connected, drawn as the paper says, and hold objects."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from convatlas.errors import UsageError
from convatlas.ops.proposals.randomised_prim import (
    EdgeWeights,
    Graph,
    PrimConfig,
    draw_tree,
    edge_likelihoods,
    graph_of,
    randomised_prim,
)
from convatlas.ops.proposals.regions import regions_of
from tests.ops.proposals.pictures import better_than_random, noise, scenes

pytestmark = pytest.mark.row("C-07")

SMALL = PrimConfig(trees=300)


def chain(likelihoods, sizes):
    """Superpixels in a row, each `sizes` pixels wide."""
    count = len(sizes)
    near = [
        tuple((other, likelihoods[min(other, own)]) for other in (own - 1, own + 1) if 0 <= other < count)
        for own in range(count)
    ]
    return Graph(regions=regions_of(np.repeat(np.arange(count), sizes)[None]), neighbours=tuple(near))


def test_every_tree_is_a_connected_union_of_superpixels():
    graph = graph_of(scenes(1)[0].pixels, "lab", PrimConfig(k=10))
    labels = graph.regions.labels
    assert len(graph.regions) > 20
    random = np.random.default_rng(0)
    lengths = []
    for _ in range(150):
        tree = draw_tree(graph, random, smallest_object=0.001)
        assert len(set(tree)) == len(tree)
        _, parts = ndimage.label(np.isin(labels, tree), structure=np.ones((3, 3)))
        assert parts == 1
        for place in range(1, len(tree)):  # each joins by an edge of one that is there
            assert {other for other, _ in graph.neighbours[tree[place]]} & set(tree[:place])
        lengths.append(len(tree))
    assert max(lengths) > 5


def test_boxes_are_of_trees_drawn_from_each_space_in_turn():
    picture = scenes(1)[0].pixels
    config = PrimConfig(trees=5, spaces=("lab", "hsv"))
    random, expected = np.random.default_rng(3), []
    graphs = [graph_of(picture, space, config) for space in config.spaces]
    for number in range(5):
        labels = graphs[number % 2].regions.labels
        rows, columns = np.nonzero(np.isin(labels, draw_tree(graphs[number % 2], random, smallest_object=0.001)))
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        expected += [box] if box not in expected else []
    assert randomised_prim(picture, config, seed=3).boxes.tolist() == expected


def test_likelihoods_by_hand():
    regions = regions_of(np.array([[0, 0, 1, 2], [0, 0, 1, 2]]))  # borders: 4 pairs each of (0, 1) and of (1, 2)
    colour = np.array([[1, 0], [0.25, 0.75], [0, 1]], np.float32)
    weights = EdgeWeights(colour=2, border=3, size=4, bias=-5)
    # All of the border of 0 (and of 2) is with 1. Sizes 4 + 2 and 2 + 2 of 8 pixels.
    totals = np.array([2 * 0.25 + 3 + 4 * 0.25 - 5, 2 * 0.75 + 3 + 4 * 0.5 - 5])
    assert edge_likelihoods(regions, colour, weights).tolist() == pytest.approx((1 / (1 + np.exp(-totals))).tolist())
    extreme = edge_likelihoods(regions, colour, EdgeWeights(bias=-1e6))
    assert (extreme > 0).all()


def test_a_tree_stops_as_often_as_the_paper_says():
    """From the left of a, b, c: it takes b, and stops with ((1 - rho) + share of smaller objects) / 2."""
    graph = chain([0.3, 0.9], [10, 10, 80])
    share = 1 - np.log(0.2) / np.log(0.001)
    random = np.random.default_rng(0)
    from_left = [tree for _ in range(9_000) if (tree := draw_tree(graph, random, smallest_object=0.001))[0] == 0]
    assert all(tree[:2] == [0, 1] for tree in from_left)
    stopped = np.mean([len(tree) == 2 for tree in from_left])
    assert stopped == pytest.approx((0.7 + share) / 2, abs=0.03)  # two deviations of 3,000 are 0.02


def test_an_edge_is_drawn_as_often_as_it_is_likely():
    graph = chain([0.2, 0.6], [10, 10, 10])
    random = np.random.default_rng(1)
    second = [tree[1] for _ in range(9_000) if (tree := draw_tree(graph, random, smallest_object=0.001))[0] == 1]
    assert np.mean(np.array(second) == 2) == pytest.approx(0.6 / 0.8, abs=0.03)
    seeds = [draw_tree(graph, random, smallest_object=0.001)[0] for _ in range(3_000)]
    assert np.bincount(seeds) / 3_000 == pytest.approx([1 / 3] * 3, abs=0.04)


def test_finds_objects_better_than_chance():
    pictures = scenes(10)
    found, chance = better_than_random([randomised_prim(each.pixels, SMALL).boxes for each in pictures], pictures, 50)
    assert found > chance + 0.05


def test_a_seed_draws_the_same():
    picture = scenes(1)[0].pixels
    first, again, other = (randomised_prim(picture, SMALL, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.boxes[:20], other.boxes[:20])
    assert all(earlier > later for earlier, later in pairwise(first.scores))


def test_small_pictures():
    assert randomised_prim(noise(0, 2, 3), SMALL).boxes.tolist() == [[0, 0, 3, 2]]


@pytest.mark.parametrize(
    "changes",
    [
        {"trees": 0},
        {"spaces": ()},
        {"spaces": "hsv"},
        {"spaces": ("hsb",)},
        {"spaces": ("hsv", "hsv")},
        {"k": 0},
        {"k": np.nan},
        {"smallest_object": 0},
        {"smallest_object": 1},
    ],
)
def test_impossible_settings_name_the_field(changes):
    with pytest.raises(UsageError, match=rf"PrimConfig\.{next(iter(changes))} must be"):
        PrimConfig(**changes)

"""Constrained parametric minimum cuts, against all figures there are at every bias."""

import itertools

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.ops.proposals.parametric_min_cuts import (
    CutsConfig,
    Problem,
    best_at_some_bias,
    border_weights,
    grounds,
    parametric_min_cuts,
    seeds,
)
from convatlas.ops.proposals.regions import regions_of
from tests.ops.proposals.pictures import better_than_random, noise, scenes

pytestmark = pytest.mark.row("C-07")

SMALL = CutsConfig(grid=3)


def nine_regions(seed):
    """A seed in the middle of 3 x 3 regions of different sizes, and ground on the left."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(9).reshape(3, 3), random.integers(1, 4, 3), axis=0)
    regions = regions_of(np.repeat(labels, random.integers(1, 4, 3), axis=1))
    return Problem(
        regions=regions,
        weights=random.random(len(regions.pairs)),
        seed=4,
        ground=np.arange(9) == 3,
        evidence=random.normal(0, 0.2, 9),
    )


def energies(problem, bias):
    """Of every figure with the seed and without the ground."""
    found = {}
    for figure in itertools.product([False, True], repeat=9):
        if figure[problem.seed] and not (np.array(figure) & problem.ground).any():
            members = np.array(figure)
            cut = sum(
                weight * border
                for (a, b), weight, border in zip(
                    problem.regions.pairs, problem.weights, problem.regions.borders, strict=True
                )
                if figure[a] != figure[b]
            )
            found[figure] = cut - ((problem.evidence + bias) * problem.regions.sizes)[members].sum()
    return found


@pytest.mark.parametrize("seed", range(6))
def test_a_figure_is_the_best_at_its_bias(seed):
    problem = nine_regions(seed)
    for bias in (-0.4, 0.0, 0.3):
        of_all = energies(problem, bias)
        found = problem.solve(bias)
        assert of_all[tuple(found.tolist())] == pytest.approx(min(of_all.values()), abs=1e-5)
        offset, size = problem.line(found)
        assert offset - size * bias == pytest.approx(of_all[tuple(found.tolist())])


@pytest.mark.parametrize("seed", range(10))
def test_every_figure_that_is_the_best_at_some_bias_is_found(seed):
    problem = nine_regions(seed)
    found = [tuple(each.tolist()) for each in best_at_some_bias(problem, -2, 2)]
    assert len(found) == len(set(found)) > 1
    for small, large in itertools.pairwise(found):
        assert set(np.flatnonzero(small)) < set(np.flatnonzero(large))
    best = {min(of_all, key=of_all.get) for bias in np.linspace(-2, 2, 81) for of_all in [energies(problem, bias)]}
    assert best <= set(found)


def test_nearly_equal_figures_are_not_told_apart():
    problem = nine_regions(0)
    sizes = [problem.line(each)[1] for each in best_at_some_bias(problem, -2, 2, same=0.5)]
    assert 1 < len(sizes) < len(best_at_some_bias(problem, -2, 2))


def test_weights_seeds_and_grounds_by_hand():
    labels = np.repeat(np.repeat(np.arange(16).reshape(4, 4), 2, axis=0), 2, axis=1)
    regions = regions_of(labels)
    assert seeds(regions, 2) == [5, 7, 13, 15]
    found = [set(np.flatnonzero(each).tolist()) for each in grounds(regions)]
    top, bottom, left, right = {0, 1, 2, 3}, {12, 13, 14, 15}, {0, 4, 8, 12}, {3, 7, 11, 15}
    assert found == [top | bottom | left | right, left | right, top | bottom, top | left | right]
    colours = np.zeros((2, 3))
    colours[1, 0] = 0.06
    pair = regions_of(np.array([[0, 1]]))
    assert border_weights(pair, colours).tolist() == pytest.approx([np.exp(-1)])


def test_a_figure_on_a_plain_ground_is_found():
    picture = np.full((60, 80, 3), 40, np.uint8)
    picture[20:45, 25:60] = (200, 60, 30)
    boxes = parametric_min_cuts(picture, SMALL).boxes
    assert [25, 20, 60, 45] in boxes.tolist()


def test_finds_objects_better_than_chance():
    pictures = scenes(8)
    found, chance = better_than_random([parametric_min_cuts(each.pixels).boxes for each in pictures], pictures, 30)
    assert found > chance + 0.02


def test_the_same_every_time_and_small_pictures():
    picture = scenes(1)[0].pixels
    first, again = (parametric_min_cuts(picture, SMALL) for _ in range(2))
    assert np.array_equal(first.boxes, again.boxes)
    assert parametric_min_cuts(noise(0, 2, 3)).boxes.tolist() == [[0, 0, 3, 2]]


@pytest.mark.parametrize(
    "changes",
    [{"k": 0.5}, {"grid": 0}, {"biases": (0.5, 0.1)}, {"biases": (0.0, np.inf)}, {"same": 0}, {"relevance": 2}],
)
def test_impossible_settings_name_the_field(changes):
    with pytest.raises(UsageError, match=rf"CutsConfig\.{next(iter(changes))} must be"):
        CutsConfig(**changes)

"""Minimum cuts against all figures there are, and segments against counting pixels."""

import itertools
import tracemalloc

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.metrics.overlaps import box_iou
from convatlas.ops.proposals.cuts import energy, minimum_cut
from convatlas.ops.proposals.regions import regions_of
from convatlas.ops.proposals.segments import cut_ratio, diversified, segment_boxes, segment_iou, without_twins

pytestmark = pytest.mark.row("C-07")


def problem(seed, count=8):
    """Random costs and weights, with what is forbidden and what costs nothing among them."""
    random = np.random.default_rng(seed)
    figure, ground = random.random((2, count)) * 10.0 ** random.integers(-3, 4)
    figure[random.random(count) < 0.2] = 0
    figure[0], ground[0] = 0, np.inf
    figure[1], ground[1] = np.inf, 0
    pairs = np.array(list(itertools.combinations(range(count), 2)))
    pairs = pairs[random.random(len(pairs)) < 0.5]
    return figure, ground, pairs, random.random(len(pairs)) * figure[2:].max()


def figures_of(count):
    return np.array(list(itertools.product([False, True], repeat=count)))


@pytest.mark.parametrize("seed", range(25))
def test_a_minimum_cut_has_the_least_energy_of_all_figures(seed):
    figure, ground, pairs, weights = problem(seed)
    found = minimum_cut(figure, ground, pairs, weights)
    energies = [energy(each, figure, ground, pairs, weights) for each in figures_of(len(figure))]
    assert energy(found, figure, ground, pairs, weights) == pytest.approx(min(energies), rel=1e-6)
    assert found[0]
    assert not found[1]


def test_energy_by_hand():
    pairs, weights = np.array([[0, 1], [1, 2]]), np.array([5.0, 7.0])
    figure, ground = np.array([1.0, 2.0, np.inf]), np.array([10.0, 20.0, 30.0])
    assert energy(np.array([True, False, False]), figure, ground, pairs, weights) == 1 + 20 + 30 + 5
    assert energy(np.array([False, False, True]), figure, ground, pairs, weights) == np.inf
    assert minimum_cut(figure, ground, pairs, weights).tolist() == [True, True, False]  # 1 + 2 + 30 + 7


def test_of_equal_figures_the_smallest():
    nothing = np.zeros(3)
    pairs = np.array([[0, 1], [1, 2]])
    assert minimum_cut(np.array([0, 0, np.inf]), np.array([np.inf, 0, 0]), pairs, np.ones(2)).tolist() == [
        True,
        False,
        False,
    ]
    assert not minimum_cut(nothing, nothing, pairs, np.zeros(2)).any()
    assert minimum_cut(np.zeros(1), np.ones(1), np.zeros((0, 2), int), np.zeros(0)).tolist() == [True]


@pytest.mark.parametrize(
    ("figure", "ground", "weight", "message"),
    [
        ([0, -1], [0, 0], 1, "at least 0"),
        ([0, np.nan], [0, 0], 1, "at least 0"),
        ([0, 0], [0, 0], -1, "at least 0"),
        ([0, 0], [0, 0], np.inf, "weights must be finite"),
        ([0, np.inf], [0, np.inf], 1, "allowed as figure or as ground"),
    ],
)
def test_bad_costs_are_refused(figure, ground, weight, message):
    with pytest.raises(UsageError, match=message):
        minimum_cut(np.array(figure, float), np.array(ground, float), np.array([[0, 1]]), np.array([weight], float))


@pytest.fixture(scope="module")
def regions():
    return regions_of(np.repeat(np.repeat(np.arange(12).reshape(3, 4), 3, axis=0), 2, axis=1))


@pytest.fixture(scope="module")
def segments(regions):
    members = np.random.default_rng(0).random((20, len(regions))) < 0.4
    members[:, 0] |= ~members.any(axis=1)
    members[0] = True
    return members


def pixels(segment, regions):
    return segment[regions.labels]


def test_boxes_and_overlaps_are_the_masks_own(segments, regions):
    boxes, iou = segment_boxes(segments, regions), segment_iou(segments, regions)
    masks = [pixels(segment, regions) for segment in segments]
    for i, mask in enumerate(masks):
        rows, columns = np.nonzero(mask)
        assert boxes[i].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        for j, other in enumerate(masks):
            assert iou[i, j] == pytest.approx((mask & other).sum() / (mask | other).sum())


def test_cut_ratio_walks_along_the_border(segments, regions):
    weights = np.random.default_rng(1).random(len(regions.pairs))
    weight_of = dict(zip(map(tuple, regions.pairs.tolist()), weights, strict=True))
    labels = regions.labels
    for segment, found in zip(segments, cut_ratio(segments, regions, weights), strict=True):
        mask, crossed = pixels(segment, regions), []
        for y, x in np.ndindex(labels.shape):
            for v, u in ((y, x + 1), (y + 1, x), (y + 1, x + 1), (y + 1, x - 1)):
                if v < labels.shape[0] and 0 <= u < labels.shape[1] and mask[y, x] != mask[v, u]:
                    crossed.append(weight_of[tuple(sorted((int(labels[y, x]), int(labels[v, u]))))])
        assert found == pytest.approx(np.mean(crossed) if crossed else weights.max())


def test_the_borders_of_some_segments_at_a_time_are_looked_at(segments, regions):
    """Of 3,000 segments and 6,000 pairs of regions all numbers would be 150 MB."""
    weights = np.random.default_rng(1).random(len(regions.pairs))
    often = cut_ratio(np.repeat(segments, 30, axis=0), regions, weights)
    assert often == pytest.approx(np.repeat(cut_ratio(segments, regions, weights), 30))
    fine = regions_of(np.arange(1600).reshape(40, 40))
    many = np.random.default_rng(2).random((3000, 1600)) < 0.5
    tracemalloc.start()
    cut_ratio(many, fine, np.ones(len(fine.pairs)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


def test_twins_of_a_better_segment_go(segments, regions):
    quality = np.random.default_rng(2).random(len(segments))
    kept = without_twins(segments, regions, quality, iou=0.4)
    expected = []
    for i in np.argsort(-quality):
        mask = pixels(segments[i], regions)
        others = [pixels(each, regions) for each in expected]
        if all((mask & other).sum() / (mask | other).sum() < 0.4 for other in others):
            expected.append(segments[i])
    assert 1 < len(expected) < len(segments)
    assert np.array_equal(kept, expected)


@pytest.mark.parametrize("relevance", [1.0, 0.6, 0.1])
def test_variety_by_definition(relevance):
    random = np.random.default_rng(3)
    quality, boxes = random.random(15), np.sort(random.random((15, 2, 2)), axis=1).reshape(15, 4)
    iou = box_iou(boxes, boxes)
    shown, waiting = [], list(range(15))
    while waiting:
        gains = [relevance * quality[i] - (1 - relevance) * max((iou[i, j] for j in shown), default=0) for i in waiting]
        shown.append(waiting.pop(int(np.argmax(gains))))
    assert diversified(quality, iou, relevance=relevance).tolist() == shown
    assert (shown == np.argsort(-quality).tolist()) == (relevance == 1)

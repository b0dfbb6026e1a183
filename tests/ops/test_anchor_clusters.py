"""k-means under 1 - IoU: the best clustering by trying all, well-known clusters, the curve of Figure 2, wrong input."""

import itertools

import numpy as np
import pytest
import torch

from convatlas.errors import UsageError
from convatlas.ops.anchor_clusters import cluster_sides, mean_best_iou, mean_iou_curve
from convatlas.ops.iou import pairwise_iou

pytestmark = pytest.mark.row("C-03")


def some_sides(count, seed=0):
    return np.exp(np.random.default_rng(seed).uniform(2, 6, (count, 2)))


def laid_on_one_centre(sides):
    half = torch.from_numpy(np.asarray(sides, np.float64)) / 2
    return torch.cat((-half, half), dim=1)


def test_the_mean_iou_is_that_of_boxes_on_one_centre():
    """Equation of Section 2, with the IoU of boxes that are tested against torchvision."""
    sides, anchors = some_sides(200), some_sides(5, 1)
    overlaps = pairwise_iou(laid_on_one_centre(sides), laid_on_one_centre(anchors))
    assert mean_best_iou(sides, anchors) == pytest.approx(float(overlaps.amax(dim=1).mean()))
    found = cluster_sides(sides, 4)
    assert found.mean_iou == pytest.approx(mean_best_iou(sides, found.sides))


def test_clusters_far_apart_are_found():
    random = np.random.default_rng(0)
    true = np.array([[8.0, 10], [30, 12], [40, 90], [200, 150]])
    boxes = np.repeat(true, 50, axis=0) * np.exp(random.normal(0, 0.02, (200, 2)))
    found = cluster_sides(random.permutation(boxes), 4, seed=3)
    assert found.sides == pytest.approx(true, rel=0.02)  # by ascending area
    means = boxes.reshape(4, 50, 2).mean(axis=1)
    assert found.sides == pytest.approx(means[np.argsort(means.prod(axis=1))])
    assert found.mean_iou > 0.95


@pytest.mark.parametrize("seed", range(4))
def test_few_boxes_are_clustered_as_well_as_the_best_of_all_ways(seed):
    """Every way to give eight boxes to two clusters of mean sides."""
    sides = some_sides(8, seed)
    best = 0.0
    for way in itertools.product((0, 1), repeat=8):
        chosen = np.array(way)
        if 0 < chosen.sum() < 8:
            means = np.array([sides[chosen == k].mean(axis=0) for k in (0, 1)])
            best = max(best, mean_best_iou(sides, means))
    assert cluster_sides(sides, 2, restarts=20).mean_iou >= best - 1e-9


def test_the_distance_does_not_favour_large_boxes():
    """Section 2: with Euclidean distance larger boxes cause more error. A unit does not matter here, only shapes."""
    sides = some_sides(300, 5)
    found = cluster_sides(sides, 5)
    scaled = cluster_sides(sides * 1000, 5)
    assert scaled.sides == pytest.approx(found.sides * 1000)
    assert scaled.mean_iou == pytest.approx(found.mean_iou)
    small = some_sides(60, 6)
    shapes = cluster_sides(np.concatenate([small, small * 1000]), 6).sides
    assert (shapes < small.max()).all(axis=1).sum() == 3, "small boxes get as many shapes as large ones"


def test_the_curve_never_falls_and_ends_at_one():
    """Figure 2: average IoU over the number of clusters."""
    sides = some_sides(40, 8)
    curve = mean_iou_curve(sides, range(1, 41), restarts=1, rounds=5)
    means = [each.mean_iou for each in curve]
    assert all(a <= b for a, b in itertools.pairwise(means))
    assert [len(each.sides) for each in curve] == list(range(1, 41))
    assert means[0] < 0.7
    assert means[-1] == pytest.approx(1)
    assert [each.mean_iou for each in mean_iou_curve(sides, (2, 5, 9))] == sorted(
        cluster.mean_iou for cluster in mean_iou_curve(sides, (2, 5, 9))
    )


def test_one_cluster_and_one_box_each_by_hand():
    found = cluster_sides([[2, 4], [4, 2]], 1)
    assert found.mean_iou == pytest.approx((1 + 4 / 12) / 2)  # 3 x 3, their mean, gives 6 / 11 of each
    assert found.sides.tolist() in ([[2, 4]], [[4, 2]])
    assert cluster_sides([[2, 2], [2, 3], [2, 4]], 1).sides.tolist() == [[2, 3]]
    found = cluster_sides([[2, 4], [4, 2], [1, 1]], 3)
    assert found.sides.tolist() == [[1, 1], [2, 4], [4, 2]]
    assert found.mean_iou == 1


def test_a_seed_gives_the_same_and_many_equal_boxes_do_not_matter():
    sides = np.repeat(some_sides(6, 9), 30, axis=0)
    first, again = cluster_sides(sides, 6, seed=4), cluster_sides(sides, 6, seed=4)
    assert (first.sides == again.sides).all()
    assert first.mean_iou == pytest.approx(1)


@pytest.mark.parametrize(
    ("sides", "count", "said"),
    [
        ([[1, 2], [3, 0]], 1, r"sides\[1\]: expected finite numbers above 0, got \[3\.0, 0\.0\]"),
        ([[1, -2]], 1, r"sides\[0\]"),
        ([[1, np.nan]], 1, r"sides\[0\]"),
        ([[1, np.inf]], 1, r"sides\[0\]"),
        ([[1e200, 1e200], [1, 1]], 2, r"sides\[0\]: expected finite .*; 1e-100 to 1e\+100 are taken"),
        ([[1, 1], [1e-200, 1]], 2, r"sides\[1\]"),
        ([[1, 2, 3, 4]], 1, r"sides: expected widths and heights \(N, 2\), got shape \(1, 4\)"),
        (np.zeros((0, 2)), 1, "sides: expected widths"),
        ([["a", "b"]], 1, "sides: expected widths"),
        ([[1, 2], [3]], 1, r"sides: expected widths and heights \(N, 2\), got rows of different lengths"),
        ([[1, 2], [1, 2]], 2, r"count: expected 1\.\.1, the number of different boxes, got 2"),
        ([[1, 2]], 0, "count"),
    ],
)
def test_wrong_input_is_named(sides, count, said):
    with pytest.raises(UsageError, match=said):
        cluster_sides(sides, count)


def test_wrong_settings_are_named():
    with pytest.raises(UsageError, match="counts: expected ascending"):
        mean_iou_curve([[1, 2], [2, 2]], (2, 1))
    with pytest.raises(UsageError, match="restarts, rounds"):
        cluster_sides([[1, 2]], 1, rounds=0)
    with pytest.raises(UsageError, match=r"anchors\[0\]"):
        mean_best_iou([[1, 2]], [[0, 1]])

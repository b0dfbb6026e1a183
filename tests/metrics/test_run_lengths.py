"""Many masks at once against the pixels themselves."""

import numpy as np
import pytest

from convatlas.metrics.run_lengths import pack, pair_intersections
from convatlas.types import Rle

pytestmark = pytest.mark.row("C-09")


def random_masks(seed, count, size):
    random = np.random.default_rng(seed)
    masks = []
    for density in random.choice([0.0, 0.05, 0.5, 0.95, 1.0], count):
        mask = random.random(size) < density
        if random.random() < 0.4:
            mask[: random.integers(0, size[0] + 1)] = random.random() < 0.5
        masks.append(mask)
    return masks


@pytest.mark.parametrize("seed", range(20))
def test_areas_boxes_and_intersections_are_those_of_the_pixels(seed):
    size = tuple(np.random.default_rng(seed).integers(1, 12, 2).tolist())
    left, right = random_masks(seed, 7, size), random_masks(seed + 100, 5, size)
    a, b = (pack([Rle.from_mask(each) for each in masks]) for masks in (left, right))
    assert a.areas.tolist() == [each.sum() for each in left]
    for mask, box in zip(left, a.boxes.tolist(), strict=True):
        y, x = np.nonzero(mask)
        assert box == ([x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0])
    i, j = (each.ravel() for each in np.indices((7, 5)))
    assert pair_intersections(a, b, i, j).tolist() == [(left[m] & right[n]).sum() for m, n in zip(i, j, strict=True)]


def test_runs_of_no_length_change_nothing():
    plain = pack([Rle.from_counts([2, 3, 1], 2, 3)])
    broken = pack([Rle.from_counts([2, 1, 0, 2, 0, 0, 1, 0], 2, 3)])
    assert broken.areas.tolist() == plain.areas.tolist() == [3]
    assert broken.boxes.tolist() == plain.boxes.tolist()
    one = np.zeros(1, np.int64)
    assert pair_intersections(plain, broken, one, one).tolist() == [3]
    assert pair_intersections(broken, plain, one, one).tolist() == [3]


def test_masks_of_several_sizes_and_in_small_steps(monkeypatch):
    sizes = [(3, 4), (5, 2), (3, 4), (7, 7)]
    left, right = ([random_masks(i + seed, 1, size)[0] for i, size in enumerate(sizes)] for seed in (0, 9))
    a, b = (pack([Rle.from_mask(each) for each in masks]) for masks in (left, right))
    expected = [int((one & other).sum()) for one, other in zip(left, right, strict=True)]
    assert any(expected)
    monkeypatch.setattr("convatlas.metrics.run_lengths._BLOCK", 2)
    assert pair_intersections(a, b, np.arange(4), np.arange(4)).tolist() == expected


def test_no_masks():
    none, one = pack([]), pack([Rle.from_counts([9], 3, 3)])
    nothing = np.zeros(0, np.int64)
    assert none.boxes.shape == (0, 4)
    assert pair_intersections(none, one, nothing, nothing).shape == (0,)

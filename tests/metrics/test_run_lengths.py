"""Run lengths against the pixels themselves and against pycocotools."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from convatlas.errors import UsageError
from convatlas.metrics.run_lengths import mask_iou, pack, pair_intersections
from tests.metrics.coco_cases import counts_of

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
def test_areas_boxes_and_overlaps_are_those_of_the_pixels(seed):
    size = tuple(np.random.default_rng(seed).integers(1, 12, 2).tolist())
    left, right = random_masks(seed, 7, size), random_masks(seed + 100, 5, size)
    a, b = (pack([counts_of(each) for each in masks], size) for masks in (left, right))
    assert a.areas.tolist() == [each.sum() for each in left]
    for mask, box in zip(left, a.boxes.tolist(), strict=True):
        y, x = np.nonzero(mask)
        assert box == ([x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0])
    crowd = np.arange(5) % 2 == 1
    theirs = coco_mask.iou(
        [coco_mask.encode(np.asfortranarray(each, np.uint8)) for each in left],
        [coco_mask.encode(np.asfortranarray(each, np.uint8)) for each in right],
        crowd.tolist(),
    )
    np.testing.assert_array_equal(mask_iou(a, b, crowd), theirs)


def test_runs_of_no_length_change_nothing():
    plain, broken = pack([[2, 3, 1]], (2, 3)), pack([[2, 1, 0, 2, 0, 0, 1, 0]], (2, 3))
    assert broken.areas.tolist() == plain.areas.tolist()
    assert broken.boxes.tolist() == plain.boxes.tolist()
    assert mask_iou(plain, broken).tolist() == [[1.0]]
    assert mask_iou(broken, plain).tolist() == [[1.0]]


def test_masks_of_several_sizes_and_in_small_steps(monkeypatch):
    sizes = [(3, 4), (5, 2), (3, 4), (7, 7)]
    left = [random_masks(i, 1, size)[0] for i, size in enumerate(sizes)]
    right = [random_masks(i + 9, 1, size)[0] for i, size in enumerate(sizes)]
    a, b = (pack([counts_of(each) for each in masks], np.array(sizes)) for masks in (left, right))
    expected = [int((one & other).sum()) for one, other in zip(left, right, strict=True)]
    monkeypatch.setattr("convatlas.metrics.run_lengths._BLOCK", 2)
    assert pair_intersections(a, b, np.arange(4), np.arange(4)).tolist() == expected
    with pytest.raises(UsageError, match="both of a pair of one size"):
        pair_intersections(a, b, np.array([0]), np.array([1]))


def test_no_masks():
    none, one = pack([], (3, 3)), pack([[9]], (3, 3))
    assert mask_iou(none, one).shape == (0, 1)
    assert mask_iou(one, none).shape == (1, 0)


@pytest.mark.parametrize(
    ("counts", "size", "says"),
    [
        ([[5, 3]], (3, 3), r"masks\[0\]: expected run lengths that add up to 3 x 3 = 9 pixels, got 8"),
        ([[9], [10, -1]], (3, 3), r"masks\[1\]: expected run lengths >= 0, got -1"),
        ([[9.0]], (3, 3), r"masks\[0\]: expected run lengths, one row of whole numbers"),
        ([[[9]]], (3, 3), "1 x 1"),
        ([[]], (3, 3), "got 0 of"),
        ([[0]], (0, 3), "1 pixel or more a side"),
        ([[9]], (3.0, 3.0), r"size of \(height, width\)"),
        ([np.array([2**63], np.uint64)], (3, 3), "run lengths >= 0"),
        ([[2**31]], (2**16, 2**15), "run lengths|1 pixel"),
    ],
)
def test_malformed_masks_are_named(counts, size, says):
    with pytest.raises(UsageError, match=says):
        pack(counts, size)

"""Felzenszwalb and Huttenlocher's segmentation, against the paper's algorithm written out and cases done by hand."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from convatlas.errors import UsageError
from convatlas.ops.proposals.felzenszwalb import segment, segment_planes, smooth

pytestmark = pytest.mark.row("C-06")


def algorithm_1(values, k, min_size):
    """Section 4, for a grid of eight neighbours: a set of frozensets of pixels."""
    height, width, _ = values.shape
    edges = []
    for y, x in itertools.product(range(height), range(width)):
        for v, u in ((y, x + 1), (y + 1, x), (y + 1, x + 1), (y + 1, x - 1)):
            if v < height and 0 <= u < width:
                edges.append((float(np.linalg.norm(values[y, x] - values[v, u])), (y, x), (v, u)))
    edges.sort()
    component = {(y, x): {(y, x)} for y in range(height) for x in range(width)}
    internal = dict.fromkeys(component, 0.0)  # Equation 1, at every pixel of the component

    def unite(one, other, weight):
        both = component[one] | component[other]
        for pixel in both:
            component[pixel], internal[pixel] = both, weight

    for weight, one, other in edges:
        a, b = component[one], component[other]
        if a is not b and weight <= min(internal[one] + k / 255 / len(a), internal[other] + k / 255 / len(b)):
            unite(one, other, weight)
    for weight, one, other in edges:
        a, b = component[one], component[other]
        if a is not b and min(len(a), len(b)) < min_size:
            unite(one, other, weight)
    return {frozenset(pixels) for pixels in component.values()}


def parts(labels):
    assert sorted(np.unique(labels)) == list(range(labels.max() + 1))
    return {frozenset(zip(*np.nonzero(labels == label), strict=True)) for label in range(labels.max() + 1)}


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("k", "min_size"), [(20, 1), (100, 1), (60, 4), (300, 6)])
def test_equal_to_the_paper(channels, k, min_size):
    random = np.random.default_rng(k + channels)
    values = np.clip(
        ndimage.gaussian_filter(random.random((13, 11, channels)), (1.5, 1.5, 0)) * 2 - 0.5
        + 0.05 * random.random((13, 11, channels)),
        0.0, 1.0,
    )  # fmt: skip
    found = parts(segment(values, k=k, sigma=0, min_size=min_size))
    assert found == algorithm_1(values, k, min_size)
    assert min(map(len, found)) >= min_size


def test_k_is_weighed_by_hand():
    """Two flat halves of 16 pixels that differ by 0.5 unite where 0.5 <= k / 255 / 16, at k = 2040."""
    values = np.zeros((4, 8, 1))
    values[:, 4:] = 0.5
    assert segment(values, k=2039, sigma=0, min_size=1).tolist() == [[0] * 4 + [1] * 4] * 4
    assert not segment(values, k=2041, sigma=0, min_size=1).any()


def test_sigma_is_a_gaussian_before_it():
    values = np.random.default_rng(0).random((20, 30, 3))
    smoothed = ndimage.gaussian_filter(values, (1.2, 1.2, 0))
    labels = segment(values, k=50, sigma=1.2, min_size=5)
    assert labels.max() > 1
    assert np.array_equal(labels, segment(smoothed, k=50, sigma=0, min_size=5))
    assert np.array_equal(labels, segment(smooth(values, 1.2), k=50, sigma=0, min_size=5))
    white = smooth(np.ones((9, 9, 3), np.float32))
    assert white.max() == 1
    assert not segment(white, k=50, sigma=0).any()


def test_a_larger_k_makes_larger_regions():
    values = np.random.default_rng(1).random((40, 40, 3)).astype(np.float32)
    counts = [int(segment(values, k=k, min_size=1).max()) + 1 for k in (5, 20, 80, 320)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 2 * counts[-1]


def test_planes_by_themselves_then_what_is_together_in_all():
    values = np.zeros((8, 8, 3))
    values[:, 4:, 0] = 1  # left and right
    values[4:, :, 1] = 1  # above and below
    labels = segment_planes(values, k=10, sigma=0, min_size=1)
    assert parts(labels) == {
        frozenset(itertools.product(rows, columns))
        for rows, columns in itertools.product((range(4), range(4, 8)), repeat=2)
    }
    apart = np.zeros((3, 9, 1))
    apart[:, 3:6] = 1  # the outer thirds are alike, but not together
    assert len(parts(segment_planes(apart, k=10, sigma=0, min_size=1))) == 3


@pytest.mark.parametrize("function", [segment, segment_planes])
@pytest.mark.parametrize(
    ("values", "changes", "message"),
    [
        (np.zeros((4, 4)), {}, "values: expected height x width x"),
        (np.zeros((4, 4, 4)), {}, "got 4 x 4 x 4"),
        (np.zeros((0, 4, 3)), {}, "got 0 x 4 x 3"),
        (np.zeros((4, 4, 3), np.uint8), {}, "expected floats in 0..1, got uint8"),
        (np.full((4, 4, 3), 1.1), {}, "expected 0..1, got 1.1..1.1"),
        (np.full((4, 4, 3), np.nan), {}, "expected 0..1, got nan"),
        (np.zeros((4, 4, 3)), {"k": 0}, "k must be a finite number above 0, not 0"),
        (np.zeros((4, 4, 3)), {"k": np.inf}, "k must be"),
        (np.zeros((4, 4, 3)), {"sigma": -1}, "sigma must be"),
        (np.zeros((4, 4, 3)), {"sigma": np.nan}, "sigma must be"),
        (np.zeros((4, 4, 3)), {"min_size": 0}, "min_size must be at least 1, not 0"),
    ],
)
def test_bad_arguments_are_named(function, values, changes, message):
    with pytest.raises(UsageError, match=message):
        function(values, **{"k": 50, **changes})

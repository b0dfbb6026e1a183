"""Spatial pyramid and regions of interest: torch, torchvision, hand-worked cases, gradients."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import roi_pool as torchvision_roi_pool

from convatlas.arithmetic.scratch.regions import (
    EMPTY,
    bins,
    pyramid_pool,
    pyramid_pool_backward,
    roi_pool,
    roi_pool_backward,
)
from convatlas.errors import UsageError
from tests.arithmetic.scratch.checking import close, finite_differences, tensor

pytestmark = pytest.mark.row("A-09")


@settings(derandomize=True, max_examples=40)
@given(st.integers(1, 13), st.integers(1, 13), st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_a_pyramid_is_torchs_adaptive_pooling_level_by_level(height: int, width: int, levels: list[int]) -> None:
    random = np.random.default_rng(0)
    x = tensor(random.normal(size=(2, 3, height, width)))
    theirs = torch.cat([F.adaptive_max_pool2d(x, level).flatten(1) for level in levels], dim=1)
    ours = pyramid_pool(x.detach().numpy(), levels)
    close(ours.y, theirs, 0)
    assert ours.y.shape == (2, 3 * sum(level**2 for level in levels))  # whatever the picture's size
    grad = random.normal(size=ours.y.shape)
    theirs.backward(tensor(grad))
    close(pyramid_pool_backward(grad, ours.places, tuple(x.shape), levels), x.grad)


def test_bins_cover_all_places_and_share_some() -> None:
    assert bins(13, 4) == [(0, 4), (3, 7), (6, 10), (9, 13)]
    assert bins(2, 4) == [(0, 1), (0, 1), (1, 2), (1, 2)]
    assert bins(6, 3) == [(0, 2), (2, 4), (4, 6)]


def test_a_pyramid_by_hand() -> None:
    x = [[[[1, 2, 3], [4, 9, 6], [7, 8, 5]]]]
    y, places = pyramid_pool(x, (1, 2))
    assert y.tolist() == [[9, 9, 9, 9, 9]]  # 2 x 2 bins over three places share the middle row and column
    assert places.tolist() == [[4, 4, 4, 4, 4]]
    assert pyramid_pool_backward([[1, 2, 3, 4, 5]], places, (1, 1, 3, 3), (1, 2))[0, 0, 1, 1] == 15


@settings(derandomize=True, max_examples=80)
@given(st.integers(0, 2**32 - 1), st.sampled_from((1.0, 0.5, 0.25)), st.sampled_from((1, 2, 4)), st.integers(1, 2))
def test_regions_are_torchvisions(seed: int, scale: float, rows: int, columns: int) -> None:
    """Powers of two, so that torchvision's bins, which it divides in floating point, are exact as ours are."""
    random = np.random.default_rng(seed)
    x = tensor(random.normal(size=(2, 3, 9, 11)))
    corners = random.uniform(-4, 16, (5, 2)) / scale
    boxes = np.concatenate([corners, corners + random.uniform(0, 12, (5, 2)) / scale], axis=1)
    pictures = random.integers(0, 2, 5)
    theirs = torchvision_roi_pool(x, torch.tensor(np.column_stack([pictures, boxes])), (rows, columns), scale)
    ours = roi_pool(x.detach().numpy(), boxes, pictures, (rows, columns), scale)
    close(ours.y, theirs, 0)
    grad = random.normal(size=ours.y.shape)
    theirs.backward(tensor(grad))
    close(roi_pool_backward(grad, ours.places, pictures, tuple(x.shape)), x.grad)


def test_a_region_by_hand() -> None:
    x = np.arange(1.0, 26).reshape(1, 1, 5, 5)
    y, places = roi_pool(x, [[1, 1, 3, 2]], [0], (1, 2))  # columns 1 to 3, rows 1 and 2; the bins share column 2
    assert y[0, 0].tolist() == [[13, 14]]
    assert places[0, 0].tolist() == [[12, 13]]
    # Halves round away from zero, both ends belong to the box: 0.5 * (3, 3, 5, 5) = 1.5 … 2.5 is 2 … 3.
    assert roi_pool(x, [[3, 3, 5, 5]], [0], (1, 1), 0.5).y.item() == 19
    outside = roi_pool(x, [[7, 7, 9, 9]], [0], (1, 1))
    assert outside.y.item() == 0
    assert outside.places.item() == EMPTY
    assert roi_pool_backward([[[[3]]]], outside.places, [0], (1, 1, 5, 5)).max() == 0


def test_backward_is_what_finite_differences_find() -> None:
    random = np.random.default_rng(0)
    x = random.permutation(2 * 42).reshape(1, 2, 6, 7).astype(float)
    boxes, pictures = [[0, 0, 4, 5], [2, 1, 6, 3]], [0, 0]
    grad = random.normal(size=(2, 2, 2, 2))
    ours = roi_pool_backward(grad, roi_pool(x, boxes, pictures, (2, 2)).places, pictures, x.shape)
    close(ours, finite_differences(lambda v: np.vdot(grad, roi_pool(v, boxes, pictures, (2, 2)).y), x), 1e-6)
    grad = random.normal(size=(1, 2 * 14))
    ours = pyramid_pool_backward(grad, pyramid_pool(x, (1, 2, 3)).places, x.shape, (1, 2, 3))
    close(ours, finite_differences(lambda v: np.vdot(grad, pyramid_pool(v, (1, 2, 3)).y), x), 1e-6)


X = np.zeros((2, 1, 5, 5))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pyramid_pool(X, ()), "levels, and x, must not be empty"),
        (lambda: pyramid_pool(X, (1, 0)), "levels must be a whole number of at least 1, not 0"),
        (lambda: pyramid_pool(np.zeros((1, 1, 0, 4))), "levels, and x, must not be empty"),
        (lambda: roi_pool(X, [[1, 2, 3]], [0], (2, 2)), r"boxes must have the shape \(1, 4\)"),
        (lambda: roi_pool(X, [[1, 2, 3, np.nan]], [0], (2, 2)), "boxes must be finite"),
        (lambda: roi_pool(X, [[1, 2, 3, 4]], [2], (2, 2)), "pictures must be 1 whole numbers within 0..1"),
        (lambda: roi_pool(X, [[1, 2, 3, 4]], [0], (2, 0)), "out must be a whole number of at least 1, not 0"),
        (lambda: roi_pool(X, [[1, 2, 3, 4]], [0], (2, 2), 0), "scale must be above 0, not 0"),
        (
            lambda: pyramid_pool_backward([[1]], np.array([[25]]), X.shape, (1,)),
            "places must be whole numbers below 25",
        ),
        (lambda: pyramid_pool_backward([[1]], np.array([[2]]), X.shape, (1,)), r"grad must have the shape \(2, 1\)"),
        (lambda: roi_pool_backward([[[[1]]]], np.array([[[[2]]]]), [2], X.shape), "pictures must be 1 whole numbers"),
    ],
)
def test_what_does_not_fit_is_named(call, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()

"""Pooling and unpooling, forward and backward: torch, autograd, finite differences, hand-worked cases."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings

from convatlas.arithmetic.scratch import pooling, unpooling
from convatlas.arithmetic.scratch.gradients import spread
from convatlas.errors import UsageError
from tests.arithmetic.scratch.checking import (
    AVERAGE_POOL,
    MAX_POOL,
    Setting,
    close,
    finite_differences,
    settings_of,
    tensor,
)

pytestmark = pytest.mark.row("A-08", "A-09")
RANDOM = np.random.default_rng(0)


def poolable(s: Setting) -> dict[str, tuple[int, ...]]:
    """Kernel, stride and padding of the setting, where a pooling may have them."""
    kernel = s.weight.shape[2:]
    padding = tuple(min(p, k // 2) for p, k in zip(s.padding, kernel, strict=True))
    assume(all(n + 2 * p >= k for n, p, k in zip(s.x.shape[2:], padding, kernel, strict=True)))
    return {"stride": s.stride, "padding": padding}


@settings(derandomize=True, max_examples=120)
@given(settings_of())
def test_max_pooling_is_torchs_with_its_places_and_gradient(s: Setting) -> None:
    how, kernel = poolable(s), s.weight.shape[2:]
    x = tensor(s.x)
    theirs, places = MAX_POOL[s.x.ndim - 2](x, kernel, return_indices=True, **how)
    ours = pooling.max_pool(s.x, kernel, **how)
    close(ours.y, theirs, 0)
    assert (ours.places == places.numpy()).all()
    grad = np.random.default_rng(0).normal(size=ours.y.shape)
    theirs.backward(tensor(grad))
    close(pooling.max_pool_backward(grad, ours.places, s.x.shape[2:]), x.grad)


@settings(derandomize=True, max_examples=120)
@given(settings_of())
def test_average_pooling_is_torchs_with_its_gradient(s: Setting) -> None:
    how, kernel = poolable(s), s.weight.shape[2:]
    if s.x.ndim == 5:  # torch wants pictures as large as the kernel before they are padded, here alone
        assume(all(n >= k for n, k in zip(s.x.shape[2:], kernel, strict=True)))
    x = tensor(s.x)
    theirs = AVERAGE_POOL[s.x.ndim - 2](x, kernel, **how)
    ours = pooling.average_pool(s.x, kernel, **how)
    close(ours, theirs)
    grad = np.random.default_rng(0).normal(size=ours.shape)
    theirs.backward(tensor(grad))
    close(pooling.average_pool_backward(grad, s.x.shape[2:], kernel, **how), x.grad)


@pytest.mark.parametrize("pool", ["max", "average"])
def test_backward_is_what_finite_differences_find(pool: str) -> None:
    x = RANDOM.permutation(60).reshape(1, 2, 5, 6).astype(float)  # no two are equal: there is no kink nearby
    how = {"kernel": (3, 2), "stride": (2, 1), "padding": (1, 0)}
    if pool == "max":
        grad = RANDOM.normal(size=pooling.max_pool(x, **how).y.shape)
        ours = pooling.max_pool_backward(grad, pooling.max_pool(x, **how).places, x.shape[2:])
        wanted = finite_differences(lambda v: float(np.vdot(grad, pooling.max_pool(v, **how).y)), x)
    else:
        grad = RANDOM.normal(size=pooling.average_pool(x, **how).shape)
        ours = pooling.average_pool_backward(grad, x.shape[2:], **how)
        wanted = finite_differences(lambda v: float(np.vdot(grad, pooling.average_pool(v, **how))), x)
    close(ours, wanted, 1e-6)


FOUR = [[[[1, 3, 2, 1], [4, 2, 0, 1], [5, 1, 6, 7], [0, 2, 8, 6]]]]


def test_by_hand() -> None:
    y, places = pooling.max_pool(FOUR, 2)
    assert y.tolist() == [[[[4, 2], [5, 8]]]]
    assert places.tolist() == [[[[4, 2], [8, 14]]]]
    assert pooling.average_pool(FOUR, 2).tolist() == [[[[2.5, 1], [2, 6.75]]]]
    assert pooling.global_average_pool(FOUR).tolist() == [[49 / 16]]
    assert pooling.subsample(FOUR, [0.5], [10], 2).tolist() == [[[[15, 12], [14, 23.5]]]]
    # Overlapping windows of 3 with stride 1 all find the 7 or the 8: the gradient of the 8 is the sum of two.
    y, places = pooling.max_pool(FOUR, 3, stride=1)
    assert y.tolist() == [[[[6, 7], [8, 8]]]]
    assert pooling.max_pool_backward([[[[1, 2], [3, 4]]]], places, (4, 4))[0, 0].tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 1, 2],
        [0, 0, 7, 0],
    ]


def test_max_pooling_does_not_notice_a_small_shift() -> None:
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 0, 0] = 1
    assert (pooling.max_pool(x, 2).y == pooling.max_pool(np.roll(x, 1, axis=3), 2).y).all()


def test_the_first_of_equals_wins_and_minus_infinity_never_comes_from_padding() -> None:
    assert pooling.max_pool(np.zeros((1, 1, 2, 2)), 2).places.item() == 0
    lost = pooling.max_pool(np.full((1, 1, 2, 2), -np.inf), 2, stride=1, padding=1)
    assert lost.places.min() >= 0
    assert lost.places.max() <= 3
    assert pooling.max_pool(-np.ones((1, 1, 2, 2)), 2, padding=1).y.max() == -1  # padding is not a zero


def test_global_average_pooling_and_its_gradient() -> None:
    x = tensor(RANDOM.normal(size=(2, 3, 4, 5)))
    theirs = F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0]
    close(pooling.global_average_pool(x.detach().numpy()), theirs)
    grad = RANDOM.normal(size=(2, 3))
    theirs.backward(tensor(grad))
    close(pooling.global_average_pool_backward(grad, (4, 5)), x.grad)


def test_subsampling_and_its_gradient() -> None:
    data, factors, shifts = RANDOM.normal(size=(2, 3, 6, 4)), RANDOM.normal(size=3), RANDOM.normal(size=3)
    x, coefficient, bias = map(tensor, (data, factors, shifts))
    theirs = F.avg_pool2d(x, 2) * 4 * coefficient[:, None, None] + bias[:, None, None]
    ours = pooling.subsample(data, factors, shifts)
    close(ours, theirs)
    grad = RANDOM.normal(size=ours.shape)
    theirs.backward(tensor(grad))
    gradients = pooling.subsample_backward(grad, data, factors)
    close(gradients.x, x.grad)
    close(gradients.coefficient, coefficient.grad)
    close(gradients.bias, bias.grad)
    close(gradients.x, finite_differences(lambda v: np.vdot(grad, pooling.subsample(v, factors, shifts)), data), 1e-6)


def test_lenets_s2_has_twelve_parameters_for_six_maps() -> None:
    x, coefficient, bias = np.ones((1, 6, 28, 28)), np.full(6, 0.25), np.zeros(6)
    assert pooling.subsample(x, coefficient, bias).shape == (1, 6, 14, 14)
    assert pooling.subsample(x, coefficient, bias).max() == 1  # a quarter of the sum of four is their mean
    assert coefficient.size + bias.size == 12


# --- Unpooling


def test_unpooling_puts_the_maxima_back_where_they_stood() -> None:
    data = RANDOM.normal(size=(2, 3, 6, 4))
    pooled = pooling.max_pool(data, 2)
    x = tensor(pooled.y)
    theirs = F.max_unpool2d(x, torch.tensor(pooled.places), 2)
    close(unpooling.unpool(pooled.y, pooled.places, (6, 4)), theirs, 0)
    grad = RANDOM.normal(size=(2, 3, 6, 4))
    theirs.backward(tensor(grad))
    close(unpooling.unpool_backward(grad, pooled.places), x.grad, 0)
    assert unpooling.unpool(*pooling.max_pool(FOUR, 2), (4, 4))[0, 0].tolist() == [
        [0, 0, 2, 0],
        [4, 0, 0, 0],
        [5, 0, 0, 0],
        [0, 0, 8, 0],
    ]


def test_unpooling_by_the_nearest_and_by_a_bed_of_nails() -> None:
    data = RANDOM.normal(size=(2, 3, 3, 2))
    x = tensor(data)
    theirs = F.interpolate(x, scale_factor=(2, 3), mode="nearest")
    close(unpooling.unpool_nearest(data, (2, 3)), theirs, 0)
    grad = RANDOM.normal(size=(2, 3, 6, 6))
    theirs.backward(tensor(grad))
    close(unpooling.unpool_nearest_backward(grad, (2, 3)), x.grad)
    assert spread([[[[1, 2], [3, 4]]]], 2, (4, 4))[0, 0].tolist() == [[1, 0, 2, 0], [0] * 4, [3, 0, 4, 0], [0] * 4]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pooling.max_pool(FOUR, 5), "kernel: 5x5, .* larger than the padded input, 4x4"),
        (lambda: pooling.max_pool(FOUR, 2, padding=2), "padding: 2 is above half of the kernel, 2x2"),
        (lambda: pooling.max_pool(FOUR, 0), "kernel must be a whole number of at least 1, not 0"),
        (lambda: pooling.average_pool(FOUR, (2, 2, 2)), "kernel must be one number for all axes, or 2"),
        (lambda: pooling.average_pool(FOUR, 2, stride=0), "stride must be a whole number of at least 1, not 0"),
        (lambda: pooling.average_pool_backward(np.zeros((1, 1, 3, 3)), (4, 4), 2), "grad must have the shape"),
        (lambda: pooling.max_pool_backward(np.zeros((1, 1, 1)), [[[4]]], (4,)), "places: they must lie within 0..3"),
        (lambda: pooling.max_pool_backward(np.zeros((1, 1, 1)), [[4]], (4,)), "places must be whole numbers of the sh"),
        (lambda: pooling.subsample(FOUR, [1, 2], [1]), r"coefficient must have the shape \(1,\), not \(2,\)"),
        (lambda: pooling.global_average_pool([[1]]), "x must have 3 axes or more"),
        (lambda: unpooling.unpool([[[1]]], [[[5]]], (4,)), "places must be whole numbers within 0..3"),
        (lambda: unpooling.unpool([[[1]]], [[5]], (9,)), "places must have the shape"),
        (lambda: unpooling.unpool_backward(np.zeros((1, 1, 4)), np.zeros((1, 2, 4), int)), "places must begin with"),
        (lambda: unpooling.unpool_nearest([[[1]]], 0), "factor must be a whole number of at least 1"),
        (lambda: unpooling.unpool_nearest_backward(np.zeros((1, 1, 5)), 2), "factor: 2 does not divide the size"),
    ],
)
def test_what_does_not_fit_is_named(call, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()

"""Convolution by loops, by im2col and as a Toeplitz matrix: all equal, and equal to torch's and SciPy's."""

import subprocess
import sys

import numpy as np
import pytest
import torch.nn.functional as F
from hypothesis import given, settings
from scipy.signal import convolve2d, correlate, correlate2d

from convatlas.arithmetic.scratch.convolution import convolve, flip, true_convolve
from convatlas.arithmetic.scratch.im2col import col2im, convolve_im2col, im2col
from convatlas.arithmetic.scratch.toeplitz import convolve_toeplitz, toeplitz_matrix
from convatlas.arithmetic.scratch.window import window
from convatlas.errors import UsageError
from tests.arithmetic.scratch.checking import CONVOLUTION, Setting, close, settings_of, tensor

pytestmark = pytest.mark.row("A-07", "A-08")


@settings(derandomize=True, max_examples=150)
@given(settings_of())
def test_all_routes_agree_with_torch(s: Setting) -> None:
    theirs = CONVOLUTION[s.x.ndim - 2](tensor(s.x), tensor(s.weight), tensor(s.bias), **s.how)
    for route in (convolve, convolve_im2col, convolve_toeplitz):
        close(route(s.x, s.weight, s.bias, **s.how), theirs)


def test_four_axes_of_space_need_no_other_code() -> None:
    random = np.random.default_rng(0)
    x, weight = random.normal(size=(1, 1, 3, 4, 3, 4)), random.normal(size=(1, 1, 2, 2, 2, 3))
    wanted = correlate(x[0, 0], weight[0, 0], mode="valid")
    for route in (convolve, convolve_im2col, convolve_toeplitz):
        close(route(x, weight)[0, 0], wanted)


@pytest.mark.parametrize(("size", "kernel"), [((6, 6), (3, 3)), ((5, 8), (2, 3)), ((4, 4), (4, 1))])
def test_cross_correlation_and_convolution_are_scipys(size: tuple[int, int], kernel: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    x, weight = random.normal(size=size), random.normal(size=kernel)
    full = {"padding": tuple(k - 1 for k in kernel)}
    pairs = ((convolve, correlate2d), (true_convolve, convolve2d))
    for ours, theirs in pairs:
        close(ours(x[None, None], weight[None, None])[0, 0], theirs(x, weight, mode="valid"))
        close(ours(x[None, None], weight[None, None], **full)[0, 0], theirs(x, weight, mode="full"))


def test_convolution_flips_and_cross_correlation_does_not() -> None:
    one = [[[0, 1, 0]]]
    close(convolve(one, [[[1, 2, 3]]], padding=1), [[[3, 2, 1]]])
    close(true_convolve(one, [[[1, 2, 3]]], padding=1), [[[1, 2, 3]]])  # a unit impulse gives back the kernel
    close(true_convolve([[[1, 2]]], [[[3, 4]]], padding=1), [[[3, 10, 8]]])  # (1 + 2t)(3 + 4t) = 3 + 10t + 8t²
    symmetric = [[[1.0, 2, 1]]]
    close(convolve([[[4, 7, 1, 9]]], symmetric), true_convolve([[[4, 7, 1, 9]]], symmetric))
    close(flip(flip([[[1, 2, 3]]])), [[[1, 2, 3]]])


def test_by_hand_with_two_channels_and_a_bias() -> None:
    x = [[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]]
    weight = [[[[1, 0], [0, 1]], [[0, 2], [0, 0]]]]
    for route in (convolve, convolve_im2col, convolve_toeplitz):
        assert route(x, weight, [10]).tolist() == [[[[1 + 4 + 2 * 6 + 10]]]]


def test_toeplitz_rows_are_each_other_moved_to_the_right() -> None:
    matrix = toeplitz_matrix([[[1, 2, 3]]], (5,))
    assert matrix.tolist() == [[1, 2, 3, 0, 0], [0, 1, 2, 3, 0], [0, 0, 1, 2, 3]]
    padded = toeplitz_matrix([[[1, 2, 3]]], (3,), padding=1)
    assert padded.tolist() == [[2, 3, 0], [1, 2, 3], [0, 1, 2]]
    assert toeplitz_matrix([[[1, 2]]], (4,), stride=2).tolist() == [[1, 2, 0, 0], [0, 0, 1, 2]]


@settings(derandomize=True, max_examples=60)
@given(settings_of())
def test_im2col_is_torchs_unfold_and_col2im_its_transpose(s: Setting) -> None:
    at = window(s.weight.shape[2:], **s.moves)
    columns = im2col(s.x, at)
    if s.x.ndim == 4:
        names = {"stride": s.stride, "padding": s.padding, "dilation": s.dilation}
        close(columns, F.unfold(tensor(s.x), s.weight.shape[2:], **names), 0)
    other = np.random.default_rng(0).normal(size=columns.shape)
    # <im2col(x), c> = <x, col2im(c)> is what makes one the transpose of the other.
    close(np.vdot(columns, other), np.vdot(s.x, col2im(other, at, s.x.shape[2:])))


def test_floats_keep_their_kind_and_whole_numbers_become_float64() -> None:
    for kind, wanted in ((np.float32, np.float32), (np.float64, np.float64), (np.uint8, np.float64)):
        x, weight = np.ones((1, 1, 3, 3), kind), np.ones((1, 1, 2, 2), kind)
        for route in (convolve, convolve_im2col, convolve_toeplitz):
            assert route(x, weight).dtype == wanted


X, W = np.zeros((1, 4, 5, 5)), np.zeros((6, 4, 3, 3))


@pytest.mark.parametrize("route", [convolve, convolve_im2col, convolve_toeplitz, true_convolve])
@pytest.mark.parametrize(
    ("x", "weight", "changes", "words"),
    [
        (
            X,
            np.zeros((6, 3, 3, 3)),
            {},
            "weight: its filters see 3 channels, but x has 4 channels in 1 group: expected 4",
        ),
        (X, np.zeros((6, 4, 3, 3)), {"groups": 2}, "weight: .* 4 channels in 2 groups: expected 2"),
        (X, W, {"groups": 3}, "groups: 3 does not divide the 4 channels of x"),
        (X, np.zeros((5, 2, 3, 3)), {"groups": 2}, "groups: 2 does not divide the 5 filters"),
        (X, W, {"groups": 0}, "groups must be a whole number of at least 1, not 0"),
        (X, np.zeros((6, 4, 6, 3)), {}, "kernel: 6x3, .* is larger than the padded input, 5x5"),
        (X, W, {"dilation": 3}, "kernel: 3x3, which covers 7x7 places with dilation 3x3"),
        (X, W, {"stride": 0}, "stride must be a whole number of at least 1, not 0"),
        (X, W, {"stride": (1, 2, 3)}, "stride must be one number for all axes, or 2"),
        (X, W, {"stride": 1.5}, "stride must be a whole number"),
        (X, W, {"stride": True}, "stride must be a whole number"),
        (X, W, {"padding": -1}, "padding must be a whole number of at least 0, not -1"),
        (X, W, {"dilation": (1, 0)}, r"dilation must be a whole number of at least 1, .*not \(1, 0\)"),
        (X, W, {"bias": np.zeros(5)}, r"bias must have the shape \(6,\), not \(5,\)"),
        (X, np.zeros((6, 4, 3)), {}, "weight must have 4 axes"),
        (np.zeros((4, 5)), W, {}, "x must have 3 axes or more"),
        (X.astype(complex), W, {}, "x must hold real numbers, not complex128"),
        ([[[1, 2], [3]]], W, {}, "x must be an array of numbers: its rows differ in length"),
        (np.zeros((1, 0, 5, 5)), np.zeros((6, 0, 3, 3)), {}, "groups: 1 does not divide the 0 channels of x"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_fit_is_named(route, x, weight, changes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        route(x, weight, **changes)


def test_a_matrix_too_large_for_memory_is_refused_before_it_is_made() -> None:
    with pytest.raises(UsageError, match=r"size: the matrix would have 1,605,632 x 150,528 numbers"):
        toeplitz_matrix(np.zeros((32, 3, 3, 3)), (224, 224), padding=1)


def test_the_room_imports_numpy_and_nothing_heavier() -> None:
    code = """
import importlib, pkgutil, sys
import convatlas.arithmetic.scratch as room
for module in pkgutil.iter_modules(room.__path__):
    importlib.import_module(f"{room.__name__}.{module.name}")
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted({"torch", "torchvision", "scipy", "matplotlib", "pandas"} & loaded))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "[]", run.stdout + run.stderr

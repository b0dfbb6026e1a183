"""NCHW and NHWC: the same numbers in two orders, and the same convolution."""

import numpy as np
import pytest
import torch.nn.functional as F
from hypothesis import assume, given, settings

from convatlas.arithmetic.scratch.convolution import convolve
from convatlas.arithmetic.scratch.layouts import (
    convolve_nhwc,
    convolve_nhwc_backward,
    to_hwio,
    to_nchw,
    to_nhwc,
    to_oihw,
)
from convatlas.errors import UsageError
from tests.arithmetic.scratch.checking import Setting, close, settings_of, tensor

pytestmark = pytest.mark.row("A-08")


def test_a_number_lies_where_the_formulas_say() -> None:
    count, channels, height, width = 2, 3, 4, 5
    x = np.random.default_rng(0).normal(size=(count, channels, height, width))
    first, last = x.ravel(), to_nhwc(x).ravel()
    for n, c, row, column in np.ndindex(*x.shape):
        assert first[((n * channels + c) * height + row) * width + column] == x[n, c, row, column]
        assert last[((n * height + row) * width + column) * channels + c] == x[n, c, row, column]
    assert to_nhwc(x).flags.c_contiguous


def test_there_and_back_is_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    assert (to_nchw(to_nhwc(x)) == x).all()
    assert (to_oihw(to_hwio(x)) == x).all()
    assert to_nhwc(x).dtype == np.float32
    assert to_nhwc([[[[1, 2]], [[3, 4]]]]).tolist() == [[[[1, 3], [2, 4]]]]  # two channels of one row


@settings(derandomize=True, max_examples=80)
@given(settings_of(axes=(2,)))
def test_convolution_is_the_same_in_both(s: Setting) -> None:
    assume(s.groups == 1)
    wanted = to_nhwc(convolve(s.x, s.weight, s.bias, **s.moves))
    close(convolve_nhwc(to_nhwc(s.x), to_hwio(s.weight), s.bias, **s.moves), wanted)


@settings(derandomize=True, max_examples=80)
@given(settings_of(axes=(2,)))
def test_backward_is_the_same_in_both_and_autograds(s: Setting) -> None:
    assume(s.groups == 1)
    x, weight, bias = map(tensor, (s.x, s.weight, s.bias))
    y = F.conv2d(x, weight, bias, **s.moves)
    grad = np.random.default_rng(0).normal(size=tuple(y.shape))
    y.backward(tensor(grad))
    ours = convolve_nhwc_backward(to_nhwc(grad), to_nhwc(s.x), to_hwio(s.weight), **s.moves)
    close(to_nchw(ours.x), x.grad)
    close(to_oihw(ours.weight), weight.grad)
    close(ours.bias, bias.grad)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: to_nhwc(np.zeros((3, 4, 5))), "x must have 4 axes"),
        (lambda: convolve_nhwc(np.zeros((1, 5, 5, 3)), np.zeros((3, 3, 4, 2))), "weight: its filters see 4 channels"),
        (
            lambda: convolve_nhwc_backward(np.zeros((1, 3, 3, 1)), np.zeros((1, 3, 3, 1)), np.zeros((2, 2, 1, 1))),
            r"grad must have the shape \(1, 2, 2, 1\)",
        ),
        (lambda: convolve_nhwc(np.zeros((1, 2, 2, 3)), np.zeros((3, 3, 3, 2))), "kernel: 3x3, .* larger than"),
    ],
)
def test_what_does_not_fit_is_named(call, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()

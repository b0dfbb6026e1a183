"""Backpropagation by im2col, as convolutions, by the Toeplitz matrix: autograd and finite differences."""

import numpy as np
import pytest
from hypothesis import given, settings

from convatlas.arithmetic.scratch.convolution import convolve
from convatlas.arithmetic.scratch.gradients import input_gradient, spread, weight_gradient
from convatlas.arithmetic.scratch.im2col import convolve_backward, convolve_im2col
from convatlas.arithmetic.scratch.toeplitz import toeplitz_matrix
from convatlas.errors import UsageError
from tests.arithmetic.scratch.checking import CONVOLUTION, Setting, close, finite_differences, settings_of, tensor

pytestmark = pytest.mark.row("A-08")


@settings(derandomize=True, max_examples=150)
@given(settings_of())
def test_all_routes_agree_with_autograd(s: Setting) -> None:
    x, weight, bias = map(tensor, (s.x, s.weight, s.bias))
    y = CONVOLUTION[s.x.ndim - 2](x, weight, bias, **s.how)
    grad = np.random.default_rng(0).normal(size=tuple(y.shape))
    y.backward(tensor(grad))
    size = s.x.shape[2:]

    ours = convolve_backward(grad, s.x, s.weight, **s.how)
    close(ours.x, x.grad)
    close(ours.weight, weight.grad)
    close(ours.bias, bias.grad)
    close(weight_gradient(grad, s.x, s.weight.shape[2:], **s.how), weight.grad)
    close(input_gradient(grad, s.weight, size, **s.how), x.grad)
    matrix = toeplitz_matrix(s.weight, size, **s.how)
    close((grad.reshape(len(grad), -1) @ matrix).reshape(s.x.shape), x.grad)  # each row is T^T g


@settings(derandomize=True, max_examples=10)
@given(settings_of(axes=(1, 2)))
def test_backward_is_what_finite_differences_find(s: Setting) -> None:
    grad = np.random.default_rng(0).normal(size=convolve_im2col(s.x, s.weight, **s.how).shape)
    ours = convolve_backward(grad, s.x, s.weight, **s.how)

    def loss(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> float:
        return float(np.vdot(grad, convolve_im2col(x, weight, bias, **s.how)))

    close(ours.x, finite_differences(lambda x: loss(x, s.weight, s.bias), s.x), 1e-6)
    close(ours.weight, finite_differences(lambda w: loss(s.x, w, s.bias), s.weight), 1e-6)
    close(ours.bias, finite_differences(lambda b: loss(s.x, s.weight, b), s.bias), 1e-6)


def test_a_weight_gradient_is_the_input_correlated_with_the_gradient() -> None:
    x, grad = [[[1, 2, 3, 4]]], [[[10, 1]]]
    assert weight_gradient(grad, x, (3,)).tolist() == [[[12, 23, 34]]] == convolve(x, grad).tolist()


def test_an_input_gradient_is_full_convolution_with_the_flipped_kernel() -> None:
    grad, weight = [[[10, 1]]], [[[1, 2, 3]]]
    assert input_gradient(grad, weight, (4,)).tolist() == [[[10, 21, 32, 3]]]
    assert convolve(grad, [[[3, 2, 1]]], padding=2).tolist() == [[[10, 21, 32, 3]]]


def test_spread_puts_zeros_between_and_after() -> None:
    assert spread([[[1, 2, 3]]], 2).tolist() == [[[1, 0, 2, 0, 3]]]
    assert spread([[[1, 2]]], 3, (6,)).tolist() == [[[1, 0, 0, 2, 0, 0]]]
    with pytest.raises(UsageError, match=r"size: \(3,\) has no room for numbers that spread over \(4,\)"):
        spread([[[1, 2]]], 3, (3,))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: convolve_backward(np.zeros((1, 1, 3)), np.zeros((1, 1, 3)), np.zeros((1, 1, 2))),
            "grad must have the",
        ),
        (lambda: weight_gradient(np.zeros((1, 1, 3)), np.zeros((1, 1, 3)), (2,)), "grad must have the shape"),
        (
            lambda: weight_gradient(np.zeros((1, 3, 2)), np.zeros((1, 2, 3)), (2,), groups=2),
            "groups: 2 does not divide",
        ),
        (lambda: weight_gradient(np.zeros((1, 1, 1)), np.zeros((1, 1, 3)), (0,)), "kernel must be a whole number"),
        (lambda: input_gradient(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), (5,)), "grad must have the shape"),
        (
            lambda: input_gradient(np.zeros((1, 1, 2)), np.zeros((1, 1, 9)), (5,)),
            "kernel: 9, .* larger than the padded",
        ),
        (lambda: input_gradient(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), (0,)), "size must be a whole number of at"),
        (
            lambda: input_gradient(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)), (5, 5)),
            "size must be one number for all axes, or 1",
        ),
    ],
)
def test_what_does_not_fit_is_named(call, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()

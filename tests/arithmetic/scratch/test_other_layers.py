"""BatchNorm, dropout, activations, dense, softmax and cross-entropy: torch, autograd, finite differences."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.arithmetic.scratch.activations import ACTIVATIONS, Activation
from convatlas.arithmetic.scratch.batch_norm import (
    Averages,
    batch_norm,
    batch_norm_backward,
    batch_norm_in_use,
    batch_norm_in_use_backward,
    update,
)
from convatlas.arithmetic.scratch.dense import dense, dense_backward
from convatlas.arithmetic.scratch.dropout import dropout, dropout_backward
from convatlas.arithmetic.scratch.loss import cross_entropy, cross_entropy_backward, softmax, softmax_backward
from convatlas.errors import UsageError
from tests.arithmetic.scratch.checking import close, finite_differences, tensor

pytestmark = pytest.mark.row("A-08")
SHAPES = [(5, 3), (2, 3, 4), (2, 3, 4, 5), (2, 1, 2, 3, 2)]

# --- Batch normalisation


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
def test_batch_norm_is_torchs_in_training_and_in_use(shape: tuple[int, ...], epsilon: float) -> None:
    random = np.random.default_rng(0)
    channels = shape[1]
    data, scales, shifts = random.normal(3, 2, shape), random.normal(size=channels), random.normal(size=channels)
    x, gamma, beta = map(tensor, (data, scales, shifts))
    mean, variance = torch.zeros(channels).double(), torch.ones(channels).double()
    theirs = F.batch_norm(x, mean, variance, gamma, beta, training=True, momentum=0.1, eps=epsilon)
    ours = batch_norm(data, scales, shifts, epsilon=epsilon)
    close(ours.y, theirs)
    averages = update(Averages(np.zeros(channels), np.ones(channels)), ours)
    close(averages.mean, mean)
    close(averages.variance, variance)

    grad = random.normal(size=shape)
    theirs.backward(tensor(grad))
    gradients = batch_norm_backward(grad, ours, scales, epsilon=epsilon)
    close(gradients.x, x.grad, 1e-8)
    close(gradients.gamma, gamma.grad)
    close(gradients.beta, beta.grad)

    x, gamma, beta = map(tensor, (data, scales, shifts))
    theirs = F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=epsilon)
    close(batch_norm_in_use(data, scales, shifts, averages, epsilon=epsilon), theirs)
    theirs.backward(tensor(grad))
    gradients = batch_norm_in_use_backward(grad, data, scales, averages, epsilon=epsilon)
    close(gradients.x, x.grad)
    close(gradients.gamma, gamma.grad)
    close(gradients.beta, beta.grad)


def test_batch_norm_backward_is_what_finite_differences_find() -> None:
    random = np.random.default_rng(0)
    x, gamma, beta = random.normal(size=(3, 2, 2, 2)), random.normal(size=2), random.normal(size=2)
    grad = random.normal(size=x.shape)
    ours = batch_norm_backward(grad, batch_norm(x, gamma, beta), gamma)

    def loss(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> float:
        return float(np.vdot(grad, batch_norm(x, gamma, beta).y))

    close(ours.x, finite_differences(lambda v: loss(v, gamma, beta), x), 1e-6)
    close(ours.gamma, finite_differences(lambda v: loss(x, v, beta), gamma), 1e-6)
    close(ours.beta, finite_differences(lambda v: loss(x, gamma, v), beta), 1e-6)


def test_batch_norm_by_hand() -> None:
    normalised = batch_norm([[1.0], [3.0]], [2], [10], epsilon=1e-12)
    close(normalised.y, [[8], [12]])  # mean 2, deviation 1
    # What moves or scales the whole batch has no gradient.
    close(batch_norm_backward([[1.0], [1.0]], normalised, [2.0]).x, [[0], [0]])
    close(update(Averages(np.zeros(1), np.ones(1)), normalised, momentum=0.5).variance, [0.5 + 0.5 * 2])


# --- Dropout


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    x = np.ones((200, 500), np.float32)
    y, mask = dropout(x, 0.3, np.random.default_rng(0))
    assert y.dtype == np.float32
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1) / np.float32(0.7))}
    assert abs((y == 0).mean() - 0.3) < 0.005
    assert abs(y.mean() - 1) < 0.01
    assert (dropout_backward(x, mask) == y).all()


def test_dropout_is_linear_once_the_mask_is_drawn() -> None:
    random = np.random.default_rng(0)
    x, grad = random.normal(size=(4, 5)), random.normal(size=(4, 5))
    ours = dropout_backward(grad, dropout(x, 0.5, np.random.default_rng(7)).mask)
    close(ours, finite_differences(lambda v: np.vdot(grad, dropout(v, 0.5, np.random.default_rng(7)).y), x), 1e-6)
    mask = dropout(x, 0.5, np.random.default_rng(7)).mask
    there = tensor(x)
    (there * torch.tensor(mask)).backward(tensor(grad))
    close(ours, there.grad)
    assert (dropout(x, 0, np.random.default_rng(0)).y == x).all()


# --- Activations

THEIRS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "scaled tanh": lambda x: 1.7159 * torch.tanh(2 / 3 * x),
    "ReLU": F.relu,
    "ReLU6": F.relu6,
    "SiLU": F.silu,
    "h-sigmoid": F.hardsigmoid,
    "h-swish": F.hardswish,
}


@pytest.mark.parametrize("one", ACTIVATIONS, ids=lambda one: one.name)
@settings(derandomize=True, max_examples=60)
@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=20))
def test_activations_are_torchs_with_their_derivatives(one: Activation, values: list[float]) -> None:
    array = np.array([v for v in [*values, -7.0, 0.5, 7.0] if all(abs(v - kink) > 1e-9 for kink in one.kinks)])
    x = tensor(array)
    theirs = THEIRS[one.name](x)
    close(one.function(array), theirs)
    theirs.sum().backward()
    close(one.derivative(array), x.grad, 1e-7)  # torch's own 1/6 of h-sigmoid is rounded to float32
    close(one.backward(np.full_like(array, 3), array), 3 * x.grad, 1e-7)


@pytest.mark.parametrize("one", ACTIVATIONS, ids=lambda one: one.name)
def test_derivatives_are_what_finite_differences_find(one: Activation) -> None:
    x = np.linspace(-8, 8, 333)
    x = x[np.min(np.abs(x[:, None] - np.array([*one.kinks, np.inf])), axis=1) > 1e-3]
    close(one.derivative(x), finite_differences(lambda v: float(one.function(v).sum()), x), 1e-6)
    assert one.function(x.astype(np.float32)).dtype == one.derivative(x.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize("one", [one for one in ACTIVATIONS if one.kinks], ids=lambda one: one.name)
def test_kinks_are_where_the_derivative_jumps_and_nowhere_else(one: Activation) -> None:
    x = np.arange(-8, 8, 1e-3) + 5e-4
    jumps = x[1:][np.abs(np.diff(one.derivative(x))) > 0.1]
    close(jumps, one.kinks, 2e-3)


def test_what_the_docstrings_say_of_activations() -> None:
    by_name = {one.name: one for one in ACTIVATIONS}
    assert by_name["sigmoid"].derivative([0.0]) == 0.25
    assert by_name["sigmoid"].derivative([5.0]) < 0.01
    close(by_name["scaled tanh"].function([1.0, -1.0]), [1, -1], 1e-4)
    close(by_name["scaled tanh"].derivative([0.0]), [1.1439], 1e-4)
    x = np.linspace(-5, 0, 500_001)
    silu = by_name["SiLU"].function(x)
    assert round(float(silu.min()), 3) == -0.278
    assert round(float(x[silu.argmin()]), 3) == -1.278
    assert by_name["ReLU6"].function([7, 3, -1]).tolist() == [6, 3, 0]


# --- Dense, softmax, cross-entropy


def test_dense_is_torchs_with_its_gradients() -> None:
    random = np.random.default_rng(0)
    data, weights, shifts = random.normal(size=(4, 3)), random.normal(size=(5, 3)), random.normal(size=5)
    x, weight, bias = map(tensor, (data, weights, shifts))
    theirs = F.linear(x, weight, bias)
    close(dense(data, weights, shifts), theirs)
    grad = random.normal(size=(4, 5))
    theirs.backward(tensor(grad))
    ours = dense_backward(grad, data, weights)
    close(ours.x, x.grad)
    close(ours.weight, weight.grad)
    close(ours.bias, bias.grad)
    close(ours.weight, finite_differences(lambda v: np.vdot(grad, dense(data, v, shifts)), weights), 1e-6)
    close(ours.x, finite_differences(lambda v: np.vdot(grad, dense(v, weights, shifts)), data), 1e-6)
    close(ours.bias, finite_differences(lambda v: np.vdot(grad, dense(data, weights, v)), shifts), 1e-6)


@pytest.mark.parametrize("scale", [1, 50, 1e4])
def test_softmax_and_cross_entropy_are_torchs_also_for_huge_scores(scale: float) -> None:
    random = np.random.default_rng(0)
    data, targets = scale * random.normal(size=(6, 4)), random.integers(0, 4, 6)
    z = tensor(data)
    loss = F.cross_entropy(z, torch.tensor(targets))
    ours = cross_entropy(data, targets)
    close(ours.loss, loss)
    close(ours.p, z.softmax(dim=1))
    close(softmax(data), z.softmax(dim=1))
    loss.backward()
    close(cross_entropy_backward(ours.p, targets), z.grad)


def test_softmax_and_cross_entropy_gradients_are_what_finite_differences_find() -> None:
    random = np.random.default_rng(0)
    z, targets, grad = random.normal(size=(3, 4)), np.array([0, 3, 1]), random.normal(size=(3, 4))
    close(softmax_backward(grad, softmax(z)), finite_differences(lambda v: np.vdot(grad, softmax(v)), z), 1e-6)
    ours = cross_entropy_backward(softmax(z), targets)
    close(ours, finite_differences(lambda v: cross_entropy(v, targets).loss, z), 1e-6)
    # One after the other gives the same as both together.
    onehot = np.eye(4)[targets]
    close(softmax_backward(-onehot / softmax(z) / 3, softmax(z)), ours)


def test_a_network_that_knows_nothing_loses_log_k() -> None:
    loss, p = cross_entropy(np.zeros((2, 10)), [3, 7])
    close(loss, math.log(10))
    close(p, np.full((2, 10), 0.1))


ONES = np.ones((4, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: batch_norm(ONES[:1], ONES[0], ONES[0]), "x: batch normalisation needs two numbers or more a channel"),
        (lambda: batch_norm(ONES, [1, 2], ONES[0]), r"gamma must have the shape \(3,\), not \(2,\)"),
        (lambda: batch_norm(ONES, ONES[0], ONES[0], epsilon=0), "epsilon must be above 0"),
        (lambda: batch_norm_in_use(ONES, ONES[0], ONES[0], Averages(ONES[0], ONES)), r"variance must have the shape"),
        (lambda: update(Averages(0, 1), batch_norm(ONES, ONES[0], ONES[0]), momentum=2), "momentum must lie within"),
        (lambda: dropout(ONES, 1, np.random.default_rng(0)), "rate must lie within 0..1, below 1, not 1"),
        (lambda: dropout_backward(ONES, ONES[0]), "grad must have the shape"),
        (lambda: dense(ONES, np.ones((5, 4)), np.ones(5)), "weight: it takes 4 inputs, but x has 3"),
        (lambda: dense(ONES, np.ones((5, 3)), np.ones(4)), r"bias must have the shape \(5,\)"),
        (lambda: cross_entropy(ONES, [0, 1, 2, 3]), "targets must be 4 whole numbers within 0..2"),
        (lambda: cross_entropy(ONES, [0, 1, 2]), "targets must be 4 whole numbers within 0..2"),
        (lambda: cross_entropy(ONES, [0.0, 1, 2, 1]), "targets must be 4 whole numbers"),
        (lambda: softmax([1, 2]), "z must have 2 axes"),
    ],
)
def test_what_does_not_fit_is_named(call, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()

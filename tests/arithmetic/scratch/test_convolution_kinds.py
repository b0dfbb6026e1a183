"""1x1, grouped, depthwise, separable, dilated, transposed, locally connected: torch, SciPy, and slow twins."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d

from convatlas.arithmetic.scratch import kinds
from convatlas.arithmetic.scratch.convolution import convolve
from convatlas.arithmetic.scratch.filters import GAUSS, LAPLACE, SCHARR_X, SOBEL_X
from convatlas.arithmetic.scratch.im2col import convolve_backward
from convatlas.arithmetic.scratch.locally_connected import locally_connected, locally_connected_backward
from convatlas.arithmetic.scratch.toeplitz import toeplitz_matrix
from convatlas.arithmetic.scratch.transposed import transpose_convolve, transpose_convolve_backward
from convatlas.arithmetic.scratch.window import window
from convatlas.errors import UsageError
from tests.arithmetic.scratch.checking import (
    CONVOLUTION,
    TRANSPOSED,
    Setting,
    close,
    finite_differences,
    settings_of,
    tensor,
)

pytestmark = pytest.mark.row("A-07")
RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("size", [(5,), (4, 6), (3, 2, 4)])
def test_pointwise_is_a_convolution_with_one_tap_and_a_dense_layer_at_each_pixel(size: tuple[int, ...]) -> None:
    x, weight, bias = RANDOM.normal(size=(2, 3, *size)), RANDOM.normal(size=(4, 3)), RANDOM.normal(size=4)
    y = kinds.pointwise(x, weight, bias)
    close(y, CONVOLUTION[len(size)](tensor(x), tensor(weight.reshape(4, 3, *(1 for _ in size))), tensor(bias)))
    close(np.moveaxis(y, 1, -1), np.moveaxis(x, 1, -1) @ weight.T + bias)


@settings(derandomize=True, max_examples=40)
@given(settings_of())
def test_groups_are_convolutions_side_by_side(s: Setting) -> None:
    seen, share = s.weight.shape[1], len(s.weight) // s.groups
    alone = [
        convolve(
            s.x[:, g * seen : (g + 1) * seen],
            s.weight[g * share : (g + 1) * share],
            s.bias[g * share : (g + 1) * share],
            **s.moves,
        )
        for g in range(s.groups)
    ]
    close(kinds.grouped(s.x, s.weight, s.bias, **s.how), np.concatenate(alone, axis=1))


@settings(derandomize=True, max_examples=40)
@given(settings_of(), st.integers(1, 3))
def test_depthwise_is_torchs_grouped_convolution(s: Setting, multiplier: int) -> None:
    channels = s.x.shape[1]
    weight = np.random.default_rng(0).normal(size=(channels, multiplier, *s.weight.shape[2:]))
    filters = tensor(weight.reshape(channels * multiplier, 1, *s.weight.shape[2:]))
    wanted = CONVOLUTION[s.x.ndim - 2](tensor(s.x), filters, groups=channels, **s.moves)
    close(kinds.depthwise(s.x, weight, **s.moves), wanted)


def test_depthwise_filters_each_channel_alone() -> None:
    x, weight = RANDOM.normal(size=(1, 2, 5, 5)), RANDOM.normal(size=(2, 3, 3, 3))
    y = kinds.depthwise(x, weight)
    for channel in range(2):
        for m in range(3):
            close(y[0, channel * 3 + m], correlate2d(x[0, channel], weight[channel, m], mode="valid"))


def test_depthwise_separable_is_a_full_convolution_with_filters_of_its_own_kind() -> None:
    x, depth, point = RANDOM.normal(size=(2, 3, 6, 5)), RANDOM.normal(size=(3, 2, 3, 3)), RANDOM.normal(size=(4, 6))
    bias = RANDOM.normal(size=4)
    full = np.einsum("kcm,cmij->kcij", point.reshape(4, 3, 2), depth)
    y = kinds.depthwise_separable(x, depth, point, bias, stride=2, padding=1)
    close(y, convolve(x, full, bias, stride=2, padding=1))


def test_spatially_separable_is_filtering_with_the_product() -> None:
    x, column, row = RANDOM.normal(size=(2, 3, 7, 8)), RANDOM.normal(size=3), RANDOM.normal(size=4)
    y = kinds.spatially_separable(x, column, row)
    for n, c in np.ndindex(2, 3):
        close(y[n, c], correlate2d(x[n, c], np.outer(column, row), mode="valid"))
    filters = torch.tensor(np.outer(column, row)).expand(3, 1, 3, 4)
    close(
        kinds.spatially_separable(x, column, row, stride=(2, 3), padding=(1, 2)),
        F.conv2d(torch.tensor(x), filters, stride=(2, 3), padding=(1, 2), groups=3),
    )


@pytest.mark.parametrize("kernel", [SOBEL_X, SCHARR_X, GAUSS, [[3.0]], [[0, -2, -4]], np.zeros((2, 3))])
def test_a_kernel_of_rank_one_is_a_column_times_a_row(kernel) -> None:
    column, row = kinds.separate(kernel)
    close(np.outer(column, row), kernel)


def test_a_kernel_of_higher_rank_is_not() -> None:
    with pytest.raises(UsageError, match="kernel: its rows are not multiples of one row"):
        kinds.separate(LAPLACE)


@settings(derandomize=True, max_examples=40)
@given(settings_of())
def test_dilation_is_a_kernel_with_zeros_between(s: Setting) -> None:
    close(kinds.dilated(s.x, s.weight, s.bias, **s.how), convolve(s.x, s.weight, s.bias, **s.how))


def gradients_of(loss, *arrays: np.ndarray) -> list[np.ndarray]:
    """dloss(*arrays) / d each of them, by finite differences."""
    return [
        finite_differences(lambda v, place=place: loss(*arrays[:place], v, *arrays[place + 1 :]), array)
        for place, array in enumerate(arrays)
    ]


MOVES = [{}, {"stride": (2, 1), "padding": (1, 2)}]


def test_pointwise_backward_is_what_finite_differences_find() -> None:
    x, weight, bias = RANDOM.normal(size=(2, 3, 2, 3)), RANDOM.normal(size=(4, 3)), RANDOM.normal(size=4)
    grad = RANDOM.normal(size=(2, 4, 2, 3))
    ours = kinds.pointwise_backward(grad, x, weight)
    wanted = gradients_of(lambda *given: float(np.vdot(grad, kinds.pointwise(*given))), x, weight, bias)
    for one, other in zip(ours, wanted, strict=True):
        close(one, other, 1e-6)


@pytest.mark.parametrize("how", [*MOVES, {"dilation": 2}])
def test_depthwise_backward_with_a_multiplier_is_what_finite_differences_find(how) -> None:
    x, weight, bias = RANDOM.normal(size=(2, 2, 4, 5)), RANDOM.normal(size=(2, 3, 2, 2)), RANDOM.normal(size=6)
    grad = RANDOM.normal(size=kinds.depthwise(x, weight, bias, **how).shape)
    ours = kinds.depthwise_backward(grad, x, weight, **how)
    wanted = gradients_of(lambda *given: float(np.vdot(grad, kinds.depthwise(*given, **how))), x, weight, bias)
    for one, other in zip(ours, wanted, strict=True):
        close(one, other, 1e-6)


@pytest.mark.parametrize("how", [*MOVES, {"dilation": 2}])
def test_separable_backward_is_what_finite_differences_find(how) -> None:
    x, bias = RANDOM.normal(size=(2, 2, 4, 4)), RANDOM.normal(size=3)
    depth, point = RANDOM.normal(size=(2, 2, 2, 3)), RANDOM.normal(size=(3, 4))
    how = how if "dilation" not in how else {"dilation": (2, 1)}
    grad = RANDOM.normal(size=kinds.depthwise_separable(x, depth, point, bias, **how).shape)
    ours = kinds.depthwise_separable_backward(grad, x, depth, point, **how)

    def loss(*given: np.ndarray) -> float:
        return float(np.vdot(grad, kinds.depthwise_separable(*given, **how)))

    for one, other in zip(ours, gradients_of(loss, x, depth, point, bias), strict=True):
        close(one, other, 1e-6)


@pytest.mark.parametrize("how", MOVES)
def test_spatially_separable_backward_is_what_finite_differences_find(how) -> None:
    x, column, row = RANDOM.normal(size=(2, 2, 4, 5)), RANDOM.normal(size=3), RANDOM.normal(size=2)
    grad = RANDOM.normal(size=kinds.spatially_separable(x, column, row, **how).shape)
    ours = kinds.spatially_separable_backward(grad, x, column, row, **how)
    wanted = gradients_of(lambda *given: float(np.vdot(grad, kinds.spatially_separable(*given, **how))), x, column, row)
    for one, other in zip(ours, wanted, strict=True):
        close(one, other, 1e-6)


def test_grouped_and_dilated_backward_are_a_convolutions_with_the_same_setting() -> None:
    x, weight, bias = RANDOM.normal(size=(1, 4, 5)), RANDOM.normal(size=(2, 2, 2)), RANDOM.normal(size=2)
    for kind, how in ((kinds.grouped, {"groups": 2}), (kinds.dilated, {"groups": 2, "dilation": 3})):
        grad = RANDOM.normal(size=kind(x, weight, bias, **how).shape)
        ours = convolve_backward(grad, x, weight, **how)
        wanted = gradients_of(
            lambda *given, kind=kind, how=how, g=grad: float(np.vdot(g, kind(*given, **how))), x, weight, bias
        )
        for one, other in zip(ours, wanted, strict=True):
            close(one, other, 1e-6)


# --- Transposed


@settings(derandomize=True, max_examples=120)
@given(settings_of(), st.integers(0, 2))
def test_transposed_is_torchs_forward_and_backward(s: Setting, extra: int) -> None:
    channels, filters = s.weight.shape[0], s.weight.shape[1] * s.groups
    axes = s.x.ndim - 2
    room = tuple(min(extra, max(steps) - 1) for steps in zip(s.stride, s.dilation, strict=True))
    random = np.random.default_rng(0)
    size = tuple(min(length, 4) for length in s.x.shape[2:])
    geometry = zip(size, s.stride, s.padding, s.dilation, s.weight.shape[2:], room, strict=True)
    assume(all((n - 1) * st_ - 2 * p + d * (k - 1) + 1 + e >= 1 for n, st_, p, d, k, e in geometry))
    data, shifts = random.normal(size=(2, channels, *size)), random.normal(size=filters)

    x, weight, bias = map(tensor, (data, s.weight, shifts))
    theirs = TRANSPOSED[axes](x, weight, bias, output_padding=room, **s.how)
    ours = transpose_convolve(data, s.weight, shifts, output_padding=room, **s.how)
    close(ours, theirs)
    grad = random.normal(size=ours.shape)
    theirs.backward(tensor(grad))
    gradients = transpose_convolve_backward(grad, data, s.weight, output_padding=room, **s.how)
    close(gradients.x, x.grad)
    close(gradients.weight, weight.grad)
    close(gradients.bias, bias.grad)


@pytest.mark.parametrize(("stride", "padding", "dilation", "extra"), [(1, 0, 3, 2), (1, 2, 3, 2), (2, 3, 5, 4)])
def test_an_output_padding_of_a_stride_or_more_is_torchs_where_the_dilation_is_larger(
    stride: int, padding: int, dilation: int, extra: int
) -> None:
    random = np.random.default_rng(0)
    data, filters, shifts = random.normal(size=(2, 4, 3)), random.normal(size=(4, 1, 2)), random.normal(size=2)
    how = {"stride": stride, "padding": padding, "dilation": dilation, "output_padding": extra, "groups": 2}
    x, weight, bias = map(tensor, (data, filters, shifts))
    theirs = F.conv_transpose1d(x, weight, bias, **how)
    close(transpose_convolve(data, filters, shifts, **how), theirs)
    grad = random.normal(size=tuple(theirs.shape))
    theirs.backward(tensor(grad))
    gradients = transpose_convolve_backward(grad, data, filters, **how)
    close(gradients.x, x.grad)
    close(gradients.weight, weight.grad)
    close(gradients.bias, bias.grad)
    with pytest.raises(UsageError, match=f"output_padding: {max(stride, dilation)} must be below the stride"):
        transpose_convolve(data, filters, **{**how, "output_padding": max(stride, dilation)})


def test_transposed_stamps_and_adds() -> None:
    assert transpose_convolve([[[1, 2]]], [[[1, 10, 100]]], stride=2).tolist() == [[[1, 10, 102, 20, 200]]]
    assert transpose_convolve([[[1, 2]]], [[[1, 1]]], [5], stride=2, padding=1).tolist() == [[[6, 7]]]


def test_transposed_is_the_matrix_of_the_convolution_transposed() -> None:
    weight, y = RANDOM.normal(size=(2, 3, 3, 3)), RANDOM.normal(size=(1, 2, 3, 3))
    matrix = toeplitz_matrix(weight, (7, 7), stride=2)
    close(transpose_convolve(y, weight, stride=2).reshape(-1), matrix.T @ y.reshape(-1))


def test_transposed_backward_is_what_finite_differences_find() -> None:
    x, weight, bias = RANDOM.normal(size=(1, 2, 3)), RANDOM.normal(size=(2, 2, 3)), RANDOM.normal(size=2)
    how = {"stride": 2, "padding": 1, "output_padding": 1}
    grad = RANDOM.normal(size=transpose_convolve(x, weight, bias, **how).shape)
    ours = transpose_convolve_backward(grad, x, weight, **how)

    def loss(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> float:
        return float(np.vdot(grad, transpose_convolve(x, weight, bias, **how)))

    close(ours.x, finite_differences(lambda v: loss(v, weight, bias), x), 1e-6)
    close(ours.weight, finite_differences(lambda v: loss(x, v, bias), weight), 1e-6)
    close(ours.bias, finite_differences(lambda v: loss(x, weight, v), bias), 1e-6)


# --- Locally connected


@settings(derandomize=True, max_examples=60)
@given(settings_of())
def test_locally_connected_with_equal_filters_is_a_convolution(s: Setting) -> None:
    assume(s.groups == 1)
    wanted = convolve(s.x, s.weight, s.bias, **s.moves)
    out = wanted.shape[2:]
    everywhere = np.broadcast_to(s.weight, (*out, *s.weight.shape))
    biases = np.broadcast_to(s.bias.reshape(-1, *(1 for _ in out)), wanted.shape[1:])
    close(locally_connected(s.x, everywhere, biases, **s.moves), wanted)


@settings(derandomize=True, max_examples=60)
@given(settings_of(axes=(2,)))
def test_locally_connected_is_torchs_unfold_and_product(s: Setting) -> None:
    assume(s.groups == 1)
    out = window(s.weight.shape[2:], **s.moves).out(s.x.shape[2:])
    random = np.random.default_rng(0)
    weights, shifts = random.normal(size=(*out, *s.weight.shape)), random.normal(size=(len(s.weight), *out))
    x, weight, bias = map(tensor, (s.x, weights, shifts))
    columns = F.unfold(x, s.weight.shape[2:], **s.moves)
    flat = weight.reshape(out[0] * out[1], len(s.weight), -1)
    theirs = torch.einsum("pkt,ntp->nkp", flat, columns).reshape(len(s.x), -1, *out) + bias
    ours = locally_connected(s.x, weights, shifts, **s.moves)
    close(ours, theirs)
    grad = random.normal(size=ours.shape)
    theirs.backward(tensor(grad))
    gradients = locally_connected_backward(grad, s.x, weights, **s.moves)
    close(gradients.x, x.grad)
    close(gradients.weight, weight.grad)
    close(gradients.bias, bias.grad)


def test_locally_connected_by_hand() -> None:
    x = [[[1, 2, 3]]]
    weight = np.array([[1, 10], [100, 1000]]).reshape(2, 1, 1, 2)  # a filter for each of the two places
    assert locally_connected(x, weight, [[5, 6]]).tolist() == [[[1 + 20 + 5, 200 + 3000 + 6]]]


def test_locally_connected_backward_is_what_finite_differences_find() -> None:
    x, weight = RANDOM.normal(size=(2, 2, 4, 3)), RANDOM.normal(size=(2, 2, 3, 2, 3, 2))
    bias = RANDOM.normal(size=(3, 2, 2))
    grad = RANDOM.normal(size=(2, 3, 2, 2))
    ours = locally_connected_backward(grad, x, weight)

    def loss(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> float:
        return float(np.vdot(grad, locally_connected(x, weight, bias)))

    close(ours.x, finite_differences(lambda v: loss(v, weight, bias), x), 1e-6)
    close(ours.weight, finite_differences(lambda v: loss(x, v, bias), weight), 1e-6)
    close(ours.bias, finite_differences(lambda v: loss(x, weight, v), bias), 1e-6)


X = np.zeros((1, 4, 5, 5))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kinds.pointwise(X, np.zeros((2, 3))), "weight: it mixes 3 channels, but x has 4"),
        (lambda: kinds.pointwise(X, np.zeros((2, 4)), [1]), r"bias must have the shape \(2,\)"),
        (lambda: kinds.depthwise_backward(X, X, np.zeros((3, 1, 3, 3))), "groups: 4 does not divide the 3 filters"),
        (lambda: kinds.pointwise_backward(X, X, np.zeros((2, 4))), r"grad must have the shape \(1, 2, 5, 5\)"),
        (lambda: kinds.depthwise(X, np.zeros((3, 1, 3, 3))), "weight: it has filters for 3 channels, but x has 4"),
        (lambda: kinds.grouped(X, np.zeros((4, 1, 3, 3)), groups=3), "groups: 3 does not divide the 4 channels"),
        (lambda: transpose_convolve(X, np.zeros((3, 1, 3, 3))), "weight: it has filters for 3 channels, but x has 4"),
        (lambda: transpose_convolve(X, np.zeros((4, 1, 3, 3)), groups=3), "groups: 3 does not divide the 4 channels"),
        (lambda: transpose_convolve(X, np.zeros((4, 1, 3))), "weight must have 4 axes"),
        (lambda: transpose_convolve(X, np.zeros((4, 1, 3, 3)), output_padding=1), "output_padding: 1 must be below"),
        (lambda: transpose_convolve(X, np.zeros((4, 1, 1, 1)), padding=3), r"padding: 3 leaves no output"),
        (
            lambda: transpose_convolve_backward(np.zeros((1, 1, 5, 5)), X, np.zeros((4, 1, 3, 3))),
            r"grad must have the shape \(1, 1, 7, 7\)",
        ),
        (lambda: locally_connected(X, np.zeros((2, 3, 1, 4, 3, 3))), r"weight: .* \(2, 3\) places, .* has \(3, 3\)"),
        (lambda: locally_connected(X, np.zeros((3, 3, 1, 2, 3, 3))), "weight: its filters see 2 channels, but x has 4"),
        (lambda: locally_connected(X, np.zeros((1, 4, 3, 3))), "weight must have 6 axes"),
    ],
)
def test_what_does_not_fit_is_named(call, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()

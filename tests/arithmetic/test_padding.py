"""Paddings: their closed forms against the sizes they promise, torch's `padding="same"`, and worked cases."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.arithmetic import (
    convolution_size,
    full_padding,
    same_padding,
    size_keeping_padding,
    tensorflow_same_padding,
    valid_padding,
)
from convatlas.errors import UsageError

pytestmark = pytest.mark.row("A-02")
many = settings(max_examples=1000, derandomize=True)
sizes, kernels, strides, dilations = st.integers(1, 60), st.integers(1, 9), st.integers(1, 6), st.integers(1, 4)


@many
@given(sizes, kernels, strides, dilations)
def test_the_size_keeping_padding_keeps_the_size_at_any_stride(size, kernel, stride, dilation) -> None:
    padding = size_keeping_padding(size, kernel=kernel, stride=stride, dilation=dilation)
    assert convolution_size(size, kernel=kernel, stride=stride, padding=padding, dilation=dilation) == size
    assert padding[1] - padding[0] in (0, 1)


@many
@given(sizes, kernels, strides)
def test_it_is_the_notes_formula(size, kernel, stride) -> None:
    """p = (N(s-1) + F - s) / 2 on each side."""
    assert (
        sum(size_keeping_padding(size, kernel=kernel, stride=stride)) / 2 == (size * (stride - 1) + kernel - stride) / 2
    )


@many
@given(sizes, kernels, dilations)
def test_same_padding_is_torchs(size, kernel, dilation) -> None:
    """An impulse in the middle comes out where torch puts it."""
    before, after = same_padding(kernel, dilation=dilation)
    picture, weight = torch.arange(1.0, size + 1)[None, None], torch.arange(1.0, kernel + 1)[None, None]
    ours = F.conv1d(F.pad(picture, (before, after)), weight, dilation=dilation)
    # torch warns that an even kernel makes it copy the input once.
    padded = F.pad(picture, (dilation * (kernel - 1) // 2, dilation * (kernel - 1) - dilation * (kernel - 1) // 2))
    theirs = (
        F.conv1d(picture, weight, padding="same", dilation=dilation)
        if dilation * (kernel - 1) % 2 == 0
        else F.conv1d(padded, weight, dilation=dilation)
    )
    assert torch.equal(ours, theirs)
    assert ours.shape[-1] == size


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(("kernel", "dilation"), [(2, 1), (4, 1), (4, 3), (6, 1)])
def test_even_kernels_pad_one_more_at_the_end_as_torch_does(kernel: int, dilation: int) -> None:
    before, after = same_padding(kernel, dilation=dilation)
    picture, weight = torch.arange(1.0, 21.0)[None, None], torch.arange(1.0, kernel + 1)[None, None]
    ours = F.conv1d(F.pad(picture, (before, after)), weight, dilation=dilation)
    assert torch.equal(ours, F.conv1d(picture, weight, padding="same", dilation=dilation))
    assert after == before + 1


@many
@given(sizes, kernels, strides, dilations)
def test_tensorflows_same_gives_size_over_stride_rounded_up_with_the_least_padding(
    size, kernel, stride, dilation
) -> None:
    before, after = tensorflow_same_padding(size, kernel=kernel, stride=stride, dilation=dilation)
    wanted = -(-size // stride)
    extent = dilation * (kernel - 1) + 1

    def outputs(total: int) -> int:
        return (size + total - extent) // stride + 1 if size + total >= extent else 0

    assert outputs(before + after) == wanted or (before + after == 0 and outputs(0) > wanted)
    assert before + after == 0 or outputs(before + after - 1) < wanted
    assert after - before in (0, 1)


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (valid_padding(5), (0, 0)),
        (same_padding(3), (1, 1)),
        (same_padding(5), (2, 2)),
        (same_padding(4), (1, 2)),
        (same_padding((3, 4), dilation=(2, 1)), ((2, 2), (1, 2))),
        (full_padding(3), (2, 2)),
        (full_padding(3, dilation=2), (4, 4)),
        (size_keeping_padding(5, kernel=3, stride=2), (3, 3)),
        (size_keeping_padding(6, kernel=3, stride=2), (3, 4)),
        (size_keeping_padding((5, 7), kernel=3), ((1, 1), (1, 1))),
        # What tf.nn.conv2d documents: 224 pixels, 3x3, stride 2 pads nothing before and one after.
        (tensorflow_same_padding(224, kernel=3, stride=2), (0, 1)),
        (tensorflow_same_padding(224, kernel=7, stride=2), (2, 3)),
        (tensorflow_same_padding(225, kernel=3, stride=2), (1, 1)),
        (tensorflow_same_padding(8, kernel=1, stride=2), (0, 0)),
        (tensorflow_same_padding((13, 13), kernel=(6, 2), stride=5), ((1, 2), (0, 0))),
    ],
)
def test_worked_cases(padding, expected) -> None:
    assert padding == expected


@pytest.mark.parametrize("kernel", range(1, 8))
def test_full_padding_gives_every_overlap(kernel: int) -> None:
    assert convolution_size(10, kernel=kernel, padding=full_padding(kernel)) == 10 + kernel - 1


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: same_padding(0), "kernel"),
        (lambda: same_padding(3, dilation=0), "dilation"),
        (lambda: size_keeping_padding(0, kernel=3), "size"),
        (lambda: size_keeping_padding(8, kernel=3, stride=0), "stride"),
        (lambda: tensorflow_same_padding((8, 8), kernel=(3, 3, 3)), "kernel must be one number for all axes, or 2"),
        (lambda: full_padding("3"), "kernel"),
    ],
)
def test_refusals_name_the_field(call, field) -> None:
    with pytest.raises(UsageError, match=f"^{field}"):
        call()

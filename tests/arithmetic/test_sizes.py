"""Output sizes against torch, which works each setting out itself, on the meta device."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from convatlas.arithmetic import convolution_size, googlenet_stem, pooling_size, transposed_size, unread_pixels
from convatlas.errors import UsageError

pytestmark = pytest.mark.row("A-01")

CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
thousands = settings(max_examples=1500, derandomize=True)

axes_counts = st.integers(1, 3)


def numbers(axes: int, least: int, most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(least, most)] * axes)


def meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def answer(closed_form, torchs) -> None:
    """Both give the same size, or both refuse."""
    try:
        expected = tuple(torchs().shape[2:])
    except RuntimeError:
        expected = None
    # On the meta device torch lets a transposed convolution end with no pixel; on a processor it refuses that too.
    if expected is None or min(expected) < 1:
        with pytest.raises(UsageError):
            closed_form()
    else:
        assert closed_form() == expected


@thousands
@given(st.data())
def test_convolutions_of_one_two_and_three_axes(data: st.DataObject) -> None:
    axes = data.draw(axes_counts)
    size = data.draw(numbers(axes, 1, 20))
    kernel, stride, dilation = (data.draw(numbers(axes, 1, 5)) for _ in range(3))
    padding = data.draw(numbers(axes, 0, 6))
    answer(
        lambda: convolution_size(size, kernel=kernel, stride=stride, padding=padding, dilation=dilation),
        lambda: CONVOLVE[axes](
            meta(1, 1, *size), meta(1, 1, *kernel), stride=stride, padding=padding, dilation=dilation
        ),
    )


@thousands
@given(st.data())
def test_max_pooling_with_floor_and_ceil_mode(data: st.DataObject) -> None:
    axes, ceil_mode = data.draw(axes_counts), data.draw(st.booleans())
    size, kernel = data.draw(numbers(axes, 1, 20)), data.draw(numbers(axes, 1, 5))
    stride, dilation = data.draw(numbers(axes, 1, 6)), data.draw(numbers(axes, 1, 3))
    padding = data.draw(numbers(axes, 0, 3))
    answer(
        lambda: pooling_size(
            size, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
        ),
        lambda: MAX_POOL[axes](meta(1, 1, *size), kernel, stride, padding, dilation, ceil_mode),
    )


@thousands
@given(st.data())
def test_average_pooling_whose_stride_may_be_the_kernels(data: st.DataObject) -> None:
    axes, ceil_mode = data.draw(axes_counts), data.draw(st.booleans())
    size, kernel = data.draw(numbers(axes, 1, 20)), data.draw(numbers(axes, 1, 6))
    stride = data.draw(st.none() | numbers(axes, 1, 6))
    padding = data.draw(numbers(axes, 0, 4))
    # avg_pool3d alone also refuses a kernel that only padding makes room for.
    assume(axes < 3 or all(pixels >= taps for pixels, taps in zip(size, kernel, strict=True)))
    answer(
        lambda: pooling_size(size, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode),
        lambda: AVERAGE_POOL[axes](meta(1, 1, *size), kernel, stride, padding, ceil_mode),
    )


@thousands
@given(st.data())
def test_transposed_convolutions(data: st.DataObject) -> None:
    axes = data.draw(axes_counts)
    size, kernel = data.draw(numbers(axes, 1, 12)), data.draw(numbers(axes, 1, 5))
    stride, dilation = data.draw(numbers(axes, 1, 4)), data.draw(numbers(axes, 1, 3))
    padding, extra = data.draw(numbers(axes, 0, 4)), data.draw(numbers(axes, 0, 3))
    answer(
        lambda: transposed_size(
            size, kernel=kernel, stride=stride, padding=padding, output_padding=extra, dilation=dilation
        ),
        lambda: TRANSPOSE[axes](
            meta(1, 1, *size),
            meta(1, 1, *kernel),
            stride=stride,
            padding=padding,
            output_padding=extra,
            dilation=dilation,
        ),
    )


@given(st.integers(1, 50), st.integers(1, 6), st.integers(1, 5), st.integers(0, 4), st.integers(1, 3))
@settings(max_examples=500, derandomize=True)
def test_a_window_walked_by_hand_reads_all_but_the_unread_pixels(size, kernel, stride, padding, dilation) -> None:
    padded = size + 2 * padding
    starts = [start for start in range(0, padded, stride) if start + dilation * (kernel - 1) < padded]
    if not starts:
        with pytest.raises(UsageError):
            unread_pixels(size, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
        return
    last = starts[-1] + dilation * (kernel - 1)
    assert convolution_size(size, kernel=kernel, stride=stride, padding=padding, dilation=dilation) == len(starts)
    assert unread_pixels(size, kernel=kernel, stride=stride, padding=padding, dilation=dilation) == padded - 1 - last


@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 5), st.integers(0, 4), st.integers(1, 3))
@settings(max_examples=500, derandomize=True)
def test_a_transposed_convolution_leads_back(size, kernel, stride, padding, dilation) -> None:
    """What no window read is what output_padding gives back; a pixel less of input would give the same output."""
    setting = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    assume(size + 2 * padding >= dilation * (kernel - 1) + 1)
    output, unread = convolution_size(size, **setting), unread_pixels(size, **setting)
    assert transposed_size(output, **setting, output_padding=unread) == size


# --- The notes' worked numbers


@pytest.mark.parametrize(
    ("size", "setting", "output"),
    [
        pytest.param(32, {"kernel": 5}, 28, id="32-5+1, printed as 18"),
        pytest.param(32, {"kernel": 3}, 30, id="32-3+1"),
        pytest.param(6, {"kernel": 3}, 4, id="the 6x6 edge picture"),
        pytest.param(5, {"kernel": 3}, 3, id="the exercise's 5x5 input"),
        pytest.param(28, {"kernel": 3, "padding": 1}, 28, id="F3S1P1"),
        pytest.param(28, {"kernel": 5, "padding": 2}, 28, id="F5S1P2"),
        pytest.param(28, {"kernel": 1}, 28, id="F1S1P0"),
        pytest.param(244, {"kernel": 7, "stride": 2, "padding": 3}, 122, id="GoogLeNet's conv1 on the notes' 244"),
        pytest.param(224, {"kernel": 7, "stride": 2, "padding": 3}, 112, id="GoogLeNet's conv1 on 224"),
        pytest.param(61, {"kernel": 1, "stride": 2}, 31, id="ResNet18's downsampling on the notes' picture"),
        pytest.param(56, {"kernel": 1, "stride": 2}, 28, id="ResNet18's downsampling on 224"),
        pytest.param(227, {"kernel": 11, "stride": 4}, 55, id="AlexNet's conv1"),
        pytest.param(16, {"kernel": 14, "stride": 2}, 2, id="OverFeat: 2x2 windows of 14 in a picture of 16"),
        pytest.param((32, 40), {"kernel": (5, 3), "stride": (1, 2)}, (28, 19), id="another for each axis"),
        pytest.param(7, {"kernel": 3, "dilation": 2}, 3, id="dilation: 7 - (2·(3-1)+1) + 1"),
        pytest.param(5, {"kernel": 4, "padding": (1, 2)}, 5, id="one axis, before and after"),
        pytest.param((5, 6), {"kernel": 4, "padding": ((1, 2), 0)}, (5, 3), id="two axes, one of them with a pair"),
    ],
)
def test_convolutions_worked_by_hand(size, setting, output) -> None:
    assert convolution_size(size, **setting) == output


@pytest.mark.parametrize(
    ("size", "setting", "output"),
    [
        pytest.param(4, {"kernel": 2}, 2, id="2x2, stride 2: four pixels become one"),
        pytest.param(122, {"kernel": 3, "stride": 2, "ceil_mode": True}, 61, id="maxpool1 of the notes, rounded up"),
        pytest.param(61, {"kernel": 3, "stride": 2, "ceil_mode": True}, 30, id="maxpool2 of the notes"),
        pytest.param(112, {"kernel": 3, "stride": 2}, 55, id="floor loses one"),
        pytest.param(112, {"kernel": 3, "stride": 2, "ceil_mode": True}, 56, id="ceil does not"),
        pytest.param(5, {"kernel": 2, "stride": 4, "ceil_mode": True}, 2, id="starts on the last pixel"),
        pytest.param(
            4, {"kernel": 2, "stride": 3, "padding": 1, "ceil_mode": True}, 2, id="starts in the padding: dropped"
        ),
        pytest.param(2, {"kernel": 3, "stride": 2, "ceil_mode": True}, 1, id="reaches over the end"),
    ],
)
def test_poolings_worked_by_hand(size, setting, output) -> None:
    assert pooling_size(size, **setting) == output


def test_googlenets_stem_as_the_notes_and_as_the_paper_have_it() -> None:
    assert [side for _, side in googlenet_stem(244)] == [122, 61, 61, 61, 30]
    assert [side for _, side in googlenet_stem()] == [112, 56, 56, 56, 28]


def test_u_nets_up_convolution_doubles() -> None:
    assert transposed_size((28, 28), kernel=2, stride=2) == (56, 56)
    assert transposed_size(28, kernel=3, stride=2, padding=1, output_padding=1) == 56


# --- What cannot be


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: convolution_size(0, kernel=3), "size must be a whole number of at least 1"),
        (lambda: convolution_size(8, kernel=0), "kernel must be a whole number of at least 1"),
        (lambda: convolution_size(8, kernel=3, stride=0), "stride must be a whole number of at least 1"),
        (lambda: convolution_size((8, 8), kernel=3, stride=(1, 0)), r"stride must be .*not \(1, 0\)"),
        (lambda: convolution_size(8, kernel=3, dilation=0), "dilation must be"),
        (lambda: convolution_size(8, kernel=3, padding=-1), "padding must be a whole number of at least 0"),
        (lambda: convolution_size(8, kernel=3, padding=(1, -1)), "padding must be a whole number of at least 0"),
        (lambda: convolution_size(8, kernel=3, padding="same"), "padding must be a whole number"),
        (lambda: convolution_size(8.0, kernel=3), "size must be a whole number"),
        (lambda: convolution_size(True, kernel=1), "size must be a whole number"),
        (lambda: convolution_size((), kernel=1), "size must be a whole number"),
        (
            lambda: convolution_size((8, 8), kernel=(3, 3, 3)),
            r"kernel must be one number for all axes, or 2, .*not \(3, 3, 3\)",
        ),
        (
            lambda: convolution_size((8, 8), kernel=3, padding=(1, 1, 1)),
            r"padding must be one number .* or 2, .*not \(1, 1, 1\)",
        ),
        (lambda: convolution_size((8, 4), kernel=5), "kernel 5 needs 5 pixels along axis 1: size 4 with padding 0"),
        (lambda: convolution_size(4, kernel=3, dilation=2), "kernel 3 with dilation 2 needs 5 pixels"),
        (lambda: pooling_size(8, kernel=3, padding=2), "padding of a pooling must be at most half of kernel 3"),
        (lambda: pooling_size(2, kernel=3), "kernel 3 needs 3 pixels"),
        (lambda: pooling_size(8, kernel=3, stride=0), "stride must be"),
        (
            lambda: transposed_size(8, kernel=3, stride=2, output_padding=2),
            "output_padding must be smaller than stride",
        ),
        (lambda: transposed_size(1, kernel=2, padding=1), "padding cuts 2 pixels from an output of 2"),
        (lambda: transposed_size(8, kernel=3, output_padding=-1), "output_padding must be"),
        (lambda: unread_pixels(2, kernel=3), "kernel 3 needs 3 pixels"),
    ],
)
def test_what_is_impossible_is_refused_by_its_field(call, message) -> None:
    with pytest.raises(UsageError, match=message):
        call()

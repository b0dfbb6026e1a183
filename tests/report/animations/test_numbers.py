"""What the frames say, read back from the SVG, against torch: where the window lies and what comes out."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.errors import UsageError
from convatlas.report.animations.animation import MOST_STEPS
from convatlas.report.animations.channels import Channels
from convatlas.report.animations.convolution import Convolution
from convatlas.report.animations.pooling import Pooling
from convatlas.report.animations.presets import PRESETS
from convatlas.report.animations.suppression import Suppression
from convatlas.report.animations.transposed import TransposedConvolution
from convatlas.report.animations.windows import ConvolutionalWindows, SlidingWindow
from tests.report.animations.frames import Seen, inside, number, one, still

pytestmark = pytest.mark.row("I-07")


def tensor(values) -> torch.Tensor:
    return torch.from_numpy(np.asarray(values))


def grid_of(seen: list[Seen], heading: str) -> tuple[float, float]:
    """The corner of the grid below a heading."""
    (label,) = [each for each in seen if (each.text or "").startswith(heading)]
    return label.x, label.y + 8


def shown(seen: list[Seen], corner: tuple[float, float], cell: float, side: int) -> np.ndarray:
    """The numbers of a square grid; nan where a cell is empty."""
    values = np.full((side, side), np.nan)
    for each in seen:
        if each.text is not None and each.anchor == "middle":
            column, row = (each.x - corner[0]) / cell, (each.y - corner[1]) / cell
            if 0 <= row < side and 0 <= column < side:
                values[int(row), int(column)] = number(each.text)
    return values


def check_sliding(animation, output: np.ndarray, taps: list[int]) -> None:
    """Each step marks the window's cells and the output's cell, and the numbers so far are those of torch."""
    side, out = animation.size + 2 * getattr(animation, "padding", 0), len(output)
    assert animation.drawing().steps == out * out
    for step in range(out * out):
        seen = still(animation.svg(step=step))
        row, column = divmod(step, out)
        now = one(seen, "now")
        cell = now.width
        source, target = grid_of(seen, "input"), grid_of(seen, "output")
        assert ((now.x - target[0]) / cell, (now.y - target[1]) / cell) == pytest.approx((column, row))
        window = {
            (round((each.y - source[1]) / cell), round((each.x - source[0]) / cell))
            for each in seen
            if each.role == "window" and each.y < source[1] + side * cell - 1 and each.width == cell
        }
        top, left = row * animation.stride, column * animation.stride
        assert window == {(top + a, left + b) for a in taps for b in taps}
        expected = np.where(np.arange(out * out).reshape(out, out) <= step, output, np.nan)
        np.testing.assert_allclose(shown(seen, target, cell, out), expected, atol=0.051)


@st.composite
def convolutions(draw) -> Convolution:
    kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, 2))
    extent = dilation * (kernel - 1) + 1
    size = draw(st.integers(max(2, extent - 2 * padding), max(2, extent - 2 * padding) + 3))
    stride, seed = draw(st.integers(1, 3)), draw(st.integers(0, 9))
    try:
        return Convolution(size=size, kernel=kernel, stride=stride, padding=padding, dilation=dilation, seed=seed)
    except UsageError:  # more places or padding than an animation shows
        return Convolution(seed=seed)


@settings(max_examples=12, derandomize=True)
@given(convolutions())
def test_convolutions_are_torch_s(animation: Convolution):
    numbers = animation.numbers()
    y = F.conv2d(
        tensor(numbers["input"])[None, None],
        tensor(numbers["kernel"])[None, None],
        stride=animation.stride,
        padding=animation.padding,
        dilation=animation.dilation,
    )[0, 0].numpy()
    assert y.shape == (animation.out, animation.out)
    check_sliding(animation, y, [animation.dilation * a for a in range(animation.kernel)])


@pytest.mark.parametrize("name", ["convolution", "padding", "stride", "dilation"])
def test_the_words_of_a_step_add_up(name: str):
    """The lines of products add up to the sum behind them, which is the number of the output."""
    animation = PRESETS[name]
    output = animation.numbers()["output"].ravel()
    for step in range(animation.drawing().steps):
        lines = [each.text for each in still(animation.svg(step=step)) if "·" in (each.text or "")]
        lines = [line for line in lines if not line.startswith("out")]
        terms, total = " ".join(lines).split(" = ")
        products = [term.split("·") for term in terms.split(" + ")]
        assert len(products) == animation.kernel**2
        assert sum(number(a) * number(b) for a, b in products) == number(total) == output[step]


@pytest.mark.parametrize(
    "animation",
    [
        Pooling(),
        Pooling(mode="average"),
        Pooling(size=7, kernel=3, stride=2, seed=3),
        Pooling(size=7, kernel=3, stride=2, mode="average"),
        Pooling(size=5, kernel=2, stride=1, seed=5),
    ],
    ids=repr,
)
def test_pooling_is_torch_s(animation: Pooling):
    x = tensor(animation.numbers()["input"])[None, None]
    pool = F.max_pool2d if animation.mode == "max" else F.avg_pool2d
    check_sliding(animation, pool(x, animation.kernel, animation.stride)[0, 0].numpy(), list(range(animation.kernel)))


def test_max_pooling_marks_the_largest_of_each_window():
    animation = PRESETS["pooling"]
    x = animation.numbers()["input"]
    for step in range(animation.drawing().steps):
        seen = still(animation.svg(step=step))
        assert number(*inside(one(seen, "kept"), seen)) == animation.numbers()["output"].ravel()[step]
        assert one(seen, "kept").x in {each.x for each in seen if each.role == "window"}
    assert x.max() <= 9


@st.composite
def transposed(draw) -> TransposedConvolution:
    size, kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    out = (size - 1) * stride + kernel
    return TransposedConvolution(
        size=size,
        kernel=kernel,
        stride=stride,
        padding=draw(st.integers(int(out > 12), min(2, (out - 1) // 2))),  # at most 12 are drawn
        output_padding=draw(st.integers(0, stride - 1)) if out + stride <= 12 else 0,
        seed=draw(st.integers(0, 9)),
    )


@settings(max_examples=12, derandomize=True)
@given(transposed())
def test_transposed_convolutions_are_torch_s_after_every_stamp(animation: TransposedConvolution):
    numbers = animation.numbers()
    n, out, pad = animation.size, animation.out, animation.padding
    x, weight = tensor(numbers["input"]), tensor(numbers["kernel"])[None, None]
    for step in range(n * n):
        part = torch.where(torch.arange(n * n).reshape(n, n) <= step, x, 0)[None, None]
        y = F.conv_transpose2d(
            part, weight, stride=animation.stride, padding=pad, output_padding=animation.output_padding
        )[0, 0].numpy()
        assert y.shape == (out, out)
        seen = still(animation.svg(step=step))
        now = one(seen, "now")
        row, column = divmod(step, n)
        left, top = grid_of(seen, "input")
        assert ((now.x - left) / now.width, (now.y - top) / now.width) == pytest.approx((column, row))
        corner = grid_of(seen, "output")
        stamp = [each for each in seen if each.role == "window" and not _of_the_kernel(each, seen, numbers["kernel"])]
        cell = stamp[0].width
        places = {(round((b.y - corner[1]) / cell), round((b.x - corner[0]) / cell)) for b in stamp}
        taps = range(animation.kernel)
        assert places == {(row * animation.stride + a, column * animation.stride + b) for a in taps for b in taps}
        values = shown(seen, (corner[0] + pad * cell, corner[1] + pad * cell), cell, out)
        np.testing.assert_array_equal(np.nan_to_num(values), y)
    assert not np.isnan(values).any(), "in the end no cell is left without its number, not even one of no stamp"


def _of_the_kernel(box: Seen, seen: list[Seen], kernel: np.ndarray) -> bool:
    left, top = grid_of(seen, "kernel")
    return (
        left - 1 <= box.x < left + len(kernel) * box.width - 1 and top - 1 <= box.y < top + len(kernel) * box.width - 1
    )


@pytest.mark.parametrize(
    "animation",
    [Channels(), Channels(channels=1), Channels(channels=4, kernel=2, size=4), Channels(size=6, channels=2, stride=2)],
    ids=repr,
)
def test_channels_add_up_as_in_torch(animation: Channels):
    numbers = animation.numbers()
    y = F.conv2d(tensor(numbers["input"])[None], tensor(numbers["kernel"])[None], stride=animation.stride)[0, 0].numpy()
    for step in range(animation.drawing().steps):
        seen = still(animation.svg(step=step))
        row, column = divmod(step, animation.out)
        k, s = animation.kernel, animation.stride
        chunk = numbers["input"][:, row * s : row * s + k, column * s : column * s + k]
        sums = [number(each.text.removeprefix("sum ")) for each in seen if (each.text or "").startswith("sum ")]
        assert sums == (chunk * numbers["kernel"]).sum(axis=(1, 2)).tolist()
        (total,) = [each.text for each in seen if " = " in (each.text or "")]
        assert sum(map(number, total.split(" = ")[0].split(" + "))) == number(total.split(" = ")[1]) == y[row, column]
        now = one(seen, "now")
        assert [number(text) for text in inside(now, seen)] == [y[row, column]]
        for channel in range(animation.channels):
            left, top = grid_of(seen, f"channel {channel + 1}")
            width = next(each.width for each in seen if each.role == "window")
            boxes = {
                (round((b.y - top) / width), round((b.x - left) / width))
                for b in seen
                if b.role == "window"
                and left - 1 <= b.x < left + animation.size * width - 1
                and b.y < top + animation.size * width - 1
            }
            assert boxes == {(row * s + a, column * s + b) for a in range(k) for b in range(k)}


@pytest.mark.parametrize("animation", [SlidingWindow(), SlidingWindow(size=10, window=4, stride=3, seed=7)], ids=repr)
def test_every_window_is_scored_by_itself(animation: SlidingWindow):
    numbers = animation.numbers()
    scores = F.conv2d(
        tensor(numbers["input"])[None, None], tensor(numbers["kernel"])[None, None], stride=animation.stride
    ).clamp(min=0)[0, 0]
    np.testing.assert_allclose(numbers["output"], scores.numpy(), atol=1e-12)
    for step in range(animation.out**2):
        seen = still(animation.svg(step=step))
        row, column = divmod(step, animation.out)
        left, top = grid_of(seen, "picture")
        window = one(seen, "window")
        pixel = window.width / animation.window
        assert ((window.x - left) / pixel, (window.y - top) / pixel) == pytest.approx(
            (column * animation.stride, row * animation.stride)
        )
        (words,) = [each.text for each in seen if "score " in (each.text or "")]
        assert number(words.split("score ")[1]) == pytest.approx(float(scores[row, column]), abs=0.0051)


def test_the_sliding_window_finds_the_cross_and_not_the_frame():
    animation = PRESETS["sliding-window"]
    scores = animation.numbers()["output"]
    assert scores.max() == pytest.approx(1)
    found = [each for each in still(animation.svg(step=animation.drawing().steps - 1)) if each.role == "kept"]
    assert len(found) == 2 * int((scores >= animation.threshold).sum()) == 2  # in the picture and among the scores
    none = SlidingWindow(threshold=1.0, seed=3)
    assert (none.numbers()["output"] >= 0.999).any()


@pytest.mark.parametrize(
    "animation",
    [
        ConvolutionalWindows(),
        ConvolutionalWindows(size=20, window=12, kernel=3),
        ConvolutionalWindows(size=14, window=14),
    ],
    ids=repr,
)
def test_all_windows_at_once_score_as_each_crop_by_itself(animation: ConvolutionalWindows):
    numbers = animation.numbers()
    x, kernel = tensor(numbers["input"])[None, None], tensor(numbers["kernel"])[None, None]
    dense = torch.nn.Linear(animation.dense**2, 1, bias=False, dtype=torch.float64)
    dense.weight.data = tensor(numbers["dense"]).reshape(1, -1)
    multiplied = 0
    for row, column in np.ndindex(animation.out, animation.out):
        crop = x[..., 2 * row : 2 * row + animation.window, 2 * column : 2 * column + animation.window]
        features = F.conv2d(crop, kernel).relu()
        score = dense(F.max_pool2d(features, 2).flatten(1)).item()
        multiplied += features.numel() * kernel.numel() + dense.weight.numel()
        assert numbers["output"][row, column] == pytest.approx(score)
        seen = still(animation.svg(step=4 + row * animation.out + column))
        now = one(seen, "now")
        assert number(*inside(now, seen)) == pytest.approx(score, abs=0.0051)
        picture, features_box, pooled = [each for each in seen if each.role == "window"]
        left, top = grid_of(seen, "picture")
        pixel = picture.width / animation.window
        assert ((picture.x - left) / pixel, (picture.y - top) / pixel) == pytest.approx((2 * column, 2 * row))
        assert features_box.width / pixel == pytest.approx(animation.window - animation.kernel + 1)
        assert pooled.width / pixel == pytest.approx(animation.dense)
    at_once, apart = animation.costs()
    maps = F.conv2d(x, kernel)
    assert apart == multiplied
    assert at_once == maps.numel() * kernel.numel() + animation.out**2 * animation.dense**2
    assert any(f"{apart:,}" in (each.text or "") for each in seen)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.8])
def test_suppression_is_torchvision_s(seed: int, threshold: float):
    animation = Suppression(seed=seed, threshold=threshold)
    numbers = animation.numbers()
    boxes, scores = tensor(numbers["boxes"]), tensor(numbers["scores"])
    kept = torchvision.ops.nms(boxes, scores, threshold).tolist()
    overlaps = torchvision.ops.box_iou(boxes, boxes)
    chosen, suppressed = [], []
    steps = animation.drawing().steps
    for step in range(1, steps - 1):
        seen = still(animation.svg(step=step))
        (words,) = [each.text for each in seen if "kept" in (each.text or "") or "IoU of" in (each.text or "")]
        if words.startswith("IoU"):
            pair, verdict = words.removeprefix("IoU of ").split(": ")
            first, second = (ord(letter) - ord("A") for letter in pair.split(" and "))
            assert first == chosen[-1]
            overlap = float(overlaps[first, second])
            assert float(verdict.split()[0]) == pytest.approx(overlap, abs=0.0051)
            assert ("goes" in verdict) == (overlap > threshold)
            if overlap > threshold:
                suppressed.append(second)
                gone = [each for each in seen if each.role == "gone" and each.y < 200]
                assert [(b.x, b.y, b.x + b.width, b.y + b.height) for b in gone] == [tuple(boxes[second].tolist())]
        else:
            chosen.append(ord(words[0]) - ord("A"))
            strong = [each for each in seen if each.role == "kept" and each.y < 200]
            assert len(strong) == len(chosen)
    assert chosen == kept == numbers["kept"].astype(int).tolist()
    assert sorted(chosen + suppressed) == list(range(animation.boxes))
    last = [each for each in still(animation.svg(step=steps - 1)) if each.y < 200 and each.text is None]
    corners = {(b.x, b.y, b.x + b.width, b.y + b.height) for b in last if b.role == "kept"}
    assert corners == {tuple(row) for row in boxes[kept].tolist()}
    assert not [b for b in last if b.role in ("waiting", "gone")]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Convolution(size=1), "size must be a whole number of at least 2"),
        (lambda: Convolution(size=13), "size must be a whole number from 2 to 12"),
        (lambda: Convolution(kernel=6), "kernel must be a whole number from 1 to 5, not 6"),
        (lambda: Convolution(kernel=3.0), "kernel must be a whole number"),
        (lambda: Convolution(stride=0), "stride must be a whole number of at least 1"),
        (lambda: Convolution(padding=-1), "padding must be a whole number of at least 0"),
        (lambda: Convolution(dilation=True), "dilation must be a whole number"),
        (lambda: Convolution(dilation=4), "kernel: 3x3, which covers 9x9 places"),
        (lambda: Convolution(size=12, padding=2), r"size \+ 2 \* padding"),
        (lambda: Convolution(size=10), f"an animation has at most {MOST_STEPS}"),
        (lambda: Convolution(seconds=0), "seconds must be from 0.1 to 10"),
        (lambda: Convolution(seconds=float("nan")), "seconds must be from 0.1 to 10"),
        (lambda: Convolution(seconds="1"), "seconds must be a number"),
        (lambda: Convolution(seed=-1), "seed must be a whole number"),
        (lambda: TransposedConvolution(output_padding=2), "output_padding must be a whole number from 0 to 1"),
        (lambda: TransposedConvolution(padding=4), "padding: the side of the output"),
        (lambda: TransposedConvolution(size=6, stride=4), "padding: the side of the output"),
        (lambda: Channels(channels=5), "channels must be a whole number from 1 to 4"),
        (lambda: Channels(channels=4, size=8), "do not fit beside each other"),
        (lambda: Channels(kernel=4), "kernel must be a whole number from 1 to 3"),
        (lambda: Pooling(mode="mean"), 'mode must be "max" or "average", not \'mean\''),
        (lambda: Pooling(size=3, kernel=4), "kernel: 4x4"),
        (lambda: SlidingWindow(window=8), "window must be a whole number from 3 to 7"),
        (lambda: SlidingWindow(threshold=1.5), "threshold must be a number from 0 to 1"),
        (lambda: SlidingWindow(stride=1), f"an animation has at most {MOST_STEPS}"),
        (lambda: ConvolutionalWindows(size=17), "size must be even"),
        (lambda: ConvolutionalWindows(kernel=4), "kernel must be odd"),
        (lambda: ConvolutionalWindows(window=20), "window must be from 10 to the size of 18"),
        (lambda: Suppression(boxes=9), "boxes must be a whole number from 2 to 8"),
        (lambda: Suppression(threshold=-0.1), "threshold must be a number from 0 to 1"),
    ],
)
def test_impossible_values_are_refused_by_the_name_of_their_field(make, message: str):
    with pytest.raises(UsageError, match=message):
        make()

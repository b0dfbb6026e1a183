"""Receptive fields through single operations: what the gradient of every unit says."""

import contextlib
import itertools
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.arithmetic.field.theoretical import receptive_field
from tests.arithmetic.functional import Functional

pytestmark = pytest.mark.row("A-05")

# --- Operations, each against the gradient of every unit


class Ones(nn.Module):
    """Convolutions with all weights 1, around an operation to test."""

    def __init__(self, operation: nn.Module | Callable[[Tensor], Tensor], before: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.operation, self.before, self.after = operation, before, after
        for parameter in self.parameters():
            nn.init.constant_(parameter, 1.0 if parameter.dim() > 1 else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.operation(self.before(x)))


def conv(kernel: int, channels: int = 1, **how: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, kernel, bias=False, **how)


def ones(x: Tensor, kernel: int) -> Tensor:
    """A filter of ones for one channel, of the type of x."""
    return torch.ones(1, 1, kernel, kernel, dtype=x.dtype)


def windows(x: Tensor, size: int = 4) -> Tensor:
    """Means of windows of size x size, given back to each of their pixels, as window attention mixes them."""
    n, c, h, w = x.shape
    x = x.view(n, c, h // size, size, w // size, size).permute(0, 2, 4, 3, 5, 1).reshape(-1, size * size, c)
    x = torch.ones(size * size, size * size, dtype=x.dtype) @ x
    return x.view(n, h // size, w // size, size, size, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)


def misaligned(x: Tensor) -> Tensor:
    """As where Araujo et al. speak of alignment: two branches of which one is padded, so that their centres differ."""
    padded, plain = F.conv2d(x, ones(x, 3), stride=2, padding=1), F.conv2d(x, ones(x, 3), stride=2)
    return padded[:, :, : plain.shape[2], : plain.shape[3]] + plain


def written_in_place(x: Tensor) -> Tensor:
    y = F.conv2d(x, ones(x, 3), padding=1)
    return y.add_(x).mul_(2).relu_()


# operation, channels before it, whether the computed fields are exact for every unit
OPERATIONS: dict[str, tuple[Callable[[Tensor], Tensor], int, bool]] = {
    "nothing": (lambda x: x, 1, True),
    "misaligned branches": (misaligned, 1, True),
    "branches joined": (lambda x: torch.cat([x, F.avg_pool2d(x, 3, 1, 1)], 1).sum(1, keepdim=True), 1, True),
    "padding": (lambda x: F.pad(x, (2, 1, 0, 3)), 1, True),
    "cropping": (lambda x: x[:, :, 1:-2, 3:], 1, True),
    "every second": (lambda x: x[..., ::2, 1::2], 1, True),
    "flipped": (lambda x: x.flip(3), 1, True),
    "transposed": (lambda x: x.transpose(2, 3).contiguous(), 1, True),
    "channels shuffled": (lambda x: F.channel_shuffle(x, 2), 4, True),
    "channels split": (lambda x: torch.cat(list(reversed(x.chunk(2, 1))), 1), 4, True),
    "channels split unsafely": (lambda x: torch.cat(torch.unsafe_split(x, 3, 1), 1), 4, True),
    "channels in another order": (lambda x: x[:, [2, 0, 1, 3]], 4, True),
    "channels chosen": (lambda x: x.index_select(1, torch.tensor([3, 1], device=x.device)), 4, True),
    "channels repeated": (lambda x: x.repeat(1, 3, 1, 1).sum(1, keepdim=True), 1, True),
    "unbound and stacked": (lambda x: torch.stack(x.unbind(1), 1), 4, True),
    "in place": (written_in_place, 1, True),
    "flattened and back": (lambda x: x.flatten(2).transpose(1, 2).transpose(1, 2).view(x.shape), 1, True),
    "windows": (windows, 1, False),
    "ceil mode": (lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True), 1, True),
    "dilated": (lambda x: F.conv2d(x, ones(x, 3), dilation=2, padding=2), 1, True),
    "grouped": (lambda x: F.conv2d(x, ones(x, 3).expand(4, 1, 3, 3), groups=4), 4, True),
    "up, transposed convolution 2 by 2": (lambda x: F.conv_transpose2d(x, ones(x, 2), stride=2), 1, False),
    "up, transposed convolution 4 by 2": (
        lambda x: F.conv_transpose2d(x, ones(x, 4), stride=2, padding=1), 1, False),
    "up, transposed convolution 3 by 3": (
        lambda x: F.conv_transpose2d(x, ones(x, 3), stride=3, output_padding=1, dilation=2), 1, False),
    "up, nearest": (lambda x: F.interpolate(x, scale_factor=2), 1, False),
    "up, nearest exact": (lambda x: F.interpolate(x, size=(20, 18), mode="nearest-exact"), 1, False),
    "up, bilinear": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), 1, False),
    "up, bilinear, by 3": (lambda x: F.interpolate(x, scale_factor=3.0, mode="bilinear"), 1, False),
    "up, bicubic": (lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"), 1, False),
    "up, corners aligned": (lambda x: F.interpolate(x, size=(20, 23), mode="bilinear", align_corners=True), 1, False),
    "up, pixel shuffle": (lambda x: F.pixel_shuffle(x, 2), 4, False),
    "down, pixel unshuffle": (lambda x: F.pixel_unshuffle(x, 2), 1, True),
    "down, antialiased": (lambda x: F.interpolate(x, size=(5, 7), mode="bilinear", antialias=True), 1, False),
    "down, bicubic antialiased": (
        lambda x: F.interpolate(x, size=(5, 7), mode="bicubic", antialias=True), 1, False),
    "down, adaptive to 5": (lambda x: F.adaptive_avg_pool2d(x, 5), 1, False),
    "down, adaptive to 4": (lambda x: F.adaptive_avg_pool2d(x, 4), 1, True),
    "windows unfolded": (lambda x: x.unfold(2, 3, 2).unfold(3, 3, 2).sum((4, 5)), 1, True),
}  # fmt: skip


@pytest.mark.parametrize("what", OPERATIONS)
def test_no_unit_sees_more_than_is_computed(what: str) -> None:
    operation, channels, exact = OPERATIONS[what]
    before = nn.Conv2d(1, channels, 3, stride=2 if "up" in what else 1, bias=False)
    size = 36 if "up" in what else 18
    network = Ones(operation, before, nn.Identity())
    made = operation(torch.ones(1, channels, 16, 16)).shape[1] if what != "windows" else 1
    network.after = nn.Conv2d(made, 1, 2, bias=False)
    nn.init.constant_(network.after.weight, 1.0)
    check_every_unit(network, size, exact=exact, swapped=what == "transposed")


@pytest.mark.parametrize("seed", range(25))
def test_no_unit_sees_more_than_is_computed_through_any_three_of_them(seed: int) -> None:
    random = np.random.default_rng(seed)
    one_channel = [name for name, (_, channels, _) in OPERATIONS.items() if channels == 1 and name not in APART]
    fits = False
    while not fits:  # three that make the map too small are drawn again
        first, second, third = (Functional(OPERATIONS[name][0]) for name in random.choice(one_channel, 3))
        middle = nn.Sequential(first, conv(3, stride=2), second, conv(2), third)
        network = Ones(middle, conv(1), conv(1))
        with contextlib.suppress(RuntimeError):
            fits = network(torch.ones(1, 1, 40, 40)).numel() > 0
    check_every_unit(network, 40, exact=False)


APART = ("transposed", "windows", "down, pixel unshuffle")  # other axes, a size they need, other channels


def check_every_unit(network: nn.Module, size: int, *, exact: bool, swapped: bool = False) -> None:
    """Compare the field of the layer `after` with the gradient of each of its units; exact: not only a cover."""
    field = receptive_field(network, (1, size, size), layer="after")
    assert field.unknown == ""
    x = torch.ones(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    y = network.double()(x)
    y = y / y.detach().abs().max()
    for unit in itertools.product(range(y.shape[2]), range(y.shape[3])):
        if not exact and sum(unit) % 3:
            continue
        (gradient,) = torch.autograd.grad(y[0, 0, unit[0], unit[1]], x, retain_graph=True)
        for axis in range(2):
            influence = gradient[0, 0].abs().sum(1 - axis)
            touched = (influence > 1e-9 * influence.max()).nonzero().flatten().tolist()  # and no rounding error
            seen = field.axes[axis].seen(unit[1 - axis] if swapped else unit[axis], size)
            if not touched:
                continue
            assert seen.start <= touched[0], f"unit {unit}, axis {axis}: {field}"
            assert touched[-1] < seen.stop, f"unit {unit}, axis {axis}: {field}"
            if exact:
                assert (touched[0], touched[-1] + 1) == (seen.start, seen.stop), f"unit {unit}, axis {axis}: {field}"


@pytest.mark.parametrize(
    ("layer", "size", "jump", "start"),
    [
        (nn.ConvTranspose2d(1, 1, 2, stride=2), Fraction(3, 2), Fraction(1, 2), Fraction(-1, 2)),
        (nn.ConvTranspose2d(1, 1, 4, stride=2, padding=1), Fraction(5, 2), Fraction(1, 2), Fraction(-1)),
        (nn.Upsample(scale_factor=2), Fraction(3, 2), Fraction(1, 2), Fraction(-1, 2)),
        (nn.Upsample(scale_factor=2, mode="bilinear"), Fraction(5, 2), Fraction(1, 2), Fraction(-1)),
        (nn.Upsample(scale_factor=2, mode="linear"), Fraction(5, 2), Fraction(1, 2), Fraction(-1)),
        (nn.Upsample(scale_factor=2, mode="trilinear"), Fraction(5, 2), Fraction(1, 2), Fraction(-1)),
    ],
    ids=["2 by 2", "4 by 2", "nearest", "bilinear", "linear", "trilinear"],
)
def test_upsampling_makes_halves(layer: nn.Module, size: Fraction, jump: Fraction, start: Fraction) -> None:
    """One pixel a unit, or two, at every half pixel: the whole numbers in an interval, taken for each unit."""
    axes = {"linear": 1, "trilinear": 3}.get(str(getattr(layer, "mode", "")), 2)
    axis, *others = receptive_field(nn.Sequential(layer), (1, *[8] * axes), layer="0").axes
    assert others == [axis] * (axes - 1)
    assert (axis.size, axis.jump, axis.start) == (size, jump, start)
    seen = {len(axis.seen(unit, 8)) for unit in range(2, 12)}
    assert seen == ({1} if size == Fraction(3, 2) else {2})


# --- What sees the whole picture


def gate(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x.mean((2, 3), keepdim=True))


class Attention(nn.Module):
    """Tokens of an 8 x 8 map attend to each other, beside the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return (tokens + mixed).transpose(1, 2).reshape(x.shape)


@pytest.mark.parametrize(
    "layer",
    [
        Functional(gate),
        Attention(),
        nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4),
        nn.LayerNorm((4, 8, 8)),
        Functional(lambda x: x + F.adaptive_avg_pool2d(x, 1)),
        Functional(lambda x: x - x.amax((2, 3), keepdim=True)),
        Functional(lambda x: x * F.softmax(x.flatten(2), -1).view(x.shape)),
        Functional(lambda x: x * F.log_softmax(x.flatten(2), -1).view(x.shape)),
        Functional(lambda x: x / x.std((2, 3), keepdim=True)),
        Functional(lambda x: x - torch.var_mean(x, (2, 3), keepdim=True)[1]),
        Functional(lambda x: x / torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)),
        Functional(lambda x: x - x.flatten(2).logsumexp(-1)[..., None, None]),
        Functional(lambda x: x - x.flatten(2).min(-1).values[..., None, None]),
        Functional(lambda x: x * (x.flatten(2).argmax(-1) > 3)[..., None, None]),
        Functional(lambda x: x * x.flatten(2).cumsum(-1).view(x.shape)),
        Functional(lambda x: F.glu(torch.cat([x, x.mean((2, 3), keepdim=True).expand(x.shape)], 1), 1)),
        Functional(lambda x: F.rms_norm(x, x.shape[1:])),
        Functional(lambda x: F.batch_norm(x, None, None, training=True)),
    ],
    ids=[
        *("gate", "attention", "group norm", "instance norm", "layer norm", "pooled", "maximum", "spatial softmax"),
        *("log softmax", "deviation", "mean", "norm", "logsumexp", "minimum", "argmax", "running sum", "glu"),
        *("rms norm", "batch statistics"),
    ],
)
def test_a_gate_sees_the_whole_picture_and_the_local_path_is_kept(layer: nn.Module) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), layer, nn.Conv2d(4, 4, 3, padding=1))
    field = receptive_field(network, (3, 16, 16), layer="2")
    assert field.whole
    assert [(axis.size, axis.jump, axis.start) for axis in field.axes] == [(7, 2, -3)] * 2
    assert str(field) == "7 x 7, jump 2, from -3; sees the whole picture"


@pytest.mark.parametrize(
    "layer",
    [nn.AdaptiveAvgPool2d(1), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Sequential(nn.Flatten(), nn.Linear(48, 5))],
    ids=["average", "maximum", "flattened", "dense"],
)
def test_behind_global_pooling_or_a_dense_layer_there_are_no_places(layer: nn.Module) -> None:
    network = nn.Sequential(layer, nn.Flatten(), nn.LazyLinear(2))
    network(torch.ones(1, 3, 4, 4))
    field = receptive_field(network, (3, 4, 4), layer="2")
    assert field.whole
    assert [axis.jump for axis in field.axes] == [None, None]
    assert str(field) == "the whole picture"


def test_rows_may_be_seen_whole_and_columns_not() -> None:
    pooled = Functional(lambda x: x + x.mean(2, keepdim=True))
    down, across = receptive_field(nn.Sequential(pooled), (1, 9, 9), layer="0").axes
    assert (down.whole, across.whole) == (True, False)
    assert (across.size, across.jump) == (1, 1)


def test_a_product_with_a_matrix_mixes_what_it_sums() -> None:
    def mixed(x: Tensor) -> Tensor:
        square = torch.ones(9, 9, dtype=x.dtype, device=x.device)
        return torch.baddbmm(x[0], x[0], square.expand(3, 9, 9))[None]

    def summed(x: Tensor) -> Tensor:
        return torch.mv(x[0, 0], torch.ones(9, dtype=x.dtype, device=x.device))[None, None, :, None]

    for operation in (mixed, summed):
        down, across = receptive_field(nn.Sequential(Functional(operation)), (3, 9, 9), layer="0").axes
        assert (down.size, down.jump, down.whole, across.whole) == (1, 1, False, True)


def test_a_list_of_places_is_not_known_but_behind_global_pooling() -> None:
    def shuffled(x: Tensor) -> Tensor:
        return x[:, :, torch.tensor([2, 0, 1], device=x.device)]

    network = nn.Sequential(nn.Conv2d(3, 4, 1), Functional(shuffled))
    assert receptive_field(network, (3, 3, 3), layer="1").unknown == "the operation index is not known here"
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), Functional(lambda x: x.flatten(1)[:, [1, 0]]))
    assert receptive_field(pooled, (3, 3, 3), layer="1").whole


@pytest.mark.parametrize(
    ("padding", "size"),
    [
        (nn.ReflectionPad1d(1), (9,)),
        (nn.ReflectionPad2d(1), (9, 9)),
        (nn.ReplicationPad2d(1), (9, 9)),
        (nn.ReplicationPad3d(1), (9, 9, 9)),
    ],
)
def test_an_edge_or_a_mirror_image_around_counts_where_it_lies(padding: nn.Module, size: tuple[int, ...]) -> None:
    convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(size) - 1](1, 1, 3)
    axes = receptive_field(nn.Sequential(padding, convolution), (1, *size), layer="1").axes
    assert [(axis.size, axis.jump, axis.start) for axis in axes] == [(3, 1, -1)] * len(size)


def test_what_comes_round_in_a_roll_counts_as_the_whole_picture() -> None:
    shifted = receptive_field(nn.Sequential(Functional(lambda x: x.roll((-2, 3), (2, 3)))), (1, 9, 9), layer="0")
    assert shifted.whole
    assert [axis.start for axis in shifted.axes] == [2, -3]
    among_channels = receptive_field(nn.Sequential(Functional(lambda x: x.roll(1, 1))), (3, 9, 9), layer="0")
    assert not among_channels.whole

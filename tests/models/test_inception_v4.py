"""Inception v4 against its paper, hand arithmetic, and timm's network with the same weights."""

import math

import pytest
import timm
import torch
from benchmarks.peers import scramble
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.weights.load import load_weights
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-10")

FIGURES = (42_679_816, 12_253_974_624)  # timm's and pytorchcv's, at 3 x 299 x 299
SMALL = {"width": 0.05, "depths": (1, 1, 1)}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


# --- Counts


def test_parameters_and_macs_to_the_last_digit():
    with torch.device("meta"):
        network = create_model("inception_v4")
    assert (count_parameters(network), count_macs(network, (3, 299, 299))) == FIGURES


def test_the_figures_follow_by_hand():
    parameters = macs = 0

    def conv(kernel: int, a: int, b: int, side: int) -> int:
        """kernel: its number of pixels. A BatchNorm of two parameters a channel follows."""
        nonlocal parameters, macs
        parameters += kernel * a * b + 2 * b
        macs += kernel * a * b * side * side
        return b

    # Figure 3
    c = conv(9, conv(9, conv(9, 3, 32, 149), 32, 147), 64, 147)
    c += conv(9, c, 96, 73)
    assert c == 160
    branch1 = conv(9, conv(1, c, 64, 73), 96, 71)
    branch2 = conv(9, conv(7, conv(7, conv(1, c, 64, 73), 64, 73), 64, 73), 96, 71)
    c = branch1 + branch2
    c += conv(9, c, 192, 35)
    assert c == 384
    for _ in range(4):  # Figure 4
        ones, threes = conv(1, c, 96, 35), conv(9, conv(1, c, 64, 35), 96, 35)
        c = ones + threes + conv(9, conv(9, conv(1, c, 64, 35), 96, 35), 96, 35) + conv(1, c, 96, 35)
    # Figure 7 with Table 1
    c += conv(9, c, 384, 17) + conv(9, conv(9, conv(1, c, 192, 35), 224, 35), 256, 17)
    assert c == 1024
    for _ in range(7):  # Figure 5
        ones, sevens = conv(1, c, 384, 17), conv(7, conv(7, conv(1, c, 192, 17), 224, 17), 256, 17)
        doubles = conv(7, conv(7, conv(7, conv(7, conv(1, c, 192, 17), 192, 17), 224, 17), 224, 17), 256, 17)
        c = ones + sevens + doubles + conv(1, c, 128, 17)
    # Figure 8
    threes = conv(9, conv(1, c, 192, 17), 192, 8)
    c += threes + conv(9, conv(7, conv(7, conv(1, c, 256, 17), 256, 17), 320, 17), 320, 8)
    assert c == 1536
    for _ in range(3):  # Figure 6
        ones, forked = conv(1, c, 256, 8), conv(1, c, 384, 8)
        doubles = conv(3, conv(3, conv(1, c, 384, 8), 448, 8), 512, 8)
        forks = [conv(3, a, 256, 8) for a in (forked, forked, doubles, doubles)]
        c = ones + sum(forks) + conv(1, c, 256, 8)
    assert (parameters + c * 1000 + 1000, macs + c * 1000) == FIGURES


def test_the_maps_are_those_of_figure_9():
    with torch.device("meta"):
        network = create_model("inception_v4").eval()
        maps = network.features(torch.empty(1, 3, 299, 299))
    assert [tuple(each.shape[1:]) for each in maps] == [(192, 71, 71), (384, 35, 35), (1024, 17, 17), (1536, 8, 8)]
    described = [(info.channels, info.stride) for info in network.feature_info]
    assert described == [(192, 4), (384, 8), (1024, 16), (1536, 32)]


def test_the_width_multiplies_every_layer_but_keeps_sixteen_channels():
    with torch.device("meta"):
        network = create_model("inception_v4", width=0.3)
    module = network.stages[0][1]
    assert module.branch1x1.conv.out_channels == int(96 * 0.3)
    assert module.branch3x3[0].conv.out_channels == int(64 * 0.3)
    assert network.stem.conv1.conv.out_channels == 16
    assert network.head.fc.in_features == int(256 * 0.3) * 6


# --- Peers


@pytest.mark.parametrize("size", [(75, 84), pytest.param((299, 267), marks=pytest.mark.every_variant)])
def test_answers_as_timm_s_with_the_same_weights(size):
    theirs = scramble(timm.create_model("inception_v4"))
    ours = create_model("inception_v4").double().eval()
    load_weights(ours, theirs.state_dict(), source="timm")
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        wanted, got = theirs(x), ours(x)
    assert_equal(got, wanted)


# --- The paper's and its authors' choices


def test_average_pooling_leaves_the_padding_out():
    module = create_model("inception_v4", **SMALL).stages[0][1]
    x = torch.randn(1, 1, 5, 6)
    pooled = module.branch_pool.pool(x)
    for row, column in ((0, 0), (0, 3), (4, 5), (2, 2)):
        seen = x[0, 0, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        torch.testing.assert_close(pooled[0, 0, row, column], seen.mean())


def test_weights_start_as_in_the_authors_code():
    network = create_model("inception_v4")
    for conv in (network.stem.conv3.conv, network.stages[2][1].branch3x3dbl[2].conv):
        before = math.sqrt(1.3 * 2 / conv.weight[0].numel())  # slim: 1.3 makes up for the cut
        assert conv.weight.abs().max() <= 2 * before
        assert conv.weight.std().item() == pytest.approx(0.8796 * before, rel=0.02)  # of a normal cut at 2
    weight = network.head.fc.weight
    limit = math.sqrt(6 / (1536 + 1000))
    assert 0.99 * limit < weight.abs().max() <= limit
    assert not network.head.fc.bias.any()
    assert {module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-3}
    assert network.head.dropout.p == 0.2  # Figure 9: keep 0.8


# --- Learning


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("inception_v4", in_channels=1, num_classes=10, dropout=0.0, **SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    assert mistakes_after(40, network, *sixty_four(digits, 75), optimizer) == 0


# --- Bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, r"InceptionV4Config\.width must be a number above 0, not 0"),
        ({"dropout": 1.0}, r"InceptionV4Config\.dropout must be at least 0 and below 1"),
        ({"depths": (4, 7)}, r"InceptionV4Config\.depths must be three whole numbers >= 1, not \(4, 7\)"),
        ({"reduction_a": (192, 224, 256, 0)}, r"InceptionV4Config\.reduction_a must be four whole numbers >= 1"),
        ({"in_channels": 0}, r"InceptionV4Config\.in_channels must be a whole number >= 1, not 0"),
    ],
)
def test_impossible_configs_name_their_field(changes, message):
    with pytest.raises(UsageError, match=message):
        model_config("inception_v4", **changes)

"""Xception against its paper, hand arithmetic, and timm's network with the same weights."""

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
from convatlas.models.classify.xception import SeparableConv, XceptionModule
from convatlas.weights.load import load_weights
from convatlas.weights.recognise import looks_like
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-16")

FIGURES = (22_855_952, 8_357_403_496)  # the parameters are the paper's, Table 3; both are timm's and pytorchcv's
SMALL = {"stem": (8, 16), "entry": (16, 24, 32), "middle": 1, "exit": (40, 48, 64)}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


# --- Counts


def test_parameters_and_macs_to_the_last_digit():
    with torch.device("meta"):
        network = create_model("xception")
    assert (count_parameters(network), count_macs(network, (3, 299, 299))) == FIGURES


def test_the_figures_follow_from_figure_5_by_hand():
    parameters = macs = 0

    def conv(weights: int, out: int, side: int) -> None:
        nonlocal parameters, macs
        parameters += weights + 2 * out  # with a BatchNorm
        macs += weights * side * side

    def separable(a: int, b: int, side: int) -> None:
        conv(9 * a + a * b, b, side)

    conv(9 * 3 * 32, 32, 149)
    conv(9 * 32 * 64, 64, 147)
    for a, b, side in ((64, 128, 147), (128, 256, 74), (256, 728, 37)):
        separable(a, b, side)
        separable(b, b, side)
        conv(a * b, b, -(-side // 2))
    for _ in range(8 * 3):
        separable(728, 728, 19)
    separable(728, 728, 19)
    separable(728, 1024, 19)
    conv(728 * 1024, 1024, 10)
    separable(1024, 1536, 10)
    separable(1536, 2048, 10)
    assert (parameters + 2048 * 1000 + 1000, macs + 2048 * 1000) == FIGURES


def test_the_maps_have_the_sides_of_figure_5():
    with torch.device("meta"):
        network = create_model("xception").eval()
        maps = network.features(torch.empty(1, 3, 299, 299))
    wanted = [(64, 147, 147), (128, 74, 74), (256, 37, 37), (728, 19, 19), (2048, 10, 10)]
    assert [tuple(each.shape[1:]) for each in maps] == wanted
    described = [(info.name, info.channels, info.stride) for info in network.feature_info]
    assert described == [("stem", 64, 2), *((f"stages.{n}", wanted[n + 1][0], 4 * 2**n) for n in range(4))]


def test_36_convolutions_in_14_modules():
    """Section 3: "36 convolutional layers", "14 modules, all of which have linear residual connections around them,
    except for the first and last": the stem is the first, the last two separable convolutions are the last.
    """
    with torch.device("meta"):
        network = create_model("xception")
    modules = [module for module in network.modules() if isinstance(module, XceptionModule)]
    assert len(modules) + 2 == 14
    assert sum(isinstance(module, SeparableConv) for module in network.modules()) + 2 == 36
    assert [len(module.shortcut) > 0 for module in modules] == [True] * 3 + [False] * 8 + [True]


# --- Peers


@pytest.mark.parametrize("size", [(75, 54), (64, 45), pytest.param((299, 268), marks=pytest.mark.every_variant)])
def test_answers_as_timm_s_with_the_same_weights(size):
    theirs = scramble(timm.create_model("legacy_xception"))
    ours = create_model("xception").double().eval()
    load_weights(ours, theirs.state_dict(), source="timm")
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        wanted, got = theirs(x), ours(x)
    assert_equal(got, wanted)


def test_a_file_of_timm_s_is_recognised():
    with torch.device("meta"):
        theirs = timm.create_model("legacy_xception").state_dict()
    assert looks_like(theirs) == ("xception", "timm")


# --- The module


def test_a_separable_convolution_is_linear_until_its_normalisation():
    """Section 4.7: no ReLU between its two steps; twice the input is twice the output."""
    layer = SeparableConv(3, 5).eval()
    x = torch.randn(1, 3, 6, 7)
    with torch.no_grad():
        one, two = layer(x), layer(2 * x)
        torch.testing.assert_close(two, 2 * one)
        spread = torch.einsum("oi,nihw->nohw", layer.pointwise.weight[:, :, 0, 0], layer.depthwise(x))
        torch.testing.assert_close(one, spread / math.sqrt(1 + 1e-5))
    # Each channel is filtered alone.
    y = layer.depthwise(x * torch.tensor([1.0, 0.0, 0.0])[:, None, None])
    assert not y[:, 1:].any()
    assert torch.equal(y[:, :1], layer.depthwise(x)[:, :1])


def test_a_middle_module_adds_to_its_input_and_ends_without_a_relu():
    module = XceptionModule(4, (4, 4, 4), stride=1).eval()
    x = torch.randn(1, 4, 5, 5)
    with torch.no_grad():
        assert (module(x) < 0).any()
        nn.init.zeros_(module.residual.conv3.bn.weight)
        assert torch.equal(module(x), x)


def test_the_first_module_s_first_relu_changes_nothing():
    """Figure 5 does not have it; the stem ends with one."""
    network = create_model("xception", **SMALL).eval()
    first = network.stages[0][0]
    with torch.no_grad():
        x = network.stem(torch.randn(2, 3, 40, 40))
        without = first.residual[1:](x) + first.shortcut(x)
        assert torch.equal(first(x), without)


@pytest.mark.parametrize("side", [1, 2, 7, 8])
def test_a_module_that_halves_rounds_up(side):
    module = XceptionModule(4, (6, 6), stride=2).eval()
    assert module(torch.randn(1, 4, side, side)).shape == (1, 6, -(-side // 2), -(-side // 2))


# --- Initialisation


def test_weights_start_as_glorot_s():
    network = create_model("xception")
    middle = network.stages[2][1].residual.conv1
    limits = [
        (middle.pointwise, 6 / (728 + 728)),
        (middle.depthwise, 6 / (9 + 9 * 728)),  # Keras counts one channel in, 728 out the other way round: the same sum
        (network.head.fc, 6 / (2048 + 1000)),
    ]
    for layer, square in limits:
        assert 0.99 * math.sqrt(square) < layer.weight.abs().max() <= math.sqrt(square)
    assert not network.head.fc.bias.any()
    assert network.head.dropout.p == 0.5  # Section 4.3


# --- Learning


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("xception", in_channels=1, num_classes=10, dropout=0.0, **SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    assert mistakes_after(40, network, *sixty_four(digits, 32), optimizer) == 0


# --- Bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem": (32,)}, r"XceptionConfig\.stem must be two whole numbers >= 1, not \(32,\)"),
        ({"entry": (128, 256, 0)}, r"XceptionConfig\.entry must be three whole numbers >= 1"),
        ({"exit": (1024, 1536)}, r"XceptionConfig\.exit must be three whole numbers >= 1"),
        ({"middle": 0}, r"XceptionConfig\.middle must be a whole number >= 1, not 0"),
        ({"dropout": -0.5}, r"XceptionConfig\.dropout must be at least 0 and below 1"),
        ({"num_classes": True}, r"XceptionConfig\.num_classes must be a whole number >= 1"),
    ],
)
def test_impossible_configs_name_their_field(changes, message):
    with pytest.raises(UsageError, match=message):
        model_config("xception", **changes)

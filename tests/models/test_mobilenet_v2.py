"""MobileNetV2 against its paper, hand arithmetic, and torchvision's network with the same weights."""

import pytest
import torch
import torchvision.models
from benchmarks.peers import copy_in_order, scramble
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.mobilenet_v2 import InvertedResidual, Stage
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-19")

# Parameters and multiply-accumulates at 3 x 224 x 224, 1000 classes. 1.3 and 1.4 are derived by the arithmetic below.
FIGURES = {
    1.0: (3_504_872, 300_774_272),
    0.75: (2_636_424, 209_069_792),
    0.5: (1_968_680, 97_131_840),
    0.35: (1_677_128, 59_285_808),
    0.25: (1_519_112, 37_201_312),
    1.3: (5_386_792, 509_374_560),
    1.4: (6_108_776, 582_195_824),
}
# Channels by hand: 32, 16, 24, 32, 64, 96, 160, 320, 1280 of Table 2 times the width, rounded.
CHANNELS = {
    1.0: (32, 16, 24, 32, 64, 96, 160, 320, 1280),
    0.75: (24, 16, 24, 24, 48, 72, 120, 240, 1280),
    0.5: (16, 8, 16, 16, 32, 48, 80, 160, 1280),
    0.35: (16, 8, 8, 16, 24, 32, 56, 112, 1280),
    0.25: (8, 8, 8, 8, 16, 24, 40, 80, 1280),
    1.3: (40, 24, 32, 40, 80, 128, 208, 416, 1664),
    1.4: (48, 24, 32, 48, 88, 136, 224, 448, 1792),
}


@pytest.mark.parametrize("width", FIGURES)
def test_parameters_and_macs_of_every_width_to_the_last_digit(width):
    with torch.device("meta"):
        network = create_model("mobilenet_v2", width=width)
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == FIGURES[width]


@pytest.mark.parametrize("width", FIGURES)
def test_the_figures_follow_from_table_2_by_hand(width):
    stem, *outs, last = CHANNELS[width]
    parameters, macs = 3 * 9 * stem + 2 * stem, 3 * 9 * stem * 112 * 112
    channels, side = stem, 112
    rows = zip((1, 6, 6, 6, 6, 6, 6), outs, (1, 2, 3, 4, 3, 3, 1), (1, 2, 2, 2, 1, 2, 1), strict=True)
    for expand, out, repeats, stride in rows:
        for repeat in range(repeats):
            hidden = expand * channels
            if expand > 1:
                parameters += channels * hidden + 2 * hidden
                macs += channels * hidden * side * side
            if repeat == 0:
                side //= stride
            parameters += 9 * hidden + 2 * hidden + hidden * out + 2 * out
            macs += (9 * hidden + hidden * out) * side * side
            channels = out
    parameters += channels * last + 2 * last + last * 1000 + 1000
    macs += channels * last * 7 * 7 + last * 1000
    assert (parameters, macs) == FIGURES[width]


@pytest.mark.parametrize("width", [1.0, 0.35, 1.4])
def test_the_channels_are_those_by_hand(width):
    with torch.device("meta"):
        network = create_model("mobilenet_v2", width=width)
    built = [network.stem.conv.out_channels]
    built += [stage[-1].project.conv.out_channels for stage in network.stages]
    assert (*built, network.head.fc.in_features) == CHANNELS[width]


@pytest.mark.parametrize(
    ("width", "size"),
    [
        (1.0, (64, 64)),
        (0.5, (75, 50)),
        (1.4, (33, 64)),
        *(pytest.param(width, (45, 54), marks=pytest.mark.every_variant) for width in (0.25, 0.35, 0.75, 1.3)),
    ],
)
def test_answers_as_torchvision_does_with_the_same_weights(width, size):
    network = scramble(create_model("mobilenet_v2", width=width))
    peer = copy_in_order(network, torchvision.models.mobilenet_v2(width_mult=width))
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(network(x), peer(x))


def test_features_are_the_stages_before_each_halving():
    network = create_model("mobilenet_v2").eval()
    described = [(info.name, info.channels, info.stride) for info in network.feature_info]
    assert described == [
        ("stages.0", 16, 2),
        ("stages.1", 24, 4),
        ("stages.2", 32, 8),
        ("stages.4", 96, 16),
        ("stages.6", 320, 32),
    ]
    with torch.no_grad():
        shapes = [tuple(feature.shape) for feature in network.features(torch.zeros(1, 3, 96, 70))]
    assert shapes == [(1, 16, 48, 35), (1, 24, 24, 18), (1, 32, 12, 9), (1, 96, 6, 5), (1, 320, 3, 3)]


def test_the_projection_is_linear_and_the_shortcut_joins_equal_shapes_only():
    torch.manual_seed(0)
    block = InvertedResidual(8, 8, expand=6, stride=1).eval()
    x = torch.randn(1, 8, 5, 5)
    with torch.no_grad():
        assert (block(x) - x < 0).any(), "a ReLU behind the projection would leave no negative values"
        nn.init.zeros_(block.project.bn.weight)
        assert torch.equal(block(x), x)
    assert not InvertedResidual(8, 16, expand=6, stride=1).shortcut
    assert not InvertedResidual(8, 8, expand=6, stride=2).shortcut
    # Table 2: all but the first block of each row has one.
    network = create_model("mobilenet_v2")
    assert [sum(block.shortcut for block in stage) for stage in network.stages] == [0, 1, 2, 3, 2, 2, 0]


def test_initial_weights_are_normal_and_cut_at_two_deviations():
    torch.manual_seed(0)
    network = create_model("mobilenet_v2")
    for weight in (network.head.fc.weight, network.head.last.conv.weight):
        assert weight.abs().max() <= 0.18
        assert weight.std().item() == pytest.approx(0.09 * 0.8796, rel=0.01)  # the deviation of a normal cut at 2
    assert not network.head.fc.bias.any()


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    stages = (Stage(expand=1, out=16, repeats=1, stride=2), Stage(expand=6, out=32, repeats=2, stride=2))
    network = create_model("mobilenet_v2", width=0.25, stages=stages, dropout=0.0, in_channels=1, num_classes=10)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    assert mistakes_after(30, network, *sixty_four(digits, 32), optimizer) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("width", -0.5),
        ("width", float("nan")),
        ("width", float("inf")),
        ("width", "1.0"),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("stages", ()),
        ("stages", ((6, 24, 2, 2),)),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"MobileNetV2Config\.{field} must be"):
        model_config("mobilenet_v2", **{field: value})


def test_an_impossible_stage_names_its_field():
    with pytest.raises(UsageError, match=r"Stage\.stride must be 1 or 2, not 3"):
        Stage(expand=6, out=24, repeats=2, stride=3)
    with pytest.raises(UsageError, match=r"Stage\.repeats must be a whole number >= 1"):
        Stage(expand=6, out=24, repeats=0, stride=2)

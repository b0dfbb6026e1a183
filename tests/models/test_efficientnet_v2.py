"""EfficientNetV2 against its paper, hand arithmetic, torchvision and timm with the same weights."""

import math

import numpy as np
import pytest
import timm
import torch
import torchvision.models
from benchmarks.peers import copy_in_order, scramble
from torch import nn

from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.efficientnet import EfficientNetConfig, MBConv
from convatlas.models.classify.efficientnet_v2 import FusedMBConv, Stage
from tests.models.counted_figures import counted
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-25")

# Table 4, and its larger forms in the authors' code: channels and blocks of each stage; the first three are fused.
BY_HAND = {
    "efficientnet_v2_s": ((24, 48, 64, 128, 160, 256), (2, 4, 4, 6, 9, 15)),
    "efficientnet_v2_m": ((24, 48, 80, 160, 176, 304, 512), (3, 5, 5, 7, 14, 18, 5)),
    "efficientnet_v2_l": ((32, 64, 96, 192, 224, 384, 640), (4, 7, 7, 10, 19, 25, 7)),
    "efficientnet_v2_xl": ((32, 64, 96, 192, 256, 512, 640), (4, 8, 8, 16, 24, 32, 8)),
}
SIZES = {"efficientnet_v2_s": 384, "efficientnet_v2_m": 480, "efficientnet_v2_l": 480, "efficientnet_v2_xl": 512}
TINY = (
    Stage(fused=True, expand=1, out=16, repeats=1, stride=1),
    Stage(fused=True, expand=4, out=24, repeats=2, stride=2),
    Stage(fused=False, expand=4, out=32, repeats=2, stride=2),
)
SMALLEST = "efficientnet_v2_s"


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def on_meta(name: str, **changes: object) -> nn.Module:
    with torch.device("meta"):
        return create_model(name, **changes)


def assert_same_answers(network: nn.Module, peer: nn.Module, size: tuple[int, int]) -> None:
    """The peer gets our values, matched by their order."""
    copy_in_order(network, peer)
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        got, wanted = network(x), peer(x)
    assert_equal(got, wanted)


# --- Counts


@pytest.mark.parametrize("name", BY_HAND)
def test_the_figures_follow_from_table_4_by_hand(name):
    outs, depths = BY_HAND[name]
    side, channels = SIZES[name] // 2, outs[0]
    parameters, macs = 3 * 9 * channels + 2 * channels, 3 * 9 * channels * side * side
    rows = zip((1, 4, 4, 4, 6, 6, 6), outs, depths, (1, 2, 2, 2, 1, 2, 1), strict=False)
    for index, (expand, out, repeats, stride) in enumerate(rows):
        for repeat in range(repeats):
            hidden, squeezed = expand * channels, channels // 4
            before, side = side, side // stride if repeat == 0 else side
            if index == 0:  # one convolution of 3 x 3
                parameters += 9 * channels * out + 2 * out
                macs += 9 * channels * out * side * side
            elif index < 3:  # 3 x 3 wider, 1 x 1 narrower
                parameters += 9 * channels * hidden + 2 * hidden + hidden * out + 2 * out
                macs += (9 * channels * hidden + hidden * out) * side * side
            else:  # 1 x 1 wider, 3 x 3 for each channel, squeeze and excite, 1 x 1 narrower
                parameters += channels * hidden + 2 * hidden + 9 * hidden + 2 * hidden + hidden * out + 2 * out
                parameters += 2 * hidden * squeezed + squeezed + hidden
                macs += channels * hidden * before * before + (9 * hidden + hidden * out) * side * side
                macs += 2 * hidden * squeezed
            channels = out
    parameters += channels * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    macs += channels * 1280 * side * side + 1280 * 1000
    assert (parameters, macs) == counted(name)


@pytest.mark.parametrize("name", BY_HAND)
def test_channels_and_blocks_are_those_by_hand(name):
    network = on_meta(name)
    outs, depths = BY_HAND[name]
    assert tuple(stage[-1].project.conv.out_channels for stage in network.stages) == outs
    assert tuple(len(stage) for stage in network.stages) == depths
    kinds = [{type(block) for block in stage} for stage in network.stages]
    assert kinds == [{FusedMBConv}] * 3 + [{MBConv}] * (len(outs) - 3)


# --- The same weights give the same answers elsewhere


@pytest.mark.parametrize("size", [(64, 64), (75, 50)])
def test_answers_as_torchvision_does_with_the_same_weights(size):
    network = scramble(create_model(SMALLEST))
    assert_same_answers(network, torchvision.models.efficientnet_v2_s(), size)


@pytest.mark.parametrize("size", [(64, 64), (75, 50)])
def test_the_authors_own_padding_is_a_config_field(size):
    network = scramble(create_model(SMALLEST, same_padding=True))
    assert_same_answers(network, timm.create_model("tf_efficientnetv2_s"), size)


# --- Blocks, stochastic depth, initialisation


def test_the_fused_block_by_hand():
    block = create_model(SMALLEST, stages=TINY).stages[1][1].eval().double()
    x = torch.randn(1, 24, 4, 5, dtype=torch.float64)
    expand, project = (block.expand.conv.weight.detach().numpy(), block.project.conv.weight.detach().numpy())
    padded = np.pad(x[0].numpy(), ((0, 0), (1, 1), (1, 1)))
    wide = np.zeros((96, 4, 5))
    for i in range(4):
        for j in range(5):
            wide[:, i, j] = np.tensordot(expand, padded[:, i : i + 3, j : j + 3], axes=3)
    norm = math.sqrt(1 + 1e-3)  # a fresh BatchNorm only divides by this
    wide = wide / norm
    wide = wide / (1 + np.exp(-wide))
    wanted = np.tensordot(project[:, :, 0, 0], wide, axes=1) / norm + x[0].numpy()
    with torch.no_grad():
        np.testing.assert_allclose(block(x)[0].numpy(), wanted, rtol=1e-10, atol=1e-12)


def test_a_fused_block_that_does_not_expand_is_one_convolution_with_an_activation():
    config = EfficientNetConfig()
    narrow = FusedMBConv(config, TINY[0], 16, stride=1, drop=0.0)
    assert [type(layer) for layer in narrow.project] == [nn.Conv2d, nn.BatchNorm2d, nn.SiLU]
    assert sum(isinstance(module, nn.Conv2d) for module in narrow.modules()) == 1
    wide = FusedMBConv(config, TINY[1], 16, stride=2, drop=0.0)
    assert [type(layer) for layer in wide.project] == [nn.Conv2d, nn.BatchNorm2d]  # linear bottleneck
    assert (narrow.shortcut, wide.shortcut) == (True, False)


def test_survival_falls_linearly_towards_0_8():
    drops = [block.stochastic_depth.drop for stage in on_meta(SMALLEST).stages for block in stage]
    assert drops == pytest.approx([0.2 * index / 40 for index in range(40)])


def test_training_skips_branches_and_evaluation_does_not():
    block = create_model(SMALLEST, stages=TINY, survival=0.5, dropout=0.0, num_classes=4).stages[1][1]
    block.stochastic_depth.drop = 0.3
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    x = torch.randn(1, 24, 6, 6).expand(200, -1, -1, -1)
    with torch.no_grad():
        skipped = [torch.equal(out, image) for out, image in zip(block(x), x, strict=True)]
        first, second = (block.eval()(x) for _ in range(2))
    assert 35 <= sum(skipped) <= 85  # 60 expected, deviation 6.5
    assert torch.equal(first, second)
    assert not torch.equal(first, x)


def test_initial_weights_are_the_authors():
    network = create_model(SMALLEST)
    block = network.stages[2][1]
    assert block.expand.conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.02)  # fan-out
    limit = 1 / math.sqrt(1000)
    assert 0.99 * limit < network.head.fc.weight.abs().max() <= limit
    assert {module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-3}
    dropouts = {name: model_config(name).dropout for name in BY_HAND}
    assert list(dropouts.values()) == [0.2, 0.3, 0.4, 0.4]


# --- Training and features


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model(SMALLEST, stages=TINY, dropout=0.0, survival=1.0, in_channels=1, num_classes=10)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    assert mistakes_after(30, network, *sixty_four(digits, 32), optimizer) == 0


@pytest.mark.parametrize(
    ("name", "stages", "channels"),
    [
        ("efficientnet_v2_s", (0, 1, 2, 4, 5), (24, 48, 64, 160, 256)),
        ("efficientnet_v2_xl", (0, 1, 2, 4, 6), (32, 64, 96, 256, 640)),
    ],
)
def test_features_are_the_stages_before_each_halving(name, stages, channels):
    network = on_meta(name)
    described = [(info.name, info.channels, info.stride) for info in network.feature_info]
    assert described == list(zip([f"stages.{n}" for n in stages], channels, (2, 4, 8, 16, 32), strict=True))
    shapes = [tuple(feature.shape) for feature in network.features(torch.zeros(1, 3, 96, 70, device="meta"))]
    sizes = [(48, 35), (24, 18), (12, 9), (6, 5), (3, 3)]
    assert shapes == [(1, each, *size) for each, size in zip(channels, sizes, strict=True)]


# --- What is refused


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stages", ()),
        ("stages", ((True, 4, 24, 2, 2),)),
        ("dropout", 1.0),
        ("survival", 0),
        ("survival", 1.5),
        ("in_channels", 0),
        ("num_classes", 2.5),
        ("same_padding", 1),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"{field} must be"):
        model_config(SMALLEST, **{field: value})


def test_an_impossible_stage_names_its_field():
    with pytest.raises(UsageError, match=r"Stage\.stride must be 1 or 2, not 3"):
        Stage(fused=True, expand=4, out=24, repeats=2, stride=3)
    with pytest.raises(UsageError, match=r"Stage\.expand must be a whole number >= 1"):
        Stage(fused=False, expand=0, out=24, repeats=2, stride=1)

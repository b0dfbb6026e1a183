"""Inception-ResNet against its paper, hand arithmetic, and peers with the same weights."""

import dataclasses
import math

import pytest
import pytorchcv.models.inceptionresnetv1
import timm
import torch
from benchmarks.peers import copy_in_order, scramble
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError, WeightsError
from convatlas.models import create_model, model_config
from convatlas.models.classify.inception_resnet import V1, InceptionResNetBlock
from convatlas.models.classify.se_inception_resnet_v2 import SEInceptionResNetV2
from convatlas.weights.load import load_weights
from convatlas.weights.recognise import looks_like
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-10")

# At 3 x 299 x 299. The public v2's are timm's and pytorchcv's; the paper's two are derived below.
FIGURES = {
    "inception_resnet_v1": (22_756_328, 6_206_361_696),
    "inception_resnet_v2_paper": (32_433_928, 9_257_953_632),
    "inception_resnet_v2": (55_843_464, 13_155_794_016),
}
SMALL = {"width": 0.05, "depths": (1, 1, 1)}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


# --- Counts


@pytest.mark.parametrize("name", FIGURES)
def test_parameters_and_macs_to_the_last_digit(name):
    with torch.device("meta"):
        network = create_model(name)
    assert (count_parameters(network), count_macs(network, (3, 299, 299))) == FIGURES[name]


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures_follow_by_hand(name):
    parameters = macs = 0

    def conv(kernel: int, a: int, b: int, side: int, *, linear: bool = False) -> int:
        """kernel: its number of pixels. A BatchNorm of two parameters a channel follows, or `linear` has a bias."""
        nonlocal parameters, macs
        parameters += kernel * a * b + (b if linear else 2 * b)
        macs += kernel * a * b * side * side
        return b

    v1, public = name == "inception_resnet_v1", name == "inception_resnet_v2"
    c = conv(9, conv(9, conv(9, 3, 32, 149), 32, 147), 64, 147)
    if name == "inception_resnet_v2_paper":  # Figure 3
        c += conv(9, c, 96, 73)
        long = conv(7, conv(7, conv(1, c, 64, 73), 64, 73), 64, 73)
        c = conv(9, conv(1, c, 64, 73), 96, 71) + conv(9, long, 96, 71)
        c += conv(9, c, 192, 35)
        assert c == 384
    else:  # Figure 14
        c = conv(9, conv(1, c, 80, 73), 192, 71)
        if v1:
            c = conv(9, c, 256, 35)
        else:  # the authors' code
            long = conv(9, conv(9, conv(1, c, 64, 35), 96, 35), 96, 35)
            c = conv(1, c, 96, 35) + conv(25, conv(1, c, 48, 35), 64, 35) + long + conv(1, c, 64, 35)
            assert c == 320
    twice = 2 if public else 1
    for _ in range(5 * twice):  # Figures 10 and 16
        inner, last = (32, 32) if v1 else (48, 64)
        branches = conv(1, c, 32, 35) + conv(9, conv(1, c, 32, 35), 32, 35)
        branches += conv(9, conv(9, conv(1, c, 32, 35), inner, 35), last, 35)
        conv(1, branches, c, 35, linear=True)
    k, l_, m, n = (192, 192, 256, 384) if v1 else (256, 256, 384, 384)  # Table 1
    c += conv(9, c, n, 17) + conv(9, conv(9, conv(1, c, k, 35), l_, 35), m, 17)
    assert c == {"inception_resnet_v1": 896, "inception_resnet_v2_paper": 1152, "inception_resnet_v2": 1088}[name]
    for _ in range(10 * twice):  # Figures 11 and 17
        single, first, row, column = (128,) * 4 if v1 else (192, 128, 160, 192)
        branches = conv(1, c, single, 17) + conv(7, conv(7, conv(1, c, first, 17), row, 17), column, 17)
        conv(1, branches, c, 17, linear=True)
    second, third, fourth = (256, 256, 256) if v1 else (288, 288, 320)  # Figures 12 and 18
    reduced = conv(9, conv(1, c, 256, 17), 384, 8) + conv(9, conv(1, c, 256, 17), second, 8)
    c += reduced + conv(9, conv(9, conv(1, c, 256, 17), third, 17), fourth, 8)
    assert c == {"inception_resnet_v1": 1792, "inception_resnet_v2_paper": 2144, "inception_resnet_v2": 2080}[name]
    for _ in range(5 * twice):  # Figures 13 and 19
        row, column = (192, 192) if v1 else (224, 256)
        branches = conv(1, c, 192, 8) + conv(3, conv(3, conv(1, c, 192, 8), row, 8), column, 8)
        conv(1, branches, c, 8, linear=True)
    if public:
        c = conv(1, c, 1536, 8)
    assert (parameters + c * 1000 + 1000, macs + c * 1000) == FIGURES[name]


def test_pytorchcv_s_v1_has_a_block_and_a_hidden_layer_more():
    """Its figures, 23,995,624 and 6,308,235,360, from the paper's: another Figure 13 and 1792 -> 512 -> 1000."""
    weights = 2 * 1792 * 192 + 2 * 3 * 192 * 192 + 384 * 1792
    block = weights + 4 * 2 * 192 + 1792, weights * 64
    head = 1792 * 512 + 2 * 512 + 512 * 1000 + 1000, 1792 * 512 + 512 * 1000
    plain = 1792 * 1000 + 1000, 1792 * 1000
    got = [ours + b + h - p for ours, b, h, p in zip(FIGURES["inception_resnet_v1"], block, head, plain, strict=True)]
    assert got == [23_995_624, 6_308_235_360]


@pytest.mark.parametrize(
    ("name", "maps"),
    [
        (
            "inception_resnet_v1",
            [(192, 71, 71), (256, 35, 35), (896, 17, 17), (1792, 8, 8)],
        ),  # as Figure 15 prints them
        ("inception_resnet_v2_paper", [(192, 71, 71), (384, 35, 35), (1152, 17, 17), (2144, 8, 8)]),
        ("inception_resnet_v2", [(192, 71, 71), (320, 35, 35), (1088, 17, 17), (1536, 8, 8)]),
    ],
)
def test_the_maps_are_those_of_figure_15(name, maps):
    with torch.device("meta"):
        network = create_model(name).eval()
        got = network.features(torch.empty(1, 3, 299, 299))
    assert [tuple(each.shape[1:]) for each in got] == maps
    assert [(info.channels, info.stride) for info in network.feature_info] == [
        (channels, stride) for (channels, _, _), stride in zip(maps, (4, 8, 16, 32), strict=True)
    ]


# --- Peers


@pytest.mark.parametrize("size", [(75, 84), pytest.param((299, 267), marks=pytest.mark.every_variant)])
def test_v2_answers_as_timm_s_with_the_same_weights(size):
    theirs = scramble(timm.create_model("inception_resnet_v2"))
    ours = create_model("inception_resnet_v2").double().eval()
    load_weights(ours, theirs.state_dict(), source="timm")
    x = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(ours(x), theirs(x))


def test_a_file_of_timm_s_is_recognised():
    with torch.device("meta"):
        theirs = timm.create_model("inception_resnet_v2").state_dict()
    assert looks_like(theirs) == ("inception_resnet_v2", "timm")


def test_timm_s_names_do_not_fit_the_paper_s_forms():
    with torch.device("meta"):
        theirs = timm.create_model("inception_resnet_v2").state_dict()
    with pytest.raises(WeightsError, match='It looks like inception_resnet_v2 with the names of source="timm"'):
        load_weights(create_model("inception_resnet_v2_paper", **SMALL), theirs, source="timm")


def test_v1_answers_as_pytorchcv_s_with_the_same_weights():
    """Without the block and the hidden layer that it has more than the paper, and with the authors' epsilon."""
    theirs = pytorchcv.models.inceptionresnetv1.InceptionResNetV1(dropout_prob=0.0, bn_eps=1e-3)
    del theirs.features.stage3.unit7
    theirs.features.final_pool = nn.AdaptiveAvgPool2d(1)
    theirs.output = nn.Linear(1792, 1000)
    theirs = scramble(theirs)
    ours = copy_in_order(theirs, create_model("inception_resnet_v1"))
    x = torch.randn(1, 3, 75, 84, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(ours(x), theirs(x))


def test_the_paper_s_v2_begins_as_inception_v4():
    """Figure 3 serves both. Its blocks are of the public network's kind, checked above."""
    ours = create_model("inception_resnet_v2_paper", **SMALL).eval()
    other = create_model("inception_v4", **SMALL).eval()
    ours.stem.load_state_dict(other.stem.state_dict())
    ours.stages[0][0].load_state_dict(other.stages[0][0].state_dict())
    x = torch.randn(1, 3, 75, 75)
    with torch.no_grad():
        assert torch.equal(ours.stages[0][0](ours.stem(x)), other.stages[0][0](other.stem(x)))


# --- Residuals


def test_a_block_adds_a_scaled_correction():
    network = create_model("inception_resnet_v1", **SMALL).eval()
    block = network.stages[1][1]
    x = torch.randn(1, block.expand.out_channels, 5, 4)
    with torch.no_grad():
        branches = block.branches
        joined = torch.cat([branches.branch1x1(x), branches.branch7x7(x)], dim=1)
        correction = torch.einsum("oi,nihw->nohw", block.expand.weight[:, :, 0, 0], joined)
        correction = correction + block.expand.bias[:, None, None]
        torch.testing.assert_close(block(x), (x + 0.1 * correction).clamp(min=0))
        assert (block(x) == 0).any()


@pytest.mark.parametrize("name", FIGURES)
def test_residuals_are_scaled_and_rectified(name):
    """Section 3.3: between 0.1 and 0.3; only the authors' code leaves the last block as it is."""
    with torch.device("meta"):
        network = create_model(name)
    blocks = [[block for block in stage if isinstance(block, InceptionResNetBlock)] for stage in network.stages]
    public = name == "inception_resnet_v2"
    assert [len(each) for each in blocks] == ([10, 20, 10] if public else [5, 10, 5])
    *others, last = [block for each in blocks for block in each]
    assert [sorted({block.scale for block in each if block is not last}) for each in blocks] == [[0.17], [0.1], [0.2]]
    assert all(isinstance(block.relu, nn.ReLU) for block in others)
    assert (last.scale, isinstance(last.relu, nn.ReLU)) == ((1.0, False) if public else (0.2, True))
    # Section 3.2: BatchNorm on each convolution but those that end a block.
    kinds = [type(module) for module in network.modules()]
    assert kinds.count(nn.Conv2d) - kinds.count(nn.BatchNorm2d) == len(others) + 1


# --- Initialisation


def test_weights_start_as_in_the_authors_code():
    network = create_model("inception_resnet_v1")
    for layer in (network.stem.conv5.conv, network.stages[2][1].expand, network.head.fc):
        fan_in, fan_out = layer.weight[0].numel(), layer.weight[:, 0].numel()
        limit = math.sqrt(6 / (fan_in + fan_out))
        assert 0.99 * limit < layer.weight.abs().max() <= limit
    assert not network.stages[2][1].expand.bias.any()
    assert {module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-3}
    assert network.head.dropout.p == 0.2  # Figure 15: keep 0.8


# --- Learning


@pytest.mark.parametrize(
    "name", ["inception_resnet_v1", pytest.param("inception_resnet_v2", marks=pytest.mark.every_variant)]
)
def test_it_learns_64_digits_by_heart(digits: PictureSet, name: str):
    network = create_model(name, in_channels=1, num_classes=10, dropout=0.0, **SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    assert mistakes_after(40, network, *sixty_four(digits, 75), optimizer) == 0


# --- Bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": -1}, r"InceptionResNetConfig\.width must be a number above 0, not -1"),
        ({"dropout": 1.0}, r"InceptionResNetConfig\.dropout must be at least 0 and below 1"),
        ({"depths": (5, 0, 5)}, r"InceptionResNetConfig\.depths must be three whole numbers >= 1"),
        ({"scales": (0.1, 0.1)}, r"InceptionResNetConfig\.scales must be three numbers above 0 and at most 1"),
        ({"scales": (0.1, 0.1, 2)}, r"InceptionResNetConfig\.scales must be three numbers"),
        ({"form": "v3"}, r"InceptionResNetConfig\.form must be \"v1\", \"v2\" or \"public\", not 'v3'"),
        ({"filters": (32, 32)}, r"InceptionResNetConfig\.filters must be a Filters, not \(32, 32\)"),
    ],
)
def test_impossible_configs_name_their_field(changes, message):
    with pytest.raises(UsageError, match=message):
        model_config("inception_resnet_v1", **changes)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("reduction_a", (192, 192, 256), r"Filters\.reduction_a must be four whole numbers >= 1"),
        ("block_a", ((32,), (32, 32)), r"Filters\.block_a must be tuples of \(1, 2, 3\) channels"),
        ("block_b", 128, r"Filters\.block_b must be tuples of \(1, 3\) channels, not 128"),
        ("block_c", ((192,), (192, 0, 192)), r"Filters\.block_c must have whole numbers >= 1 only"),
    ],
)
def test_impossible_filters_name_their_field(field, value, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(V1, **{field: value})


@pytest.mark.parametrize("width", [1.0, 0.3, 0.05])
def test_the_se_network_refuses_a_reduction_by_its_narrowest_block(width):
    config = model_config("se_inception_resnet_v2", width=width, depths=(1, 1, 1), reduction=1)
    with torch.device("meta"):
        network = SEInceptionResNetV2(config)
    blocks = [module for module in network.modules() if isinstance(module, InceptionResNetBlock)]
    assert config.narrowest == min(block.expand.conv.out_channels for block in blocks)
    wrong = config.narrowest + 1
    with pytest.raises(UsageError, match=rf"SEInceptionResNetV2Config\.reduction must be at most .*, not {wrong}"):
        dataclasses.replace(config, reduction=wrong)

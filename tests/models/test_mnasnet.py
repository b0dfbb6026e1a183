"""MnasNet against its paper, hand arithmetic, and torchvision's and timm's networks with the same weights."""

import pytest
import timm
import torch
import torchvision.models
from benchmarks.peers import scramble
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.mnasnet import A1, MBConv, Stage
from convatlas.weights.load import load_weights
from convatlas.weights.recognise import looks_like
from tests.models.equality import assert_equal_outputs
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-23")

# Parameters and multiply-accumulates at 3 x 224 x 224, 1000 classes. 0.35 and 0.5 of A1 and 1.4 of B1 are derived by
# the arithmetic below.
FIGURES = {
    ("a1", 1.0): (3_887_038, 311_579_072),
    ("a1", 0.75): (2_912_278, 223_448_480),
    ("a1", 1.4): (6_105_992, 586_317_952),
    ("a1", 0.5): (2_082_006, 103_162_992),
    ("a1", 0.35): (1_747_018, 61_681_920),
    ("b1", 1.0): (4_383_312, 314_415_872),
    ("b1", 0.5): (2_218_512, 104_455_968),
    ("b1", 0.75): (3_170_208, 215_493_104),
    ("b1", 1.3): (6_282_256, 526_362_432),
    ("b1", 1.4): (7_115_728, 588_799_408),
    ("small", 1.0): (2_030_264, 68_339_184),
}
# The authors' code, mnasnet_models.py: blocks, kernel, stride, expansion, channels out, squeeze-and-excitation.
CODE = {
    "a1": (
        32,
        "r1_k3_s1_e1_o16 r2_k3_s2_e6_o24 r3_k5_s2_e3_o40_se r4_k3_s2_e6_o80 r2_k3_s1_e6_o112_se "
        "r3_k5_s2_e6_o160_se r1_k3_s1_e6_o320",
    ),
    "b1": (
        32,
        "r1_k3_s1_e1_o16 r3_k3_s2_e3_o24 r3_k5_s2_e3_o40 r3_k5_s2_e6_o80 r2_k3_s1_e6_o96 r4_k5_s2_e6_o192 "
        "r1_k3_s1_e6_o320",
    ),
    "small": (
        8,
        "r1_k3_s1_e1_o8 r1_k3_s2_e3_o16 r2_k3_s2_e6_o16 r4_k5_s2_e6_o32_se r3_k3_s1_e6_o32_se "
        "r3_k5_s2_e6_o88_se r1_k3_s1_e6_o144",
    ),
}
SCALED = {
    "width": 0.5,
    "stages": (A1[0], Stage(kernel=5, expand=3, out=40, repeats=2, stride=2, se=True)),
    "dropout": 0.0,
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def multiple_of_8(channels: float) -> int:
    """The nearest; the next one where more than a tenth would be lost."""
    nearest = max(8, int(channels / 8 + 0.5) * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


@pytest.mark.parametrize(("kind", "width"), FIGURES)
def test_parameters_and_macs_to_the_last_digit(kind, width):
    with torch.device("meta"):
        network = create_model(f"mnasnet_{kind}", width=width)
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == FIGURES[kind, width]


@pytest.mark.parametrize(("kind", "width"), FIGURES)
def test_the_figures_follow_from_the_authors_code_by_hand(kind, width):
    stem, rows = CODE[kind]
    channels, side = multiple_of_8(stem * width), 112
    parameters, macs = 27 * channels + 2 * channels, 27 * channels * side**2
    for row in rows.split():
        repeats, kernel, stride, expand, full = (int(part[1:]) for part in row.split("_")[:5])
        out = multiple_of_8(full * width)
        for repeat in range(repeats):
            hidden = expand * channels
            if expand > 1:
                parameters += channels * hidden + 2 * hidden
                macs += channels * hidden * side**2
            side = side // stride if repeat == 0 else side
            parameters += kernel**2 * hidden + 2 * hidden + hidden * out + 2 * out
            macs += (kernel**2 * hidden + hidden * out) * side**2
            if row.endswith("_se"):
                squeezed = channels // 4
                parameters += 2 * hidden * squeezed + hidden + squeezed
                macs += 2 * hidden * squeezed
            channels = out
    parameters += channels * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    macs += channels * 1280 * side**2 + 1280 * 1000
    assert (parameters, macs) == FIGURES[kind, width]


@pytest.mark.parametrize(
    ("name", "width"), [("mnasnet0_5", 0.5), ("mnasnet0_75", 0.75), ("mnasnet1_0", 1.0), ("mnasnet1_3", 1.3)]
)
def test_answers_as_torchvision_does_with_the_same_weights(name, width):
    theirs = scramble(getattr(torchvision.models, name)())
    ours = create_model("mnasnet_b1", width=width).double()
    assert load_weights(ours, theirs.state_dict(), source="torchvision").fresh == ()
    assert_equal_outputs(ours, theirs, (75, 50))


@pytest.mark.parametrize(
    ("name", "kind", "width"),
    [
        ("semnasnet_100", "a1", 1.0),
        ("semnasnet_075", "a1", 0.75),
        ("semnasnet_050", "a1", 0.5),
        ("semnasnet_140", "a1", 1.4),
        ("mnasnet_100", "b1", 1.0),
        ("mnasnet_140", "b1", 1.4),
        ("mnasnet_small", "small", 1.0),
    ],
)
def test_answers_as_timm_does_with_the_same_weights(name, kind, width):
    theirs = scramble(timm.create_model(name))
    ours = create_model(f"mnasnet_{kind}", width=width).double()
    assert load_weights(ours, theirs.state_dict(), source="timm").fresh == ()
    assert_equal_outputs(ours, theirs, (45, 54))


@pytest.mark.every_variant  # it tries every network and width: seconds
def test_files_of_both_libraries_are_recognised():
    theirs = torchvision.models.mnasnet0_5().state_dict()
    assert looks_like(theirs) == ("mnasnet_b1 with width=0.5", "torchvision")
    assert looks_like(timm.create_model("semnasnet_100").state_dict()) == ("mnasnet_a1", "timm")


def test_features_are_the_stages_before_each_halving():
    network = create_model("mnasnet_a1").eval()
    described = [(info.name, info.channels, info.stride) for info in network.feature_info]
    assert described == [
        ("stages.0", 16, 2),
        ("stages.1", 24, 4),
        ("stages.2", 40, 8),
        ("stages.4", 112, 16),
        ("stages.6", 320, 32),
    ]
    with torch.no_grad():
        shapes = [tuple(feature.shape) for feature in network.features(torch.zeros(1, 3, 96, 70))]
    assert shapes == [(1, 16, 48, 35), (1, 24, 24, 18), (1, 40, 12, 9), (1, 112, 6, 5), (1, 320, 3, 3)]


def test_the_projection_is_linear_and_the_shortcut_joins_equal_shapes_only():
    row = Stage(kernel=5, expand=3, out=8, repeats=1, stride=1, se=True)
    block = MBConv(row, 8, 8, stride=1).eval()
    x = torch.randn(1, 8, 5, 5)
    with torch.no_grad():
        assert (block(x) - x < 0).any(), "a ReLU behind the projection would leave no negative values"
        nn.init.zeros_(block.project.bn.weight)
        assert torch.equal(block(x), x)
    assert not MBConv(row, 8, 16, stride=1).shortcut
    assert not MBConv(row, 8, 8, stride=2).shortcut
    with torch.device("meta"):
        shortcuts = [[block.shortcut for block in stage] for stage in create_model("mnasnet_small").stages]
    assert shortcuts[0] == [True]  # as in public weights


def test_only_a1_and_small_have_squeeze_and_excitation():
    with torch.device("meta"):
        found = {
            kind: [isinstance(stage[0].se, nn.Identity) for stage in create_model(f"mnasnet_{kind}").stages]
            for kind in ("a1", "b1", "small")
        }
    assert found == {
        "a1": [True, True, False, True, False, False, True],
        "b1": [True] * 7,
        "small": [True, True, True, False, False, False, True],
    }


def test_it_starts_as_the_authors_code():
    network = create_model("mnasnet_b1")
    assert network.head.last.conv.weight.std().item() == pytest.approx((2 / 1280) ** 0.5, rel=0.01)
    assert network.stages[5][1].depthwise.conv.weight.std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.02)
    limit = 1000**-0.5
    assert 0.99 * limit < network.head.fc.weight.abs().max() <= limit
    assert not network.head.fc.bias.any()


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("mnasnet_a1", in_channels=1, num_classes=10, **SCALED)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    assert mistakes_after(20, network, *sixty_four(digits, 32), optimizer) == 0


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
        ("stem", 0),
        ("stages", ()),
        ("stages", ((3, 1, 16),)),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"MnasNetConfig\.{field} must be"):
        model_config("mnasnet_a1", **{field: value})


def test_an_impossible_stage_names_its_field():
    with pytest.raises(UsageError, match=r"Stage\.stride must be 1 or 2, not 3"):
        Stage(kernel=3, expand=6, out=24, repeats=2, stride=3)
    with pytest.raises(UsageError, match=r"Stage\.kernel must be 3 or 5, not 4"):
        Stage(kernel=4, expand=6, out=24, repeats=2, stride=1)

"""ShuffleNet V2 against its paper, hand arithmetic, and torchvision's network with the same weights."""

import pytest
import torch
import torchvision.models
from benchmarks.peers import scramble
from torch import Tensor
from torch.nn import functional

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.shufflenet_v2 import BasicUnit, Stage
from convatlas.weights.load import load_weights
from convatlas.weights.recognise import looks_like
from tests.models.equality import assert_equal, assert_equal_outputs
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-22")

# Parameters and multiply-accumulates at 3 x 224 x 224, 1000 classes. 1.5x and the 50-layer network are derived by the
# arithmetic below.
FIGURES = {
    "x0_5": (1_366_792, 40_476_448),
    "x1_0": (2_278_604, 144_907_992),
    "x1_5": (3_503_624, 295_759_392),
    "x2_0": (7_393_996, 583_253_464),
    "50": (16_573_534, 2_304_152_672),
}
# Table 5 and the appendix: stem; channels, units and stride of each stage; the last convolution.
TABLE_5 = {
    "x0_5": (24, [(48, 4, 2), (96, 8, 2), (192, 4, 2)], 1024),
    "x1_0": (24, [(116, 4, 2), (232, 8, 2), (464, 4, 2)], 1024),
    "x1_5": (24, [(176, 4, 2), (352, 8, 2), (704, 4, 2)], 1024),
    "x2_0": (24, [(244, 4, 2), (488, 8, 2), (976, 4, 2)], 2048),
    "50": (64, [(244, 3, 1), (488, 4, 2), (976, 6, 2), (1952, 3, 2)], 2048),
}
SCALED = {"stages": (Stage(out=32, repeats=2), Stage(out=64, repeats=2)), "last": 64}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("size", FIGURES)
def test_parameters_and_macs_to_the_last_digit(size):
    with torch.device("meta"):
        network = create_model(f"shufflenet_v2_{size}")
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == FIGURES[size]


@pytest.mark.parametrize("size", FIGURES)
def test_the_figures_follow_from_table_5_by_hand(size):
    channels, stages, last = TABLE_5[size]
    parameters, macs = 27 * channels + 2 * channels, 27 * channels * 112**2
    side = 56
    for out, units, stride in stages:
        half, before, side = out // 2, side, side // stride
        # Two branches: depthwise and 1x1; 1x1, on the larger maps, depthwise and 1x1.
        parameters += 9 * channels + channels * half + 2 * (channels + half)
        parameters += channels * half + 9 * half + half**2 + 2 * 3 * half
        macs += (9 * channels + channels * half + 9 * half + half**2) * side**2 + channels * half * before**2
        parameters += (units - 1) * (2 * half**2 + 9 * half + 2 * 3 * half)
        macs += (units - 1) * (2 * half**2 + 9 * half) * side**2
        channels = out
    parameters += channels * last + 2 * last + last * 1000 + 1000
    macs += channels * last * side**2 + last * 1000
    assert (parameters, macs) == FIGURES[size]


@pytest.mark.parametrize(
    ("size", "picture"), [("x0_5", (75, 50)), ("x1_0", (64, 64)), ("x1_5", (45, 54)), ("x2_0", (33, 64))]
)
def test_answers_as_torchvision_does_with_the_same_weights(size, picture):
    theirs = scramble(getattr(torchvision.models, f"shufflenet_v2_{size}")())
    ours = create_model(f"shufflenet_v2_{size}").double()
    assert load_weights(ours, theirs.state_dict(), source="torchvision").fresh == ()
    assert_equal_outputs(ours, theirs, picture)
    assert looks_like(theirs.state_dict()) == (f"shufflenet_v2_{size}", "torchvision")


def test_the_large_network_equals_a_twin_in_plain_functions():
    """Written from Figure 3 and the appendix: four stages, of which the first does not halve."""
    stages = tuple(Stage(out=out, repeats=repeats, stride=stride) for out, repeats, stride in ((12, 2, 1), (16, 3, 2)))
    network = scramble(create_model("shufflenet_v2_50", stem=8, stages=stages, last=32, num_classes=5))
    state = network.state_dict()

    def conv(x: Tensor, name: str, *, relu: bool = True, stride: int = 1) -> Tensor:
        weight = state[f"{name}.conv.weight"]
        groups = x.shape[1] // weight.shape[1]
        x = functional.conv2d(x, weight, None, stride, weight.shape[2] // 2, groups=groups)
        mean, var, scale, shift = (
            state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt() * scale[:, None, None] + shift[:, None, None]
        return x.relu() if relu else x

    def branch(x: Tensor, name: str, stride: int) -> Tensor:
        x = conv(x, f"{name}.conv1")
        return conv(conv(x, f"{name}.depthwise", relu=False, stride=stride), f"{name}.conv2")

    def mixed(left: Tensor, right: Tensor) -> Tensor:
        return torch.stack([left, right], dim=2).flatten(1, 2)  # one channel of each in turn

    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    x = functional.max_pool2d(conv(images, "stem.conv", stride=2), 3, 2, 1)
    for stage, (repeats, stride) in enumerate(((2, 1), (3, 2))):
        name = f"stages.{stage}.0"
        left = conv(x, f"{name}.shortcut.depthwise", relu=False, stride=stride)
        x = mixed(conv(left, f"{name}.shortcut.conv"), branch(x, f"{name}.branch", stride))
        for unit in range(1, repeats):
            half = x.shape[1] // 2
            x = mixed(x[:, :half], branch(x[:, half:], f"stages.{stage}.{unit}.branch", 1))
    x = conv(x, "head.last").mean(dim=(2, 3))
    wanted = x @ state["head.fc.weight"].T + state["head.fc.bias"]
    with torch.no_grad():
        assert_equal(network(images), wanted)


def test_features_are_the_stem_and_the_stages():
    network = create_model("shufflenet_v2_x1_0").eval()
    described = [(info.name, info.channels, info.stride) for info in network.feature_info]
    assert described == [("stem", 24, 4), ("stages.0", 116, 8), ("stages.1", 232, 16), ("stages.2", 464, 32)]
    with torch.no_grad():
        shapes = [tuple(feature.shape) for feature in network.features(torch.zeros(1, 3, 96, 70))]
    assert shapes == [(1, 24, 24, 18), (1, 116, 12, 9), (1, 232, 6, 5), (1, 464, 3, 3)]
    with torch.device("meta"):
        large = create_model("shufflenet_v2_50")
    described = [(info.name, info.channels, info.stride) for info in large.feature_info]
    assert described == [("stages.0", 244, 4), ("stages.1", 488, 8), ("stages.2", 976, 16), ("stages.3", 1952, 32)]


def test_half_of_the_channels_pass_a_basic_unit_untouched():
    unit = BasicUnit(8).eval()
    x = torch.randn(1, 8, 5, 5)
    with torch.no_grad():
        y = unit(x)
    assert torch.equal(y[:, 0::2], x[:, :4])
    assert not torch.equal(y[:, 1::2], x[:, 4:])


def test_dropout_is_in_the_largest_only():
    rates = {size: model_config(f"shufflenet_v2_{size}").dropout for size in FIGURES}
    assert rates == {"x0_5": 0.0, "x1_0": 0.0, "x1_5": 0.0, "x2_0": 0.2, "50": 0.0}


def test_it_starts_as_the_authors_code():
    network = create_model("shufflenet_v2_x1_0")
    assert network.stem.conv.conv.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert network.head.fc.weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert network.head.last.conv.weight.std().item() == pytest.approx(1 / 464, rel=0.01)
    assert (network.head.last.bn.bias == 1e-4).all()


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("shufflenet_v2_x0_5", in_channels=1, num_classes=10, **SCALED)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    assert mistakes_after(40, network, *sixty_four(digits, 32), optimizer) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("stem", 0),
        ("last", 0),
        ("stages", ()),
        ("stages", ((48, 4, 2),)),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"ShuffleNetV2Config\.{field} must be"):
        model_config("shufflenet_v2_x0_5", **{field: value})


def test_an_impossible_stage_names_its_field():
    with pytest.raises(UsageError, match=r"Stage\.stride must be 1 or 2, not 3"):
        Stage(out=24, repeats=2, stride=3)
    with pytest.raises(UsageError, match=r"Stage\.out must be even, for two branches, not 25"):
        Stage(out=25, repeats=2)
    with pytest.raises(UsageError, match=r"Stage\.repeats must be a whole number >= 1"):
        Stage(out=24, repeats=0)

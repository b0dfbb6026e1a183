"""ShuffleNetV2+ against what its authors print, hand arithmetic, and a twin in plain functions."""

import pytest
import torch
from benchmarks.peers import scramble
from torch import Tensor
from torch.nn import functional

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.shufflenet_v2_plus import Kind, Stage
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-22")

# Parameters and multiply-accumulates at 3 x 224 x 224, 1000 classes, by the arithmetic below.
FIGURES = {
    "small": (5_137_116, 155_845_008),
    "medium": (5_679_840, 222_249_984),
    "large": (6_768_220, 360_050_704),
}
CHANNELS = {"small": (36, 104, 208, 416), "medium": (48, 128, 256, 512), "large": (68, 168, 336, 672)}
# The authors' train.py: 0, 1, 2 are kernels of 3, 5, 7; 3 is Xception's unit.
ARCHITECTURE = [[0, 0, 3, 1], [1, 1, 0, 0], [2, 0, 2, 1, 1, 0, 2, 0], [2, 1, 3, 2]]
SCALED = {
    "stages": (
        Stage(out=32, units=(Kind.SHUFFLE_3X3, Kind.XCEPTION), hs=False, se=False),
        Stage(out=64, units=(Kind.SHUFFLE_5X5, Kind.SHUFFLE_7X7), hs=True, se=True),
    ),
    "last": 64,
    "dropout": 0.0,
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("size", FIGURES)
def test_parameters_and_macs_to_the_last_digit(size):
    with torch.device("meta"):
        network = create_model(f"shufflenet_v2_plus_{size}")
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == FIGURES[size]


@pytest.mark.parametrize("size", FIGURES)
def test_the_figures_follow_from_the_authors_architecture_by_hand(size):
    parameters = macs = 0

    def conv(kernel: int, a: int, b: int, side: int, *, groups: int = 1, norm: bool = True) -> None:
        nonlocal parameters, macs
        parameters += kernel**2 * a * b // groups + (2 * b if norm else 0)
        macs += kernel**2 * a * b // groups * side**2

    def excitation(channels: int) -> None:
        conv(1, channels, channels // 4, 1)
        conv(1, channels // 4, channels, 1, norm=False)

    conv(3, 3, 16, 112)
    before, side = 16, 112
    for stage, (out, kinds) in enumerate(zip(CHANNELS[size], ARCHITECTURE, strict=True)):
        half = out // 2
        for unit, kind in enumerate(kinds):
            kernel = (3, 5, 7, 3)[kind]
            given, made, large = (before, out - before, side) if unit == 0 else (half, half, side)
            if unit == 0:
                side //= 2
                conv(kernel, before, before, side, groups=before)
                conv(1, before, before, side)
            if kind == 3:
                for _ in range(3):
                    conv(3, half, half, side, groups=half)
                    conv(1, half, half, side)
            else:
                conv(1, given, half, large)
                conv(kernel, half, half, side, groups=half)
                conv(1, half, made, side)
            if stage >= 2:
                excitation(made)
        before = out
    conv(1, before, 1280, 7)
    excitation(1280)
    conv(1, 1280, 1280, 1, norm=False)
    conv(1, 1280, 1000, 1, norm=False)
    assert (parameters, macs) == FIGURES[size]


def test_it_equals_a_twin_in_plain_functions():
    """Written from the authors' description: two stages, one with ReLU, one with h-swish and squeeze-and-excitation."""
    network = scramble(create_model("shufflenet_v2_plus_small", num_classes=5, **SCALED))
    state = network.state_dict()

    def relu(x: Tensor) -> Tensor:
        return x.clamp(min=0)

    def hswish(x: Tensor) -> Tensor:
        return x * (x + 3).clamp(0, 6) / 6

    def plain(x: Tensor) -> Tensor:
        return x

    def conv(x: Tensor, name: str, act: object = plain, stride: int = 1) -> Tensor:
        weight = state[f"{name}.conv.weight"]
        groups = x.shape[1] // weight.shape[1]
        x = functional.conv2d(x, weight, None, stride, weight.shape[2] // 2, groups=groups)
        parts = (state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        mean, var, scale, shift = (part[:, None, None] for part in parts)
        return act((x - mean) / (var + 1e-5).sqrt() * scale + shift)

    def excited(x: Tensor, name: str) -> Tensor:
        hidden = conv(x.mean(dim=(2, 3), keepdim=True), f"{name}.squeeze", relu)
        return x * (functional.conv2d(hidden, state[f"{name}.excite.weight"]) + 3).clamp(0, 6) / 6

    def branch(x: Tensor, name: str, act: object, stride: int = 1) -> Tensor:
        x = conv(x, f"{name}.conv1", act)
        return conv(conv(x, f"{name}.depthwise", stride=stride), f"{name}.conv2", act)

    def shortcut(x: Tensor, name: str, act: object) -> Tensor:
        return conv(conv(x, f"{name}.depthwise", stride=2), f"{name}.conv", act)

    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    x = conv(images, "stem", hswish, stride=2)
    name = "stages.0.0"
    x = torch.cat([shortcut(x, f"{name}.shortcut", relu), branch(x, f"{name}.branch", relu, 2)], dim=1)
    kept, y = x[:, ::2], x[:, 1::2]
    for number in (1, 2, 3):
        y = conv(conv(y, f"stages.0.1.branch.depthwise{number}"), f"stages.0.1.branch.conv{number}", relu)
    x = torch.cat([kept, y], dim=1)
    name = "stages.1.0"
    y = excited(branch(x, f"{name}.branch", hswish, 2), f"{name}.branch.se")
    x = torch.cat([shortcut(x, f"{name}.shortcut", hswish), y], dim=1)
    name = "stages.1.1"
    y = excited(branch(x[:, 1::2], f"{name}.branch", hswish), f"{name}.branch.se")
    x = torch.cat([x[:, ::2], y], dim=1)
    x = conv(x, "head.last", hswish).mean(dim=(2, 3), keepdim=True)
    x = hswish(excited(x, "head.se").flatten(1) @ state["head.hidden.weight"].T)
    wanted = x @ state["head.fc.weight"].T
    with torch.no_grad():
        assert_equal(network(images), wanted)


def test_features_are_the_stem_and_the_stages():
    network = create_model("shufflenet_v2_plus_medium").eval()
    described = [(info.name, info.channels, info.stride) for info in network.feature_info]
    assert described == [
        ("stem", 16, 2),
        ("stages.0", 48, 4),
        ("stages.1", 128, 8),
        ("stages.2", 256, 16),
        ("stages.3", 512, 32),
    ]
    with torch.no_grad():
        shapes = [tuple(feature.shape) for feature in network.features(torch.zeros(1, 3, 96, 70))]
    assert shapes == [(1, 16, 48, 35), (1, 48, 24, 18), (1, 128, 12, 9), (1, 256, 6, 5), (1, 512, 3, 3)]


def test_it_starts_as_the_authors_code():
    network = create_model("shufflenet_v2_plus_small")
    for weight in (network.head.hidden.weight, network.head.fc.weight, network.head.se.excite.weight):
        assert weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert network.head.last.conv.weight.std().item() == pytest.approx(1 / 416, rel=0.01)
    assert network.head.fc.bias is None


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("shufflenet_v2_plus_small", in_channels=1, num_classes=10, **SCALED)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    assert mistakes_after(60, network, *sixty_four(digits, 32), optimizer) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("stem", 0),
        ("stem", 36),
        ("last", 3),
        ("stages", ()),
        ("stages", ((36, (3, 3)),)),
        ("stages", SCALED["stages"][::-1]),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    named = "stages" if value == 36 else field
    with pytest.raises(UsageError, match=rf"ShuffleNetV2PlusConfig\.{named} must"):
        model_config("shufflenet_v2_plus_small", **{field: value})


@pytest.mark.parametrize(("stem", "out"), [(3, 4), (30, 32)])
def test_squeeze_and_excitation_of_too_few_channels_names_the_stages(stem, out):
    stages = (Stage(out=out, units=(Kind.SHUFFLE_3X3,) * 2, hs=True, se=True),)
    with pytest.raises(UsageError, match=rf"stages with se must add 4 channels or more .*\[{stem}, {out}\]"):
        model_config("shufflenet_v2_plus_small", stem=stem, stages=stages)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"out": 38}, r"Stage\.out must be a multiple of 4, to be split, not 38"),
        ({"units": ()}, r"Stage\.units must be one Kind or more"),
        ({"units": (3, 5)}, r"Stage\.units must be one Kind or more"),
        ({"units": (Kind.XCEPTION,)}, r"Stage\.units must not begin with Kind\.XCEPTION"),
    ],
)
def test_an_impossible_stage_names_its_field(changes, message):
    with pytest.raises(UsageError, match=message):
        Stage(**{"out": 36, "units": (Kind.SHUFFLE_3X3,), "hs": False, "se": False, **changes})

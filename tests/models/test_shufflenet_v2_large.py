"""ShuffleNetV2.Large and ExLarge against what their authors print, hand arithmetic, and twins in plain functions."""

import pytest
import torch
from benchmarks.peers import scramble
from torch import Tensor, nn
from torch.nn import functional

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.shufflenet_v2_large import ShuffleNetV2LargeOutput, Stage, decode, losses
from convatlas.tasks.family import decode_for, own_losses
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-22")

# Parameters and multiply-accumulates at 3 x 224 x 224, 1000 classes, then both with the auxiliary classifiers, by the
# arithmetic below.
FIGURES = {
    "shufflenet_v2_large": (125_120_936, 12_780_652_544, 140_685_664, 14_323_851_264),
    "shufflenet_v2_exlarge": (255_374_504, 46_174_794_752, 271_283_296, 47_756_528_640),
}
ROWS = (Stage(out=32, units=2, stride=1), Stage(out=64, units=2))
SCALED = {
    "shufflenet_v2_large": {"stem": (8, 8, 16), "stages": ROWS, "last": 64, "dropout": 0.0},
    "shufflenet_v2_exlarge": {"stem": (8, 8, 16), "stages": ROWS, "dropout": 0.0},
}
FOUR = tuple(Stage(out=32, units=1, stride=stride) for stride in (1, 2, 2, 2))


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", FIGURES)
def test_parameters_and_macs_to_the_last_digit(name):
    with torch.device("meta"):
        plain, whole = create_model(name), create_model(name, aux=True)
    assert (count_parameters(plain), count_macs(plain, (3, 224, 224))) == FIGURES[name][:2]
    assert (count_parameters(whole), count_macs(whole, (3, 224, 224))) == FIGURES[name][2:]


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures_follow_from_the_authors_code_by_hand(name):
    large = name == "shufflenet_v2_large"
    parameters = macs = 0

    def conv(kernel: int, a: int, b: int, side: int, groups: int = 1) -> None:
        nonlocal parameters, macs
        parameters += kernel**2 * a * b // groups + 2 * b
        macs += kernel**2 * a * b // groups * side**2

    def dense(a: int, b: int) -> None:
        nonlocal parameters, macs
        parameters += a * b + b
        macs += a * b

    def branch(given: int, out: int, before: int, side: int) -> None:
        half = out // 2
        wide, groups = (half, 8) if large else (out, 16)
        conv(1, given, wide, before)
        conv(3, wide, wide, side, groups)
        if not large:
            conv(3, wide, wide, side, wide)
        conv(1, wide, half, side)
        squeezed = half if large else half // 4
        dense(half, squeezed)
        dense(squeezed, half)

    channels = 3
    for out in (64, 64, 128) if large else (64, 128, 256):
        conv(3, channels, out, 112)
        channels = out
    side, outs, units = 56, (256, 512, 1024, 2048), (10, 10, 23, 10)
    if not large:
        outs, units = (320, 640, 1280, 2560), (8, 16, 36, 10)
    for stage, (out, repeats) in enumerate(zip(outs, units, strict=True)):
        before, side = side, side if stage == 0 else side // 2
        given = channels // 2 if large else channels
        conv(3, given, out // 2, side)
        branch(given, out, before, side)
        for _ in range(repeats - 1):
            branch(out // 2, out, side, side)
        if not large or stage > 0:
            conv(1, out, out, side)
        channels = out
    if large:
        conv(3, channels, 1280, 7)
    dense(1280 if large else channels, 1000)
    assert (parameters, macs) == FIGURES[name][:2]
    for given, out, side in zip(outs[:3], outs[:3] if large else (256, 512, 1024), (28, 14, 7), strict=True):
        conv(1, given, out, side)
        conv(3, out, out, side)
        dense(out, 1000)
    assert (parameters, macs) == FIGURES[name][2:]


@pytest.mark.parametrize("name", FIGURES)
def test_it_equals_a_twin_in_plain_functions(name):
    large = name == "shufflenet_v2_large"
    network = scramble(create_model(name, num_classes=5, **SCALED[name]))
    state = network.state_dict()

    def conv(x: Tensor, name: str, *, relu: bool = True, stride: int = 1) -> Tensor:
        weight = state[f"{name}.conv.weight"]
        groups = x.shape[1] // weight.shape[1]
        x = functional.conv2d(x, weight, None, stride, weight.shape[2] // 2, groups=groups)
        parts = (state[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        mean, var, scale, shift = (part[:, None, None] for part in parts)
        x = (x - mean) / (var + 1e-5).sqrt() * scale + shift
        return x.clamp(min=0) if relu else x

    def dense(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"].flatten(1).T + state[f"{name}.bias"]

    def branch(x: Tensor, name: str, stride: int) -> Tensor:
        x = conv(conv(x, f"{name}.conv1"), f"{name}.grouped", stride=stride)
        x = x if large else conv(x, f"{name}.depthwise", relu=False)
        x = conv(x, f"{name}.conv2", relu=False)
        hidden = dense(x.mean(dim=(2, 3)), f"{name}.se.squeeze").clamp(min=0)
        return x / (1 + torch.exp(-dense(hidden, f"{name}.se.excite")))[:, :, None, None]

    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    x = conv(conv(conv(images, "stem.conv1", stride=2), "stem.conv2"), "stem.conv3")
    x = functional.max_pool2d(x, 3, 2, 1)
    for stage, stride in enumerate((1, 2)):
        entry, unit = f"stages.{stage}.0", f"stages.{stage}.1"
        left, right = (x[:, 0::2], x[:, 1::2]) if large else (x, x)
        left = conv(left, f"{entry}.shortcut", relu=not large, stride=stride)
        x = torch.cat([left, branch(right, f"{entry}.branch", stride)], dim=1)
        x = x.clamp(min=0) if large else x
        x = conv(x, f"{entry}.mix") if large and stride == 2 else x
        left, right = x[:, 0::2], x[:, 1::2]
        right = right + branch(right, f"{unit}.branch", 1)
        if large:
            x = torch.cat([left, right], dim=1).clamp(min=0)
        else:
            x = conv(torch.cat([left, right.clamp(min=0)], dim=1), f"stages.{stage}.2")
    x = conv(x, "head.last") if large else x
    wanted = dense(x.mean(dim=(2, 3)), "head.fc")
    with torch.no_grad():
        assert_equal(network(images), wanted)


def test_features_are_the_stages():
    for name, first in (("shufflenet_v2_large", 256), ("shufflenet_v2_exlarge", 320)):
        with torch.device("meta"):
            network = create_model(name).eval()
            maps = network.features(torch.empty(1, 3, 96, 70))
        described = [(info.name, info.channels, info.stride) for info in network.feature_info]
        assert described == [(f"stages.{i}", first * 2**i, 4 * 2**i) for i in range(4)]
        shapes = [tuple(each.shape) for each in maps]
        assert shapes == [(1, first * 2**i, 24 // 2**i, (18, 9, 5, 3)[i]) for i in range(4)]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("training", [True, False])
def test_the_answer_has_one_type_in_training_and_evaluation(name, training):
    x = torch.randn(2, 3, 64, 64)
    changes = {**SCALED[name], "stages": FOUR}
    assert isinstance(create_model(name, **changes).train(training)(x), Tensor)
    answer = create_model(name, aux=True, num_classes=7, **changes).train(training)(x)
    assert isinstance(answer, ShuffleNetV2LargeOutput)
    assert [each.shape for each in answer] == [(2, 7)] * 4


def test_auxiliary_losses_are_weighted_by_hand():
    """The authors' network.py: "Loss is scaled by 1.0, 0.7, 0.5, 0.3" from the last classifier to the first."""
    outputs = torch.randn(4, 3, 5)
    targets = functional.one_hot(torch.tensor([0, 4, 2]), 5).float() * 0.9 + 0.02

    def cross_entropy(values: Tensor) -> Tensor:
        return -(targets * (values - values.exp().sum(dim=1, keepdim=True).log())).sum(dim=1)

    network = nn.Identity()
    logits, first, second, third = outputs
    terms = losses(network, ShuffleNetV2LargeOutput(*outputs), targets)
    wanted = cross_entropy(logits) + 0.3 * cross_entropy(first) + 0.5 * cross_entropy(second)
    torch.testing.assert_close(sum(terms.values()), wanted + 0.7 * cross_entropy(third))
    assert list(losses(network, logits, targets)) == ["cross_entropy"]
    assert decode(ShuffleNetV2LargeOutput(logits, first, second, third)) is logits
    assert decode(logits) is logits
    for name in FIGURES:
        assert (own_losses(name), decode_for(name)) == (losses, decode)


@pytest.mark.parametrize("name", FIGURES)
def test_every_parameter_gets_a_gradient_from_the_four_losses(name):
    network = create_model(name, aux=True, num_classes=7, **{**SCALED[name], "stages": FOUR})
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
    targets = functional.one_hot(torch.tensor([0, 1, 2, 6]), 7).float()
    terms = losses(network, network(torch.randn(4, 3, 64, 64)), targets)
    sum(term.mean() for term in terms.values()).backward()
    assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_it_starts_as_the_authors_code():
    network = create_model("shufflenet_v2_exlarge", **SCALED["shufflenet_v2_exlarge"])
    assert network.head.fc.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert network.stem.conv3.conv.weight.std().item() == pytest.approx(0.01, rel=0.05)
    unit = network.stages[1][1].branch
    assert unit.se.squeeze.weight.std().item() == pytest.approx(0.01, rel=0.2)
    assert unit.grouped.conv.weight.std().item() == pytest.approx(1 / 4, rel=0.05)  # 64 channels in 16 groups


@pytest.mark.parametrize(
    "name", ["shufflenet_v2_large", pytest.param("shufflenet_v2_exlarge", marks=pytest.mark.every_variant)]
)
def test_it_learns_64_digits_by_heart(digits: PictureSet, name: str):
    network = create_model(name, in_channels=1, num_classes=10, **SCALED[name])
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    assert mistakes_after(60, network, *sixty_four(digits, 32), optimizer) == 0


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("dropout", 1.0),
        ("groups", 0),
        ("stem", (64, 64)),
        ("stem", (64, 0, 128)),
        ("stages", ()),
        ("stages", ((256, 10),)),
        ("stages", (Stage(out=36, units=1),)),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(name, field, value):
    with pytest.raises(UsageError, match=rf"LargeConfig\.{field} must"):
        model_config(name, **{field: value})


@pytest.mark.parametrize("name", FIGURES)
def test_auxiliary_classifiers_need_four_stages(name):
    with pytest.raises(UsageError, match=r"LargeConfig\.aux needs four stages"):
        model_config(name, aux=True, stages=ROWS)

"""MobileNetV3 against its paper, hand arithmetic, and torchvision's and timm's networks with the same weights."""

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
from convatlas.models.classify.mobilenet_v3 import LARGE, SMALL, Bottleneck, Row, SqueezeExcitation
from convatlas.weights.load import load_weights
from convatlas.weights.recognise import looks_like
from tests.models.equality import assert_equal_outputs
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-20")

# Parameters and multiply-accumulates at 3 x 224 x 224, 1000 classes. Other widths are derived by the arithmetic below.
FIGURES = {
    ("large", 1.0): (5_483_032, 216_589_760),
    ("large", 0.75): (3_993_528, 154_560_624),
    ("large", 1.25): (7_551_976, 355_221_920),
    ("small", 1.0): (2_542_856, 56_510_400),
    ("small", 0.75): (2_041_872, 43_399_344),
    ("small", 0.5): (1_592_704, 21_052_560),
}
# Tables 1 and 2: kernel, channels at the expansion's output over those at its input, out, SE, stride.
TABLES = {
    "large": [
        (3, 1, 16, False, 1),
        (3, 4, 24, False, 2),
        (3, 3, 24, False, 1),
        (5, 3, 40, True, 2),
        *[(5, 3, 40, True, 1)] * 2,
        (3, 6, 80, False, 2),
        (3, 2.5, 80, False, 1),
        *[(3, 2.3, 80, False, 1)] * 2,
        *[(3, 6, 112, True, 1)] * 2,
        (5, 6, 160, True, 2),
        *[(5, 6, 160, True, 1)] * 2,
    ],
    "small": [
        (3, 1, 16, True, 2),
        (3, 4.5, 24, False, 2),
        (3, 88 / 24, 24, False, 1),
        (5, 4, 40, True, 2),
        *[(5, 6, 40, True, 1)] * 2,
        *[(5, 3, 48, True, 1)] * 2,
        (5, 6, 96, True, 2),
        *[(5, 6, 96, True, 1)] * 2,
    ],
}
LAST = {"large": (960, 1280), "small": (576, 1024)}
SCALED = {"width": 0.5, "rows": (SMALL[0], SMALL[3], SMALL[4]), "last": 64, "hidden": 64, "dropout": 0.0}


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
        network = create_model(f"mobilenet_v3_{kind}", width=width)
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == FIGURES[kind, width]


@pytest.mark.parametrize(("kind", "width"), FIGURES)
def test_the_figures_follow_from_the_tables_by_hand(kind, width):
    channels, side = multiple_of_8(16 * width), 112
    parameters, macs = 27 * channels + 2 * channels, 27 * channels * side**2
    for kernel, ratio, full, se, stride in TABLES[kind]:
        hidden, out = multiple_of_8(channels * ratio), multiple_of_8(full * width)
        if ratio != 1:
            parameters += channels * hidden + 2 * hidden
            macs += channels * hidden * side**2
        side = -(-side // stride)
        parameters += kernel**2 * hidden + 2 * hidden + hidden * out + 2 * out
        macs += (kernel**2 * hidden + hidden * out) * side**2
        if se:
            squeezed = multiple_of_8(hidden / 4)
            parameters += 2 * hidden * squeezed + hidden + squeezed
            macs += 2 * hidden * squeezed
        channels = out
    last, units = multiple_of_8(LAST[kind][0] * width), LAST[kind][1]
    parameters += channels * last + 2 * last + last * units + units + units * 1000 + 1000
    macs += channels * last * side**2 + last * units + units * 1000
    assert (parameters, macs) == FIGURES[kind, width]


@pytest.mark.parametrize(("kind", "size"), [("small", (64, 64)), ("large", (75, 50)), ("small", (33, 64))])
def test_answers_as_torchvision_does_with_the_same_weights(kind, size):
    theirs = scramble(getattr(torchvision.models, f"mobilenet_v3_{kind}")())
    ours = create_model(f"mobilenet_v3_{kind}").double()
    assert load_weights(ours, theirs.state_dict(), source="torchvision").fresh == ()
    assert_equal_outputs(ours, theirs, size)


@pytest.mark.parametrize(("kind", "width"), [("large", 1.0), ("large", 0.75), ("small", 1.0), ("small", 0.75)])
def test_answers_as_timm_does_with_the_same_weights(kind, width):
    theirs = scramble(timm.create_model(f"mobilenetv3_{kind}_{round(100 * width):03}", bn_eps=1e-3))
    ours = create_model(f"mobilenet_v3_{kind}", width=width).double()
    places, values = ours.state_dict(), theirs.state_dict().values()
    assert [value.numel() for value in values] == [place.numel() for place in places.values()]
    # The same tensors in the same order; timm's hidden layer is a convolution.
    pairs = zip(places.items(), values, strict=True)
    ours.load_state_dict({key: value.reshape(place.shape) for (key, place), value in pairs})
    assert_equal_outputs(ours, theirs, (45, 54))


def test_files_of_torchvision_are_recognised():
    theirs = torchvision.models.mobilenet_v3_small().state_dict()
    assert looks_like(theirs) == ("mobilenet_v3_small", "torchvision")


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("mobilenet_v3_large", [(0, 16, 2), (1, 24, 4), (2, 40, 8), (4, 112, 16), (5, 160, 32)]),
        ("mobilenet_v3_small", [(0, 16, 4), (1, 24, 8), (3, 48, 16), (4, 96, 32)]),
    ],
)
def test_features_are_the_stages_before_each_halving(name, wanted):
    network = create_model(name).eval()
    described = [(info.name, info.channels, info.stride) for info in network.feature_info]
    assert described == [(f"stages.{stage}", channels, stride) for stage, channels, stride in wanted]
    with torch.no_grad():
        shapes = [tuple(feature.shape) for feature in network.features(torch.zeros(1, 3, 96, 70))]
    assert shapes == [(1, channels, -(-96 // stride), -(-70 // stride)) for _, channels, stride in wanted]


def test_the_hard_functions_are_those_of_section_5_2():
    x = torch.linspace(-5, 5, 101)
    relu6 = (x + 3).clamp(0, 6)
    hswish = create_model("mobilenet_v3_small").stem.activation
    torch.testing.assert_close(hswish(x), x * relu6 / 6)
    se = SqueezeExcitation(1, 1)
    nn.init.ones_(se.squeeze.weight)
    nn.init.ones_(se.excite.weight)
    for bias in (se.squeeze.bias, se.excite.bias):
        nn.init.zeros_(bias)
    x = torch.tensor([2.0, 4.0])[:, None, None, None]
    torch.testing.assert_close(se(x).flatten(), torch.tensor([2 * 5 / 6, 4 * 1.0]))


def test_each_row_has_the_nonlinearity_and_the_parts_of_its_table():
    for name, rows in (("mobilenet_v3_large", LARGE), ("mobilenet_v3_small", SMALL)):
        with torch.device("meta"):
            blocks = [block for stage in create_model(name).stages for block in stage]
        assert [isinstance(block.depthwise.activation, nn.Hardswish) for block in blocks] == [row.hs for row in rows]
        assert [isinstance(block.se, SqueezeExcitation) for block in blocks] == [row.se for row in rows]
        assert not any(hasattr(block.project, "activation") for block in blocks)
    assert sum(row.hs for row in LARGE) == 9
    assert sum(row.hs for row in SMALL) == 8


def test_the_shortcut_joins_equal_shapes_only():
    row = Row(kernel=3, expand=16, out=8, se=True, hs=True, stride=1)
    block = Bottleneck(row, 8, 16, 8).eval()
    x = torch.randn(1, 8, 5, 5)
    nn.init.zeros_(block.project.bn.weight)
    with torch.no_grad():
        assert torch.equal(block(x), x)
    assert not Bottleneck(row, 16, 32, 8).shortcut


def test_initial_weights_are_normal_and_cut_at_two_deviations():
    network = create_model("mobilenet_v3_small")
    for weight in (network.head.fc.weight, network.stages[-1][-1].project.conv.weight):
        assert weight.abs().max() <= 0.18
        assert weight.std().item() == pytest.approx(0.09 * 0.8796, rel=0.01)  # the deviation of a normal cut at 2
    assert not network.head.fc.bias.any()


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("mobilenet_v3_small", in_channels=1, num_classes=10, **SCALED)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    assert mistakes_after(40, network, *sixty_four(digits, 32), optimizer) == 0


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
        ("last", 0),
        ("hidden", 1.5),
        ("rows", ()),
        ("rows", ((3, 16, 16),)),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"MobileNetV3Config\.{field} must be"):
        model_config("mobilenet_v3_small", **{field: value})


def test_an_impossible_row_names_its_field():
    with pytest.raises(UsageError, match=r"Row\.stride must be 1 or 2, not 3"):
        Row(kernel=3, expand=16, out=16, se=False, hs=False, stride=3)
    with pytest.raises(UsageError, match=r"Row\.kernel must be 3 or 5, not 4"):
        Row(kernel=4, expand=16, out=16, se=False, hs=False, stride=1)

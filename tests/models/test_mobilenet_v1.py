"""MobileNet against its paper, hand arithmetic, and timm's and pytorchcv's networks with the same weights."""

import pytest
import timm
import torch
from benchmarks.peers import largest_difference, scramble

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.mobilenet_v1 import DepthwiseSeparable, Stage
from convatlas.weights.load import load_weights
from tests.models.equality import assert_equal_outputs
from tests.models.learning import mistakes_after, sixty_four
from tests.models.members import pytorchcv_pairs

pytestmark = pytest.mark.row("B-18")

# Parameters and multiply-accumulates at 3 x 224 x 224, 1000 classes. 0.5 and 1.25 are derived by the arithmetic below.
FIGURES = {
    1.0: (4_231_976, 568_740_352),
    0.75: (2_585_560, 325_400_448),
    0.5: (1_331_592, 149_497_088),
    0.25: (470_072, 41_030_272),
    1.25: (6_270_840, 879_516_800),
}
# Table 1, row by row of depthwise and pointwise convolution: channels out, stride of the depthwise one.
TABLE_1 = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
SCALED = {"width": 0.25, "stages": (Stage(out=64, repeats=1, stride=1), Stage(out=128, repeats=2, stride=2))}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("width", FIGURES)
def test_parameters_and_macs_of_every_width_to_the_last_digit(width):
    with torch.device("meta"):
        network = create_model("mobilenet_v1", width=width)
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == FIGURES[width]


@pytest.mark.parametrize("width", FIGURES)
def test_the_figures_follow_from_table_1_by_hand(width):
    channels, side = int(32 * width), 112
    parameters, macs = 3 * 9 * channels + 2 * channels, 3 * 9 * channels * side**2
    for full, stride in TABLE_1:
        out, side = int(full * width), side // stride
        parameters += 9 * channels + 2 * channels + channels * out + 2 * out
        macs += (9 * channels + channels * out) * side**2
        channels = out
    assert (parameters + channels * 1000 + 1000, macs + channels * 1000) == FIGURES[width]


@pytest.mark.parametrize(("side", "printed"), [(192, 418), (160, 290), (128, 186)])
def test_smaller_pictures_cost_what_table_7_prints(side, printed):
    with torch.device("meta"):
        network = create_model("mobilenet_v1")
    assert count_macs(network, (3, side, side)) / 1e6 == pytest.approx(printed, abs=1)


def test_a_separable_block_costs_what_equation_5_says():
    block = DepthwiseSeparable(16, 24, stride=1)
    assert count_macs(block, (16, 10, 10)) == 3 * 3 * 16 * 10 * 10 + 16 * 24 * 10 * 10


@pytest.mark.parametrize(("name", "width"), [("mobilenetv1_100", 1.0), ("mobilenetv1_125", 1.25)])
def test_answers_as_timm_does_with_the_same_weights(name, width):
    theirs = scramble(timm.create_model(name))
    ours = create_model("mobilenet_v1", width=width).double()
    assert load_weights(ours, theirs.state_dict(), source="timm").fresh == ()
    assert_equal_outputs(ours, theirs, (75, 50))


@pytorchcv_pairs("mobilenet_v1", always={"mobilenet_wd4"})
def test_equals_pytorchcv_with_the_same_random_weights(pair):
    """With the authors' ReLU6 in the place of the paper's ReLU."""
    assert largest_difference(pair) <= 1e-10


def test_features_are_the_stages():
    network = create_model("mobilenet_v1").eval()
    described = [(info.name, info.channels, info.stride) for info in network.feature_info]
    channels = (64, 128, 256, 512, 1024)
    assert described == [(f"stages.{i}", out, 2 ** (i + 1)) for i, out in enumerate(channels)]
    with torch.no_grad():
        shapes = [tuple(feature.shape) for feature in network.features(torch.zeros(1, 3, 96, 70))]
    assert shapes == [(1, 64, 48, 35), (1, 128, 24, 18), (1, 256, 12, 9), (1, 512, 6, 5), (1, 1024, 3, 3)]


def test_a_thin_network_has_eight_channels_at_least():
    with torch.device("meta"):
        network = create_model("mobilenet_v1", width=0.1)
    assert network.stem.conv.out_channels == 8
    assert [info.channels for info in network.feature_info] == [8, 12, 25, 51, 102]  # rounded down


def test_initial_weights_are_normal_and_cut_at_two_deviations():
    network = create_model("mobilenet_v1")
    for weight in (network.head.fc.weight, network.stages[-1][-1].pointwise.conv.weight):
        assert weight.abs().max() <= 0.18
        assert weight.std().item() == pytest.approx(0.09 * 0.8796, rel=0.01)  # the deviation of a normal cut at 2
    assert not network.head.fc.bias.any()


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("mobilenet_v1", in_channels=1, num_classes=10, **SCALED)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-2)
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
        ("stages", ()),
        ("stages", ((64, 1, 1),)),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"MobileNetV1Config\.{field} must be"):
        model_config("mobilenet_v1", **{field: value})


def test_an_impossible_stage_names_its_field():
    with pytest.raises(UsageError, match=r"Stage\.stride must be 1 or 2, not 3"):
        Stage(out=24, repeats=2, stride=3)
    with pytest.raises(UsageError, match=r"Stage\.repeats must be a whole number >= 1"):
        Stage(out=24, repeats=0, stride=2)

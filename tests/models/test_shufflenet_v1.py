"""ShuffleNet against its paper, hand arithmetic, and pytorchcv's network with the same weights."""

import pytest
import torch
from benchmarks.peers import largest_difference
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.shufflenet_v1 import ShuffleUnit
from tests.models.learning import mistakes_after, sixty_four
from tests.models.members import pytorchcv_pairs

pytestmark = pytest.mark.row("B-21")

# Parameters and multiply-accumulates at 3 x 224 x 224, 1000 classes. Those of g8 and of other widths are derived by the
# arithmetic below.
FIGURES = {
    (1, 1.0): (1_531_936, 143_078_976),
    (2, 1.0): (1_733_848, 140_836_512),
    (3, 1.0): (1_865_728, 137_460_672),
    (4, 1.0): (1_968_344, 134_339_776),
    (8, 1.0): (2_434_768, 138_365_952),
    (3, 0.25): (305_902, 11_009_808),
    (3, 0.5): (718_324, 37_589_856),
    (3, 1.5): (3_442_168, 292_443_552),
    (3, 2.0): (5_450_776, 524_045_184),
    (8, 0.5): (1_011_448, 40_469_760),
    (8, 1.5): (4_269_952, 290_188_800),
    (8, 2.0): (6_522_232, 521_942_016),
}
# Table 1 and the authors' code: channels of the stem and of Stage 2.
CHANNELS = {
    (1, 1.0): (24, 144),
    (2, 1.0): (24, 200),
    (3, 1.0): (24, 240),
    (4, 1.0): (24, 272),
    (8, 1.0): (24, 384),
    (3, 0.25): (6, 60),
    (3, 0.5): (12, 120),
    (3, 1.5): (24, 360),
    (3, 2.0): (48, 480),
    (8, 0.5): (16, 192),
    (8, 1.5): (24, 576),
    (8, 2.0): (48, 768),
}
SCALED = {"channels": 72, "depths": (2, 2)}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("groups", "width"), FIGURES)
def test_parameters_and_macs_to_the_last_digit(groups, width):
    with torch.device("meta"):
        network = create_model(f"shufflenet_v1_g{groups}", width=width)
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == FIGURES[groups, width]


@pytest.mark.parametrize(("groups", "width"), FIGURES)
def test_the_figures_follow_from_table_1_by_hand(groups, width):
    channels, stage2 = CHANNELS[groups, width]
    parameters, macs = 27 * channels + 2 * channels, 27 * channels * 112**2
    side = 56
    for stage, units in enumerate((4, 8, 4)):
        out = stage2 * 2**stage
        mid = out // 4
        for unit in range(units):
            first = channels * mid // (1 if stage == unit == 0 else groups)
            computed = out - channels if unit == 0 else out
            last = mid * computed // groups
            macs += first * side**2
            side = side // 2 if unit == 0 else side
            macs += (9 * mid + last) * side**2
            parameters += first + 9 * mid + last + 2 * (2 * mid + computed)
            channels = out
    assert (parameters + channels * 1000 + 1000, macs + channels * 1000) == FIGURES[groups, width]


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("width", [0.25, 0.4, 0.5, 0.75, 1.3, 1.7])
def test_every_width_can_be_shared_by_the_groups(groups, width):
    with torch.device("meta"):
        network = create_model(f"shufflenet_v1_g{groups}", width=width)
        network(torch.empty(1, 3, 64, 64))
    wanted = model_config(f"shufflenet_v1_g{groups}").channels * width
    assert network.feature_info[1].channels == pytest.approx(wanted, abs=2 * groups + 0.1 * wanted)


@pytorchcv_pairs("shufflenet_v1", always={"shufflenet_g8_w1", "shufflenet_g3_wd2", "shufflenet_g1_w3d4"})
def test_equals_pytorchcv_with_the_same_random_weights(pair):
    """With the pooled input before what a unit computes, as in the authors' code."""
    assert largest_difference(pair) <= 1e-10


@pytest.mark.parametrize(("groups", "channels", "stem"), [(5, 60, 25), (16, 64, 32)])
def test_the_stem_has_channels_that_any_groups_can_share(groups, channels, stem):
    network = create_model("shufflenet_v1_g3", groups=groups, channels=channels).eval()
    assert network.feature_info[0].channels == stem
    with torch.no_grad():
        assert network(torch.randn(1, 3, 32, 32)).isfinite().all()


def test_features_are_the_stem_and_the_stages():
    network = create_model("shufflenet_v1_g3").eval()
    described = [(info.name, info.channels, info.stride) for info in network.feature_info]
    assert described == [("stem", 24, 4), ("stages.0", 240, 8), ("stages.1", 480, 16), ("stages.2", 960, 32)]
    with torch.no_grad():
        shapes = [tuple(feature.shape) for feature in network.features(torch.zeros(1, 3, 96, 70))]
    assert shapes == [(1, 24, 24, 18), (1, 240, 12, 9), (1, 480, 6, 5), (1, 960, 3, 3)]


def reach(unit: ShuffleUnit, channels: int) -> list[int]:
    """On how many inputs each output depends, in units with all weights one and no normalisation."""
    unit = unit.double().eval()
    for module in unit.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.ones_(module.weight)
    x = torch.ones(1, channels, 3, 3, dtype=torch.float64, requires_grad=True)
    y = unit(x)
    return [
        int((torch.autograd.grad(y[0, out, 1, 1], x, retain_graph=True)[0] != 0).any(dim=(2, 3)).sum())
        for out in range(channels)
    ]


def test_the_shuffle_lets_each_output_see_every_group():
    """Figure 1: without a shuffle an output depends on its own group's 12 channels alone, with it on all 24."""
    unit = ShuffleUnit(24, 24, stride=1, groups=2, groups_in=2)
    assert reach(unit, 24) == [24] * 24
    unit.groups = 1  # a shuffle of one group is none
    assert reach(unit, 24) == [12] * 24


def test_only_the_first_pointwise_convolution_of_stage_2_has_no_groups():
    with torch.device("meta"):
        network = create_model("shufflenet_v1_g8")
    groups = [unit.reduce.conv.groups for stage in network.stages for unit in stage]
    assert groups == [1] + [8] * 15
    assert {unit.expand.conv.groups for stage in network.stages for unit in stage} == {8}


def test_a_unit_with_stride_2_passes_its_averaged_input_on():
    unit = ShuffleUnit(6, 24, stride=2, groups=1, groups_in=1).eval()
    x = torch.rand(1, 6, 8, 8)
    with torch.no_grad():
        y = unit(x)
    assert y.shape == (1, 24, 4, 4)
    torch.testing.assert_close(y[:, :6], nn.functional.avg_pool2d(nn.functional.pad(x, (1, 1, 1, 1)), 3, 2))


def test_it_starts_as_the_authors_code():
    network = create_model("shufflenet_v1_g3")
    assert network.stem.conv.conv.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert network.head.fc.weight.std().item() == pytest.approx(0.01, rel=0.01)
    expand = network.stages[2][1].expand
    assert expand.conv.weight.std().item() == pytest.approx(1 / 80, rel=0.02)  # 240 channels in 3 groups
    assert (expand.bn.bias == 1e-4).all()


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("shufflenet_v1_g3", in_channels=1, num_classes=10, **SCALED)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    assert mistakes_after(40, network, *sixty_four(digits, 32), optimizer) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 0),
        ("width", -0.5),
        ("width", float("nan")),
        ("width", float("inf")),
        ("width", "1.0"),
        ("groups", 0),
        ("channels", 24),
        ("channels", 100),
        ("depths", ()),
        ("depths", (4, 0)),
        ("depths", [4.5]),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"ShuffleNetV1Config\.{field} must be"):
        model_config("shufflenet_v1_g3", **{field: value})

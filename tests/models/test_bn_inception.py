"""BN-Inception against its paper, hand arithmetic, and pytorchcv's network with the same weights."""

import pytest
import torch
from benchmarks import peers
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.bn_inception import FIGURE_5, Inception, Reduction, Row
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-09")

FIGURES = (11_295_240, 2_032_600_064)  # pytorchcv's
# Figure 5: side of the input, 1x1, 3x3 reduce, 3x3, double reduce, double, pool proj; zeros where a module halves.
MODULES = [
    ("3a", 28, 64, 64, 64, 64, 96, 32),
    ("3b", 28, 64, 64, 96, 64, 96, 64),
    ("3c", 28, 0, 128, 160, 64, 96, 0),
    ("4a", 14, 224, 64, 96, 96, 128, 128),
    ("4b", 14, 192, 96, 128, 96, 128, 128),
    ("4c", 14, 160, 128, 160, 128, 160, 128),
    ("4d", 14, 96, 128, 192, 160, 192, 128),
    ("4e", 14, 0, 128, 192, 192, 256, 0),
    ("5a", 7, 352, 192, 320, 160, 224, 128),
    ("5b", 7, 352, 192, 320, 192, 224, 128),
]
ROW = Row(conv1x1=8, reduce3x3=8, conv3x3=16, reduce_double=8, double3x3=8, pool_proj=8)
HALF = Reduction(reduce3x3=8, conv3x3=16, reduce_double=8, double3x3=16)
SMALL = {"stem": (8, 8, 16), "stages": ((ROW,), (HALF, ROW), (HALF, ROW))}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_parameters_and_macs_to_the_last_digit():
    with torch.device("meta"):
        network = create_model("bn_inception")
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == FIGURES


def test_the_figures_follow_from_figure_5_by_hand():
    parameters = macs = 0

    def conv(kernel: int, a: int, b: int, side: int) -> int:
        nonlocal parameters, macs
        parameters += kernel * kernel * a * b + 3 * b  # a bias and BatchNorm's two
        macs += kernel * kernel * a * b * side * side
        return b

    conv(7, 3, 64, 112)
    c = conv(3, conv(1, 64, 64, 56), 192, 56)
    for name, side, one, reduce3, three, reduce_double, double, pool in MODULES:
        after = side if one else side // 2
        conv(3, conv(1, c, reduce3, side), three, after)
        conv(3, conv(3, conv(1, c, reduce_double, side), double, side), double, after)
        if one:
            conv(1, c, one, side)
            conv(1, c, pool, side)
        c = one + three + double + (pool if one else c)
        assert c == {"3a": 256, "3b": 320, "3c": 576, "4a": 576, "4b": 576, "4c": 608, "4d": 608, "4e": 1056}.get(
            name, 1024
        )
    assert (parameters + c * 1000 + 1000, macs + c * 1000) == FIGURES


@pytest.mark.parametrize("size", [(224, 224), pytest.param((223, 224), marks=pytest.mark.every_variant)])
def test_answers_as_pytorchcv_does_with_the_same_weights(size):
    (pair,) = (pair for pair in peers.PYTORCHCV if pair.model == "bn_inception")
    assert peers.largest_difference(pair, size) <= 1e-10


@pytest.mark.parametrize("side", [1, 2, 3, 7, 8])
def test_a_reduction_pools_what_there_is_and_rounds_up(side):
    x = torch.rand(1, 4, side, side)
    module = Inception(4, HALF).eval()
    with torch.no_grad():
        y = module(x)
    assert y.shape == (1, 16 + 16 + 4, -(-side // 2), -(-side // 2))
    for row in range(y.shape[2]):
        for column in range(y.shape[3]):
            seen = x[0, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            assert torch.equal(y[0, 32:, row, column], seen.amax(dim=(1, 2)))


def test_only_the_last_module_pools_the_maximum():
    network = create_model("bn_inception")
    modules = [module for module in network.modules() if isinstance(module, Inception) and module.branch1x1 is not None]
    kinds = [type(module.branch_pool.pool) for module in modules]
    assert kinds == [nn.AvgPool2d] * 7 + [nn.MaxPool2d]


def test_features_are_the_stages_before_each_halving():
    with torch.device("meta"):
        network = create_model("bn_inception").eval()
        maps = network.features(torch.empty(1, 3, 224, 224))
    assert [tuple(each.shape[1:]) for each in maps] == [(192, 56, 56), (320, 28, 28), (608, 14, 14), (1024, 7, 7)]


def test_weights_start_normal_and_cut_at_two_deviations():
    network = create_model("bn_inception")
    for weight in (network.head.fc.weight, network.stages[2][1].branch3x3.conv.conv.weight):
        assert weight.abs().max() <= 0.02
        assert weight.std().item() == pytest.approx(0.01 * 0.8796, rel=0.01)  # the deviation of a normal cut at 2


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("bn_inception", in_channels=1, num_classes=10, **SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-2)
    assert mistakes_after(60, network, *sixty_four(digits, 32), optimizer) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem": (64, 192)}, r"BNInceptionConfig\.stem must be three whole numbers >= 1, not \(64, 192\)"),
        ({"stages": FIGURE_5[:2]}, r"BNInceptionConfig\.stages must be three tuples"),
        ({"stages": (FIGURE_5[0],) * 3}, r"BNInceptionConfig\.stages .* the others of a Reduction and Rows"),
        ({"stages": ((), *FIGURE_5[1:])}, r"BNInceptionConfig\.stages must be three tuples"),
    ],
)
def test_impossible_configs_name_their_field(changes, message):
    with pytest.raises(UsageError, match=message):
        model_config("bn_inception", **changes)


def test_an_impossible_row_names_its_field():
    with pytest.raises(UsageError, match=r"Reduction\.conv3x3 must be a whole number >= 1, not 0"):
        Reduction(reduce3x3=8, conv3x3=0, reduce_double=8, double3x3=16)
    with pytest.raises(UsageError, match=r'Row\.pool must be "avg" or "max", not \'sum\''):
        Row(conv1x1=8, reduce3x3=8, conv3x3=16, reduce_double=8, double3x3=8, pool="sum", pool_proj=8)

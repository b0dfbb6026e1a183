"""Inception v2 against Table 1 and Figures 5 to 7 and 10 of its paper, by hand: no public network has this form."""

import pytest
import torch
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.catalog import card
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.contract import capture
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-09")

FIGURES = (23_468_104, 5_686_379_104)  # at 3 x 299 x 299, 1000 classes; the next test but one derives them
SMALL = {"width": 0.05, "depths": (1, 1, 1)}
# Table 1, the size of each layer's output: it prints that of the input, which is the output of the row above.
TABLE_1 = {
    "stem.conv1": (32, 149, 149),
    "stem.conv2": (32, 147, 147),
    "stem.conv3": (64, 147, 147),
    "stem.pool": (64, 73, 73),
    "stem.conv4": (80, 71, 71),
    "stages.0.0": (192, 35, 35),
    "stages.0.1": (288, 35, 35),
    **{f"stages.0.{place}": (288, 35, 35) for place in (2, 3, 4)},
    "stages.1.0": (768, 17, 17),  # a reduction, then five modules
    **{f"stages.1.{place}": (768, 17, 17) for place in (1, 2, 3, 4, 5)},
    "stages.2.0": (1280, 8, 8),  # a reduction, then two modules
    **{f"stages.2.{place}": (2048, 8, 8) for place in (1, 2)},
    "head.pool": (2048, 1, 1),
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


# --- Table 1


def test_parameters_and_macs_to_the_last_digit():
    with torch.device("meta"):
        network = create_model("inception_v2")
    assert (count_parameters(network), count_macs(network, (3, 299, 299))) == FIGURES
    assert (card("inception_v2").params, card("inception_v2").macs) == FIGURES
    assert count_parameters(network) < 25e6  # the paper's abstract: "less than 25 million parameters"


def test_the_figures_follow_by_hand():
    parameters = macs = 0

    def conv(kernel: int, a: int, b: int, side: int) -> int:
        """kernel: its number of pixels. A BatchNorm of two parameters a channel follows."""
        nonlocal parameters, macs
        parameters += kernel * a * b + 2 * b
        macs += kernel * a * b * side * side
        return b

    # Table 1: the stem, without padding but for its third and its last convolution.
    conv(9, 3, 32, 149)
    conv(9, 32, 32, 147)
    conv(9, 32, 64, 147)
    conv(9, 64, 80, 71)
    conv(9, 80, 192, 35)
    c = conv(9, 192, 288, 35)
    for _ in range(3):  # Figure 5
        conv(1, c, 64, 35)
        conv(9, conv(1, c, 48, 35), 64, 35)
        conv(9, conv(9, conv(1, c, 64, 35), 96, 35), 96, 35)
        conv(1, c, 64, 35)
        c = 64 + 64 + 96 + 64
        assert c == 288
    conv(9, conv(1, c, 192, 35), 384, 17)  # Figure 10: strided convolutions, and the pooled input
    conv(9, conv(9, conv(1, c, 64, 35), 96, 35), 96, 17)
    c += 384 + 96
    assert c == 768
    for _ in range(5):  # Figure 6, n = 7
        conv(1, c, 192, 17)
        conv(7, conv(7, conv(1, c, 128, 17), 128, 17), 192, 17)
        conv(7, conv(7, conv(7, conv(7, conv(1, c, 128, 17), 128, 17), 128, 17), 128, 17), 192, 17)
        conv(1, c, 192, 17)
        c = 4 * 192
        assert c == 768
    conv(9, conv(1, c, 192, 17), 320, 8)  # Figure 10
    conv(9, conv(9, conv(1, c, 192, 17), 192, 17), 192, 8)
    c += 320 + 192
    assert c == 1280
    for _ in range(2):  # Figure 7
        conv(1, c, 320, 8)
        for branch in (conv(1, c, 384, 8), conv(9, conv(1, c, 448, 8), 384, 8)):
            conv(3, branch, 384, 8)
            conv(3, branch, 384, 8)
        conv(1, c, 192, 8)
        c = 320 + 4 * 384 + 192
        assert c == 2048
    assert (parameters + c * 1000 + 1000, macs + c * 1000) == FIGURES


def test_every_layer_has_the_size_of_table_1():
    with torch.device("meta"):
        network = create_model("inception_v2").eval()
        with capture(network, list(TABLE_1)) as outputs:
            network(torch.empty(1, 3, 299, 299))
    assert {name: tuple(value.shape[1:]) for name, value in outputs.items()} == TABLE_1
    assert [len(stage) for stage in network.stages] == [2 + 3, 1 + 5, 1 + 2]
    described = [(info.channels, info.stride) for info in network.feature_info]
    assert described == [(80, 4), (288, 8), (768, 16), (2048, 32)]


# --- Factorised convolutions


@pytest.mark.parametrize(
    ("module", "branch", "height", "width", "pixels"),
    [
        ("stages.0.2", "branch1x1", 1, 1, 1),
        ("stages.0.2", "branch3x3", 3, 3, 9),
        ("stages.0.2", "branch3x3dbl", 5, 5, 25),  # two 3x3 see a 5x5
        ("stages.1.1", "branch7x7", 7, 7, 49),  # a row and a column see a 7x7
        ("stages.1.1", "branch7x7dbl", 13, 13, 169),
        ("stages.2.1", "branch3x3", 3, 3, 5),  # a row beside a column see a cross
        ("stages.2.1", "branch3x3dbl", 5, 5, 21),  # after a 3x3: all but the corners
    ],
)
def test_small_convolutions_see_as_far_as_the_large_ones(module, branch, height, width, pixels):
    network = create_model("inception_v2", **SMALL).double().eval()
    layers = network.get_submodule(f"{module}.{branch}")
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)  # nothing that is seen cancels out
    channels = next(layer.in_channels for layer in layers.modules() if isinstance(layer, nn.Conv2d))
    x = torch.ones(1, channels, 17, 17, dtype=torch.float64, requires_grad=True)
    layers(x)[:, :, 8, 8].sum().backward()
    rows, columns = x.grad[0, 0].nonzero(as_tuple=True)
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1, len(rows)) == (height, width, pixels)


def test_no_kernel_has_more_pixels_than_a_3x3():
    with torch.device("meta"):
        network = create_model("inception_v2")
    kernels = [{m.kernel_size for m in stage.modules() if isinstance(m, nn.Conv2d)} for stage in network.stages]
    assert kernels[0] == {(1, 1), (3, 3)}
    assert kernels[1] == {(1, 1), (3, 3), (1, 7), (7, 1)}  # the 3x3 are the reduction's
    assert kernels[2] == {(1, 1), (3, 3), (1, 3), (3, 1)}
    assert {m.kernel_size for m in network.stem.modules() if isinstance(m, nn.Conv2d)} == {(3, 3)}


def test_a_reduction_lets_the_pooled_input_through():
    network = create_model("inception_v2", **SMALL).eval()
    x = torch.rand(1, network.feature_info[1].channels, 9, 9)
    with torch.no_grad():
        y = network.stages[1][0](x)
    for row in range(4):
        for column in range(4):
            seen = x[0, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            assert torch.equal(y[0, -x.shape[1] :, row, column], seen.amax(dim=(1, 2)))


# --- Initialisation, learning


def test_weights_start_as_inception_v3_s():
    network = create_model("inception_v2")
    for module, deviation in ((network.stages[0][1].conv, 0.1), (network.head.fc, 0.01)):
        assert module.weight.abs().max() <= 2 * deviation
        assert module.weight.std().item() == pytest.approx(deviation * 0.8796, rel=0.02)  # of a normal cut at 2
    assert not network.head.fc.bias.any()
    assert {module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d)} == {1e-3}


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("inception_v2", in_channels=1, num_classes=10, dropout=0.0, **SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    assert mistakes_after(40, network, *sixty_four(digits, 75), optimizer) == 0


# --- Config, bad input


def test_depths_and_width_make_another_size_of_it():
    """The width as slim's: max(int(channels * width), 16)."""
    with torch.device("meta"):
        network = create_model("inception_v2", depths=(1, 2, 3), width=0.3)
    assert [len(stage) for stage in network.stages] == [2 + 1, 1 + 2, 1 + 3]
    convolutions = [module.out_channels for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert convolutions[:6] == [16, 16, 19, 24, 57, 86]
    assert [info.channels for info in network.feature_info] == [24, 19 + 19 + 28 + 19, 4 * 57, 96 + 4 * 115 + 57]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, r"InceptionV2Config\.width must be a number above 0, not 0"),
        ({"dropout": 1.0}, r"InceptionV2Config\.dropout must be at least 0 and below 1"),
        ({"depths": (3, 5)}, r"InceptionV2Config\.depths must be three whole numbers >= 1, not \(3, 5\)"),
        ({"depths": (3, 0, 2)}, r"InceptionV2Config\.depths must be three whole numbers"),
        ({"aux": True}, r"inception_v2 has no option 'aux'"),
    ],
)
def test_impossible_configs_name_their_field(changes, message):
    with pytest.raises(UsageError, match=message):
        model_config("inception_v2", **changes)

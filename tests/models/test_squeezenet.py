"""SqueezeNet against its paper, hand arithmetic, and torchvision's network with the same weights."""

import pytest
import torch
import torchvision
from benchmarks.peers import scramble
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.squeezenet import FIRE2, Fire, Widths
from convatlas.weights.load import load_weights
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-14")

# Parameters and multiply-accumulates at 3 x 224 x 224, 1000 classes; those of 1.0 are printed under Table 1.
FIGURES = {"squeezenet1_0": (1_248_424, 818_924_576), "squeezenet1_1": (1_235_496, 349_151_936)}
# By hand: channels and side of conv1, and the side of the maps that fire2 to fire9 see. Pooling rounds up:
# 224 -> (224 - 7) / 2 + 1 = 109 -> 54 -> 27 -> 13, and 224 -> (224 - 3) / 2 + 1 = 111 -> 55 -> 27 -> 13.
CONV1 = {"squeezenet1_0": (96, 7, 109), "squeezenet1_1": (64, 3, 111)}
SIDES = {"squeezenet1_0": (54, 54, 54, 27, 27, 27, 27, 13), "squeezenet1_1": (55, 55, 27, 27, 13, 13, 13, 13)}
# Section 3.3: e_i = base_e + incr_e * floor(i / freq) with 128, 128 and 2, half of it 3x3, and s_i = 0.125 e_i.
EXPAND = [128 + 128 * (i // 2) for i in range(8)]
SMALL = {
    "conv1": 32,
    "kernel1": 3,
    "stages": ((Widths(squeeze=16, expand1x1=32, expand3x3=32),),) * 2,
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", FIGURES)
def test_parameters_and_macs_to_the_last_digit(name):
    with torch.device("meta"):
        network = create_model(name)
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == FIGURES[name]


@pytest.mark.parametrize("name", FIGURES)
def test_the_figures_follow_from_the_paper_by_hand(name):
    channels, kernel, side = CONV1[name]
    parameters = 3 * kernel**2 * channels + channels
    macs = 3 * kernel**2 * channels * side**2
    for expand, maps in zip(EXPAND, SIDES[name], strict=True):
        squeeze, half = expand // 8, expand // 2
        weights = channels * squeeze + squeeze * half + 9 * squeeze * half
        parameters += weights + squeeze + expand
        macs += weights * maps**2
        channels = expand
    parameters += channels * 1000 + 1000
    macs += channels * 1000 * 13**2
    assert (parameters, macs) == FIGURES[name]


@pytest.mark.parametrize("name", FIGURES)
def test_the_fire_modules_have_the_widths_of_section_3_3(name):
    with torch.device("meta"):
        network = create_model(name)
    fires = [(key, module) for key, module in network.named_modules() if isinstance(module, Fire)]
    assert [key.rpartition(".")[2] for key, _ in fires] == [f"fire{number}" for number in range(2, 10)]
    for (_, fire), expand in zip(fires, EXPAND, strict=True):
        widths = fire.squeeze.out_channels, fire.expand1x1.out_channels, fire.expand3x3.out_channels
        assert widths == (expand // 8, expand // 2, expand // 2)


@pytest.mark.parametrize(
    ("name", "described"),
    [
        ("squeezenet1_0", [("conv1", 96, 2), ("fire4", 256, 4), ("fire8", 512, 8), ("fire9", 512, 16)]),
        ("squeezenet1_1", [("conv1", 64, 2), ("fire3", 128, 4), ("fire5", 256, 8), ("fire9", 512, 16)]),
    ],
)
def test_features_are_the_maps_before_each_pooling(name, described):
    with torch.device("meta"):
        network = create_model(name).eval()
        maps = network.features(torch.empty(1, 3, 227, 227))
    assert [(info.name, info.channels, info.stride) for info in network.feature_info] == described
    # Table 1's maps, which start from 227 x 227: 111, 55, 27, 13.
    wanted = [111, 55, 27, 13] if name == "squeezenet1_0" else [113, 56, 28, 14]
    assert [each.shape[2] for each in maps] == wanted


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("size", [(64, 64), (75, 50), (37, 90)])
def test_answers_as_torchvision_does_with_the_same_weights(name, size):
    theirs = scramble(torchvision.models.get_model(name, weights=None))
    ours = create_model(name).double().eval()
    load_weights(ours, theirs.state_dict(), source="torchvision")
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        wanted = theirs(x)
        got = ours(x)
    assert_equal(got, wanted)


def test_it_starts_as_in_the_authors_files():
    for name, module in create_model("squeezenet1_1").named_modules():
        if isinstance(module, nn.Conv2d):
            assert not module.bias.any()
            if name == "head.conv10":
                assert module.weight.std().item() == pytest.approx(0.01, rel=0.01)
            else:
                limit = (3 / module.weight[0].numel()) ** 0.5
                assert 0.9 * limit < module.weight.abs().max() <= limit


def test_dropout_comes_after_the_last_fire_module_only():
    network = create_model("squeezenet1_0")
    found = [(name, module.p) for name, module in network.named_modules() if isinstance(module, nn.Dropout)]
    assert found == [("head.dropout", 0.5)]


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("squeezenet1_1", in_channels=1, num_classes=10, dropout=0.0, **SMALL)
    # Half of the class maps start below zero on every picture, where the ReLU passes no gradient. A thousand classes
    # bear that; of ten none can be missed.
    nn.init.ones_(network.head.conv10.bias)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    assert mistakes_after(120, network, *sixty_four(digits, 32), optimizer) == 0


@pytest.mark.parametrize(("name", "smallest"), [("squeezenet1_0", 21), ("squeezenet1_1", 17)])
def test_a_picture_too_small_is_told_the_smallest(name, smallest):
    network = create_model(name).eval()
    with torch.no_grad():
        assert network.features(torch.zeros(1, 3, smallest, smallest))[-1].shape[2:] == (1, 1)
    with pytest.raises(UsageError, match=f"SqueezeNet needs images of at least {smallest}x{smallest}, got 40x16"):
        network(torch.zeros(1, 3, 40, 16))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("conv1", 0),
        ("kernel1", 2.5),
        ("dropout", 1.0),
        ("stages", ()),
        ("stages", ((),)),
        ("stages", (FIRE2,)),
        ("stages", (((16, 64, 64),),)),
        ("in_channels", 0),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"SqueezeNetConfig\.{field} must be"):
        model_config("squeezenet1_0", **{field: value})


def test_impossible_widths_name_their_field():
    with pytest.raises(UsageError, match=r"Widths\.squeeze must be a whole number >= 1, not 0"):
        Widths(squeeze=0, expand1x1=64, expand3x3=64)

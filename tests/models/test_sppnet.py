"""SPPnet against the authors' layers by hand, torch's own adaptive pooling, and a twin in plain functions."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.sppnet import ChannelResponseNorm, SpatialPyramidPooling
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-07")

TINY = {"channels": (6, 7, 8, 9, 10), "hidden": 11, "num_classes": 5}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def test_counts_by_hand():
    # (kernel, channels in, channels out, side of the output) of conv1 ... conv5 at 224 x 224, and the dense layers.
    convolutions = [(7, 3, 96, 110), (5, 96, 256, 26), (3, 256, 384, 13), (3, 384, 384, 13), (3, 384, 256, 13)]
    dense = [((36 + 9 + 4 + 1) * 256, 4096), (4096, 4096), (4096, 1000)]
    parameters = sum(k * k * a * b + b for k, a, b, _ in convolutions) + sum(a * b + b for a, b in dense)
    macs = sum(k * k * a * b * side * side for k, a, b, side in convolutions) + sum(a * b for a, b in dense)
    with torch.device("meta"):
        network = create_model("sppnet_zf5")
    assert count_parameters(network) == parameters == 77_037_672
    assert count_macs(network, (3, 224, 224)) == macs == 1_182_712_960


# --- The pyramid


@pytest.mark.parametrize("size", [(13, 13), (10, 17), (6, 6), (1, 1), (4, 2), (37, 5)])
def test_bins_are_those_of_adaptive_pooling(size):
    """torch's bins go from floor to ceil too, by its own code."""
    x = torch.randn(2, 3, *size)
    expected = [F.adaptive_max_pool2d(x, n).flatten(1) for n in (6, 3, 2, 1)]
    got = SpatialPyramidPooling((6, 3, 2, 1))(x)
    assert got.shape == (2, 3 * 50)
    assert torch.equal(got, torch.cat(expected, dim=1))


def test_bins_of_13_x_13_are_the_windows_of_figure_4():
    """At 224 x 224 the authors pool with fixed windows: ceil(13 / n) wide, floor(13 / n) apart (Section 2.3)."""
    x = torch.randn(1, 2, 13, 13)
    windows = [F.max_pool2d(x, window, stride).flatten(1) for window, stride in ((5, 4), (7, 6), (13, 13))]
    assert torch.equal(SpatialPyramidPooling((3, 2, 1))(x), torch.cat(windows, dim=1))


def test_a_pyramid_by_hand():
    x = torch.arange(12.0).reshape(1, 1, 3, 4)  # rows 0 1 2 3 / 4 5 6 7 / 8 9 10 11; its middle row is in both halves
    assert SpatialPyramidPooling((2, 1))(x).tolist() == [[5.0, 7.0, 9.0, 11.0, 11.0]]


@pytest.mark.parametrize("size", [(31, 31), (180, 224), (300, 97)])
def test_a_vector_of_one_length_from_any_size(size):
    network = create_model("sppnet_zf5", **TINY).eval()
    with torch.no_grad():
        assert network.head.spp(network.features(torch.randn(1, 3, *size))[-1]).shape == (1, 50 * 10)
        assert network(torch.randn(1, 3, *size)).shape == (1, 5)


# --- The layers


@pytest.mark.parametrize("size", [(224, 224), (97, 150)])
def test_equals_a_twin_in_plain_functions(size):
    network = create_model("sppnet_zf5", **TINY).double().eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    weights = dict(network.named_parameters())

    def conv(x, stage, number, **how):
        name = f"stages.{stage}.conv{number}"
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **how).relu()

    def normalised_and_pooled(x):
        # The sum of squares over 3 x 3 pixels as a convolution with ones, each channel alone.
        ones = torch.ones(x.shape[1], 1, 3, 3, dtype=x.dtype)
        energy = F.conv2d(x**2, ones, padding=1, groups=x.shape[1]) / 9
        return F.max_pool2d(x / (1 + 0.00005 * energy) ** 0.75, 3, 2, ceil_mode=True)

    images = torch.randn(2, 3, *size, dtype=torch.float64) * 50
    with torch.no_grad():
        x = normalised_and_pooled(conv(images, 0, 1, stride=2, padding=1))
        x = normalised_and_pooled(conv(x, 1, 2, stride=2))
        for number in (3, 4, 5):
            x = conv(x, 2, number, padding=1)
        x = torch.cat([F.adaptive_max_pool2d(x, n).flatten(1) for n in (6, 3, 2, 1)], dim=1)
        for number in (6, 7, 8):
            x = F.linear(x, weights[f"head.fc{number}.weight"], weights[f"head.fc{number}.bias"])
            x = x.relu() if number < 8 else x
        assert x.std() > 1e-6
        got = network(images)
    assert_equal(got, x)


def test_response_normalisation_by_hand():
    x = torch.zeros(1, 2, 4, 4)
    x[0, 0, 1, 1] = 300.0
    got = ChannelResponseNorm()(x)
    # The mean square of its 3 x 3 pixels is 90,000 / 9 = 10,000, so it is divided by (1 + 0.5) ^ 0.75.
    assert got[0, 0, 1, 1].item() == pytest.approx(300 / 1.5**0.75)
    assert got.count_nonzero() == 1


def test_weights_and_biases_start_as_in_the_authors_file():
    network = create_model("sppnet_zf5", hidden=128)
    biases = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.01, rel=0.05)
            biases[name.rpartition(".")[2]] = set(module.bias.tolist())
    zeros, ones = {0.0}, {1.0}
    assert biases == {
        **{"conv1": zeros, "conv2": ones, "conv3": zeros, "conv4": ones, "conv5": ones},
        **{"fc6": ones, "fc7": ones, "fc8": ones},
    }


# --- Learning


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    changes = {"channels": (16, 24, 24, 24, 24), "hidden": 48, "dropout": 0.0}
    network = create_model("sppnet_zf5", in_channels=1, num_classes=10, **changes)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)  # with so few channels a hundredth is too little
            nn.init.zeros_(module.bias)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    assert mistakes_after(60, network, *sixty_four(digits, 56), optimizer) == 0


# --- Bad input


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channels", (96, 256, 384, 384)),
        ("channels", (96, 256, 384, 384, 0)),
        ("pyramid", ()),
        ("pyramid", (6, 0)),
        ("pyramid", 6),
        ("hidden", 0),
        ("dropout", 1.0),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"SPPNetConfig\.{field} must be"):
        model_config("sppnet_zf5", **{field: value})

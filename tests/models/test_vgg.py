"""VGG against Table 1, torchvision's networks with the same weights, and its dense evaluation by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
import torchvision
from benchmarks.peers import copy_in_order, scramble
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.vgg import CONFIGS
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-06")

TINY = {"width": 8, "hidden": 16}  # what makes any of them small
# Table 1, read downwards: the channels of each 3x3 convolution, M a max pooling.
TABLE_1 = {
    11: [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    13: [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    16: [64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"],
    19: [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


# --- Table 1


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    ("depth", "parameters", "macs", "paper_prints"),
    # Counted by other libraries on their own networks; the last is Table 2, in millions.
    [
        (11, 132_863_336, 7_609_090_048, 133),
        (13, 133_047_848, 11_308_466_176, 133),
        (16, 138_357_544, 15_470_264_320, 138),
        (19, 143_667_240, 19_632_062_464, 144),
    ],
)
def test_counts_of_table_1(depth, parameters, macs, paper_prints, batch_norm):
    with torch.device("meta"):
        network = create_model(f"vgg{depth}_bn" if batch_norm else f"vgg{depth}")
    norms = sum(2 * channels for channels in TABLE_1[depth] if channels != "M") if batch_norm else 0
    assert count_parameters(network) == parameters + norms
    assert count_macs(network, (3, 224, 224)) == macs
    assert round(parameters / 1e6) == paper_prints


@pytest.mark.parametrize("depth", TABLE_1)
def test_the_counts_follow_from_table_1_by_hand(depth):
    parameters = macs = 0
    channels, side = 3, 224
    for row in TABLE_1[depth]:
        if row == "M":
            side //= 2
            continue
        parameters += 9 * channels * row + row
        macs += 9 * channels * row * side * side
        channels = row
    for inputs, units in ((512 * 7 * 7, 4096), (4096, 4096), (4096, 1000)):
        parameters += inputs * units + units
        macs += inputs * units
    with torch.device("meta"):
        network = create_model(f"vgg{depth}")
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == (parameters, macs)


# --- The peer


def peer(name: str) -> nn.Module:
    """torchvision's network by its own table and code, an eighth as wide."""
    depth, _, batch_norm = name.removeprefix("vgg").partition("_")
    table = torchvision.models.vgg.cfgs[{"11": "A", "13": "B", "16": "D", "19": "E"}[depth]]
    layers = torchvision.models.vgg.make_layers(
        [row if row == "M" else row // 8 for row in table], batch_norm=bool(batch_norm)
    )
    with torch.device("meta"):  # its own dense layers are as large as ever
        network = torchvision.models.VGG(layers, num_classes=10, init_weights=False)
    network.features = layers
    network.classifier[0] = nn.Linear(64 * 7 * 7, 16)
    network.classifier[3] = nn.Linear(16, 16)
    network.classifier[6] = nn.Linear(16, 10)
    return scramble(network)


@pytest.mark.parametrize("name", CONFIGS)
def test_equals_torchvision_with_the_same_random_weights(name):
    theirs = peer(name)
    ours = copy_in_order(theirs, create_model(name, num_classes=10, **TINY))
    for size in ((224, 224), (75, 33)):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        with torch.no_grad():
            wanted = theirs(x)
            assert_equal(ours(x), wanted)


# --- Dense evaluation


def test_the_score_map_of_one_crop_is_its_logits():
    network = create_model("vgg11", num_classes=5, **TINY).double().eval()
    x = torch.randn(2, 3, 224, 224, dtype=torch.float64)
    with torch.no_grad():
        assert network.score_map(x).shape == (2, 5, 1, 1)
        torch.testing.assert_close(network.score_map(x)[:, :, 0, 0], network(x), rtol=1e-10, atol=1e-12)


def test_the_score_map_is_the_dense_layers_on_every_window_of_the_last_maps():
    network = create_model("vgg16", num_classes=5, **TINY).double().eval()
    x = torch.randn(1, 3, 256, 300, dtype=torch.float64)
    with torch.no_grad():
        scores = network.score_map(x)
        maps = F.max_pool2d(network.features(x)[-1], 2)  # 8 x 9
        assert scores.shape == (1, 5, 2, 3)
        for row in range(2):
            for column in range(3):
                window = maps[:, :, row : row + 7, column : column + 7].flatten(1)
                hidden = network.head.fc7(network.head.fc6(window).relu()).relu()
                expected = network.head.fc8(hidden)
                torch.testing.assert_close(scores[:, :, row, column], expected, rtol=1e-10, atol=1e-12)


def test_dense_evaluation_of_less_than_a_crop_is_refused():
    with pytest.raises(UsageError, match="VGG's dense evaluation needs images of at least 224x224, got 224x223"):
        create_model("vgg11", **TINY).score_map(torch.zeros(1, 3, 224, 223))


# --- Features, initialisation, dropout


def test_features_are_the_stages_before_their_pooling():
    network = create_model("vgg16", **TINY).eval()
    x = torch.randn(1, 3, 64, 50)
    with torch.no_grad():
        features = network.features(x)
        assert [tuple(each.shape[1:]) for each in features] == [
            (8, 64, 50),
            (16, 32, 25),
            (32, 16, 12),
            (64, 8, 6),
            (64, 4, 3),
        ]
        pooled = F.max_pool2d(features[3], 2)
        for number in (1, 2, 3):
            pooled = F.relu(getattr(network.stages[4], f"conv{number}")(pooled))
        assert torch.equal(pooled, features[4])


def test_weights_start_as_glorot_and_bengio_say():
    network = create_model("vgg11", width=32, hidden=256)
    checked = 0
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            field = module.weight[0, 0].numel() if module.weight.dim() == 4 else 1
            outputs, inputs = module.weight.shape[:2]
            limit = math.sqrt(6 / (field * (inputs + outputs)))  # their Equation 16
            assert limit * 0.98 < module.weight.abs().max() <= limit
            assert module.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.05)
            assert not module.bias.any()
            checked += 1
    assert checked == 11


def test_half_of_both_hidden_layers_is_dropped_in_training():
    network = create_model("vgg11", width=8, hidden=512)
    for layer in (network.head.dropout6, network.head.dropout7):
        dropped = layer(torch.ones(1, 100_000)) == 0
        assert dropped.float().mean().item() == pytest.approx(0.5, abs=0.01)


# --- Learning


@pytest.mark.parametrize("name", ["vgg11", "vgg11_bn"])
def test_it_learns_64_digits_by_heart(digits: PictureSet, name: str):
    network = create_model(name, width=8, hidden=64, depths=(1, 1, 1, 1, 1), dropout=0.0, in_channels=1, num_classes=10)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    assert mistakes_after(60, network, *sixty_four(digits, 32), optimizer) == 0


# --- Bad input


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("depths", (1, 1, 2, 2)),
        ("depths", (1, 1, 2, 2, 0)),
        ("depths", (1, 1, 2, 2, 2.0)),
        ("depths", 11),
        ("batch_norm", "yes"),
        ("width", 0),
        ("hidden", -1),
        ("dropout", 1.0),
        ("dropout", "0.5"),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"{field} must be"):
        model_config("vgg11", **{field: value})

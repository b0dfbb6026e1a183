"""Network in Network against the authors' released layers, a peer with the same weights, and a perceptron by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from benchmarks import peers
from torch import nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.nin import CIFAR10, MlpConv
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-04")

# By hand from the authors' layers: (kernel, channels in, channels out, side of the output), with biases.
CIFAR = [
    *[(5, 3, 192, 32), (1, 192, 160, 32), (1, 160, 96, 32)],
    *[(5, 96, 192, 16), (1, 192, 192, 16), (1, 192, 192, 16)],
    *[(3, 192, 192, 8), (1, 192, 192, 8)],
]
LAYERS = {
    "nin_cifar10": [*CIFAR, (1, 192, 10, 8)],
    "nin_cifar100": [*CIFAR, (1, 192, 100, 8)],
    "nin_imagenet": [
        *[(11, 3, 96, 54), (1, 96, 96, 54), (1, 96, 96, 54)],
        *[(5, 96, 256, 27), (1, 256, 256, 27), (1, 256, 256, 27)],
        *[(3, 256, 384, 13), (1, 384, 384, 13), (1, 384, 384, 13)],
        *[(3, 384, 1024, 6), (1, 1024, 1024, 6), (1, 1024, 1000, 6)],
    ],
}
# The deviations that the authors' files give their layers, in order.
STDS = {
    "nin_cifar10": [0.05] * 9,
    "nin_cifar100": [0.001, 0.01, 0.01, *[0.05] * 6],
    "nin_imagenet": [0.01, 0.05, 0.05, 0.05, 0.05, 0.05, 0.01, 0.05, 0.05, 0.05, 0.05, 0.01],
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [module for module in network.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize(
    ("name", "side", "parameters", "macs"),
    [
        ("nin_cifar10", 32, 966_986, 222_486_528),  # as pytorchcv counts its own
        ("nin_cifar100", 32, 966_986 + 90 * 193, 222_486_528 + 90 * 192 * 64),
        ("nin_imagenet", 224, 7_595_176, 1_100_188_800),
        ("nin_imagenet", 227, 7_595_176, 1_105_996_320),  # 55 x 55 pixels in the first layer instead of 54 x 54
    ],
)
def test_counts(name, side, parameters, macs):
    with torch.device("meta"):
        network = create_model(name)
    assert count_parameters(network) == parameters == sum(k * k * a * b + b for k, a, b, _ in LAYERS[name])
    assert count_macs(network, (3, side, side)) == macs
    if side != 227:
        assert macs == sum(k * k * a * b * out * out for k, a, b, out in LAYERS[name])


@pytest.mark.parametrize("name", LAYERS)
def test_the_layers_are_the_authors(name):
    network = create_model(name).eval()
    built = [(conv.kernel_size[0], conv.in_channels, conv.out_channels) for conv in convolutions(network)]
    assert built == [layer[:3] for layer in LAYERS[name]]
    for conv, std in zip(convolutions(network), STDS[name], strict=True):
        assert conv.weight.std().item() == pytest.approx(std, rel=0.06)
        assert not conv.bias.any()


@pytest.mark.parametrize("pair", [pair for pair in peers.PYTORCHCV if pair.model.startswith("nin_")], ids=str)
@pytest.mark.parametrize("size", [(32, 32), (33, 34)])
def test_equals_its_peer_with_the_same_random_weights(pair, size):
    """pytorchcv pools with a margin, and the second time by averages; here it gets the authors' pooling."""
    assert peers.largest_difference(pair, size) <= 1e-10


def test_imagenet_equals_a_twin_in_plain_functions():
    layers = tuple(
        MlpConv(kernel=row.kernel, stride=row.stride, padding=row.padding, widths=(6, 5, 4)[: len(row.widths)],
                stds=(0.3,) * 3, dropout=row.dropout)
        for row in model_config("nin_imagenet").layers
    )  # fmt: skip
    network = create_model("nin_imagenet", layers=layers, num_classes=7).double().eval()
    images = torch.randn(2, 3, 100, 93, dtype=torch.float64)
    x = images
    for index, conv in enumerate(convolutions(network)):
        if index in (3, 6, 9):
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        stride, padding = {0: (4, 0), 3: (1, 2), 6: (1, 1), 9: (1, 1)}.get(index, (1, 0))
        x = F.conv2d(x, conv.weight, conv.bias, stride, padding).relu()
    with torch.no_grad():
        assert x.mean(dim=(2, 3)).std() > 1e-6
        torch.testing.assert_close(network(images), x.mean(dim=(2, 3)), rtol=1e-10, atol=1e-12)


def test_an_mlpconv_layer_is_a_perceptron_on_each_patch():
    """Equation 2 on one patch: the same weights, as matrices."""
    network = create_model("nin_cifar10").double().eval()
    stage = network.stages[0]
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        patch = x[0, :, 5:10, 8:13].flatten()  # around row 7, column 10
        for conv in convolutions(stage):
            patch = (conv.weight.flatten(1) @ patch + conv.bias).relu()
        torch.testing.assert_close(stage(x)[0, :, 7, 10], patch, rtol=1e-10, atol=1e-12)


def test_logits_are_the_averages_of_the_class_maps():
    network = create_model("nin_cifar10").eval()
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        maps = network.head.relu(network.head.cccp(network.features(x)[-1]))
        assert maps.shape == (2, 10, 8, 8)
        torch.testing.assert_close(network(x), maps.mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("name", "dropped"), [("nin_cifar10", [False, True, True]), ("nin_imagenet", [False] * 3 + [True])]
)
def test_dropout_stands_between_the_layers(name, dropped):
    with torch.device("meta"):
        network = create_model(name)
    found = [[module.p for module in stage if isinstance(module, nn.Dropout)] for stage in network.stages]
    assert found == [[0.5] if each else [] for each in dropped]


@pytest.mark.parametrize(("name", "smallest"), [("nin_cifar10", 4), ("nin_imagenet", 39)])
def test_the_smallest_picture_leaves_one_pixel(name, smallest):
    network = create_model(name).eval()
    with torch.no_grad():
        assert network.features(torch.randn(1, 3, smallest, smallest))[-1].shape[2:] == (1, 1)
    with pytest.raises(UsageError, match=rf"NIN needs images of at least {smallest}x{smallest}, got {smallest - 1}x64"):
        network(torch.zeros(1, 3, smallest - 1, 64))


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    rows = []
    for row, inputs, width in zip(CIFAR10, (1, 24, 24), (24, 24, 32), strict=True):
        first, others = math.sqrt(2 / (row.kernel**2 * inputs)), math.sqrt(2 / width)  # narrow layers need larger ones
        widths = (width,) * len(row.widths)
        rows.append(MlpConv(kernel=row.kernel, padding=row.padding, widths=widths, stds=(first, others, others)))
    network = create_model("nin_cifar10", layers=tuple(rows), in_channels=1)
    # Class maps that start below zero on every picture get no gradient through the last ReLU.
    nn.init.ones_(network.head.cccp.bias)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    assert mistakes_after(90, network, *sixty_four(digits, 14), optimizer) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("layers", ()),
        ("layers", ((5, 192),)),
        ("layers", None),
        ("in_channels", 0),
        ("num_classes", 2.5),
    ],
)
def test_an_impossible_config_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"NINConfig\.{field} must be"):
        model_config("nin_cifar10", **{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kernel", 0),
        ("stride", 0),
        ("padding", -1),
        ("widths", ()),
        ("widths", (8, 0)),
        ("stds", (0.1, -0.1)),
        ("stds", 0.05),
        ("dropout", 1.0),
    ],
)
def test_an_impossible_layer_names_its_field(field, value):
    with pytest.raises(UsageError, match=rf"MlpConv\.{field} must be"):
        MlpConv(**{"kernel": 3, "widths": (8, 8), "stds": (0.1, 0.1), field: value})


def test_the_last_layer_has_a_deviation_for_its_class_maps():
    rows = (*CIFAR10[:2], MlpConv(kernel=3, padding=1, widths=(192, 192), stds=(0.05, 0.05)))
    with pytest.raises(UsageError, match=r"NINConfig\.layers: layer 3 must have 3 stds, not 2"):
        model_config("nin_cifar10", layers=rows)

"""ResNeXt against its paper's figures, peers, and the three forms of its block."""

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from benchmarks.peers import copy_in_order, scramble
from torch import Tensor, nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.resnext import aggregated
from tests.models.equality import assert_equal
from tests.models.learning import mistakes_after, sixty_four

pytestmark = pytest.mark.row("B-12")

SMALL = {"depths": (1, 1, 1, 1), "width": 8, "cardinality": 4, "bottleneck_width": 2}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("name", "depths", "cardinality", "path", "parameters", "macs"),
    [
        ("resnext50_32x4d", (3, 4, 6, 3), 32, 4, 25_028_904, 4_230_479_872),  # torchvision's
        ("resnext101_32x4d", (3, 4, 23, 3), 32, 4, 44_177_704, 7_969_996_800),  # timm's
        ("resnext101_32x8d", (3, 4, 23, 3), 32, 8, 88_791_336, 16_414_015_488),  # torchvision's
        ("resnext101_64x4d", (3, 4, 23, 3), 64, 4, 83_455_272, 15_460_270_080),  # torchvision's
    ],
)
def test_counts_are_those_of_table_1_by_hand(name, depths, cardinality, path, parameters, macs):
    with torch.device("meta"):
        network = create_model(name)
    # conv1 with its BatchNorm, and the dense layer.
    weights = 49 * 3 * 64 + 128 + 2048 * 1000 + 1000
    multiplied = 49 * 3 * 64 * 112**2 + 2048 * 1000
    channels, side = 64, 56
    for stage, depth in enumerate(depths):
        d, out = path * 2**stage, 256 * 2**stage
        for block in range(depth):
            after = side // 2 if stage > 0 and block == 0 else side
            # Equation 4, path by path; its second and third term are taken after the stride.
            weights += cardinality * (channels * d + 9 * d * d + d * out) + 2 * (2 * cardinality * d + out)
            multiplied += cardinality * (channels * d * side**2 + (9 * d * d + d * out) * after**2)
            if block == 0:  # the projection
                weights += channels * out + 2 * out
                multiplied += channels * out * after**2
            channels, side = out, after
    assert (weights, multiplied) == (parameters, macs)
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == (parameters, macs)


@pytest.mark.parametrize(("cardinality", "path"), [(1, 64), (2, 40), (4, 24), (8, 14), (32, 4)])
def test_the_cardinalities_of_table_2_cost_as_much(cardinality, path):
    """About 70 thousand weights a block of conv2, Section 3.4."""
    block = aggregated(256, path, 256, stride=1, cardinality=cardinality)
    weights = sum(layer.weight.numel() for layer in block if isinstance(layer, nn.Conv2d))
    assert weights == cardinality * (256 * path + 9 * path * path + path * 256)  # Equation 4
    assert weights == pytest.approx(70_000, rel=0.025)


# --- The forms of Figure 3


@pytest.mark.parametrize("stride", [1, 2])
def test_the_three_forms_of_the_block_are_one(stride):
    paths, width = 32, 4
    block = scramble(aggregated(256, width, 256, stride, cardinality=paths))
    x = torch.randn(2, 256, 7, 7, dtype=torch.float64)

    def norm(y: Tensor, layer: nn.BatchNorm2d, channels: slice) -> Tensor:
        mean, var, weight, bias = layer.running_mean, layer.running_var, layer.weight, layer.bias
        return F.batch_norm(y, mean[channels], var[channels], weight[channels], bias[channels], eps=layer.eps)

    split = []  # the paths up to their 3x3 convolutions
    for path in range(paths):
        own = slice(path * width, (path + 1) * width)
        y = norm(F.conv2d(x, block.conv1.weight[own]), block.bn1, own).relu()
        split.append(norm(F.conv2d(y, block.conv2.weight[own], stride=stride, padding=1), block.bn2, own).relu())
    last = block.conv3.weight
    added = sum(F.conv2d(y, last[:, path * width : (path + 1) * width]) for path, y in enumerate(split))  # (a)
    concatenated = F.conv2d(torch.cat(split, dim=1), last)  # (b)
    everything = slice(0, 256)
    with torch.no_grad():
        grouped = block(x)  # (c)
        for other in (added, concatenated):
            torch.testing.assert_close(norm(other, block.bn3, everything), grouped, rtol=1e-10, atol=1e-10)


def test_one_path_of_64_channels_is_resnet50():
    resnet = scramble(create_model("resnet50"))
    network = create_model("resnext50_32x4d", cardinality=1, bottleneck_width=64).double().eval()
    network.load_state_dict(resnet.state_dict())
    x = torch.randn(1, 3, 71, 64, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(network(x), resnet(x))


# --- Peers


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("resnext50_32x4d", torchvision.models.resnext50_32x4d),
        *(
            pytest.param(name, peer, marks=pytest.mark.every_variant)
            for name, peer in (
                ("resnext101_32x4d", lambda: timm.create_model("resnext101_32x4d")),
                ("resnext101_32x8d", torchvision.models.resnext101_32x8d),
                ("resnext101_64x4d", torchvision.models.resnext101_64x4d),
            )
        ),
    ],
)
def test_equals_its_peer_with_the_same_random_weights(name, peer):
    theirs = scramble(peer())
    ours = copy_in_order(theirs, create_model(name))
    x = torch.randn(1, 3, 71, 80, dtype=torch.float64)
    with torch.no_grad():
        wanted, got = theirs(x), ours(x)
    assert_equal(got, wanted)


# --- Initialisation, learning


def test_weights_start_by_the_inputs_of_a_path():
    network = create_model("resnext50_32x4d")
    grouped = network.stages[3][1].residual.conv2.weight
    assert grouped.shape == (1024, 32, 3, 3)
    assert grouped.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.02)
    assert (network.head.fc.bias == 0).all()


def test_it_learns_64_digits_by_heart(digits: PictureSet):
    network = create_model("resnext50_32x4d", in_channels=1, num_classes=10, **SMALL)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    assert mistakes_after(40, network, *sixty_four(digits, 32), optimizer) == 0


# --- Bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depths": (3, 4, 6)}, r"ResNeXtConfig\.depths must be four whole numbers >= 1, not \(3, 4, 6\)"),
        ({"cardinality": 0}, r"ResNeXtConfig\.cardinality must be a whole number >= 1, not 0"),
        ({"bottleneck_width": 2.5}, r"ResNeXtConfig\.bottleneck_width must be a whole number >= 1, not 2\.5"),
        ({"width": 0}, r"ResNeXtConfig\.width must be a whole number >= 1, not 0"),
    ],
)
def test_impossible_configs_name_their_field(changes, message):
    with pytest.raises(UsageError, match=message):
        model_config("resnext50_32x4d", **changes)

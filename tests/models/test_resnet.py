"""ResNet and its plain networks against the paper's tables, peers, and a twin in plain functions."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from benchmarks import peers
from benchmarks.peers import copy_in_order, scramble
from torch import Tensor, nn

from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.errors import UsageError
from convatlas.models import create_model, model_config
from convatlas.models.classify.resnet import ResidualBlock, ZeroPadShortcut
from tests.models.learning import mistakes_after, sixty_four
from tests.models.members import pytorchcv_pairs

pytestmark = pytest.mark.row("B-11")


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


# --- The tables


@pytest.mark.parametrize(
    ("name", "parameters", "macs", "paper_prints"),
    [
        # Counted by other libraries on their own networks; zero-pad and plain ones have no projections: 173,824 and
        # 3 * 6,422,528 less. `paper_prints`: the FLOPs of Table 1, which are multiply-adds there.
        ("resnet18", 11_689_512, 1_814_073_344, 1.8e9),
        ("resnet34", 21_797_672, 3_663_761_408, 3.6e9),
        ("resnet50_paper", 25_557_032, 3_857_973_248, 3.8e9),
        ("resnet101_paper", 44_549_160, 7_570_194_432, 7.6e9),
        ("resnet152_paper", 60_192_808, 11_282_415_616, 11.3e9),
        ("resnet50", 25_557_032, 4_089_184_256, None),
        ("resnet101", 44_549_160, 7_801_405_440, None),
        ("resnet152", 60_192_808, 11_513_626_624, None),
        ("plain18", 11_689_512 - 173_824, 1_814_073_344 - 3 * 6_422_528, 1.8e9),
        ("plain34", 21_797_672 - 173_824, 3_663_761_408 - 3 * 6_422_528, 3.6e9),
    ],
)
def test_counts_of_table_1(name, parameters, macs, paper_prints):
    with torch.device("meta"):
        network = create_model(name)
    assert count_parameters(network) == parameters
    assert count_macs(network, (3, 224, 224)) == macs
    assert paper_prints is None or abs(macs - paper_prints) < 0.1e9


@pytest.mark.parametrize(("name", "parameters"), [("resnet18", 11_515_688), ("resnet34", 21_623_848)])
def test_zero_pad_shortcuts_have_no_parameters(name, parameters):
    with torch.device("meta"):
        network = create_model(name, shortcut="zero-pad")
    assert count_parameters(network) == parameters


@pytest.mark.parametrize(
    ("depth", "millions"),
    [
        (20, "0.27"),
        (32, "0.46"),
        (44, "0.66"),
        (56, "0.85"),
        (110, "1.7"),
        pytest.param(1202, "19.4", marks=pytest.mark.every_variant),
    ],
)
@pytest.mark.parametrize(
    ("shortcut", "more_parameters", "more_macs"),
    # The two projections: 16 * 32 + 64 and 32 * 64 + 128 parameters, on 16 x 16 and on 8 x 8 pixels.
    [("zero-pad", 0, 0), ("none", 0, 0), ("projection", 2_752, 16 * 32 * 256 + 32 * 64 * 64)],
)
def test_counts_of_table_6(depth, millions, shortcut, more_parameters, more_macs):
    with torch.device("meta"):
        network = create_model("resnet20_cifar", depth=depth, shortcut=shortcut)
    # By hand from the table of Section 4.2: BatchNorm has two parameters a channel, only the dense layer has biases.
    n = (depth - 2) // 6
    kernels = [3 * 16, *[16 * 16] * (2 * n), 16 * 32, *[32 * 32] * (2 * n - 1), 32 * 64, *[64 * 64] * (2 * n - 1)]
    pixels = [32 * 32] * (2 * n + 1) + [16 * 16] * (2 * n) + [8 * 8] * (2 * n)
    parameters = sum(9 * kernel for kernel in kernels) + 2 * (16 * (2 * n + 1) + 32 * 2 * n + 64 * 2 * n) + 64 * 10 + 10
    macs = sum(9 * kernel * area for kernel, area in zip(kernels, pixels, strict=True)) + 640
    assert len(kernels) + 1 == depth
    assert f"{parameters / 1e6:.{len(millions.partition('.')[2])}f}" == millions
    assert count_parameters(network) == parameters + more_parameters
    assert count_macs(network, (3, 32, 32)) == macs + more_macs


# --- Peers


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("resnet18", torchvision.models.resnet18),
        pytest.param("resnet34", torchvision.models.resnet34, marks=pytest.mark.every_variant),
        ("resnet50", torchvision.models.resnet50),
        pytest.param("resnet101", torchvision.models.resnet101, marks=pytest.mark.every_variant),
        pytest.param("resnet152", torchvision.models.resnet152, marks=pytest.mark.every_variant),
    ],
)
def test_equals_its_peer_with_the_same_random_weights(name, peer):
    theirs, ours = scramble(peer()), create_model(name).double().eval()
    copy_in_order(theirs, ours)
    x = torch.randn(1, 3, 71, 71, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-10, atol=1e-10)


@pytorchcv_pairs("resnet", always={"resnet50", "resnet20_cifar10"})
def test_equals_pytorchcv_with_the_same_random_weights(pair):
    """Its pools are 7 x 7, so pictures have their own size; its CIFAR networks have projections."""
    assert peers.largest_difference(pair) <= 1e-10


# --- Shortcuts


def test_zero_pad_takes_every_second_pixel_and_appends_zeros_by_hand():
    x = np.arange(1 * 2 * 4 * 5, dtype=np.float32).reshape(1, 2, 4, 5) + 1
    expected = np.zeros((1, 5, 2, 3), np.float32)
    expected[0, :2] = x[0][:, [0, 2]][:, :, [0, 2, 4]]
    shortcut = ZeroPadShortcut(2, 5, stride=2)
    assert np.array_equal(shortcut(torch.from_numpy(x)).numpy(), expected)
    assert list(shortcut.parameters()) == []


@pytest.mark.parametrize("shortcut", ["zero-pad", "none"])
def test_cifar_equals_a_twin_in_plain_functions(shortcut):
    network = scramble(create_model("resnet20_cifar", shortcut=shortcut))
    state = network.state_dict()

    def convolve(x: Tensor, prefix: str, number: str, stride: int = 1) -> Tensor:
        y = F.conv2d(x, state[f"{prefix}conv{number}.weight"], stride=stride, padding=1)
        mean, var, weight, bias = (
            state[f"{prefix}bn{number}.{each}"] for each in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(y, mean, var, weight, bias)

    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    x = convolve(images, "stem.", "").relu()
    for stage in range(3):
        for block in range(3):
            stride = 2 if stage > 0 and block == 0 else 1
            y = convolve(x, f"stages.{stage}.{block}.residual.", "1", stride).relu()
            y = convolve(y, f"stages.{stage}.{block}.residual.", "2")
            if shortcut == "zero-pad":
                way = x[:, :, ::stride, ::stride]
                y[:, : way.shape[1]] += way
            x = y.relu()
    expected = x.mean(dim=(2, 3)) @ state["head.fc.weight"].T + state["head.fc.bias"]
    with torch.no_grad():
        torch.testing.assert_close(network(images), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["plain18", "plain34", "plain20_cifar", "plain56_cifar"])
def test_a_plain_network_is_the_residual_one_without_its_shortcuts(name):
    residual = scramble(create_model(name.replace("plain", "resnet")))
    plain = create_model(name).double().eval()
    missing = plain.load_state_dict(residual.state_dict(), strict=False)
    assert missing.missing_keys == []
    assert all(".shortcut." in key for key in missing.unexpected_keys)
    x = torch.randn(1, 3, 40, 40, dtype=torch.float64)
    with torch.no_grad():
        y = residual.stem(x)
        for module in residual.stages.modules():
            if isinstance(module, ResidualBlock):
                y = module.residual(y).relu()
        torch.testing.assert_close(plain(x), residual.head(y), rtol=1e-10, atol=1e-10)
        assert not torch.allclose(plain(x), residual(x))


@pytest.mark.parametrize(
    ("name", "changes", "kinds"),
    [
        ("resnet18", {}, [nn.Identity] * 5 + [nn.Sequential] * 3),
        ("resnet18", {"shortcut": "zero-pad"}, [nn.Identity] * 5 + [ZeroPadShortcut] * 3),
        ("resnet50", {}, [nn.Identity] * 12 + [nn.Sequential] * 4),  # conv2_x goes from 64 to 256 channels
        ("resnet20_cifar", {}, [nn.Identity] * 7 + [ZeroPadShortcut] * 2),
        ("plain20_cifar", {}, [type(None)] * 9),
    ],
)
def test_shortcuts_do_something_only_where_dimensions_change(name, changes, kinds):
    network = create_model(name, **changes)
    found = [type(module.shortcut) for module in network.modules() if isinstance(module, ResidualBlock)]
    assert sorted(found, key=str) == sorted(kinds, key=str)


@pytest.mark.parametrize("shortcut", ["projection", "zero-pad", "none"])
@pytest.mark.parametrize(
    ("name", "small"),
    [
        ("resnet18", {"depths": (1, 2, 1, 1), "width": 8}),
        ("resnet50", {"depths": (1, 2, 1, 1), "width": 8}),
        ("resnet50_paper", {"depths": (1, 2, 1, 1), "width": 8}),
        ("resnet20_cifar", {"depth": 14, "width": 8}),
    ],
)
def test_every_kind_of_block_trains(name, small, shortcut):
    network = create_model(name, shortcut=shortcut, num_classes=7, **small)
    logits = network(torch.randn(4, 3, 64, 64))
    F.cross_entropy(logits, torch.tensor([0, 1, 2, 6])).backward()
    assert [key for key, p in network.named_parameters() if not p.grad.abs().sum() > 0] == []


# --- Initialisation


@pytest.mark.parametrize("name", ["resnet50", "resnet20_cifar"])
def test_weights_start_as_in_delving_deep_into_rectifiers(name):
    network = create_model(name)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.numel() > 10_000:
            fan_in = module.weight[0].numel()
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)
            assert abs(module.weight.mean().item()) < 0.05 * math.sqrt(2 / fan_in)
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
    assert (network.head.fc.bias == 0).all()


# --- Learning


@pytest.mark.parametrize(
    ("name", "small", "side"),
    [
        ("resnet18", {"depths": (1, 1, 1, 1), "width": 8}, 32),
        ("resnet50", {"depths": (1, 1, 1, 1), "width": 8}, 32),
        ("resnet20_cifar", {"depth": 8, "width": 8}, 14),
        ("plain20_cifar", {"depth": 8, "width": 8}, 14),
    ],
)
def test_it_learns_64_digits_by_heart(digits, name, small, side):
    network = create_model(name, in_channels=1, num_classes=10, **small)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    assert mistakes_after(40, network, *sixty_four(digits, side), optimizer) == 0


# --- Bad input


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depths": (2, 2, 2)}, r"ResNetConfig\.depths must be four whole numbers >= 1, not \(2, 2, 2\)"),
        ({"depths": (2, 2, 0, 2)}, r"ResNetConfig\.depths must be four whole numbers >= 1"),
        ({"depths": (2, 2, 2.0, 2)}, r"ResNetConfig\.depths must be four whole numbers >= 1"),
        ({"depths": 18}, r"ResNetConfig\.depths must be four whole numbers >= 1, not 18"),
        ({"width": 0}, r"ResNetConfig\.width must be a whole number >= 1, not 0"),
        ({"shortcut": "identity"}, r"ResNetConfig\.shortcut must be one of \"projection\", .*, not 'identity'"),
        ({"stride_in_1x1": True}, r"ResNetConfig\.stride_in_1x1 needs bottleneck=True"),
    ],
)
def test_impossible_configs_name_their_field(changes, message):
    with pytest.raises(UsageError, match=message):
        model_config("resnet18", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 21}, r"ResNetCifarConfig\.depth must be 6n \+ 2, not 21: take 20 or 26"),
        ({"depth": 2}, r"ResNetCifarConfig\.depth must be a whole number >= 8, not 2"),
        ({"shortcut": None}, r"ResNetCifarConfig\.shortcut must be one of .*, not None"),
    ],
)
def test_impossible_cifar_configs_name_their_field(changes, message):
    with pytest.raises(UsageError, match=message):
        model_config("resnet20_cifar", **changes)

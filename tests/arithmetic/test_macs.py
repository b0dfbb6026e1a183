"""Multiply-accumulates against hand-computed layers and torch's own counter of floating-point operations."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from convatlas.arithmetic.macs import count_macs, count_parameters


@pytest.mark.parametrize(
    ("layer", "image", "macs"),
    [
        # Each of 8 x 14 x 14 outputs is a sum over 3 x 5 x 5 inputs.
        (nn.Conv2d(3, 8, 5), (3, 18, 18), 8 * 14 * 14 * 3 * 5 * 5),
        (nn.Conv2d(3, 8, 3, stride=2, padding=1), (3, 17, 18), 8 * 9 * 9 * 3 * 3 * 3),
        (nn.Conv2d(3, 8, 3, dilation=2, bias=False), (3, 10, 10), 8 * 6 * 6 * 3 * 3 * 3),
        (nn.Conv2d(3, 8, (1, 7), padding=(0, 3)), (3, 4, 9), 8 * 4 * 9 * 3 * 7),
        # Grouped: an output sees the inputs of its own group only. Depthwise: one.
        (nn.Conv2d(8, 12, 3, padding=1, groups=4), (8, 6, 6), 12 * 6 * 6 * 2 * 3 * 3),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (8, 6, 6), 8 * 6 * 6 * 3 * 3),
        (nn.Conv2d(8, 16, 1), (8, 6, 6), 16 * 6 * 6 * 8),
        (nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 7)), (3, 4, 5), 60 * 7),
        # Applied to every row of the last axis: 3 x 4 times 5 -> 7.
        (nn.Linear(5, 7), (3, 4, 5), 3 * 4 * 5 * 7),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2)), (1, 6, 6), 2 * 4 * 4 * 9),
        (nn.Sequential(nn.Flatten(2), nn.Conv1d(3, 6, 4, stride=4)), (3, 4, 4), 6 * 4 * 3 * 4),
        (nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Conv3d(1, 4, (3, 2, 2))), (3, 5, 5), 4 * 1 * 4 * 4 * 3 * 2 * 2),
        (nn.ReLU(), (3, 4, 5), 0),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else None,
)
def test_layers_by_hand(layer: nn.Module, image: tuple[int, int, int], macs: int) -> None:
    assert count_macs(layer, image) == macs


@pytest.mark.parametrize("seed", range(5))
def test_random_networks_have_half_of_torchs_floating_point_operations(seed: int) -> None:
    """torch counts a multiplication and an addition each, so twice as many."""
    chance = torch.Generator().manual_seed(seed)

    def draw(*choices: int) -> int:
        return choices[int(torch.randint(len(choices), (), generator=chance))]

    channels, layers = 4, []
    for _ in range(draw(2, 3, 4)):
        groups = draw(1, 2, 4)
        wider = channels * draw(1, 2)
        layers += [
            nn.Conv2d(channels, wider, draw(1, 3, 5), stride=draw(1, 2), padding=draw(0, 2), groups=groups),
            nn.BatchNorm2d(wider),
            nn.ReLU(),
        ]
        channels = wider
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, draw(3, 10))).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, 4, 37, 41))
    assert 2 * count_macs(network, (4, 37, 41)) == counter.get_total_flops() > 0


class Twice(nn.Module):
    """The same convolution twice over, as in a recurrent network."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(self.conv(x))
        return out


def test_a_layer_that_is_applied_twice_costs_twice_but_has_its_parameters_once() -> None:
    assert count_macs(Twice(), (2, 5, 5)) == 2 * (2 * 5 * 5 * 2 * 9)
    assert count_parameters(Twice()) == 2 * 2 * 9 + 2


def test_parameters_that_two_modules_share_count_once_and_frozen_ones_not() -> None:
    first, second, third = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    third.weight.requires_grad_(False)
    assert count_parameters(nn.Sequential(first, second, third)) == 16 + 4 + 4 + 4


class Stated(nn.Module):
    """A layer with arithmetic of its own: 5 for each number that it gives."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, ::2]

    def multiply_accumulates(self, output: Tensor) -> int:
        return 5 * output.numel()


class StatedWithParts(Stated):
    """The same, of layers that seem to do more."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), Stated())

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inside(x)
        return out


@pytest.mark.parametrize("stated", [Stated(), StatedWithParts()], ids=lambda each: type(each).__name__)
def test_a_module_may_state_its_own_with_those_of_its_parts(stated: nn.Module) -> None:
    assert count_macs(nn.Sequential(nn.Conv2d(1, 1, 1), stated), (1, 4, 4)) == 16 + 5 * 8
    assert count_macs(nn.Sequential(stated, nn.Conv2d(1, 1, 1)), (1, 4, 4)) == 5 * 8 + 8
    assert count_macs(stated, (1, 4, 4)) == 5 * 8  # the network itself


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(training: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
    network.train(training)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    count_macs(network, (3, 8, 8))
    assert network.training is training
    assert all(not module._forward_hooks for module in network.modules())
    for name, tensor in network.state_dict().items():
        assert tensor.device.type == "cpu"
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_half_precision_networks_are_counted_too() -> None:
    assert count_macs(nn.Conv2d(1, 1, 3).half(), (1, 5, 5)) == 81

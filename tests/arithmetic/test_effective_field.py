"""Effective receptive fields: the Gaussian of a stack of averages, and a network that is left as it was."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convatlas.arithmetic.field.effective import EffectiveField, effective_receptive_field
from convatlas.errors import UsageError

pytestmark = pytest.mark.row("A-05")


def averages(depth: int, kernel: int = 3) -> nn.Sequential:
    layers = [nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False) for _ in range(depth)]
    for layer in layers:
        nn.init.constant_(layer.weight, 1 / kernel**2)
    return nn.Sequential(*layers)


@pytest.mark.parametrize(("depth", "kernel"), [(1, 3), (5, 3), (12, 3), (4, 7)])
def test_a_stack_of_averages_has_the_deviation_of_a_sum_of_uniform_variables(depth: int, kernel: int) -> None:
    """Luo et al.: the influence is the kernel convolved n times, so variances of (k^2 - 1) / 12 add up."""
    field = effective_receptive_field(averages(depth, kernel), str(depth - 1), (1, 65, 65), count=1)
    deviation = math.sqrt(depth * (kernel**2 - 1) / 12)
    assert field.deviation == pytest.approx((deviation, deviation), rel=1e-5)
    assert field.centre == pytest.approx((32, 32), abs=1e-4)
    reach = depth * (kernel // 2)
    assert field.support == (range(32 - reach, 33 + reach), range(32 - reach, 33 + reach))


def test_it_fills_less_of_the_theoretical_field_the_deeper_the_network_is() -> None:
    """Luo et al.: it grows as the square root of the depth, so that the share shrinks."""
    shares = [
        effective_receptive_field(averages(depth), str(depth - 1), (1, 81, 81), count=1).side / (2 * depth + 1)
        for depth in (2, 5, 10, 20, 40)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.4


def test_area_and_side_by_hand() -> None:
    influence = np.zeros((5, 5))
    influence[2, 1:4] = [0.05, 1.0, 0.04]  # the border is at 0.0455 of the largest
    field = EffectiveField(influence=influence, unit=(0, 0))
    assert (field.area, field.side) == (2, math.sqrt(2))
    assert field.support == (range(2, 3), range(1, 4))


def test_dilation_leaves_gaps() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=2, dilation=2))
    field = effective_receptive_field(network, "0", (1, 9, 9), count=1)
    assert np.argwhere(field.influence).tolist() == [[row, column] for row in (2, 4, 6) for column in (2, 4, 6)]


def test_pictures_count_seed_and_unit() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 3, 3))
    one, again, other = (effective_receptive_field(network, "2", (2, 9, 9), count=2, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.influence, again.influence)
    assert not np.array_equal(one.influence, other.influence)
    pictures = torch.randn(2, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(effective_receptive_field(network, "2", pictures=pictures).influence, one.influence)
    corner = effective_receptive_field(network, "2", (2, 9, 9), unit=(0, 4))
    assert (corner.unit, corner.support) == ((0, 4), (range(5), range(4, 9)))
    single = [effective_receptive_field(network, "2", pictures=each[None]).influence for each in pictures]
    assert np.allclose(np.mean(single, axis=0), one.influence)


def test_a_dead_unit_moves_with_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU())
    nn.init.constant_(network[0].bias, -100.0)
    field = effective_receptive_field(network, "1", (1, 5, 5), count=2)
    assert (field.area, field.support) == (0, None)
    assert all(map(math.isnan, (*field.deviation, *field.centre)))


def test_what_a_later_layer_writes_in_place_does_not_count() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(inplace=True), nn.Sequential(nn.Conv2d(1, 1, 3)))
    nn.init.constant_(network[0].bias, -100.0)
    assert effective_receptive_field(network, "0", (1, 9, 9), count=1).area > 0
    assert effective_receptive_field(network, "2", (1, 9, 9), count=1).area == 0


# --- The network is left as it was


class Breaks(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError("broken on purpose")


def prepared() -> nn.Sequential:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Conv2d(2, 1, 3), Breaks())
    network[1].eval()  # modes are mixed
    network[0].weight.requires_grad_(requires_grad=False)
    network[3].weight.grad = torch.full_like(network[3].weight, 7.0)
    network[2].register_forward_hook(lambda *_: None)
    return network


def facts(network: nn.Module) -> list[object]:
    return [
        [(module.training, len(module._forward_hooks)) for module in network.modules()],
        [(p.requires_grad, None if p.grad is None else p.grad.tolist()) for p in network.parameters()],
        {name: value.tolist() for name, value in network.state_dict().items()},
        torch.get_rng_state().tolist(),
        torch.is_grad_enabled(),
    ]


@pytest.mark.parametrize("layer", ["3", "4", "nowhere"])
def test_modes_gradients_hooks_and_chance_are_as_before(layer: str) -> None:
    network = prepared()
    before = facts(network)
    if layer == "3":
        assert effective_receptive_field(network, layer, (1, 9, 9), count=2).area > 0
    else:
        with pytest.raises((RuntimeError, UsageError), match=r"broken on purpose|no layer 'nowhere'"):
            effective_receptive_field(network, layer, (1, 9, 9))
    assert facts(network) == before


def test_it_works_where_gradients_are_switched_off() -> None:
    with torch.no_grad():
        assert effective_receptive_field(averages(1), "0", (1, 9, 9), count=1).area == 9


# --- What cannot be measured


def test_bad_input_is_named() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten())
    with pytest.raises(UsageError, match="layer: '1' gives 1x9; a map"):
        effective_receptive_field(network, "1", (1, 5, 5))
    with pytest.raises(UsageError, match="count: expected 1 picture or more"):
        effective_receptive_field(network, "0", (1, 5, 5), count=0)
    with pytest.raises(UsageError, match=r"pictures: expected \(N, C, H, W\)"):
        effective_receptive_field(network, "0", pictures=torch.zeros(1, 5, 5))
    with pytest.raises(UsageError, match=r"unit: \(3, 0\) is outside the map of 3 x 3"):
        effective_receptive_field(network, "0", (1, 5, 5), unit=(3, 0))

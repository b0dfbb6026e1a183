"""Optimisers and schedules against torch's own."""

import math
import warnings

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from convatlas.engine import optimizer as module
from convatlas.engine.optimizer import load_optimizer, make_schedule, schedule_factor
from convatlas.engine.parts import parts
from convatlas.recipes.recipe import Recipe

pytestmark = pytest.mark.row("F-04")
STEPS = 7


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    return module.make_optimizer(network, parts(network), recipe)


def rates(recipe: Recipe) -> list[float]:
    """The learning rate of each step of the run, as the loop would see it."""
    optimizer = make_optimizer(nn.Linear(2, 2), recipe)
    schedule = make_schedule(optimizer, recipe, STEPS)
    seen = []
    for _ in range(recipe.epochs * STEPS):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def torch_rates(make, recipe: Recipe, every: int = 1) -> list[float]:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=recipe.lr)
    scheduler = make(optimizer)
    seen = []
    for step in range(recipe.epochs * STEPS):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if (step + 1) % every == 0:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                scheduler.step()
    return seen


def test_cosine_is_torch_s():
    recipe = Recipe(epochs=5, lr=0.2, schedule="cosine")
    assert rates(recipe) == pytest.approx(torch_rates(lambda o: CosineAnnealingLR(o, 5 * STEPS), recipe))


def test_step_is_torch_s():
    recipe = Recipe(epochs=9, lr=0.2, schedule="step", step_epochs=2, step_factor=0.3)
    assert rates(recipe) == pytest.approx(torch_rates(lambda o: StepLR(o, 2, 0.3), recipe, every=STEPS))


def test_one_cycle_has_the_peak_and_the_shape_of_torch_s():
    recipe = Recipe(epochs=10, lr=0.2, schedule="one-cycle", warmup_epochs=3.0)
    ours = rates(recipe)
    theirs = torch_rates(
        lambda o: OneCycleLR(o, 0.2, total_steps=10 * STEPS + 1, pct_start=0.3, div_factor=1e9, final_div_factor=1e9,
                             cycle_momentum=False), recipe
    )  # fmt: skip
    assert max(ours) == pytest.approx(0.2)
    assert ours.index(max(ours)) == 3 * STEPS
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 0.2 * 0.09  # ours starts above 0


def test_warm_up_rises_in_a_straight_line_from_above_zero():
    ours = rates(Recipe(epochs=5, lr=0.8, schedule="constant", warmup_epochs=1.0))
    assert ours[:STEPS] == pytest.approx([0.8 * (k + 1) / (STEPS + 1) for k in range(STEPS)])
    assert ours[STEPS:] == pytest.approx([0.8] * (4 * STEPS))


def test_a_schedule_taken_up_in_the_middle_goes_on_where_it_was():
    recipe = Recipe(epochs=5, lr=0.2, schedule="cosine", warmup_epochs=1.0)
    optimizer = make_optimizer(nn.Linear(2, 2), recipe)
    make_schedule(optimizer, recipe, STEPS, taken=13)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(rates(recipe)[13])


def test_the_last_rate_is_near_zero_and_never_negative():
    for schedule in ("cosine", "one-cycle"):
        factor = schedule_factor(Recipe(epochs=3, schedule=schedule), STEPS)
        assert 0 <= factor(3 * STEPS) < 1e-12
        assert 0 <= factor(4 * STEPS) < 1e-12


@pytest.mark.parametrize(("name", "kind"), [("sgd", "SGD"), ("adamw", "AdamW"), ("rmsprop", "RMSprop")])
def test_weight_decay_spares_biases_and_norms(name, kind):
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    optimizer = make_optimizer(network, Recipe(optimizer=name, lr=0.1, weight_decay=0.3))
    assert type(optimizer).__name__ == kind
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0.3 for p in group["params"]}
    spared = {id(p) for group in optimizer.param_groups if group["weight_decay"] == 0 for p in group["params"]}
    assert decayed == {id(network[0].weight), id(network[3].weight)}
    assert spared == {id(p) for p in network.parameters()} - decayed


def test_sgd_takes_the_step_that_its_formula_says():
    recipe = Recipe(optimizer="sgd", lr=0.1, momentum=0.0, weight_decay=0.5)
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 2.0)
    optimizer = make_optimizer(layer, recipe)
    layer.weight.grad = torch.tensor([[3.0]])
    optimizer.step()
    assert layer.weight.item() == pytest.approx(2.0 - 0.1 * (3.0 + 0.5 * 2.0))
    assert math.isfinite(layer.weight.item())


@pytest.mark.parametrize(("device", "fused"), [(None, True), ("cpu", True), ("cuda", True), ("mps", False)])
def test_steps_are_fused_where_that_has_been_tried(device, fused):
    network = nn.Linear(2, 2)
    where = None if device is None else torch.device(device)
    for name in ("sgd", "adamw"):
        optimizer = module.make_optimizer(network, parts(network), Recipe(optimizer=name, lr=0.1), where)
        assert {bool(group["fused"]) for group in optimizer.param_groups} == {fused}


def small_network() -> nn.Module:
    torch.manual_seed(3)
    layers = nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def take_steps(network: nn.Module, optimizer: torch.optim.Optimizer, first: int, last: int) -> None:
    for step in range(first, last):
        torch.manual_seed(step)
        optimizer.zero_grad()
        network(torch.randn(4, 2, 8, 8)).square().mean().backward()
        optimizer.step()


SGD_AND_ADAMW = pytest.mark.parametrize(
    "recipe",
    [
        Recipe(optimizer="sgd", lr=0.1, weight_decay=0.1),
        Recipe(optimizer="sgd", lr=0.1, momentum=0.0),
        Recipe(optimizer="adamw", lr=0.01, weight_decay=0.1),
    ],
    ids=["sgd", "sgd without momentum", "adamw"],
)


@SGD_AND_ADAMW
def test_fused_steps_are_the_plain_ones(recipe, monkeypatch):
    ends = []
    for on in (module.FUSED_ON, ()):
        monkeypatch.setattr(module, "FUSED_ON", on)
        network = small_network()
        optimizer = make_optimizer(network, recipe)
        assert all(bool(group["fused"]) is bool(on) for group in optimizer.param_groups)
        take_steps(network, optimizer, 0, 5)
        ends.append([parameter.detach() for parameter in network.parameters()])
    before = list(small_network().parameters())
    for fused, plain, start in zip(*ends, before, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(fused, start.detach(), atol=1e-3)


@SGD_AND_ADAMW
def test_a_state_that_was_written_contiguous_goes_on_as_if_it_had_not_been(recipe):
    """Fused steps pair numbers by their place in memory: a state in another order would be another's."""
    straight = small_network()
    optimizer = make_optimizer(straight, recipe)
    take_steps(straight, optimizer, 0, 3)
    again = small_network()
    again.load_state_dict(straight.state_dict())
    state = optimizer.state_dict()
    state["state"] = {
        index: {name: value.contiguous().clone() for name, value in values.items() if value is not None}
        for index, values in state["state"].items()
    }
    other = make_optimizer(again, recipe)
    load_optimizer(other, state)
    take_steps(straight, optimizer, 3, 5)
    take_steps(again, other, 3, 5)
    for one, two in zip(straight.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_parameter_that_has_no_gradient_at_first_learns_later_as_the_plain_optimiser_has_it(monkeypatch):
    """A part that is unfrozen later, a block that stochastic depth dropped in the first step."""
    ends = []
    for on in (module.FUSED_ON, ()):
        monkeypatch.setattr(module, "FUSED_ON", on)
        network = small_network()
        optimizer = make_optimizer(network, Recipe(optimizer="sgd", lr=0.1))
        network[0].requires_grad_(requires_grad=False)
        take_steps(network, optimizer, 0, 2)
        network[0].requires_grad_(requires_grad=True)
        take_steps(network, optimizer, 2, 4)
        ends.append([parameter.detach() for parameter in network.parameters()])
    for fused, plain in zip(*ends, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-4, atol=1e-5)

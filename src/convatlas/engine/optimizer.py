"""The optimiser and the learning rate's schedule that a recipe asks for; both are torch's."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from convatlas.engine.parts import Part, learning_parts, rate_factor
from convatlas.recipes.recipe import Recipe

FUSED_ON = ("cpu", "cuda")  # where torch's one pass over all parameters has been tried


def make_optimizer(
    network: nn.Module, all_parts: Sequence[Part], recipe: Recipe, device: torch.device | None = None
) -> torch.optim.Optimizer:
    """SGD, AdamW or RMSprop; weight decay only on the weights of convolutions and dense layers.

    On the CPU and on CUDA torch's fused SGD and AdamW; RMSprop has none. device: where the steps will be taken,
    where that is not where the network is.

    Biases, norms, and what is added to a map or to tokens, as ViT's class token and position embeddings, do not decay.

    Each group has a `rate_factor`: the share of the learning rate at which its part of the network learns. What never
    learns is in no group.
    """
    assert recipe.lr is not None, "a plan decides the learning rate before a run starts"
    ever = learning_parts(all_parts, recipe, recipe.epochs)
    factors = {name: rate_factor(part, recipe) for part in ever for name in part.parameters}
    members: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if name in factors:
            decays = parameter.dim() > 1 and name.rpartition(".")[2] == "weight"
            members.setdefault((factors[name], decays), []).append(parameter)
    groups = [
        {
            "params": parameters,
            "weight_decay": recipe.weight_decay if decays else 0.0,
            "lr": recipe.lr * factor,
            "rate_factor": factor,
        }
        for (factor, decays), parameters in sorted(members.items(), key=lambda item: item[0], reverse=True)
    ]
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=recipe.lr, momentum=recipe.momentum, eps=1e-3)
    devices = {parameter.device.type for parameter in network.parameters()} if device is None else {device.type}
    fused = devices <= set(FUSED_ON) and all(parameter.is_floating_point() for parameter in network.parameters())
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, fused=fused or None)
    nesterov = recipe.nesterov and recipe.momentum > 0
    sgd = torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=fused or None)
    if fused and recipe.momentum:
        # Fused, torch's first step must find a gradient for every parameter, which one that learns later has not. From
        # zeros the first step is the same.
        for group in sgd.param_groups:
            for parameter in group["params"]:
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load a state dict, each tensor laid out in memory as its parameter is: fused steps go by places in memory."""
    optimizer.load_state_dict(dict(state))
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                values[name] = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)


def make_schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int, *, taken: int = 0
) -> LambdaLR:
    """The schedule, as if `taken` steps of the optimiser had been made already."""
    assert recipe.lr is not None, "a plan decides the learning rate before a run starts"
    for group in optimizer.param_groups:
        group["initial_lr"] = recipe.lr * group["rate_factor"]
    return LambdaLR(optimizer, schedule_factor(recipe, steps_per_epoch), last_epoch=taken - 1)


def schedule_factor(recipe: Recipe, steps_per_epoch: int) -> Callable[[int], float]:
    """Step of the optimiser, from 0 -> what the largest learning rate is multiplied by, 0..1.

    one-cycle (Smith 2018) rises along a half cosine during warmup_epochs (a third of the run when that is 0), then
    falls along one; the others rise in a straight line.
    """
    total = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if recipe.schedule == "one-cycle" and warmup == 0:
        warmup = round(total / 3)

    def factor(step: int) -> float:
        if step < warmup:
            part = (step + 1) / (warmup + 1)
            return (1 - math.cos(math.pi * part)) / 2 if recipe.schedule == "one-cycle" else part
        if recipe.schedule == "constant":
            return 1.0
        if recipe.schedule == "step":
            return recipe.step_factor ** (step // (recipe.step_epochs * steps_per_epoch))
        part = (step - warmup) / max(1, total - warmup)
        return (1 + math.cos(math.pi * min(1.0, part))) / 2

    return factor

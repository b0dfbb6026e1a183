"""What a run will cost, before it is started: memory counted from one step, time measured on a few."""

import math
import statistics
import time
from dataclasses import dataclass

import torch

from convatlas.engine.device import make_accelerator
from convatlas.engine.optimizer import make_optimizer
from convatlas.engine.plan import Plan
from convatlas.engine.seeding import prepare_torch, seed_all
from convatlas.engine.session import plan_statistics
from convatlas.engine.step import TrainStep
from convatlas.layers.normalize import Normalize
from convatlas.models import create_model
from convatlas.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Memory in bytes: weights, gradients, the optimiser's state and the tensors kept for the backward pass.

    Measured here: the median of a few steps with made-up pixels. Reading pictures and validation come on top.
    """

    parameters: int
    memory_bytes: int
    steps: int  # batches forward and back
    seconds_per_step: float
    seconds: float
    device: str


def estimate_training(plan: Plan, task: Task, train_pictures: int, *, steps: int = 3) -> Estimate:
    """Build the network of the plan, take `steps` steps on random pixels, and scale up to the whole run."""
    recipe = plan.recipe
    prepare_torch(threads=recipe.threads, deterministic=recipe.deterministic)
    accelerator = make_accelerator(plan.device, recipe.precision)
    seed_all(recipe.seed, epoch=0)
    network = create_model(plan.model, **plan.changes)
    module = TrainStep(Normalize(*plan_statistics(plan)), network, task, recipe)
    step, optimizer = accelerator.prepare(module, make_optimizer(network, recipe))
    batch = min(recipe.batch_size, train_pictures)
    shape = (batch, plan.preprocess.channels, plan.preprocess.height, plan.preprocess.width)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, device=accelerator.device)
    kind = torch.uint8 if plan.task == "multilabel" else torch.int64
    labels = torch.zeros((batch, len(plan.classes)) if plan.task == "multilabel" else (batch,), dtype=kind)
    labels = labels.to(accelerator.device)

    kept: dict[int, int] = {}

    own = {parameter.data_ptr() for parameter in network.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    durations = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            losses = step(pixels, labels)
            loss = torch.stack([value.mean() for value in losses.values()]).sum()
        accelerator.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        float(loss.detach())  # waits for the device
        durations.append(time.perf_counter() - started)
        if len(durations) == 1:
            activations = sum(kept.values())
            kept.clear()

    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    state = sum(
        value.numel() * value.element_size()
        for group in optimizer.state.values()
        for value in group.values()
        if isinstance(value, torch.Tensor)
    )
    per_epoch = math.ceil(train_pictures / recipe.batch_size)
    seconds = statistics.median(durations[1:])
    return Estimate(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        memory_bytes=2 * weights + state + activations,
        steps=per_epoch * recipe.epochs,
        seconds_per_step=seconds,
        seconds=seconds * per_epoch * recipe.epochs,
        device=str(accelerator.device),
    )

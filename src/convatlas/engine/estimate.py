"""What a run will cost, before it is started: memory counted from one step, time measured on a few."""

import math
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.engine.device import make_accelerator
from convatlas.engine.features import classifier_alone
from convatlas.engine.in_parts import InParts, Say
from convatlas.engine.memory import batch_in_memory
from convatlas.engine.optimizer import make_optimizer
from convatlas.engine.parts import parts, set_learning
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
    steps: int  # batches forward and back; or forward alone and one pass, where features are computed once
    seconds_per_step: float
    seconds: float
    device: str


def estimate_training(plan: Plan, task: Task, train_pictures: int, *, say: Say, steps: int = 3) -> Estimate:
    """Build the network of the plan, take `steps` steps on random pixels, and scale up to the whole run.

    Raises BatchTooLargeError where a batch of the plan does not fit into memory. Where features are computed once,
    `say` is told, and OutOfMemoryError raised when not even one picture fits.
    """
    recipe = plan.recipe
    prepare_torch(threads=recipe.threads, deterministic=recipe.deterministic)
    accelerator = make_accelerator(plan.device, recipe.precision)
    seed_all(recipe.seed, epoch=0)
    network = create_model(plan.model, **plan.changes)
    if recipe.channels_last:
        network.to(memory_format=torch.channels_last)
    module = TrainStep(Normalize(*plan_statistics(plan)), network, task, recipe)
    all_parts = parts(network)
    step, optimizer = accelerator.prepare(module, make_optimizer(network, all_parts, recipe, accelerator.device))
    set_learning(network, all_parts, recipe, recipe.epochs)  # as in the last epoch, when most of it learns
    once = classifier_alone(recipe, network, plan.preprocess.shape) is not None
    pixels, labels = _made_up_batch(plan, min(recipe.batch_size, train_pictures), accelerator.device)

    def forward(part: Tensor) -> Tensor:
        return torch.stack(list(step(part, labels[: len(part)]).values())).sum(dim=0)

    in_parts = InParts(forward, what="the estimate", say=say)  # as the features will be computed

    def forward_and_back() -> None:
        loss = (in_parts if once else forward)(pixels).mean()
        if not once:
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        float(loss.detach())  # waits for the device

    with torch.set_grad_enabled(not once), batch_in_memory(plan, network, train_pictures):
        activations = _kept_for_backward(network, forward_and_back)
        seconds = statistics.median(_seconds(forward_and_back) for _ in range(steps))
    count = math.ceil(train_pictures / recipe.batch_size) * (1 if once else recipe.epochs)
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    state = [value for group in optimizer.state.values() for value in group.values() if isinstance(value, torch.Tensor)]
    return Estimate(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        memory_bytes=_bytes(network.parameters()) + _bytes(learning) + _bytes(state) + activations,
        steps=count,
        seconds_per_step=seconds,
        seconds=seconds * count,
        device=str(accelerator.device),
    )


def _made_up_batch(plan: Plan, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    shape = (count, plan.preprocess.channels, plan.preprocess.height, plan.preprocess.width)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    if plan.task == "multilabel":
        return pixels, torch.zeros((count, len(plan.classes)), dtype=torch.uint8, device=device)
    return pixels, torch.zeros(count, dtype=torch.int64, device=device)


def _kept_for_backward(network: nn.Module, forward_and_back: Callable[[], None]) -> int:
    """Bytes of the tensors that the backward pass needs, beside the parameters."""
    own = {parameter.data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward_and_back()
    return sum(kept.values())


def _seconds(action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

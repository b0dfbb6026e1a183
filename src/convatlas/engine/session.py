"""Everything that a training run holds in memory, and how it goes into a checkpoint and comes back."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from convatlas.data.loader import Batch, Pictures, Readable, make_loader
from convatlas.engine.checkpoint import Checkpoint
from convatlas.engine.deploy import Deployed
from convatlas.engine.device import make_accelerator
from convatlas.engine.logs import read_rows
from convatlas.engine.optimizer import load_optimizer, make_optimizer, make_schedule
from convatlas.engine.parts import Part, parts
from convatlas.engine.plan import Plan
from convatlas.engine.step import TrainStep
from convatlas.errors import CheckpointError
from convatlas.tasks.family import decode_for
from convatlas.tasks.task import Task
from convatlas.types import EpochRow, best_epoch, last_gain

Tensors = tuple[Tensor, ...] | list[Tensor]
Averaging = Callable[[Tensors, Tensors, Tensor | int], None]


@dataclass
class Progress:
    """How far a run is: what a checkpoint keeps beside tensors."""

    epochs: int = 0
    steps: int = 0
    history: list[EpochRow] = dataclasses.field(default_factory=list)
    scaler: dict[str, float] = dataclasses.field(default_factory=dict)  # of float16's loss scaling

    def add(self, row: EpochRow) -> bool:
        """Note the epoch; True when it is the best so far."""
        self.epochs = row.epoch
        self.history.append(row)
        return best_epoch(self.history) is row

    @property
    def best_epoch(self) -> int:
        """0 before the first."""
        return best_epoch(self.history).epoch if self.history else 0

    def out_of_patience(self, patience: int | None) -> bool:
        """Whether so many epochs have gone by without a better score."""
        return patience is not None and bool(self.history) and self.epochs - last_gain(self.history).epoch >= patience

    def to_dict(self) -> dict[str, object]:
        """JSON-ready; `from_dict` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Progress":
        """Raises CheckpointError when a value is missing or there is one too many."""
        try:
            return cls(**{**values, "history": read_rows(values["history"])})
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"the checkpoint's progress cannot be read: {error}") from error


@dataclass(kw_only=True)
class Session:
    """network: the one that is trained. average: its moving average, or None. judged: what validation measures.

    step and optimizer are Accelerate's, ready for its devices; bare_optimizer is torch's own underneath.
    """

    accelerator: Accelerator
    network: nn.Module
    parts: tuple[Part, ...]
    average: AveragedModel | None
    judged: Deployed
    step: nn.Module
    optimizer: torch.optim.Optimizer
    bare_optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    train_loader: DataLoader[Batch]
    val_loader: DataLoader[Batch]
    shuffling: torch.Generator  # decides the order of an epoch's pictures
    progress: Progress

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return float(self.bare_optimizer.param_groups[0]["lr"])

    def checkpoint(self) -> Checkpoint:
        """The state as it is now."""
        scaler = self.accelerator.scaler
        self.progress.scaler = {} if scaler is None else scaler.state_dict()
        return Checkpoint(
            network=self.network.state_dict(),
            average=None if self.average is None else self.average.state_dict(),
            optimizer=self.bare_optimizer.state_dict(),
            progress=self.progress.to_dict(),
        )


def start_session(
    plan: Plan,
    task: Task,
    network: nn.Module,
    normalize: nn.Module,
    train: Readable,
    val: Readable,
    *,
    checkpoint: Checkpoint | None = None,
) -> Session:
    """Build everything by the plan around a network, as it is given or as the checkpoint left it."""
    recipe = plan.recipe
    accelerator = make_accelerator(plan.device, recipe.precision, recipe.accumulate)
    if recipe.channels_last:
        network.to(memory_format=torch.channels_last)
    all_parts = parts(network)
    bare_optimizer = make_optimizer(network, all_parts, recipe, accelerator.device)
    progress = Progress()
    if checkpoint is not None:
        load_state(network, checkpoint.network)
        load_optimizer(bare_optimizer, checkpoint.optimizer)
        progress = Progress.from_dict(checkpoint.progress)

    shuffling = torch.Generator()
    step, optimizer, train_loader, val_loader = accelerator.prepare(
        TrainStep(normalize, network, task, recipe),
        bare_optimizer,
        _train_loader(plan, train, shuffling, accelerator.device),
        _val_loader(plan, val, accelerator.device),
    )
    average = None
    if recipe.ema_decay:
        average = AveragedModel(network, multi_avg_fn=_moving_average(recipe.ema_decay), use_buffers=True)
        if checkpoint is not None and checkpoint.average is not None:
            load_state(average, checkpoint.average)
    if accelerator.scaler is not None and progress.scaler:
        accelerator.scaler.load_state_dict(progress.scaler)
    steps_per_epoch = math.ceil(len(train_loader) / recipe.accumulate)
    return Session(
        accelerator=accelerator,
        network=network,
        parts=all_parts,
        average=average,
        judged=Deployed(normalize, network if average is None else average.module, decode_for(plan.model)),
        step=step,
        optimizer=optimizer,
        bare_optimizer=bare_optimizer,
        schedule=make_schedule(bare_optimizer, recipe, steps_per_epoch, taken=progress.steps),
        train_loader=train_loader,
        val_loader=val_loader,
        shuffling=shuffling,
        progress=progress,
    )


def plan_statistics(plan: Plan) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the plan's channels, which it decided from the recipe or the data."""
    assert plan.recipe.mean is not None and plan.recipe.std is not None, "a plan decides them before a run starts"
    return plan.recipe.mean, plan.recipe.std


def load_state(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load exactly these tensors. Raises CheckpointError, naming them, when they are another network's."""
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        raise CheckpointError(f"the checkpoint does not fit the network of its plan: {error}") from error


def _moving_average(decay: float) -> Averaging:
    """torch's exponential moving average, with a decay that grows up to `decay`: (1 + n) / (10 + n) after n updates.

    A short run would otherwise end with an average of its first, untrained weights.
    """

    def update(average: Tensors, current: Tensors, updates: Tensor | int) -> None:
        if not average[0].is_floating_point():  # a count, an index: torch would average and cut off what is behind 0
            for kept, new in zip(average, current, strict=True):
                kept.copy_(new)
            return
        reached = min(decay, (1 + int(updates)) / (10 + int(updates)))
        get_ema_multi_avg_fn(reached)(average, current, updates)  # type: ignore[no-untyped-call]

    return update


def _train_loader(plan: Plan, train: Readable, shuffling: torch.Generator, device: torch.device) -> DataLoader[Batch]:
    recipe = plan.recipe
    at_hand = train.kept is not None and recipe.crop_area == 1 and recipe.auto_augment == "none"
    workers = _workers(plan, device, at_hand=at_hand)
    pictures = Pictures(
        train.pictures,
        plan.preprocess,
        kept=train.kept,
        crop_area=recipe.crop_area,
        auto_augment=recipe.auto_augment,
        threads=_reading_threads(plan, workers),
    )
    return make_loader(
        pictures,
        batch_size=recipe.batch_size,
        shuffle=True,
        workers=workers,
        generator=shuffling,
    )


def _val_loader(plan: Plan, val: Readable, device: torch.device) -> DataLoader[Batch]:
    workers = _workers(plan, device, at_hand=val.kept is not None)
    return make_loader(
        Pictures(val.pictures, plan.preprocess, kept=val.kept, threads=_reading_threads(plan, workers)),
        batch_size=max(plan.recipe.batch_size, 16),
        shuffle=False,
        workers=workers,
    )


def _workers(plan: Plan, device: torch.device, *, at_hand: bool) -> int:
    """As the recipe says; by default one for each processor where these wait for a GPU, and something is to decode.

    Where the processors do the arithmetic, threads decode in between: processes beside it took as much from it as they
    gave, and begin anew with each epoch.
    """
    if plan.recipe.workers is not None:
        return plan.recipe.workers
    return 0 if at_hand or device.type == "cpu" else min(plan.recipe.threads or 1, 8)


def _reading_threads(plan: Plan, workers: int) -> int:
    return 1 if workers else plan.recipe.threads or 1

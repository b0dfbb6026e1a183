"""The training loop, written out. It knows of batches and losses, and nothing of labels, boxes or masks."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from convatlas.data.loader import Readable, batches
from convatlas.engine.checkpoint import load_checkpoint, save_checkpoint
from convatlas.engine.deploy import Deployed, without_auxiliary
from convatlas.engine.evaluate import answer_all
from convatlas.engine.in_parts import InParts
from convatlas.engine.logs import TensorBoard, write_csv
from convatlas.engine.memory import batch_in_memory
from convatlas.engine.observer import Observer
from convatlas.engine.parts import set_learning
from convatlas.engine.plan import Plan
from convatlas.engine.run import RunFolder
from convatlas.engine.seeding import epoch_seed, seed_all
from convatlas.engine.session import Session, load_state, start_session
from convatlas.errors import TrainingError
from convatlas.metrics.summary import Summary
from convatlas.recipes.recipe import Recipe
from convatlas.tasks.family import decode_for
from convatlas.tasks.task import Task
from convatlas.types import EpochRow

UNREAD = 16  # steps whose losses wait to be read together on a GPU, which would stand still at each reading


@dataclass(frozen=True, kw_only=True)
class Trained:
    """deployed: the network with its best weights, on the CPU, in evaluation mode. best_epoch counts from 1."""

    deployed: Deployed
    history: tuple[EpochRow, ...]
    best_epoch: int
    stopped_early: bool


def train_network(
    plan: Plan,
    task: Task,
    network: nn.Module,
    normalize: nn.Module,
    train: Readable,
    val: Readable,
    run: RunFolder,
    *,
    resume: bool = False,
    tensorboard: bool = False,
    observer: Observer,
) -> Trained:
    """Train a network by the plan; after each epoch the last and best checkpoint and the log are in the run's folder.

    network: on the CPU, with the weights to start from; in the end it has the best ones. normalize: what is done to the
    pixels before. resume: go on from the run's last checkpoint; the result is that of a run that was never stopped.
    Raises TrainingError when the loss is not finite, BatchTooLargeError when memory runs out in a step,
    OutOfMemoryError when not even one picture can be validated, CheckpointError when there is nothing to resume from.
    """
    recipe = plan.recipe
    checkpoint = load_checkpoint(run.last) if resume else None
    session = start_session(plan, task, network, normalize, train, val, checkpoint=checkpoint)
    progress = session.progress
    judged = InParts(session.judged, what="validation", say=lambda words: observer.halved(plan, words))
    board = TensorBoard(run.path / "tensorboard") if tensorboard and session.accelerator.is_main_process else None
    try:
        if not resume:
            _save(session, run, best=False)  # a full disk or a wrong place shows now, not after an epoch

        while progress.epochs < recipe.epochs and not progress.out_of_patience(recipe.patience):
            epoch = progress.epochs + 1
            learning_rate = session.learning_rate
            started = time.perf_counter()
            with batch_in_memory(plan, network, len(train.pictures)), _enough_for_batch_norm(plan):
                train_loss, images = _train_epoch(session, epoch, recipe, train, run, observer)
            seconds = time.perf_counter() - started
            summary = _validate(session, judged, task, val, run)
            row = EpochRow(
                epoch=epoch,
                learning_rate=learning_rate,
                train_loss=train_loss,
                val_loss=summary.loss,
                val_loss_error=summary.loss_error,
                val_score=task.score(summary),
                seconds=seconds,
                images_per_second=images / seconds,
            )
            best = progress.add(row)
            _save(session, run, best=best)
            if board is not None:
                board.add(row)
            observer.epoch_done(row, best=best)
    finally:  # also where the run goes on with a smaller batch, and writes anew
        if board is not None:
            board.close()
    session.accelerator.wait_for_everyone()
    return Trained(
        deployed=_best(plan, session.network, normalize, run),
        history=tuple(progress.history),
        best_epoch=progress.best_epoch,
        stopped_early=progress.epochs < recipe.epochs,
    )


def _train_epoch(
    session: Session,
    epoch: int,
    recipe: Recipe,
    train: Readable,
    run: RunFolder,
    observer: Observer,
) -> tuple[float, int]:
    """One pass over the training pictures -> the mean loss and the number of pictures."""
    accelerator, progress = session.accelerator, session.progress
    seed_all(recipe.seed, epoch)
    session.shuffling.manual_seed(epoch_seed(recipe.seed, epoch))
    session.step.train()
    set_learning(session.network, session.parts, recipe, epoch)
    images, total = 0, torch.zeros((), device=accelerator.device)
    unread: list[_Step] = []
    many = len(session.train_loader)
    together = 1 if accelerator.device.type == "cpu" else UNREAD
    for number, batch in enumerate(batches(session.train_loader), start=1):
        _announce(session.network, (epoch - 1 + (number - 1) / many) / recipe.epochs)
        with accelerator.accumulate(session.step):
            losses = session.step(batch.pixels, batch.labels)
            loss = torch.stack([value.mean() for value in losses.values()]).sum()
            seen = {name: values.detach() for name, values in losses.items()}
            unread.append(_Step(progress.steps + 1, session.learning_rate, loss.detach(), seen, batch.places))
            if len(unread) == together or number == many:
                _check_finite(unread, train, epoch, run)
                unread.clear()
            # Accelerate takes all batches of a step as equal, and none as missing; an epoch's last step may have fewer.
            share = _share(number, len(batch.places), many, recipe, len(train.pictures))
            accelerator.backward(loss * share * recipe.accumulate)
            if accelerator.sync_gradients and recipe.clip_norm is not None:
                accelerator.clip_grad_norm_(session.network.parameters(), recipe.clip_norm)
            session.optimizer.step()
            session.optimizer.zero_grad()
            if accelerator.sync_gradients:
                progress.steps += 1
                session.schedule.step()
                if session.average is not None:
                    session.average.update_parameters(session.network)
        images += len(batch.places)
        total += loss.detach() * len(batch.places)
        observer.batch_done(epoch, number, many, images * accelerator.num_processes)
    return float(total) / images, images * accelerator.num_processes


@contextlib.contextmanager
def _enough_for_batch_norm(plan: Plan) -> Iterator[None]:
    """Raise TrainingError in the place of torch's error of a BatchNorm that was given a single value."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise TrainingError(
            f"a BatchNorm of {plan.model} cannot learn from one picture of {plan.preprocess.width} x "
            f"{plan.preprocess.height}: batch_size must be 2 or more, and so must the training pictures be"
        ) from error


def _share(number: int, size: int, many: int, recipe: Recipe, pictures: int) -> float:
    """The part that a batch has in its step of the optimiser: its pictures among those of all batches of the step.

    number: of the batch, from 1, of the `many` of an epoch. size: its pictures, where the whole set has `pictures`.
    """
    first = (number - 1) // recipe.accumulate * recipe.accumulate  # batches before the step
    last = min(first + recipe.accumulate, many)
    return size / (min(last * recipe.batch_size, pictures) - first * recipe.batch_size)


def _announce(network: nn.Module, progress: float) -> None:
    """Tell a network that schedules something of its own, as NASNet its drop path, how far training is, from 0 to 1."""
    set_progress: Callable[[float], None] | None = getattr(network, "set_progress", None)
    if set_progress is not None:
        set_progress(progress)


def _validate(session: Session, judged: nn.Module, task: Task, val: Readable, run: RunFolder) -> Summary:
    answers = answer_all(judged, session.val_loader, session.accelerator)
    names = [val.pictures.names[place] for place in answers.places]
    bad = np.flatnonzero(~np.isfinite(answers.logits).all(axis=1))
    if len(bad):
        raise TrainingError(
            f"the answers on validation pictures are not finite after step {session.progress.steps} (epoch "
            f"{session.progress.epochs + 1}), learning rate {session.learning_rate:.3g}: "
            f"{_some([names[place] for place in bad])}. "
            f"A lower lr or clip_norm may help. The last good checkpoint is kept in {run.last}"
        )
    return task.summarise(answers.logits, answers.labels, names=names, split="val", temperature=1.0)


def _save(session: Session, run: RunFolder, *, best: bool) -> None:
    if not session.accelerator.is_main_process:
        return
    checkpoint = session.checkpoint()
    if best:  # first: a run that is killed between the two repeats the epoch, and finds the same again
        save_checkpoint(run.best, checkpoint)
    save_checkpoint(run.last, checkpoint)
    write_csv(run.log, session.progress.history)


def _best(plan: Plan, network: nn.Module, normalize: nn.Module, run: RunFolder) -> Deployed:
    """The network with the weights of the best checkpoint: their moving average where there is one."""
    checkpoint = load_checkpoint(run.best)
    state: Mapping[str, Tensor] = checkpoint.network
    if checkpoint.average is not None:
        prefix = "module."  # beside them AveragedModel keeps a count of its updates
        state = {k.removeprefix(prefix): v for k, v in checkpoint.average.items() if k.startswith(prefix)}
    network.to("cpu", memory_format=torch.contiguous_format).requires_grad_(requires_grad=True)  # type: ignore[call-overload]
    load_state(network, state)
    return Deployed(normalize.to("cpu"), without_auxiliary(network), decode_for(plan.model)).eval()


@dataclass(frozen=True)
class _Step:
    """What is needed of a step to say that its loss was not finite. places: of its pictures in the training set."""

    number: int
    learning_rate: float
    loss: Tensor
    losses: Mapping[str, Tensor]
    places: Tensor


def _check_finite(steps: Sequence[_Step], train: Readable, epoch: int, run: RunFolder) -> None:
    """Raise the error that names the first step that was not finite; to read a number, one waits for the device."""
    finite = torch.isfinite(torch.stack([step.loss for step in steps])).tolist()
    if not all(finite):
        raise _not_finite(steps[finite.index(False)], train, epoch, run)


def _not_finite(step: _Step, train: Readable, epoch: int, run: RunFolder) -> TrainingError:
    """The error that says where and on what; the checkpoint of the last whole epoch is not touched."""
    parts = []
    for name, values in step.losses.items():
        bad = step.places[~torch.isfinite(values)].tolist()
        if bad:
            names = [train.pictures.names[place] for place in bad]
            parts.append(f"{name} of {len(bad)} of {len(values)} pictures ({_some(names)})")
    if not parts:
        places = step.places.tolist()
        parts.append(f"the mean over the batch ({_some([train.pictures.names[place] for place in places])})")
    return TrainingError(
        f"the loss is not finite at step {step.number} (epoch {epoch}), learning rate "
        f"{step.learning_rate:.3g}: {'; '.join(parts)}. A lower lr or clip_norm may help. "
        f"The last good checkpoint is kept in {run.last}"
    )


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")

"""Progress of training on a terminal: a bar with speed and time left, and a line for each epoch. Quiet in a pipe."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from convatlas.cli.output import err, note
from convatlas.engine.observer import Observer
from convatlas.types import EpochRow
from convatlas.weights import weight_set

if TYPE_CHECKING:
    from convatlas.data.picture_set import DataSplits
    from convatlas.engine.plan import Plan
    from convatlas.engine.run import RunFolder

PIPE_INTERVAL = 30.0  # seconds between lines where there is no terminal


class TrainingProgress(Observer):
    """Says what was planned, then shows a bar over the reading and one over the run; elsewhere a line now and then."""

    def __init__(self) -> None:
        console = err()
        self.run: RunFolder | None = None  # until there is a plan
        self._epochs = 0
        self._score_name = ""
        self._epoch_started = self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            redirect_stdout=False,
        )
        self._task = self._bar.add_task("", total=None, speed="")

    def stop(self) -> None:
        """Take the bar away; again does no harm."""
        self._bar.stop()

    def fetching(self, done: int, total: int | None) -> None:
        """Move the bar of the download of published weights."""
        self._bar.start()
        self._bar.update(
            self._task, completed=done, total=total, description="fetching weights", speed=f"{done / 1e6:,.1f} MB"
        )

    def planned(self, plan: "Plan", run: "RunFolder", splits: "DataSplits") -> None:
        """Say what will be trained on what, and where it goes."""
        self.run = run
        self._epochs = plan.recipe.epochs
        self._score_name = "top-1" if plan.task == "classify" else "mAP"
        counts = [f"{len(splits.train):,} training", f"{len(splits.val):,} validation"]
        if splits.test is not None:
            counts.append(f"{len(splits.test):,} test")
        note(f"{plan.model} on {Path(plan.data).name}: {len(plan.classes)} classes, {', '.join(counts)} pictures")
        if plan.origins["model"].startswith("auto: "):
            note(f"network {plan.model}: {plan.origins['model'].removeprefix('auto: ')}")
        note(f"strategy {plan.start.strategy}: {plan.start.reason}{_terms(plan)}")
        note(f"recipe {plan.recipe_name} ({plan.origins['recipe'].removeprefix('auto: ')}); run in {run.path}")
        for warning in splits.warnings:
            note(f"warning: {warning}")
        self._bar.start()

    def reading(self, done: int, total: int) -> None:
        """Move the bar of the reading."""
        self._bar.update(self._task, completed=done, total=total, description="reading", speed=f"{done:,} pictures")

    def caching(self, done: int, total: int) -> None:
        """Move the bar of the features."""
        self._bar.update(
            self._task, completed=done, total=total, description="computing features", speed=f"{done:,} pictures"
        )

    def batch_done(self, epoch: int, batch: int, batches: int, images: int) -> None:
        """Move the bar of the training."""
        if epoch == 1 and batch == 1:
            self._bar.reset(self._task, total=float(self._epochs), speed="")  # the time left counts from here
        if batch == 1:
            self._epoch_started = time.monotonic()
        elapsed = max(1e-9, time.monotonic() - self._epoch_started)
        self._bar.update(
            self._task,
            completed=epoch - 1 + batch / batches,
            total=float(self._epochs),
            description=f"epoch {epoch}/{self._epochs}",
            speed=f"{images / elapsed:,.0f} images/s" if batch > 1 else "",
        )

    def epoch_done(self, row: EpochRow, *, best: bool) -> None:
        """Write the epoch's line: each on a terminal, in a pipe one in half a minute and the last."""
        now = time.monotonic()
        if self._bar.disable and row.epoch != self._epochs and now - self._last_line < PIPE_INTERVAL:
            return
        self._last_line = now
        line = (
            f"epoch {row.epoch:>3}/{self._epochs}  loss {row.train_loss:.4f}  validation loss {row.val_loss:.4f}  "
            f"{self._score_name} {row.val_score:.2%}  {row.images_per_second:,.0f} images/s{'  kept' if best else ''}"
        )
        if self._bar.disable:
            note(line)
        else:
            self._bar.console.print(line, markup=False, highlight=False)


def _terms(plan: "Plan") -> str:
    """From which weights, and on what terms; nothing from scratch."""
    if plan.start.weight_set is None:
        return f"; from {plan.start.bundle}" if plan.start.bundle else ""
    published = weight_set(plan.start.weight_set)
    return f"; from {published.key} (licence: {published.licence}; trained on {published.data}: {published.data_terms})"

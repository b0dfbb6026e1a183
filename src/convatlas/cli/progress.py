"""Progress of training on a terminal: a bar with speed and time left, and a line for each epoch. Quiet in a pipe."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from convatlas.cli.download import download_bar
from convatlas.cli.output import err, note
from convatlas.engine.observer import Observer
from convatlas.types import EpochRow

if TYPE_CHECKING:
    from convatlas.data.picture_set import DataSplits
    from convatlas.engine.plan import Plan
    from convatlas.engine.run import RunFolder
    from convatlas.engine.strategy import Start

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
        self._download = ExitStack()
        self._show_download = self._download.enter_context(download_bar("published weights"))

    def stop(self) -> None:
        """Take the bars away; again does no harm."""
        self._download.close()
        self._bar.stop()

    def fetching(self, done: int, total: int | None) -> None:
        """Move the download's own bar, which appears with the first bytes."""
        if self._show_download is not None:
            self._show_download(done, total)

    def planned(self, plan: "Plan", run: "RunFolder", splits: "DataSplits") -> None:
        """Say what will be trained on what, and where it goes."""
        self._download.close()
        self.run = run
        self._epochs = plan.recipe.epochs
        self._score_name = "top-1" if plan.task == "classify" else "mAP"
        counts = [f"{len(splits.train):,} training", f"{len(splits.val):,} validation"]
        if splits.test is not None:
            counts.append(f"{len(splits.test):,} test")
        note(f"{plan.model} on {Path(plan.data).name}: {len(plan.classes)} classes, {', '.join(counts)} pictures")
        if plan.origins["model"].startswith("auto: "):
            note(f"network {plan.model}: {plan.origins['model'].removeprefix('auto: ')}")
        note(f"strategy {plan.start.strategy}: {plan.start.reason}{_terms(plan.start)}")
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

    def halved(self, plan: "Plan", said: str) -> None:
        """Say that the batch is a smaller one now."""
        note(said)

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


def _terms(start: "Start") -> str:
    """From which weights, and on what terms as far as they are known; nothing from scratch."""
    if start.strategy == "scratch":
        return ""
    known = start.origin
    words = f"; from {start.weights}"
    if "weights_licence" in known:
        words += f" (licence: {known['weights_licence']}; trained on {known.get('weights_data', 'unknown data')}"
        words += f": {known['weights_data_terms']})" if known.get("weights_data_terms") else ")"
    return words

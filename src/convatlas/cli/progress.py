"""Progress of training on a terminal: a bar with speed and time left, and a line for each epoch. Quiet in a pipe."""

import time

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from convatlas.cli.output import err, note
from convatlas.types import EpochRow

PIPE_INTERVAL = 30.0  # seconds between lines where there is no terminal


class TrainingProgress:
    """An engine observer. On a terminal the bar spans the run; elsewhere a line is written now and then."""

    def __init__(self, epochs: int, score_name: str) -> None:
        console = err()
        self._epochs = epochs
        self._score_name = score_name
        self._last_line = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("left"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=float(epochs), speed="")
        self._epoch_started = time.monotonic()

    def start(self) -> None:
        """Show the bar."""
        self._bar.start()

    def stop(self) -> None:
        """Take the bar away; again does no harm."""
        self._bar.stop()

    def batch_done(self, epoch: int, batch: int, batches: int, images: int) -> None:
        """Move the bar."""
        if batch == 1:
            self._epoch_started = time.monotonic()
        elapsed = max(1e-9, time.monotonic() - self._epoch_started)
        self._bar.update(
            self._task,
            completed=epoch - 1 + batch / batches,
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
            f"{self._score_name} {row.val_score:.2%}  {row.images_per_second:,.0f} images/s{'  best' if best else ''}"
        )
        if self._bar.disable:
            note(line)
        else:
            self._bar.console.print(line, markup=False, highlight=False)

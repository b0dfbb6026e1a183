"""The progress of a download."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convatlas.cli.output import err

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def download_bar(words: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """What to give as `progress` of a download: a bar on stderr where a person looks at it, else None.

    The bar appears with the first bytes: where nothing has to be downloaded there is none.
    """
    if not sys.stderr.isatty():
        yield None
        return
    bar: Progress | None = None

    def show(done: int, total: int | None) -> None:
        nonlocal bar
        if bar is None:
            bar = _started()
            bar.add_task(words, total=None)
        bar.update(bar.task_ids[0], completed=done, total=total)

    try:
        yield show
    finally:
        if bar is not None:
            bar.stop()


def _started() -> "Progress":
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=err(), transient=True)
    bar.start()
    return bar

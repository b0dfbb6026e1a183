"""`convatlas atlas`: the whole atlas as a site of files."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convatlas.cli.output import AsJson, err, print_json, print_line

if TYPE_CHECKING:
    from convatlas.api.atlas import Progress


def atlas(
    out: Annotated[
        Path, typer.Option(help="The folder to write; an earlier atlas or an empty folder there is replaced.")
    ],
    networks: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Pages of these networks alone, as in lenet5,resnet50.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one a core, at most 8, unless it is said.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build a site of files: a page for each network, the concepts, questions, charts, a glossary. Opens offline."""
    from convatlas.api.atlas import build_atlas

    chosen = None if networks is None else [name for name in networks.replace(",", " ").split() if name]
    with _bar() as progress:
        report = build_atlas(out, networks=chosen, workers=workers, progress=progress)
    if as_json:
        print_json({**dataclasses.asdict(report), "path": str(report.path)})
        return
    print_line(
        f"{report.pages} pages, {report.bytes / 1e6:.1f} MB, in {report.seconds:.0f} s: {report.networks} networks, "
        f"{report.concepts} concepts, {report.questions} questions"
    )
    print_line(f"open {report.path / 'index.html'}")


@contextmanager
def _bar() -> "Iterator[Progress | None]":
    """A bar on stderr where a person looks at it, else None."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("pages"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int, address: str) -> None:
            bar.update(task, completed=done, total=total, description=address)

        yield show

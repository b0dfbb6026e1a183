"""`convatlas data`: look at a data set before training on it. Needs no torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convatlas.cli.output import AsJson, err, note, print_json, print_line, print_table

if TYPE_CHECKING:
    from convatlas.data.check import DataReport, Spread
    from convatlas.data.picture_set import PictureSet

app = typer.Typer(help="Check a data set before training on it, and see its pictures.", no_args_is_help=True)

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A folder of class folders, a folder with train/val/test, a folder with IDX files, a .csv manifest, "
        "or digits (the embedded set).",
        show_default=False,
    ),
]


class Part(StrEnum):
    """What `view` can show."""

    ALL = "all"
    TRAIN = "train"
    VAL = "val"
    TEST = "test"


_CASES_SHOWN = 10


@app.command("check")
def check(source: Source, as_json: AsJson = False) -> None:
    """Count, open and compare all pictures; exit 1 if training on them would be wrong."""
    from convatlas.data.check import check_data

    with _progress("checking") as progress:
        report = check_data(source, progress=progress)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_report(report)
    if not report.usable:
        raise typer.Exit(1)


@app.command("view")
def view(
    source: Source,
    out: Annotated[Path, typer.Option(help="The PNG file to write.")] = Path("sheet.png"),
    count: Annotated[int, typer.Option(min=1, help="How many pictures at most.")] = 64,
    split: Annotated[Part, typer.Option(help="The part to show: all, or one as training splits the data.")] = Part.ALL,
    seed: Annotated[int, typer.Option(help="Which pictures are drawn, and how a source without parts is split.")] = 0,
) -> None:
    """Write a contact sheet: pictures of every class with their names, as one PNG."""
    from convatlas.data.contact_sheet import contact_sheet
    from convatlas.errors import UsageError
    from convatlas.files import new_file

    if out.suffix.lower() != ".png":
        raise UsageError(f"--out: expected a name that ends in .png, got {out}")
    if out.is_dir():
        raise UsageError(f"--out: {out} is a folder; name a file in it, such as {out / 'sheet.png'}")
    pictures = _part(source, split, seed)
    sheet = contact_sheet(pictures, count=count, seed=seed)
    with new_file(out) as temporary:
        sheet.save(temporary, format="PNG")
    print_line(f"{min(count, len(pictures))} of {len(pictures)} pictures: {out}")


@app.command("samples")
def write(
    source: Source,
    out: Annotated[Path, typer.Option(help="A new folder for the PNG files.")] = Path("samples"),
    count: Annotated[int, typer.Option(min=1, help="How many pictures at most.")] = 10,
    split: Annotated[
        Part, typer.Option(help="The part they are from: all, or one as training splits the data.")
    ] = Part.TEST,
    seed: Annotated[int, typer.Option(help="Which pictures are drawn, and how a source without parts is split.")] = 0,
) -> None:
    """Write single pictures as PNG files named NUMBER-CLASS.png, to look at or to try a model on."""
    from convatlas.data.samples import write_samples

    samples = write_samples(_part(source, split, seed), out, count=count, seed=seed)
    for failure in samples.skipped:
        note(f"left out: {failure.source}: {failure.reason}")
    print_line(f"{len(samples.paths)} pictures in {out}")


def _part(source: str, split: Part, seed: int) -> "PictureSet":
    from convatlas.data.source import open_data, open_pictures
    from convatlas.errors import DataError

    if split is Part.ALL:
        return open_pictures(source)
    data = open_data(source, seed=seed)
    pictures = {Part.TRAIN: data.train, Part.VAL: data.val, Part.TEST: data.test}[split]
    if pictures is None:
        raise DataError(f"{source}: has no test part ({data.how})")
    return pictures


def _print_report(report: "DataReport") -> None:
    parts = list(report.counts)
    if parts:
        rows = [[name, *(f"{report.counts[part][name]:,}" for part in parts)] for name in report.classes]
        rows.append(["total", *(f"{sum(report.counts[part].values()):,}" for part in parts)])
        heads = ["pictures" if part == "all" else part for part in parts]
        print_table(["class", *heads], rows, right=heads)
        print_line()
    if report.width is not None and report.height is not None:
        print_line(f"width    {_words(report.width)} pixels")
        print_line(f"height   {_words(report.height)} pixels")
        print_line(f"mode     {_tally(report.modes)}")
        if report.formats:
            print_line(f"format   {_tally(report.formats)}")
    if report.ignored:
        print_line(f"ignored  {report.ignored:,} files that are not named as pictures")
    for finding in report.findings:
        number = f" ({len(finding.cases):,})" if finding.cases else ""
        print_line(f"\n{finding.severity}: {finding.text}{number}")
        for case in finding.cases[:_CASES_SHOWN]:
            print_line(f"  {case}")
        if len(finding.cases) > _CASES_SHOWN:
            print_line(f"  and {len(finding.cases) - _CASES_SHOWN:,} more (--json lists all)")
    print_line()
    print_line(_verdict(report))


def _verdict(report: "DataReport") -> str:
    errors = sum(finding.severity == "error" for finding in report.findings)
    if errors:
        return f"not fit to train on: {errors} {'error' if errors == 1 else 'errors'}"
    warnings = len(report.findings)
    if warnings:
        return f"fit to train on, with {warnings} {'warning' if warnings == 1 else 'warnings'}"
    return "fit to train on"


def _words(spread: "Spread") -> str:
    if spread.smallest == spread.largest:
        return f"{spread.smallest:,}"
    return f"{spread.smallest:,} to {spread.largest:,}, median {spread.median:,g}"


def _tally(counts: dict[str, int]) -> str:
    return ", ".join(f"{word} {count:,}" for word, count in counts.items())


@contextmanager
def _progress(words: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr where a person looks at it, nothing in a pipe or a log."""
    console = err()
    if not console.is_terminal:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(words, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)

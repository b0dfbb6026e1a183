"""`convatlas data`: look at a data set before training on it. Needs no torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convatlas.cli.output import AsJson, err, note, one_line, print_json, print_line, print_table

if TYPE_CHECKING:
    from convatlas.data.detection.object_set import ObjectSet
    from convatlas.data.picture_set import PictureSet
    from convatlas.data.report import DataReport, Spread

app = typer.Typer(
    help="Check a data set before training on it, see its pictures, convert its annotations.", no_args_is_help=True
)

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A folder of class folders, a folder with train/val/test, a folder with IDX files, a .csv manifest, "
        "or digits (the embedded set).",
        show_default=False,
    ),
]

AnySource = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="What is trained on: a folder of class folders, a folder with train/val/test, a folder with IDX files, a "
        ".csv manifest, or digits (the embedded set). Or pictures with objects: a COCO, CreateML or Label Studio "
        ".json, VOC's XML, YOLO's data.yaml, a folder of one of these, or scenes (the embedded set).",
        show_default=False,
    ),
]
ObjectSource = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A COCO, CreateML or Label Studio .json, VOC's XML, YOLO's data.yaml, a folder of one of these, or scenes "
        "(the embedded set).",
        show_default=False,
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="What SOURCE is written in: coco, voc, labelimg, yolo, createml, label-studio, or folder, idx, manifest. "
        "Without it, it is recognised.",
        show_default=False,
    ),
]
ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", help="The folder of the pictures, where annotations lie elsewhere.", show_default=False),
]


class Part(StrEnum):
    """What `view` can show."""

    ALL = "all"
    TRAIN = "train"
    VAL = "val"
    TEST = "test"


_CASES_SHOWN = 10


@app.command("check")
def check(
    source: AnySource,
    format: FormatOption = None,  # noqa: A002  # the option's name
    images: ImagesOption = None,
    as_json: AsJson = False,
) -> None:
    """Count, open and compare all pictures, read all annotations; exit 1 if training on them would be wrong."""
    from convatlas.data.check import check_data

    with _progress("checking") as progress:
        report = check_data(source, format=format, images=images, progress=progress)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_report(report)
    if not report.usable:
        raise typer.Exit(1)


@app.command("view")
def view(
    source: AnySource,
    out: Annotated[
        Path, typer.Option(help="The PNG file to write; for pictures with objects also .html, a page.")
    ] = Path("sheet.png"),
    count: Annotated[
        int | None, typer.Option(min=1, help="How many pictures at most: 64, or 24 with objects.", show_default=False)
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=32, max=1024, help="Pixels of a picture's longer side: 96, or 384 with objects.", show_default=False
        ),
    ] = None,
    split: Annotated[Part, typer.Option(help="The part to show: all, or one as training splits the data.")] = Part.ALL,
    seed: Annotated[int, typer.Option(help="Which pictures are drawn, and how a source without parts is split.")] = 0,
    format: FormatOption = None,  # noqa: A002  # the option's name
    images: ImagesOption = None,
) -> None:
    """Write a contact sheet: pictures of every class, or with their boxes, masks and keypoints drawn and named."""
    from convatlas.data.contact_sheet import contact_sheet
    from convatlas.data.detection.source import has_objects, open_objects
    from convatlas.errors import UsageError
    from convatlas.files import new_file

    with_objects = has_objects(source, format, images)
    if out.suffix.lower() != ".png" and not (with_objects and out.suffix.lower() == ".html"):
        raise UsageError(f"--out: expected a name that ends in .png{' or .html' * with_objects}, got {out}")
    if out.is_dir():
        raise UsageError(f"--out: {out} is a folder; name a file in it, such as {out / 'sheet.png'}")
    if with_objects:
        objects = open_objects(source, format=format, images=images)
        _view_objects(objects, out, count or 24, size or 384, split, seed)
        return
    count = count or 64
    pictures = _part(source, split, seed)
    sheet = contact_sheet(pictures, count=count, size=size or 96, seed=seed)
    with new_file(out) as temporary:
        sheet.save(temporary, format="PNG")
    print_line(f"{min(count, len(pictures))} of {len(pictures)} pictures: {out}")


def _view_objects(objects: "ObjectSet", out: Path, count: int, size: int, split: Part, seed: int) -> None:
    from PIL.PngImagePlugin import PngInfo

    from convatlas.data.detection.sheet import draw_some, object_sheet
    from convatlas.errors import DataError
    from convatlas.files import new_file

    for warning in objects.warnings:
        note(f"warning: {warning}")
    if split is not Part.ALL:
        objects = objects.take([index for index, part in enumerate(objects.splits) if part == split.value])
        if not len(objects):
            raise DataError(f"{objects.origin}: has no {split.value} part")
    drawn = draw_some(objects, count=count, size=size, seed=seed)
    if out.suffix.lower() == ".html":
        from convatlas.report.objects_page import write_objects_page

        write_objects_page(out, objects, drawn)
    else:
        words = PngInfo()  # for those who cannot see it
        words.add_itxt("Title", f"{len(drawn)} pictures of {objects.origin} with their objects")
        words.add_itxt("Description", "\n".join(map(str, drawn)))
        sheet = object_sheet(drawn, size=size)
        with new_file(out) as temporary:
            sheet.save(temporary, format="PNG", pnginfo=words)
    for each in drawn:
        if each.picture is None:
            note(f"not drawn: {each}")
    shown = sum(len(each.sample) for each in drawn)
    print_line(f"{len(drawn)} of {_counted(len(objects), 'picture')}, with {_counted(shown, 'object')}: {out}")


@app.command("convert")
def convert(
    source: ObjectSource,
    to: Annotated[str, typer.Option(help="coco, voc, yolo or createml.", show_default=False)],
    out: Annotated[Path, typer.Option(help="A new folder for pictures and annotations.", show_default=False)],
    format: FormatOption = None,  # noqa: A002  # the option's name
    images: ImagesOption = None,
    as_json: AsJson = False,
) -> None:
    """Write pictures with objects in another format, as a whole or not at all, and say what is lost in it.

    In COCO, masks stay polygons where they were; in YOLO they become outlines, where one outline can be the mask and no
    object has keypoints. They are written to VOC's pictures of them, too, but read back from VOC are the boxes alone.
    """
    from convatlas.data.detection.convert import convert_data

    with _progress("writing") as progress:
        done = convert_data(source, out, to=to, format=format, images=images, progress=progress)
    if as_json:
        print_json(done.to_dict())
        return
    for warning in done.warnings:
        note(f"warning: {warning}")
    for what, number in done.lost.items():
        note(f"lost in {to}: {what}: {number:,}")
    print_line(f"{_counted(done.pictures, 'picture')} with {_counted(done.objects, 'object')} as {to}: {out}")


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
        # Where there are objects those are counted: a picture counts for each class that it shows.
        columns = [("pictures" if part == "all" else part, report.counts[part]) for part in parts]
        if report.objects is not None:
            columns = [("objects" if part == "all" else part, report.objects[part]) for part in parts]
        heads = [head for head, _ in columns]
        rows = [[name, *(f"{counts[name]:,}" for _, counts in columns)] for name in report.classes]
        rows.append(["total", *(f"{sum(counts.values()):,}" for _, counts in columns)])
        print_table(["class", *heads], rows, right=heads)
        print_line()
    if report.objects is not None:
        print_line(f"objects of {report.format} in {_counted(report.pictures, 'picture')}\n")
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
            print_line(f"  {one_line(case)}")
        if len(finding.cases) > _CASES_SHOWN:
            print_line(f"  and {len(finding.cases) - _CASES_SHOWN:,} more (--json lists all)")
    print_line()
    print_line(_verdict(report))


def _verdict(report: "DataReport") -> str:
    errors = sum(finding.severity == "error" for finding in report.findings)
    if errors:
        return f"not fit to train on: {_counted(errors, 'error')}"
    warnings = len(report.findings)
    if warnings:
        return f"fit to train on, with {_counted(warnings, 'warning')}"
    return "fit to train on"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


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

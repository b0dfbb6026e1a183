"""`convatlas show`: the layer table of a network."""

import dataclasses
import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convatlas.cli.model_changes import parse_model_changes
from convatlas.cli.output import AsJson, note, print_json, print_line, print_table
from convatlas.errors import UsageError

if TYPE_CHECKING:
    from convatlas.arithmetic.tables.table import LayerTable
    from convatlas.arithmetic.tracing.trace import TraceError

# What a narrow terminal goes without, the first the soonest.
_SPARE = ("connections", "jump", "memory", "sees", "as torch counts")


class Form(StrEnum):
    """How the table is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


def show(
    target: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="A name of `convatlas models`; a run or bundle; or module:function, a function of a module in this "
            "folder, or of one that is installed, that returns a torch.nn.Module and needs no arguments.",
            show_default=False,
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="SHAPE",
            help="The shape of one picture, channels first: 3x224x224. Once for each thing that the network takes; "
            "77:int64 is of whole numbers. Known for names and bundles.",
        ),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=0, help="One row for what modules at this depth do together; 1: the outermost.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the network's config: num_classes=7."),
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the table as one HTML page here.")] = None,
) -> None:
    """Show a network layer by layer: shapes, parameters with their formula, multiply-accumulates, memory, what it sees.

    Nothing is computed where the network allows it: shapes alone go through it.
    """
    form = _form(as_json, as_csv, as_markdown)
    if html is not None and (html.is_dir() or not html.name):
        raise UsageError(f"--html {html}: expected a file to write, such as {html / 'layers.html'}")
    from convatlas.api.show import folded, partial_table
    from convatlas.api.show import show as table_of
    from convatlas.arithmetic.tracing.trace import TraceError

    stopped = None
    try:
        table = table_of(target, *(inputs or ()), depth=depth, changes=parse_model_changes(set_ or ()))
    except TraceError as error:
        if not error.partial.ops:
            raise
        table, stopped = folded(partial_table(error), depth), error
    if html is not None:
        _write(html, table, stopped)
    if html is None or form is not Form.TABLE:
        _print(table, form, stopped)
    for words in table.notes:
        note(f"note: {words}")
    if stopped is not None:
        raise stopped


def _form(as_json: bool, as_csv: bool, as_markdown: bool) -> Form:
    flags = {Form.JSON: as_json, Form.CSV: as_csv, Form.MARKDOWN: as_markdown}
    asked = [form for form, wanted in flags.items() if wanted]
    if len(asked) > 1:
        raise UsageError(f"choose one of {', '.join(f'--{form}' for form in asked)}")
    return asked[0] if asked else Form.TABLE


def _print(table: "LayerTable", form: Form, stopped: "TraceError | None") -> None:
    from convatlas.arithmetic.tables import text as table_text

    if form is Form.JSON:
        values = table_text.to_dict(table)
        print_json(values if stopped is None else {**values, "stopped": str(stopped)})
    elif form is Form.CSV:
        sys.stdout.write(table_text.to_csv(table))
    elif form is Form.MARKDOWN:
        sys.stdout.write(table_text.to_markdown(table))
    else:
        names, rows = fitting(*table_text.cells(table))
        print_table(names, rows, right=table_text.RIGHT)
        print_line()
        width = max(len(name) for name, _ in table_text.totals(table))
        for name, words in table_text.totals(table):
            print_line(f"{name.ljust(width)}  {words}")
        if stopped is not None:
            print_line("Costs are those until it stopped; parameters are those of the whole network.")


def _write(html: Path, table: "LayerTable", stopped: "TraceError | None") -> None:
    from convatlas.report.layers_page import write_layers_page

    if stopped is not None:
        table = dataclasses.replace(table, notes=(*table.notes, f"the table until then: {stopped}"))
    write_layers_page(html, table)
    note(f"written: {html}")


def fitting(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The columns that a terminal is wide enough for; all of them into a pipe."""
    if not sys.stdout.isatty():
        return names, rows
    room = shutil.get_terminal_size().columns
    widths = {name: max(map(len, column)) for name, *column in zip(names, *rows, strict=True)} if rows else {}
    kept = list(names)
    gone = []
    for name in _SPARE:
        if sum(max(widths.get(each, 0), len(each)) + 2 for each in kept) <= room:
            break
        if name in kept:
            kept.remove(name)
            gone.append(name)
    if gone:
        note(f"not shown on a terminal of {room} columns: {', '.join(gone)}; --csv and --html have all")
    places = [names.index(name) for name in kept]
    return tuple(kept), [tuple(row[place] for place in places) for row in rows]

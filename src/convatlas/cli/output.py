"""How verbs speak: tables and words for people on stdout, JSON for machines, errors and progress on stderr."""

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of words and tables.")]


def print_json(value: Mapping[str, object] | Sequence[object]) -> None:
    """Print one JSON document, characters of any language as they are, and nothing else on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_line(text: str = "") -> None:
    """Print one line of plain words."""
    sys.stdout.write(text + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table that fits the terminal; into a pipe, one row a line, columns padded with blanks.

    Columns named in `right` are aligned to the right, as numbers are.
    """
    if not sys.stdout.isatty():
        widths = [max(_width(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
        for row in [columns, *rows]:
            cells = []
            for name, cell, width in zip(columns, row, widths, strict=True):
                blanks = " " * (width - _width(cell))
                cells.append(blanks + cell if name in right else cell + blanks)
            sys.stdout.write("  ".join(cells).rstrip() + "\n")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell.replace("[", "\\[") for cell in row))
    out().print(table)


def _width(text: str) -> int:
    """Columns on a terminal: Chinese and other wide characters take two."""
    return len(text) + sum(unicodedata.east_asian_width(character) in "WF" for character in text)


def out() -> "Console":
    """The console of stdout, made at each call so that a test or a pipe that replaces stdout is seen."""
    from rich.console import Console  # a tenth of a second, which a pipe need not pay

    return Console(file=sys.stdout)


def err() -> "Console":
    """The console of stderr: notes, warnings, progress."""
    from rich.console import Console

    return Console(file=sys.stderr)


def note(text: str) -> None:
    """Say something beside the answer, on stderr, so that stdout stays the answer alone."""
    sys.stderr.write(text + "\n")

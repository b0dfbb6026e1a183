"""How verbs speak: tables and words for people on stdout, JSON for machines, errors and progress on stderr."""

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of words and tables.")]


def print_json(value: Mapping[str, object] | Sequence[object]) -> None:
    """Print one JSON document, characters of any language as they are, and nothing else on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def print_json_list(records: Iterable[Mapping[str, object]]) -> None:
    """Print what `print_json` prints of a list, record by record, so that it need not be held as a whole.

    Where `records` ends with an exception, the list of those before it is closed, and the exception goes on.
    """
    before = "["
    try:
        for record in records:
            text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)
            sys.stdout.write(before + "\n  " + text.replace("\n", "\n  "))
            before = ","
    finally:
        sys.stdout.write("[]\n" if before == "[" else "\n]\n")


def print_line(text: str = "") -> None:
    """Print one line of plain words, or several; control characters of names in it are written as their escapes."""
    sys.stdout.write(_harmless(text) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table that fits the terminal; into a pipe, one row a line, columns padded with blanks.

    Columns named in `right` are aligned to the right, as numbers are. Cells are plain text: nothing in them is markup,
    and a line break or another control character is written as its escape.
    """
    table = [[one_line(cell) for cell in row] for row in (columns, *rows)]
    aligned = ["right" if name in right else "left" for name in columns]
    if sys.stdout.isatty():
        _print_fitted(table, aligned)
        return
    widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = []
        for cell, width, side in zip(row, widths, aligned, strict=True):
            blanks = " " * (width - _width(cell))
            cells.append(blanks + cell if side == "right" else cell + blanks)
        print_line("  ".join(cells).rstrip())


def _print_fitted(table: Sequence[Sequence[str]], aligned: Sequence[str]) -> None:
    from rich.table import Table
    from rich.text import Text

    fitted = Table(box=None, pad_edge=False, header_style="bold")
    for name, side in zip(table[0], aligned, strict=True):
        fitted.add_column(Text(name), justify="right" if side == "right" else "left", overflow="fold")
    for row in table[1:]:
        fitted.add_row(*map(Text, row))
    out().print(fitted)


def _harmless(text: str) -> str:
    return "\n".join(map(one_line, text.split("\n")))


def one_line(text: str) -> str:
    """Control characters as escapes: a class name may hold any, and some move a terminal's cursor."""
    return "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character) == "Cc" else character
        for character in text
    )


def _width(text: str) -> int:
    """Columns on a terminal: Chinese and other wide characters take two, combining accents none."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def out() -> "Console":
    """The console of stdout, made at each call so that a test or a pipe that replaces stdout is seen."""
    from rich.console import Console  # a tenth of a second, which a pipe need not pay

    return Console(file=sys.stdout)


def err() -> "Console":
    """The console of stderr: notes, warnings, progress."""
    from rich.console import Console

    return Console(file=sys.stderr)


def note(text: str) -> None:
    """Say something beside the answer, on stderr, so that stdout stays the answer alone; escapes as `print_line`."""
    sys.stderr.write(_harmless(text) + "\n")

"""What a page of a network shows beside its card: layers, diagram, source text, weights."""

from dataclasses import dataclass
from typing import Final

from convatlas.arithmetic.tables.table import LayerTable
from convatlas.arithmetic.tables.text import cells, told_shapes, totals
from convatlas.catalog import Card

MOST_ROWS: Final = 70  # of a table that is shown as it is; a longer one is folded
MOST_CHARACTERS: Final = 90_000  # of all layers; of more, those at the deepest level that fits


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """The file that a network is defined in. path: in the repository. module: what it is called in addresses."""

    module: str
    path: str
    text: str


@dataclass(frozen=True, kw_only=True)
class WeightsRow:
    """A published set of weights, in words. terms: what is to be known of its licence and of its data."""

    key: str
    address: str | None
    size: str
    licence: str
    data: str
    terms: tuple[str, ...]
    score: str
    default: bool


@dataclass(frozen=True, kw_only=True)
class NetworkEntry:
    """What is computed of a network for its page.

    diagram: an SVG element for the page, its ids beginning with "picture". blocks: the source text of its blocks.
    recipe: (name of a setting, value) of the recipe that training from scratch starts from, its own name first.
    """

    card: Card
    table: LayerTable
    diagram: str
    source: SourceFile
    blocks: str
    weights: tuple[WeightsRow, ...]
    recipe: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A table of layers ready to print: the names of its columns and its rows; of how many layers."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Layers:
    """overview: a row a stage or block, or each layer of a small network. detail: each layer, or as deep as a page
    may hold; None where the overview has them all. complete: whether it does have each layer."""

    overview: Rows
    detail: Rows | None
    complete: bool
    layers: int
    totals: tuple[tuple[str, str], ...]
    input: str


def layers_of(table: LayerTable) -> Layers:
    """The table as a page can hold it."""
    whole = _rows(table)
    overview, detail, complete = whole, None, True
    if len(whole.rows) > MOST_ROWS:
        levels = _levels(table)
        overview = _rows(next((level for level in reversed(levels) if len(level.rows) <= MOST_ROWS), levels[0]))
        complete = _size(whole) <= MOST_CHARACTERS
        detail = whole
        if not complete:
            fitting = [rows for level in levels if _size(rows := _rows(level)) <= MOST_CHARACTERS]
            detail = fitting[-1] if fitting and len(fitting[-1].rows) > len(overview.rows) else None
    return Layers(
        overview=overview,
        detail=detail,
        complete=complete,
        layers=len(table.rows),
        totals=tuple(totals(table)),
        input=told_shapes(table.inputs),
    )


def _levels(table: LayerTable) -> list[LayerTable]:
    """Folded at depth 1, 2, … until nothing folds any more."""
    levels = [table.folded(1)]
    while len(levels[-1].rows) < len(table.rows) and len(levels) < 12:
        levels.append(table.folded(len(levels) + 1))
    return levels


def _rows(table: LayerTable) -> Rows:
    names, rows = cells(table)
    return Rows(names=names, rows=tuple(rows))


def _size(rows: Rows) -> int:
    """Characters of its HTML, nearly."""
    return sum(len(cell) + len("<td></td>") for row in rows.rows for cell in row)

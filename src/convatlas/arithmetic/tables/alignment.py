"""Two layer tables side by side: which layers they share, in order, and which only one of them has."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from convatlas.arithmetic.tables.table import LayerTable, Row

Change = Literal["same", "changed", "only first", "only second"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A layer of one network, of the other, or of both.

    change: "same": the same operation with the same output shape, as many parameters and multiply-accumulates.
    "changed": they stand in each other's place, but differ in one of these.
    """

    change: Change
    first: Row | None
    second: Row | None


def layer_differences(first: LayerTable, second: LayerTable) -> tuple[Difference, ...]:
    """Each layer of both tables once, in order, as `diff` aligns the lines of two files."""
    differences: list[Difference] = []
    matcher = difflib.SequenceMatcher(None, _keys(first.rows), _keys(second.rows), autojunk=False)
    for tag, i, j, m, n in matcher.get_opcodes():
        left, right = first.rows[i:j], second.rows[m:n]
        if tag == "equal":
            differences += [_pair("same", a, b) for a, b in zip(left, right, strict=True)]
        else:
            differences += _replaced(left, right)
    return tuple(differences)


def _keys(rows: Sequence[Row]) -> list[tuple[object, ...]]:
    return [(row.operation, row.outputs, row.parameters, row.macs, row.torch_macs) for row in rows]


def _replaced(left: Sequence[Row], right: Sequence[Row]) -> list[Difference]:
    """Layers in each other's place: those of one class are the changed ones of each other, in order."""
    differences: list[Difference] = []
    matcher = difflib.SequenceMatcher(None, _classes(left), _classes(right), autojunk=False)
    for tag, i, j, m, n in matcher.get_opcodes():
        if tag == "equal":
            differences += [_pair("changed", a, b) for a, b in zip(left[i:j], right[m:n], strict=True)]
            continue
        differences += [_pair("only first", row, None) for row in left[i:j]]
        differences += [_pair("only second", None, row) for row in right[m:n]]
    return differences


def _classes(rows: Sequence[Row]) -> list[str]:
    return [row.operation.partition(" ")[0] for row in rows]


def _pair(change: Change, first: Row | None, second: Row | None) -> Difference:
    return Difference(change=change, first=first, second=second)

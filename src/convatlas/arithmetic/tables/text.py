"""A layer table as words: its cells, and the whole as plain text, Markdown, CSV or records for JSON."""

import csv
import io
from collections.abc import Mapping, Sequence

from convatlas.arithmetic.field.closed import ReceptiveField, number
from convatlas.arithmetic.tables.table import LayerTable, Row, Shape

RIGHT = ("MACs", "as torch counts", "connections", "memory", "sees", "jump")
_NAMES = ("layer", "operation", "output", "parameters", *RIGHT)


def cells(table: LayerTable) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The names of the columns, and each row's cells; zeros are empty.

    "as torch counts" is there only where it differs from "MACs"; "sees" and "jump" where the picture can be followed.
    """
    rows = [_cells(table, row) for row in table.rows]
    left_out = {name for name in ("sees", "jump") if all(row[name] in ("", "?") for row in rows)}
    if all(row.macs == row.torch_macs for row in table.rows):
        left_out.add("as torch counts")
    names = tuple(name for name in _NAMES if name not in left_out)
    return names, [tuple(row[name] for name in names) for row in rows]


def _cells(table: LayerTable, row: Row) -> Mapping[str, str]:
    sees, jump = ("", "") if row.field is None else told_field(row.field)
    return {
        "layer": (row.path or table.network) + (f" (call {row.call + 1})" if row.call else ""),
        "operation": row.operation,
        "output": told_shapes(row.outputs),
        "parameters": row.formula or count(row.parameters),
        "MACs": count(row.macs),
        "as torch counts": count(row.torch_macs),
        "connections": count(row.connections),
        "memory": told_bytes(row.activation_bytes) if row.activation_bytes else "",
        "sees": sees,
        "jump": jump,
    }


def totals(table: LayerTable) -> list[tuple[str, str]]:
    """The sums, each with its name."""
    sums = table.totals
    frozen = sums.parameters - sums.trainable
    parts = [
        ("parameters", f"{sums.parameters:,}" + (f", {frozen:,} of them not trained" if frozen else "")),
        ("buffers", f"{sums.buffers:,}"),
        ("MACs", f"{sums.macs:,}"),
        ("as torch counts", f"{sums.torch_macs:,}"),
        ("connections", f"{sums.connections:,}"),
        ("memory", f"{told_bytes(sums.state_bytes)} of weights, {told_bytes(sums.activation_bytes)} of outputs"),
    ]
    left_out = {"buffers"} if not sums.buffers else set()
    if sums.macs == sums.torch_macs:
        left_out.add("as torch counts")
    return [(name, words) for name, words in parts if name not in left_out]


def to_text(table: LayerTable) -> str:
    """Columns padded with blanks, then the sums, then what there is to know of the run."""
    names, rows = cells(table)
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if name in RIGHT else cell.ljust(width)
            for name, cell, width in zip(names, row, widths, strict=True)
        ).rstrip()
        for row in (names, *rows)
    ]
    wide = max(len(name) for name, _ in totals(table))
    lines += ["", *(f"{name.ljust(wide)}  {words}" for name, words in totals(table)), *table.notes]
    return "\n".join(lines)


def to_markdown(table: LayerTable) -> str:
    """A table as GitHub shows it, then the sums."""
    names, rows = cells(table)
    lines = [
        f"| {' | '.join(names)} |",
        f"| {' | '.join('---:' if name in RIGHT else '---' for name in names)} |",
        *(f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in rows),
        "",
        " · ".join(f"{name}: {words}" for name, words in totals(table)),
        *(f"\n{note}" for note in table.notes),
    ]
    return "\n".join(lines) + "\n"


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")


def to_csv(table: LayerTable) -> str:
    """One line a row, numbers as they are, a shape as 64x112x112; lines end in a line feed."""
    text = io.StringIO()
    records = [_flat(record(row)) for row in table.rows]
    writer = csv.DictWriter(text, fieldnames=list(_flat(record(_EMPTY))), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


_EMPTY = Row(path="", call=0, operation="", inputs=(), outputs=())


def _flat(values: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        if name in ("inputs", "outputs") and isinstance(value, list):
            flat[name] = " ".join("x".join(map(str, shape)) for shape in value)
        elif name == "receptive_field":
            axes = value["axes"] if isinstance(value, dict) else []
            for part in ("size", "jump", "start"):
                flat[f"field_{part}"] = "x".join("" if axis[part] is None else f"{axis[part]:g}" for axis in axes)
            flat["field_whole"] = bool(axes) and all(axis["whole"] for axis in axes)
        else:
            flat[name] = value
    return flat


def to_dict(table: LayerTable) -> dict[str, object]:
    """Everything, as JSON can hold it."""
    return {
        "network": table.network,
        "inputs": [list(shape) for shape in table.inputs],
        "run_on": table.how,
        "notes": list(table.notes),
        "rows": [record(row) for row in table.rows],
        "totals": {name: getattr(table.totals, name) for name in table.totals.__dataclass_fields__},
    }


def record(row: Row) -> dict[str, object]:
    """One row, as JSON can hold it."""
    return {
        "layer": row.path,
        "call": row.call,
        "operation": row.operation,
        "inputs": [list(shape) for shape in row.inputs],
        "outputs": [list(shape) for shape in row.outputs],
        "parameters": row.parameters,
        "trainable": row.trainable,
        "formula": row.formula,
        "connections": row.connections,
        "macs": row.macs,
        "torch_macs": row.torch_macs,
        "activation_bytes": row.activation_bytes,
        "receptive_field": None if row.field is None else _field(row.field),
    }


def _field(field: ReceptiveField) -> dict[str, object]:
    axes = [
        {
            "size": float(axis.size),
            "jump": None if axis.jump is None else float(axis.jump),
            "start": float(axis.start),
            "whole": axis.whole,
        }
        for axis in field.axes
    ]
    return {"axes": axes, "unknown": field.unknown}


# --- Cells


def told_field(field: ReceptiveField) -> tuple[str, str]:
    """What it sees, and its jump: ("11x11", "4"); ("all", "") of the whole picture; ("27x27 + all", "8") with a gate.

    ("?", "") where it is not known; ("", "") for places that do not lie as pixels do, such as a flattened map's.
    """
    if field.unknown or not field.axes:
        return ("?", "")
    jumps = [axis.jump for axis in field.axes]
    sizes = [axis.size for axis in field.axes]
    if field.whole and None in jumps:
        return ("all", "")
    if 0 in jumps or (None in jumps and any(size.denominator > 1 for size in sizes)):
        return ("all" if field.whole else "", "")
    told = "" if None in jumps else "x".join(dict.fromkeys(map(number, jumps)))
    return ("x".join(map(number, sizes)) + (" + all" if field.whole else ""), told)


def told_shapes(shapes: Sequence[Shape]) -> str:
    """`64x112x112` of one picture; of several pictures with their number first; `3 of 64x8x8`."""
    words = ["x".join(map(str, shape[1:] if len(shape) > 1 and shape[0] == 1 else shape)) or "1" for shape in shapes]
    if len(words) > 1 and len(set(words)) == 1:
        return f"{len(words)} of {words[0]}"
    return " + ".join(words[:3]) + (f" + {len(words) - 3} more" if len(words) > 3 else "")


def told_bytes(count: int) -> str:
    """`12.8 MB`, `16.4 kB`, `336 B`."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} B"


def count(value: int) -> str:
    """`73,856`; nothing for 0."""
    return f"{value:,}" if value else ""

"""A CSV file that names pictures and their classes.

    path,label           or, with any number of classes for a picture,    path,labels
    photos/1.jpg,cat                                                      photos/1.jpg,cat;sofa
    photos/2.jpg,dog                                                      photos/2.jpg,

and, if wanted, a column `split` of train, val, test. UTF-8, with or without a byte order mark; columns in any order,
others are not read. Paths are relative to the CSV file's folder. Absolute paths and `..` are allowed: the file is the
user's own list of the user's own pictures, and nothing but pictures is read from where it points.
"""

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from convatlas.data.listing import SPLIT_NAMES, Listing
from convatlas.data.pictures import printable
from convatlas.errors import DataError, did_you_mean
from convatlas.types import SPLITS, Split

if TYPE_CHECKING:
    import _csv

_COLUMNS = ("path", "label", "labels", "split")


def list_manifest(path: Path) -> Listing:
    """All rows of a CSV manifest; raises DataError if it cannot be read as CSV or lacks a column."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _list(csv.reader(file, strict=True), path)
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)}: is not UTF-8 text (byte {error.start}); save it as CSV UTF-8") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{printable(path)}: cannot be read ({getattr(error, 'strerror', '') or error})") from error


@dataclass
class _Rows:
    """What has been read so far: the columns of a `Listing`."""

    line_of: dict[str, int] = field(default_factory=dict)  # name of a picture -> line
    labels: list[tuple[str, ...]] = field(default_factory=list)
    given: list[Split] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def _list(reader: "_csv.Reader", path: Path) -> Listing:
    origin = printable(path)
    rows = _Rows()
    try:
        columns = _columns(next(reader, []), origin)
        for row in reader:
            if row:
                _read_row(row, columns, f"{origin}, line {reader.line_num}", reader.line_num, rows)
    except csv.Error as error:
        raise DataError(f"{origin}, line {reader.line_num}: is not CSV ({error})") from error
    names = tuple(rows.line_of)
    folder = str(path.parent)
    prefix = os.path.join(folder, "")  # noqa: PTH118  # with the separator at its end
    files = tuple([os.path.join(folder, name) for name in names])  # noqa: PTH118  # as text
    if all(file == prefix + name for file, name in zip(files, names, strict=True)):  # none is absolute
        files = names
    else:
        prefix = ""
    classes = tuple(sorted({label for labels in rows.labels for label in labels}))
    multilabel = "labels" in columns
    given = set(rows.given)
    faults = rows.faults
    if not names and not faults:
        faults.append(f"{origin}: names no picture; expected a row for each below the header")
    elif not classes:
        faults.append(f"{origin}: names no class")
    elif len(classes) == 1 and not multilabel:
        faults.append(f'{origin}: has one class only, "{classes[0]}"; two or more are needed')
    if given and "train" not in given:
        faults.append(f'{origin}: the column split never says "train"')
    first = [path.parent / name for name in names[:100]]
    if first and not any(map(_exists, first)):
        faults.append(f"{origin}: {first[0]} does not exist, nor do the next; paths are relative to the CSV file")
    return Listing(
        origin=origin,
        classes=classes,
        names=names,
        files=files,
        labels=tuple(rows.labels),
        given=tuple(rows.given),
        prefix=prefix,
        multilabel=multilabel,
        splits=tuple(split for split in SPLITS if split in given),
        faults=tuple(faults),
    )


def _columns(header: Sequence[str], origin: str) -> dict[str, int]:
    """Where each known column stands."""
    names = [name.strip().lower() for name in header]
    if "path" not in names or ("label" in names) == ("labels" in names):
        found = ", ".join(names) or "nothing"
        raise DataError(
            f"{origin}, line 1: expected a header `path,label` (one class a picture) or `path,labels` (several, "
            f"with ; between them), separated by commas, got: {found}"
        )
    for name in names:
        if name not in _COLUMNS and (hint := did_you_mean(name, _COLUMNS)):
            raise DataError(f'{origin}, line 1: unknown column "{name}".{hint}')
        if name in _COLUMNS and names.count(name) > 1:
            raise DataError(f'{origin}, line 1: the column "{name}" stands twice')
    return {name: names.index(name) for name in _COLUMNS if name in names}


def _read_row(row: Sequence[str], columns: Mapping[str, int], place: str, line: int, rows: _Rows) -> None:
    if len(row) <= max(columns.values()):
        rows.faults.append(f"{place}: has {len(row)} cells; {max(columns.values()) + 1} are needed")
        return
    cells = {name: row[position].strip() for name, position in columns.items()}
    if not cells["path"]:
        rows.faults.append(f"{place}: the path is empty")
        return
    name = Path(cells["path"]).as_posix()
    if name in rows.line_of:
        rows.faults.append(f"{place}: {name} stands already in line {rows.line_of[name]}; name each picture once")
        return
    if "labels" in cells:
        labels = tuple(dict.fromkeys(label.strip() for label in cells["labels"].split(";") if label.strip()))
    else:
        labels = (cells["label"],)
        if not cells["label"]:
            rows.faults.append(f"{place}: the label is empty")
            return
    split = None
    if "split" in cells:
        split = SPLIT_NAMES.get(cells["split"].lower())
        if split is None:
            rows.faults.append(f'{place}: the split is "{cells["split"]}"; expected train, val or test')
            return
    rows.line_of[name] = line
    rows.labels.append(labels)
    if split is not None:
        rows.given.append(split)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or with a null character
        return False

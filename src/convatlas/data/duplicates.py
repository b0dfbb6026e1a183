"""Finding pictures that are the same byte for byte, without reading more than that takes."""

import hashlib
import os
from collections.abc import Callable, Hashable

from convatlas.data.picture_set import ArrayReader, FileReader, PictureSet, SelectionReader
from convatlas.files import sha256

_HEAD_BYTES = 4096
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0)  # Windows would else read text


def exact_duplicates(pictures: PictureSet) -> list[list[int]]:
    """Groups of indices, two or more each, whose files (or rows of an array) hold the same bytes.

    Cheap tests go first: only files of equal size are opened, and only those with equal first 4 KiB are read whole. A
    file that cannot be read equals no other. Both the groups and their members are in ascending order.
    """
    groups = [list(range(len(pictures)))]
    for test in _tests(pictures):
        groups = [same for group in groups for same in _equal(group, test)]
    return sorted(groups)


def _tests(pictures: PictureSet) -> list[Callable[[int], Hashable]]:
    """What equal pictures have in common, from cheap to dear; the last one decides."""
    read = pictures.read
    selection = list(range(len(pictures)))
    if isinstance(read, SelectionReader):
        selection, read = read.indices.tolist(), read.reader
    match read:
        case FileReader():
            prefix, files = read.prefix, read.files
            return [
                lambda i: _size(prefix + files[selection[i]]),
                lambda i: _head(prefix + files[selection[i]]),
                lambda i: sha256(read.path(selection[i])),
            ]
        case ArrayReader(array):
            return [lambda i: hashlib.sha256(array[selection[i]].tobytes()).digest()]
        case _:
            # A reader that we do not know: its pixels are all that there is to compare.
            return [lambda i: hashlib.sha256(read(selection[i]).tobytes()).digest()]


def _equal(group: list[int], test: Callable[[int], Hashable]) -> list[list[int]]:
    """Those of a group of which the test says the same; None says that a picture equals no other."""
    first: dict[Hashable, int] = {}
    same: dict[int, list[int]] = {}  # a list for those alone that have others: most have none
    for index in group:
        try:
            found = test(index)
        except (OSError, ValueError):
            continue
        if found is None:
            continue
        earlier = first.setdefault(found, index)
        if earlier != index:
            same.setdefault(earlier, [earlier]).append(index)
    return list(same.values())


def _size(path: str) -> int | None:
    """None for an empty file: it holds no picture that could be the same as another."""
    return os.stat(path).st_size or None  # noqa: PTH116  # asked of each of a million files: a Path costs as much again


def _head(path: str) -> int:
    """A number for the first bytes, of which a million would be 4 GB; where two agree by chance, all is read."""
    opened = os.open(path, _READ)  # half of the time that a file object takes
    try:
        return hash(os.read(opened, _HEAD_BYTES))
    finally:
        os.close(opened)

"""What people name on a command line -> the pictures that they mean: files, folders, globs, standard input."""

import glob
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from convatlas.data.pictures import PICTURE_SUFFIXES, printable
from convatlas.errors import UsageError

STDIN = "-"
MAX_STDIN = 512 * 2**20  # bytes of one picture from standard input


@dataclass(frozen=True)
class Source:
    """One picture to answer: the name that the answer carries, and its file, or its bytes from standard input."""

    name: str
    picture: Path | bytes


def expand_paths(patterns: Sequence[str], *, stdin: BinaryIO | None = None) -> list[Source]:
    """Every picture that is meant, in the order named; a folder's in natural order (2 before 10); none twice.

    patterns: files (of any suffix), folders (searched to the bottom for picture files), globs with *, ?, [] and **
    (expanded here too, for not every shell does), and "-" for one picture from standard input.
    stdin: read for "-"; by default the process's own.
    Raises UsageError for a path that does not exist, and for a folder or glob without pictures.
    """
    if not patterns:
        raise UsageError("name at least one picture, folder or glob, or - for standard input")
    sources: dict[str, Source] = {}
    for pattern in patterns:
        if pattern == STDIN:
            if STDIN not in sources:
                sources[STDIN] = Source(STDIN, _read_stdin(stdin or sys.stdin.buffer))
            continue
        for path, place in _expand(pattern):
            sources.setdefault(place, Source(printable(path), path))
    return list(sources.values())


def _expand(pattern: str) -> Iterator[tuple[Path, str]]:
    """The files that are meant, and where each really lies, links followed."""
    path = Path(pattern)
    if path.is_dir():
        yield from _pictures_of(path)
    elif path.exists():
        yield path, str(path.resolve())
    elif glob.has_magic(pattern):
        yield from _matches(pattern)
    else:
        raise UsageError(f"{pattern}: no such file or folder")


def _matches(pattern: str) -> Iterator[tuple[Path, str]]:
    """Picture files that match, and the pictures of folders that do; other files are passed over."""
    found = False
    for path in sorted(map(Path, glob.glob(pattern, recursive=True)), key=_natural):  # noqa: PTH207
        if path.is_file() and _looks_like_picture(path.name):
            found = True
            yield path, str(path.resolve())
        elif path.is_dir():
            for inside in _walk(path, str(path.resolve())):
                found = True
                yield inside
    if not found:
        raise UsageError(f"{pattern}: matches no picture ({_known_suffixes()})")


def _pictures_of(folder: Path) -> Iterator[tuple[Path, str]]:
    found = False
    for inside in _walk(folder, str(folder.resolve())):
        found = True
        yield inside
    if not found:
        raise UsageError(f"{folder}: holds no picture ({_known_suffixes()})")


def _walk(folder: Path, place: str) -> Iterator[tuple[Path, str]]:
    """Picture files to the bottom, hidden ones (macOS leaves such beside pictures) and linked folders left out.

    One look at each folder tells what is a file and what is a link: 100,000 files are not asked one by one.
    """
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:  # a folder that may not be read holds nothing for us
        return
    for entry in sorted(visible, key=lambda entry: _natural_part(entry.name)):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, _inside(place, entry.name))
        elif _looks_like_picture(entry.name) and entry.is_file():
            path = folder / entry.name
            yield path, str(path.resolve()) if entry.is_symlink() else _inside(place, entry.name)


def _inside(place: str, name: str) -> str:
    return os.path.join(place, name)  # noqa: PTH118 - as below


def _looks_like_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES  # noqa: PTH122 - a Path of each name takes longer


def _known_suffixes() -> str:
    return ", ".join(sorted(PICTURE_SUFFIXES))


def _natural(path: Path) -> tuple[tuple[tuple[int, int, str], ...], ...]:
    """Digits count as numbers: scan2.png comes before scan10.png."""
    return tuple(_natural_part(part) for part in path.parts)


def _natural_part(part: str) -> tuple[tuple[int, int, str], ...]:
    pieces = re.findall(r"[0-9]+|[^0-9]+", part)
    return tuple((0, int(piece), piece) if piece.isdecimal() else (1, 0, piece) for piece in pieces)


def _read_stdin(stream: BinaryIO) -> bytes:
    content = stream.read(MAX_STDIN + 1)
    if not content:
        raise UsageError("-: nothing came from standard input; send one picture's bytes")
    if len(content) > MAX_STDIN:
        raise UsageError(f"-: more than {MAX_STDIN // 2**20} MiB came from standard input; send one picture's bytes")
    return content

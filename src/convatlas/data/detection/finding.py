"""Where the pictures of annotations lie: names as files state them, folders as people lay them out."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from convatlas.data.listing import SPLIT_NAMES
from convatlas.data.pictures import PICTURE_SUFFIXES, measure, printable
from convatlas.errors import DataError, PictureError
from convatlas.types import SPLITS, Split

_TRIED = 20  # names, to see whether a folder is the one that is meant


@dataclass(frozen=True, kw_only=True)
class PictureFolder:
    """The folder of some pictures, and what stands before their names in the data set ("images/train/", or nothing)."""

    folder: Path
    prefix: str

    def path(self, name: str) -> Path:
        """Where the picture of this name is, or would be."""
        return self.folder / name


def plain_name(name: object) -> str:
    """The name of a picture as a file states it, with / between its parts.

    Raises DataError for what is no name, and for one that leads out of the folder of pictures.
    """
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        raise DataError("expected the name of a picture")
    plain = PurePosixPath(name.replace("\\", "/"))
    if plain.is_absolute() or ".." in plain.parts or re.match(r"[A-Za-z]:", name):
        raise DataError("leads out of the folder of pictures; make it relative to that folder")
    return plain.as_posix()


def is_file(path: Path) -> bool:
    """Whether there is such a file. Path.is_file raises OSError for a name that is too long, and is slower."""
    return os.path.isfile(path)  # noqa: PTH113


def check_regular(path: Path, name: str) -> None:
    """Raise DataError, which calls it `name`, for what is neither file nor folder: opening a pipe waits for ever."""
    if os.path.exists(path) and not is_file(path) and not is_folder(path):  # noqa: PTH110  # as above
        raise DataError(f"{name}: is neither a regular file nor a folder")


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False for a name that is too long."""
    return os.path.isdir(path)  # noqa: PTH112


def picture_folder(candidates: Sequence[Path], names: Sequence[str], *roots: Path | None) -> PictureFolder | None:
    """The first candidate in which one of the first names is a file; None if there is no such candidate."""
    for folder in candidates:
        if any(is_file(folder / name) for name in names[:_TRIED]):
            return PictureFolder(folder=folder, prefix=prefix_of(folder, *roots))
    return None


def prefix_of(folder: Path, *roots: Path | None) -> str:
    """What leads to a folder from the first of the roots that holds it, ending in /; nothing for that root itself.

    For a folder in none of them all of its path, so that two pictures never have one name.
    """
    for root in roots:
        if folder == root:
            return ""
        if root is not None and folder.is_relative_to(root):
            return printable(folder.relative_to(root).as_posix()) + "/"
    return printable(folder.as_posix()).rstrip("/") + "/"


def split_of(path: Path) -> Split | None:
    """The part that a file's or folder's name states: `instances_train2017.json`, `valid/_annotations.coco.json`."""
    for name in (path.stem, path.parent.name):
        words = re.split(r"[^a-z]+", name.lower())
        parts = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
        if len(parts) == 1:
            return parts.pop()
    return None


def split_order(split: Split | None) -> int:
    """train, val, test, then what is in no part."""
    return len(SPLITS) if split is None else SPLITS.index(split)


def pictures_below(folder: Path) -> list[Path]:
    """All files of a folder and deeper that are named as pictures, sorted; raises DataError if it cannot be listed."""
    try:
        return sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
    except OSError as error:
        raise DataError(f"{printable(folder)}: cannot be listed ({error.strerror or error})") from error


def measured(path: Path) -> tuple[int, int] | str:
    """Width and height of a picture, or why it has none."""
    try:
        return measure(path)
    except PictureError as error:
        return error.reason

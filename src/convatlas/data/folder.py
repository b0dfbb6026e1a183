"""Folders of class folders, as torchvision's ImageFolder takes them: the folder's name is the class.

    photos/cat/1.jpg                      one folder of class folders, or
    photos/train/cat/1.jpg                one such folder for each part: train, and val (also valid, validation)
    photos/test/cat/2.jpg                 and test, of which either may be missing

Pictures may lie deeper inside a class folder. Classes are sorted by name as Python sorts strings, as ImageFolder does,
so class numbers agree. Hidden files and folders and what systems leave behind are passed over.

A million files are listed in seconds: each folder is read once, the system says with each name whether it is a folder,
and a file is kept as its name alone.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from convatlas.data.listing import SPLIT_NAMES, Listing, quoted
from convatlas.data.pictures import PICTURE_SUFFIXES, printable
from convatlas.errors import DataError
from convatlas.types import SPLITS, Split

_LEFT_BEHIND = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def list_folder(root: Path) -> Listing:
    """All pictures below a folder of class folders; raises DataError if it is missing, a file, or cannot be read."""
    if not root.exists():
        raise DataError(f"{printable(root)}: there is no such folder")
    if not root.is_dir():
        raise DataError(f"{printable(root)}: is a file; expected a folder of class folders (photos/cat/1.jpg)")
    top = _look_into(root)
    faults: list[str] = []
    parts = _split_folders(root, top.folders, faults)
    listed = [_list_part(root, f"{name}/") for name in parts.values()] or [_list_part(root, "")]
    for part in listed:
        faults += part.faults
    classes = tuple(sorted({name for part in listed for name in part.classes}))
    faults += _class_faults(root, classes, listed)
    used = set(parts.values())
    notes = [note for part in listed for note in part.notes]
    if parts and (unused := [name for name in top.folders if name not in used]):
        notes.append(f"not used, since train and other parts stand beside them: {quoted(unused)}")
    if parts and top.pictures:
        notes.append(f"{len(top.pictures)} pictures lie directly in {printable(root)} and are not used")
    files = tuple([file for part in listed for file in part.files])
    given = [split for split, part in zip(parts, listed, strict=True) for _ in part.files] if parts else []
    return Listing(
        origin=printable(root),
        classes=classes,
        names=tuple([file if file.isascii() else printable(file) for file in files]),
        files=files,
        labels=tuple([label for part in listed for label in part.labels]),
        given=tuple(given),
        prefix=os.path.join(root, ""),  # noqa: PTH118  # with the separator at its end
        splits=tuple(parts),
        faults=tuple(faults),
        notes=tuple(notes),
        ignored=sum(part.ignored for part in listed) + (top.ignored if parts else 0),
    )


@dataclass(frozen=True, kw_only=True)
class _Content:
    """The names of what one folder holds directly, sorted."""

    folders: list[str]
    pictures: list[str]
    ignored: int


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A folder of class folders; files are relative to the root, labels are the classes of each."""

    folder: Path
    classes: tuple[str, ...]
    files: list[str]
    labels: list[tuple[str]]
    faults: list[str]
    notes: list[str]
    ignored: int


def _look_into(folder: Path) -> _Content:
    folders, pictures, ignored = [], [], 0
    try:
        with os.scandir(folder) as found:
            for entry in found:
                name = entry.name.lower()
                if name.startswith(".") or name in _LEFT_BEHIND:
                    continue
                if _is_folder(entry):
                    folders.append(entry.name)
                elif name[name.rfind(".") :] in PICTURE_SUFFIXES:
                    pictures.append(entry.name)
                else:
                    ignored += 1
    except OSError as error:
        raise DataError(f"{printable(folder)}: cannot be listed ({error.strerror or error})") from error
    return _Content(folders=sorted(folders), pictures=sorted(pictures), ignored=ignored)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself is no folder; one into a folder that is closed to us raises again
        return Path(entry).is_dir()


def _split_folders(root: Path, folders: list[str], faults: list[str]) -> dict[Split, str]:
    """The folders that are parts of the data set; none where "train" or "test" can only be the name of a class."""
    named = [(SPLIT_NAMES[folder.lower()], folder) for folder in folders if folder.lower() in SPLIT_NAMES]
    found = {split for split, _ in named}
    if "train" not in found:
        if len(named) > 1 and len(named) == len(folders):
            faults.append(f"{printable(root)}: has {quoted(folders)} but no folder train")
        return {}
    if len(named) == 1 and (len(folders) > 1 or _look_into(root / folders[0]).pictures):
        return {}
    parts: dict[Split, str] = {}
    for split in SPLITS:
        same = [folder for name, folder in named if name == split]
        if len(same) > 1:
            faults.append(f"{printable(root)}: {quoted(same)} both name the {split} part; keep one of them")
        if same:
            parts[split] = same[0]
    return parts


def _list_part(root: Path, within: str) -> _Part:
    """within: the part's folder relative to the root, with a slash at its end; empty for the root itself."""
    folder = root / within
    content = _look_into(folder)
    files: list[str] = []
    labels: list[tuple[str]] = []
    faults: list[str] = []
    notes: list[str] = []
    ignored = content.ignored
    for name in content.folders:
        pictures, passed_over = _below(root, f"{within}{name}/", (folder.resolve(),))
        ignored += passed_over
        if not pictures:
            faults.append(f"{printable(folder / name)}: the class folder holds no picture; add some or remove it")
        files += pictures
        labels += [(printable(name),)] * len(pictures)
    loose, place = len(content.pictures), printable(folder)
    if loose and not content.folders:
        faults.append(
            f"{place}: {loose} pictures lie directly in it; put those of each class into a folder of its own, "
            f"such as {Path(place) / 'cat'} and {Path(place) / 'dog'}"
        )
    elif loose:
        notes.append(f"{loose} pictures lie directly in {place}, in no class folder, and are not used")
    elif not content.folders:
        faults.append(f"{place}: holds no class folder with pictures (expected {Path(place) / 'cat' / '1.jpg'})")
    return _Part(
        folder=folder,
        classes=tuple(map(printable, content.folders)),
        files=files,
        labels=labels,
        faults=faults,
        notes=notes,
        ignored=ignored,
    )


def _below(root: Path, within: str, ancestors: tuple[Path, ...]) -> tuple[list[str], int]:
    """All pictures in a folder and deeper, and how many files were passed over; a link back up is not followed."""
    folder = root / within
    content = _look_into(folder)
    pictures, ignored = [within + name for name in content.pictures], content.ignored
    if not content.folders:  # so it is no ancestor, which holds the way to here
        return pictures, ignored
    real = folder.resolve()
    if real in ancestors:
        return [], 0
    for name in content.folders:
        deeper, passed_over = _below(root, f"{within}{name}/", (*ancestors, real))
        pictures += deeper
        ignored += passed_over
    return pictures, ignored


def _class_faults(root: Path, classes: tuple[str, ...], parts: list[_Part]) -> list[str]:
    faults = []
    if len(classes) == 1:
        inner = parts[0].folder / classes[0]
        hint = f"; if the classes lie inside it, name {printable(inner)}" if _look_into(inner).folders else ""
        faults.append(f'{printable(root)}: has one class folder only, "{classes[0]}"; two or more are needed{hint}')
    for part in parts:
        present = set(part.classes)
        missing = [name for name in classes if name not in present]
        if missing and part.classes:
            faults.append(
                f"{printable(part.folder)}: has no folder for {quoted(missing)}, which another part has; "
                "all parts need the same classes"
            )
    return faults

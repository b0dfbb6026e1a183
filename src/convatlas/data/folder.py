"""Folders of class folders, as torchvision's ImageFolder takes them: the folder's name is the class.

    photos/cat/1.jpg                      one folder of class folders, or
    photos/train/cat/1.jpg                one such folder for each part: train, and val (also valid, validation)
    photos/test/cat/2.jpg                 and test, of which either may be missing

Pictures may lie deeper inside a class folder. Classes are sorted by name as Python sorts strings, as ImageFolder does,
so class numbers agree. Hidden files and folders and what systems leave behind are passed over.
"""

from dataclasses import dataclass
from pathlib import Path

from convatlas.data.listing import SPLIT_NAMES, Entry, Listing, quoted
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
    listed = [_list_part(folder, split, root) for split, folder in parts.items()] or [_list_part(root, None, root)]
    for part in listed:
        faults += part.faults
    classes = tuple(sorted({name for part in listed for name in part.classes}))
    faults += _class_faults(root, classes, listed)
    used = set(parts.values())
    notes = [note for part in listed for note in part.notes]
    if parts and (unused := [folder.name for folder in top.folders if folder not in used]):
        notes.append(f"not used, since train and other parts stand beside them: {quoted(unused)}")
    if parts and top.pictures:
        notes.append(f"{len(top.pictures)} pictures lie directly in {printable(root)} and are not used")
    return Listing(
        origin=printable(root),
        classes=classes,
        entries=tuple(entry for part in listed for entry in part.entries),
        splits=tuple(parts),
        faults=tuple(faults),
        notes=tuple(notes),
        ignored=sum(part.ignored for part in listed) + (top.ignored if parts else 0),
    )


@dataclass(frozen=True, kw_only=True)
class _Content:
    """What one folder holds directly, sorted by name."""

    folders: list[Path]
    pictures: list[Path]
    ignored: int


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A folder of class folders."""

    folder: Path
    classes: tuple[str, ...]
    entries: list[Entry]
    faults: list[str]
    notes: list[str]
    ignored: int


def _look_into(folder: Path) -> _Content:
    folders, pictures, ignored = [], [], 0
    try:
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.name.lower() in _LEFT_BEHIND:
                continue
            if path.is_dir():
                folders.append(path)
            elif path.suffix.lower() in PICTURE_SUFFIXES:
                pictures.append(path)
            else:
                ignored += 1
    except OSError as error:
        raise DataError(f"{printable(folder)}: cannot be listed ({error.strerror or error})") from error
    return _Content(folders=folders, pictures=pictures, ignored=ignored)


def _split_folders(root: Path, folders: list[Path], faults: list[str]) -> dict[Split, Path]:
    """The folders that are parts of the data set; none where "train" or "test" can only be the name of a class."""
    named = [(SPLIT_NAMES[folder.name.lower()], folder) for folder in folders if folder.name.lower() in SPLIT_NAMES]
    found = {split for split, _ in named}
    if "train" not in found:
        if len(named) > 1 and len(named) == len(folders):
            names = quoted([folder.name for folder in folders])
            faults.append(f"{printable(root)}: has {names} but no folder train")
        return {}
    if len(named) == 1 and (len(folders) > 1 or _look_into(folders[0]).pictures):
        return {}
    parts: dict[Split, Path] = {}
    for split in SPLITS:
        same = [folder for name, folder in named if name == split]
        if len(same) > 1:
            names = quoted([folder.name for folder in same])
            faults.append(f"{printable(root)}: {names} both name the {split} part; keep one of them")
        if same:
            parts[split] = same[0]
    return parts


def _list_part(folder: Path, split: Split | None, root: Path) -> _Part:
    content = _look_into(folder)
    entries: list[Entry] = []
    faults: list[str] = []
    notes: list[str] = []
    ignored = content.ignored
    for class_folder in content.folders:
        pictures, passed_over = _below(class_folder, (folder.resolve(),))
        ignored += passed_over
        if not pictures:
            faults.append(f"{printable(class_folder)}: the class folder holds no picture; add some or remove it")
        label = printable(class_folder.name)
        for path in pictures:
            name = printable(path.relative_to(root).as_posix())
            entries.append(Entry(path=path, name=name, labels=(label,), split=split))
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
        classes=tuple(printable(class_folder.name) for class_folder in content.folders),
        entries=entries,
        faults=faults,
        notes=notes,
        ignored=ignored,
    )


def _below(folder: Path, ancestors: tuple[Path, ...]) -> tuple[list[Path], int]:
    """All pictures in a folder and deeper, and how many files were passed over; a link back up is not followed."""
    real = folder.resolve()
    if real in ancestors:
        return [], 0
    content = _look_into(folder)
    pictures, ignored = content.pictures, content.ignored
    for inner in content.folders:
        deeper, passed_over = _below(inner, (*ancestors, real))
        pictures = pictures + deeper
        ignored += passed_over
    return pictures, ignored


def _class_faults(root: Path, classes: tuple[str, ...], parts: list[_Part]) -> list[str]:
    faults = []
    if len(classes) == 1:
        inner = parts[0].folder / classes[0]
        hint = f"; if the classes lie inside it, name {printable(inner)}" if _look_into(inner).folders else ""
        faults.append(f'{printable(root)}: has one class folder only, "{classes[0]}"; two or more are needed{hint}')
    for part in parts:
        missing = [name for name in classes if name not in part.classes]
        if missing and part.classes:
            faults.append(
                f"{printable(part.folder)}: has no folder for {quoted(missing)}, which another part has; "
                "all parts need the same classes"
            )
    return faults

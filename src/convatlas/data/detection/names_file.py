"""Files that list the classes, one name a line: `classes.txt` of labelImg, `obj.names` of darknet, and their like."""

from pathlib import Path

from convatlas.data.pictures import printable
from convatlas.errors import DataError

_KNOWN = ("classes.txt", "labels.txt", "predefined_classes.txt", "obj.names", "names.txt")
_LARGEST = 2**20  # bytes


def find_names(*folders: Path) -> tuple[str, ...] | None:
    """The classes that a file in one of the folders lists; None if there is none. Raises what `read_names` raises."""
    for folder in folders:
        for path in [*(folder / name for name in _KNOWN), *sorted(folder.glob("*.names"))]:
            if path.is_file():
                return read_names(path)
    return None


def read_names(path: Path) -> tuple[str, ...]:
    """One class a line, empty lines at the end left out; raises DataError that names the line."""
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"{printable(path)}: is too large for a list of classes")
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)}: is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise DataError(f"{printable(path)}: cannot be read ({error.strerror or error})") from error
    names = tuple(line.strip() for line in lines)
    seen: set[str] = set()
    for number, name in enumerate(names, start=1):
        if not name:
            raise DataError(f"{printable(path)}, line {number}: is empty; each line is the name of a class")
        if name in seen:
            raise DataError(f'{printable(path)}, line {number}: "{name}" stands twice')
        seen.add(name)
    if not names:
        raise DataError(f"{printable(path)}: names no class")
    return names

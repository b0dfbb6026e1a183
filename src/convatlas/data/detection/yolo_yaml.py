"""YOLO's data.yaml: which folders are the parts of a data set, and what its classes are called.

Keys, as https://docs.ultralytics.com/datasets/detect documents them: `path`, `train`, `val` (also `valid`), `test`,
`names` (a list, or numbers to names), `nc`, `kpt_shape`. Others are not read. Aliases (`*name`) are refused, for a few
of them in one another fill the memory.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from convatlas.data.detection.checks import is_text, shown
from convatlas.data.detection.faults import FaultLog, Place
from convatlas.data.detection.finding import is_file, is_folder, pictures_below
from convatlas.data.listing import SPLIT_NAMES
from convatlas.data.pictures import printable
from convatlas.errors import DataError
from convatlas.types import Split

_LARGEST = 2**20  # bytes
_MOST_POINTS = 1000
_LARGEST_NAME = 10**18  # of classes that are named by numbers
_PART = re.compile(rb"^(train|val|valid|validation|test)\s*:", re.MULTILINE)
_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")


@dataclass(frozen=True, kw_only=True)
class YoloPart:
    """The pictures of one part."""

    split: Split | None
    pictures: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class YoloPlan:
    """The parts and classes; classes are empty where nothing names them. points: keypoints of an object, 0 if it has
    none; point_values: 2 (x, y) or 3 (x, y, visibility)."""

    parts: tuple[YoloPart, ...]
    classes: tuple[str, ...] = ()
    points: int = 0
    point_values: int = 3


def find_yaml(folder: Path) -> Path | None:
    """The data.yaml of a folder: under one of its usual names, else the first .yaml that has names and a part."""
    for path in [*(folder / name for name in _NAMES), *sorted(folder.glob("*.y*ml"))]:
        if path.is_file() and _looks_right(path):
            return path
    return None


def _looks_right(path: Path) -> bool:
    try:
        text = path.read_bytes()[:_LARGEST]
    except OSError:
        return False
    return re.search(rb"^names\s*:", text, re.MULTILINE) is not None and _PART.search(text) is not None


def read_yaml(path: Path, log: FaultLog) -> YoloPlan:
    """What a data.yaml states, with the pictures of each part; raises DataError for what is no such file."""
    name = printable(path)
    document = _load(path)
    place = Place(printable(path.name))
    base = _base(path, document.get("path"))
    parts = []
    read: dict[str, str] = {}  # what a key names -> that key
    for key, split in SPLIT_NAMES.items():
        value = document.get(key)
        if isinstance(value, str) and read.setdefault(value.strip(), key) != key:
            reason = f"names the same as {read[value.strip()]}, which its pictures belong to"
            log.add("not read", place, key, reason)
            continue
        places = value if isinstance(value, list) else [] if value is None else [value]
        pictures: list[Path] = []
        for each in places:
            if isinstance(each, str) and each.strip():
                pictures += _pictures(each.strip(), base, key, place, log)
            else:
                log.add("no file", place, key, f"expected a folder or a list of pictures, got {shown(each)}")
        if pictures:
            parts.append(YoloPart(split=split, pictures=tuple(pictures)))
    if not parts and not log.faults:
        raise DataError(f"{name}: names no part; expected train: and val: with folders of pictures")
    points, values = _points(document.get("kpt_shape"), place, log)
    classes = _classes(document, name)
    return YoloPlan(parts=tuple(parts), classes=classes, points=points, point_values=values)


class _PlainLoader(yaml.SafeLoader):
    """Takes scalars for what they look like to a reader: whole numbers and nothing; all else is text.

    YAML 1.1 makes true and false of `yes` and `no`, and 8 of `010`, which are names of classes.
    """

    # PyYAML's own name; to its stubs it is no class variable.
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?(?:0|[1-9][0-9]*)\Z"), list("-0123456789"))
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL)?\Z"), ["~", "n", "N", ""]
)


def _load(path: Path) -> dict[object, object]:
    name = printable(path)
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(f"{name}: is larger than {_LARGEST // 2**20} MB, too large for a data.yaml")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error})") from error
    try:
        aliased = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text))
        document = None if aliased else yaml.load(text, _PlainLoader)  # a SafeLoader
    except Exception as error:  # a tag that does not fit (`!!int ""`) makes PyYAML raise whatever it stumbles upon
        raise DataError(f"{name}: is not YAML ({' '.join(str(error).split())})") from error
    if aliased:
        raise DataError(f"{name}: has aliases (*name), which are refused; write out what they stand for")
    if not isinstance(document, dict):
        raise DataError(f"{name}: expected keys train, val and names, got {shown(document)}")
    return document


def _base(path: Path, stated: object) -> Path:
    """The folder that the parts are relative to. `path` may be of the machine on which the file was written."""
    if isinstance(stated, str) and stated.strip():
        for candidate in (path.parent / stated.strip(), Path(stated.strip())):
            if is_folder(candidate):
                return candidate
    return path.parent


def _pictures(value: str, base: Path, key: str, place: Place, log: FaultLog) -> list[Path]:
    """The pictures of a folder, or those that a text file lists; none, with a fault, if it is not there."""
    # Some exporters write ../train/images for the folder beside the file.
    for candidate in (base / value, base / value.removeprefix("../")):
        if is_folder(candidate):
            found = pictures_below(candidate)
            if not found:
                log.add("no file", place, key, f"{printable(candidate)} holds no picture")
            return found
        if is_file(candidate) and candidate.suffix.lower() == ".txt":
            return _listed(candidate, base, key, place, log)
    log.add("no file", place, key, f"there is no {printable(base / value)}")
    return []


def _listed(path: Path, base: Path, key: str, place: Place, log: FaultLog) -> list[Path]:
    """The pictures that a text file lists, one a line, relative to the file, else to the data set."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        log.add("no file", place, key, f"{printable(path)} cannot be read ({error})")
        return []
    names = [line.strip() for line in lines if Path(line.strip()).name]
    return [beside if is_file(beside := path.parent / name) else base / name for name in names]


def _classes(document: dict[object, object], name: str) -> tuple[str, ...]:
    names, count = document.get("names"), document.get("nc")
    if isinstance(names, dict):
        numbers = sorted(key for key in names if type(key) is int)
        if numbers != list(range(len(names))):
            raise DataError(f"{name}: names: expected the numbers 0, 1, … each once, got {shown(list(names))}")
        names = [names[number] for number in numbers]
    if not isinstance(names, list) or not names:
        raise DataError(f"{name}: names: expected the names of the classes, got {shown(names)}")
    for each in names:
        if not (is_text(each) or (type(each) is int and not abs(each) > _LARGEST_NAME)):
            raise DataError(f"{name}: names: expected the name of a class, got {shown(each)}")
    classes = tuple(str(each) for each in names)
    if len(set(classes)) != len(classes):
        raise DataError(f"{name}: names: a class stands twice in {shown(names)}")
    if count is not None and count != len(classes):
        raise DataError(f"{name}: nc is {shown(count)}, but there are {len(classes)} names")
    return classes


def _points(shape: object, place: Place, log: FaultLog) -> tuple[int, int]:
    match shape:
        case None:
            return 0, 3
        case [int(points), 2 | 3 as values] if 0 < points < _MOST_POINTS:
            return points, values
    log.add("no class", place, "kpt_shape", f"expected [number of keypoints, 2 or 3], got {shown(shape)}")
    return 0, 3


def yaml_text(classes: Sequence[str], parts: Sequence[str], points: int = 0) -> str:
    """A data.yaml beside folders `images/<part>`, as `read_yaml` and other readers of YOLO's data take it.

    It has no `path`, for that is relative to the file to some and to the current folder to others; without it all take
    the file's own. Other readers ask for `val`: where there is none, it is said to be train.
    """
    document: dict[str, object] = {part: f"images/{part}" for part in parts}
    if "train" in parts and "val" not in parts:
        document["val"] = document["train"]
    document["names"] = dict(enumerate(classes))
    if points:
        document["kpt_shape"] = [points, 3]
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))

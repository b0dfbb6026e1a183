"""YOLO's text: one .txt a picture, one object a line, in parts of the picture's width and height (0..1).

    class x_center y_center width height                                darknet's boxes, https://pjreddie.com/darknet/yolo
    class x1 y1 x2 y2 x3 y3 …                                           an outline of three corners or more
    class x_center y_center width height x y [visibility] x y …         keypoints, where data.yaml states `kpt_shape`

    data.yaml      path, train, val, test (folders, or text files that list pictures), names; kpt_shape
    images/train/a.jpg     labels/train/a.txt     or     a.jpg and a.txt in one folder, with classes.txt (labelImg)

The layout and the keys of data.yaml are those of the public documentation, https://docs.ultralytics.com/datasets.
A picture without a .txt, or with an empty one, shows none of the classes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from convatlas.data.detection.checks import note_duplicates
from convatlas.data.detection.faults import FaultLog, Place
from convatlas.data.detection.finding import (
    is_file,
    measured,
    pictures_below,
    prefix_of,
    split_of,
    split_order,
)
from convatlas.data.detection.names_file import find_names
from convatlas.data.detection.records import KeypointPlan, ObjectListing, ObjectRecord, PictureRecord
from convatlas.data.detection.yolo_line import read_line
from convatlas.data.detection.yolo_yaml import YoloPart, YoloPlan, find_yaml, read_yaml
from convatlas.data.pictures import PICTURE_SUFFIXES, printable
from convatlas.errors import DataError, UsageError

_LARGEST = 16 * 2**20  # bytes of a label file
_MOST_UNNAMED = 10_000  # classes that only their numbers name
_NOT_LABELS = frozenset({"classes", "labels", "predefined_classes", "names", "train", "val", "test", "valid", "readme"})


def looks_like_yolo(folder: Path) -> bool:
    """Whether a folder is laid out as YOLO's data: a data.yaml, `labels` beside `images`, or .txt beside pictures."""
    if find_yaml(folder) is not None or ((folder / "labels").is_dir() and (folder / "images").is_dir()):
        return True
    labels = [path for path in folder.glob("*.txt") if path.stem.lower() not in _NOT_LABELS]
    return any(path.with_suffix(suffix).is_file() for path in labels for suffix in PICTURE_SUFFIXES)


def list_yolo(source: Path, images: Path | None = None) -> ObjectListing:
    """All pictures and objects of a data.yaml, or of a folder.

    images: the folder of the pictures, where there is no data.yaml to say it; their labels are then looked for in the
    source first. Raises DataError where nothing can be listed: a data.yaml that cannot be read, or no picture;
    UsageError for `images` where there is a data.yaml.
    """
    if not source.is_dir() and source.suffix.lower() not in (".yaml", ".yml"):
        raise DataError(f"{printable(source)}: is no data.yaml; name one, or the folder of the pictures and labels")
    log = FaultLog()
    path = find_yaml(source) if source.is_dir() else source
    if path is not None and images is not None:
        raise UsageError(
            f"images: {printable(path)} says where the pictures lie; leave it out, or mend `path` in that file"
        )
    plan = read_yaml(path, log) if path is not None else _plan_of_folder(source, images, log)
    root = source if source.is_dir() else source.parent
    reading = _Reading(root=root, images=images, plan=plan, log=log)
    for part in plan.parts:
        for picture in part.pictures:
            _read_picture(picture, part, reading)
    _note_orphans(reading)
    if not plan.classes:
        _name_by_numbers(source, reading)
    classes = plan.classes or tuple(str(number) for number in range(reading.highest + 1))
    return ObjectListing(
        origin=printable(source),
        format="yolo",
        classes=classes,
        pictures=tuple(sorted(reading.pictures, key=lambda each: split_order(each.split))),
        faults=tuple(log.faults),
        keypoints=KeypointPlan(names=tuple(f"point {number}" for number in range(1, plan.points + 1))),
    )


@dataclass(kw_only=True)
class _Reading:
    """What has been read so far. highest: the highest class number met."""

    root: Path
    images: Path | None
    plan: YoloPlan
    log: FaultLog
    pictures: list[PictureRecord] = field(default_factory=list)
    split_by_path: dict[Path, object] = field(default_factory=dict)
    used: set[Path] = field(default_factory=set)  # label files that belong to a picture
    highest: int = -1

    def labels_of(self, picture: Path) -> Path:
        """Where the labels of a picture are: where the pictures' folder was named, in the source; else by its path."""
        if self.images is not None and picture.is_relative_to(self.images):
            below = picture.relative_to(self.images).with_suffix(".txt")
            for folder in (self.root, self.root / "labels"):
                if is_file(folder / below):
                    return folder / below
        return label_file(picture)


def _plan_of_folder(folder: Path, images: Path | None, log: FaultLog) -> YoloPlan:
    """One part for each folder of pictures, as far as names tell parts; classes of a names file."""
    start = images or (folder / "images" if (folder / "images").is_dir() else folder)
    grouped: dict[Path, list[Path]] = {}
    for picture in pictures_below(start):
        grouped.setdefault(picture.parent, []).append(picture)
    if not grouped:
        raise DataError(f"{printable(start)}: holds no picture")
    parts = tuple(
        YoloPart(split=None if below == start else split_of(below / "_"), pictures=tuple(pictures))
        for below, pictures in grouped.items()
    )
    names = find_names(folder, folder / "labels", *{label_file(part.pictures[0]).parent for part in parts}) or ()
    return YoloPlan(classes=names, parts=parts)


def label_file(picture: Path) -> Path:
    """Where the labels of a picture are: beside it, or where the last folder `images` of its path says `labels`."""
    beside = picture.with_suffix(".txt")
    parts = list(picture.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            parallel = Path(*parts).with_suffix(".txt")
            return beside if is_file(beside) and not is_file(parallel) else parallel
    return beside


def _read_picture(picture: Path, part: YoloPart, reading: _Reading) -> None:
    log = reading.log
    name = prefix_of(picture.parent, reading.images, reading.root) + printable(picture.name)
    labels = reading.labels_of(picture)
    place = Place(prefix_of(labels.parent, reading.root) + printable(labels.name), name)
    if picture in reading.split_by_path:
        if reading.split_by_path[picture] != part.split:
            log.add("two parts", place, "", f"is in {reading.split_by_path[picture]} already")
        return
    reading.split_by_path[picture] = part.split
    reading.used.add(labels)
    size = measured(picture)
    if isinstance(size, str):
        log.add("missing picture", place, "", size)
        return
    objects = []
    for number, words in _lines(labels, place, log):
        at = Place(place.file, name, f"line {number}")
        found = _object(words, size, at, reading)
        if found is not None:
            objects.append(found)
    note_duplicates(objects, place.file, name, log)
    reading.pictures.append(
        PictureRecord(
            name=name,
            path=picture,
            width=size[0],
            height=size[1],
            file=place.file,
            split=part.split,
            objects=tuple(objects),
        )
    )


def _lines(path: Path, place: Place, log: FaultLog) -> Iterator[tuple[int, list[str]]]:
    """The words of each line that has some, and its number; nothing, with a fault, for a file that cannot be read."""
    try:
        if not path.exists():
            return
        if not is_file(path):
            raise DataError("is no regular file")
        if path.stat().st_size > _LARGEST:
            raise DataError(f"is larger than {_LARGEST // 2**20} MB, too large for the labels of a picture")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        log.add("bad file", place, "", f"is not UTF-8 text (byte {error.start})")
    except OSError as error:
        log.add("bad file", place, "", f"cannot be read ({error.strerror or error})")
    except DataError as error:
        log.add("bad file", place, "", str(error))
    else:
        for number, line in enumerate(text.splitlines(), start=1):
            if words := line.split():
                yield number, words


def _object(words: Sequence[str], size: tuple[int, int], place: Place, reading: _Reading) -> ObjectRecord | None:
    line = read_line(words, size, reading.plan, place, reading.log)
    if line is None:
        return None
    reading.highest = max(reading.highest, line.label)
    if reading.plan.classes and line.label >= len(reading.plan.classes):
        reason = f"class {line.label}; there are {len(reading.plan.classes)}, from 0"
        reading.log.add("unknown class", place, "", reason)
        return None
    return line


def _note_orphans(reading: _Reading) -> None:
    """Log label files without a picture."""
    folders = {path.parent for path in reading.used} | ({reading.root} if reading.images is not None else set())
    for folder in sorted(folders):
        for path in sorted(folder.glob("*.txt")):
            if path not in reading.used and path.stem.lower() not in _NOT_LABELS:
                place = Place(prefix_of(folder, reading.root) + printable(path.name))
                reading.log.add("missing picture", place, "", "these labels have no picture")


def _name_by_numbers(source: Path, reading: _Reading) -> None:
    place = Place(printable(source))
    if reading.highest < 0:
        reading.log.add("no class", place, "", "no file names the classes, and there is no object")
    elif reading.highest >= _MOST_UNNAMED:
        reading.log.add("no class", place, "", f"no file names the classes, and one has the number {reading.highest}")
        reading.highest = _MOST_UNNAMED - 1
        reading.pictures.clear()
    else:
        reading.log.add("not read", place, "", "no classes.txt or data.yaml names the classes; their numbers do")

"""COCO's JSON: https://cocodataset.org/#format-data, "Object Detection" and "Keypoint Detection".

    {"images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}, …],
     "categories": [{"id": 18, "name": "dog"}, …],
     "annotations": [{"id": 7, "image_id": 1, "category_id": 18, "bbox": [x, y, width, height], "area": …,
                      "segmentation": polygons or run lengths, "iscrowd": 0, "keypoints": [x, y, v, …]}, …]}

Boxes are in pixels from the top left edge, from 0, and need not be whole. Classes stand in the order of their ids.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from convatlas.data.detection.checks import is_text, note_duplicates, shown
from convatlas.data.detection.coco_objects import Category, read_object
from convatlas.data.detection.faults import FaultLog, Place
from convatlas.data.detection.finding import (
    PictureFolder,
    is_file,
    measured,
    picture_folder,
    plain_name,
    split_of,
    split_order,
)
from convatlas.data.detection.json_file import load_json
from convatlas.data.detection.records import KeypointPlan, ObjectListing, ObjectRecord, PictureRecord
from convatlas.data.listing import SPLIT_NAMES
from convatlas.data.pictures import MAX_PIXELS, printable
from convatlas.errors import DataError
from convatlas.types import Split

_HEAD = 64 * 1024
_KEYS = re.compile(rb'"(images|annotations|categories|info|licenses)"\s*:')
_OTHER_TASKS = ("captions", "stuff", "panoptic", "image_info")


def coco_files(folder: Path) -> list[Path]:
    """The files of a folder that hold COCO's annotations of objects, train first.

    Looked for in the folder, in `annotations`, and in folders named as parts are. Beside `instances_*.json` its
    siblings for other tasks are passed over.
    """
    places = [folder, folder / "annotations", *(folder / name for name in SPLIT_NAMES)]
    found = sorted({path for place in places for path in place.glob("*.json") if looks_like_coco(path)})
    found = [path for path in found if not path.name.lower().startswith(_OTHER_TASKS)]
    for kind in ("instances", "person_keypoints"):
        if any(path.name.startswith(kind) for path in found):
            found = [path for path in found if path.name.startswith(kind)]
    return sorted(found, key=lambda path: split_order(split_of(path)))


def looks_like_coco(path: Path) -> bool:
    """Whether a file begins as COCO's annotations do."""
    if not is_file(path):
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and _KEYS.search(head) is not None


def are_results(document: object) -> bool:
    """Whether a JSON document is what detectors answer, https://cocodataset.org/#format-results: no annotations."""
    match document:
        case [{"image_id": _, "category_id": _, "score": _}, *_]:
            return True
    return False


def _are_captions(document: object) -> bool:
    """Whether annotations are sentences, https://cocodataset.org/#format-data, "Image Captioning", not objects."""
    match document:
        case {"annotations": [{"caption": _} as first, *_]}:
            return "bbox" not in first and "segmentation" not in first
    return False


def list_coco(source: Path, images: Path | None = None) -> ObjectListing:
    """All pictures and objects of a file, or of the files of a folder (see `coco_files`).

    images: the folder of the pictures; without it they are looked for where COCO and its users put them. Raises
    DataError where nothing can be listed: a file that is no JSON, a folder without such files.
    """
    files = coco_files(source) if source.is_dir() else [source]
    if not files:
        raise DataError(f"{printable(source)}: holds no COCO annotations (looked for *.json here and in annotations)")
    reading = _Reading(root=source if source.is_dir() else source.parent, images=images)
    documents = [_document(path, reading.log) for path in files]
    for document in documents:
        _read_categories(document, reading)
    reading.number_classes()
    _plan_keypoints(printable(files[0].name), reading)
    for document in documents:
        _read_document(document, reading, split_of(document.path) if source.is_dir() else None)
    if not reading.categories:
        reading.log.add("no class", Place(printable(files[0])), "categories", "names no class")
    return ObjectListing(
        origin=printable(source),
        format="coco",
        classes=tuple(reading.classes),
        pictures=tuple(reading.pictures),
        faults=tuple(reading.log.faults),
        keypoints=reading.plan,
    )


@dataclass(frozen=True, kw_only=True)
class _Document:
    """One file's top level; what is missing in it is empty here."""

    path: Path
    name: str
    images: Sequence[object]
    categories: Sequence[object]
    annotations: Sequence[object]


@dataclass(kw_only=True)
class _Reading:
    """What has been read so far of all files of the source."""

    root: Path
    images: Path | None
    log: FaultLog = field(default_factory=FaultLog)
    categories: dict[int, Category] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)  # of the categories
    label_of: dict[int, int] = field(default_factory=dict)  # category id -> class index
    plan: KeypointPlan = field(default_factory=KeypointPlan)
    pictures: list[PictureRecord] = field(default_factory=list)
    split_by_name: dict[str, Split | None] = field(default_factory=dict)

    def number_classes(self) -> None:
        """Give the categories their class indices, in the order of their ids."""
        for number in sorted(self.categories):
            self.label_of[number] = len(self.classes)
            self.classes.append(self.categories[number].name)


@dataclass(kw_only=True)
class _Picture:
    """An entry of `images` and the objects read for it. path is None for one that cannot be used."""

    name: str
    width: int
    height: int
    path: Path | None
    objects: list[ObjectRecord] = field(default_factory=list)


def _document(path: Path, log: FaultLog) -> _Document:
    name = printable(path.name)
    data = load_json(path)
    if are_results(data):
        raise DataError(f"{printable(path)}: holds results (detections with scores), not annotations")
    if _are_captions(data):
        raise DataError(
            f"{printable(path)}: holds captions, which are not read; name a file of objects (instances_*.json)"
        )
    if not isinstance(data, dict):
        raise DataError(f"{printable(path)}: expected COCO's object with images, categories and annotations")
    lists: dict[str, Sequence[object]] = {}
    for key in ("images", "categories", "annotations"):
        value = data.get(key)
        if not isinstance(value, list):
            log.add(
                "bad file", Place(name), key, "is missing" if value is None else f"expected a list, got {shown(value)}"
            )
            value = []
        lists[key] = value
    return _Document(path=path, name=name, **lists)


def _read_categories(document: _Document, reading: _Reading) -> None:
    seen: set[int] = set()
    for index, entry in enumerate(document.categories):
        place = Place(document.name, annotation=f"category #{index}")
        if not isinstance(entry, dict) or type(entry.get("id")) is not int or not is_text(entry.get("name")):
            reading.log.add("no class", place, "", f"expected an id and a name, got {shown(entry)}")
            continue
        category = _category(entry, place, reading.log)
        number = entry["id"]
        if number in seen:
            reading.log.add("duplicate id", place, "id", f"{number} stands more than once among the categories")
            continue
        seen.add(number)
        known = reading.categories.setdefault(number, category)
        if known.name != category.name:
            reason = f'{number} is "{category.name}" here and "{known.name}" in another file'
            reading.log.add("no class", place, "id", reason)
        elif known.keypoints and category.keypoints and known.keypoints != category.keypoints:
            reason = f'"{category.name}" has {_listed(category)} here and {_listed(known)} in another file'
            reading.log.add("no class", place, "keypoints", reason)
        elif known is category and category.name in reading.names:
            reading.log.add("duplicate id", place, "name", f'"{category.name}" stands more than once')
        reading.names.add(known.name)


def _plan_keypoints(file: str, reading: _Reading) -> None:
    """Settle what an object's keypoints are; where classes have different ones none are read, which is logged."""
    having = {number: each for number, each in sorted(reading.categories.items()) if each.keypoints}
    if not having:
        return
    first, *others = having.values()
    other = next((each for each in others if each.keypoints != first.keypoints), None)
    if other is not None:
        reason = (
            f'"{first.name}" has {_listed(first)}, but "{other.name}" {_listed(other)}; no keypoints are read, for '
            "those of a set must be the same for all classes that have some"
        )
        reading.log.add("not read", Place(file), "keypoints", reason)
        return
    labels = frozenset(reading.label_of[number] for number in having)
    of_all = len(labels) == len(reading.classes)
    reading.plan = KeypointPlan(names=first.keypoints, skeleton=first.skeleton, classes=None if of_all else labels)


def _listed(category: Category) -> str:
    return shown(list(category.keypoints))


def _category(entry: Mapping[str, object], place: Place, log: FaultLog) -> Category:
    names = entry.get("keypoints") or []
    pairs = entry.get("skeleton") or []
    if not isinstance(names, list) or not all(map(is_text, names)):
        log.add("no class", place, "keypoints", f"expected a list of names, got {shown(names)}")
        names = []
    skeleton = []
    for pair in pairs if isinstance(pairs, list) else []:
        match pair:
            case [int(first), int(second)] if 1 <= first <= len(names) and 1 <= second <= len(names):
                skeleton.append((first - 1, second - 1))
            case _:
                log.add(
                    "no class", place, "skeleton", f"expected pairs of keypoints 1 to {len(names)}, got {shown(pair)}"
                )
    return Category(name=str(entry["name"]), keypoints=tuple(names), skeleton=tuple(skeleton))


def _read_document(document: _Document, reading: _Reading, split: Split | None) -> None:
    pictures = _read_pictures(document, reading)
    _read_annotations(document, pictures, reading)
    for picture in pictures.values():
        if picture.path is None:
            continue
        note_duplicates(picture.objects, document.name, picture.name, reading.log)
        if picture.name in reading.split_by_name:
            earlier = reading.split_by_name[picture.name]
            if earlier != split:
                reason = f"is in {earlier or 'another file'} already"
                reading.log.add("two parts", Place(document.name, picture.name), "file_name", reason)
            else:
                reading.log.add(
                    "duplicate id", Place(document.name, picture.name), "file_name", "stands more than once"
                )
            continue
        reading.split_by_name[picture.name] = split
        reading.pictures.append(
            PictureRecord(
                name=picture.name,
                path=picture.path,
                width=picture.width,
                height=picture.height,
                file=document.name,
                split=split,
                objects=tuple(picture.objects),
            )
        )


def _read_pictures(document: _Document, reading: _Reading) -> dict[int, _Picture]:
    """The entries of `images` by their ids."""
    log = reading.log
    names = [entry["file_name"] for entry in document.images if isinstance(entry, dict) and "file_name" in entry]
    folder = _folder(document, [name for name in names if isinstance(name, str)], reading)
    pictures: dict[int, _Picture] = {}
    for index, entry in enumerate(document.images):
        place = Place(document.name, f"picture #{index}")
        if not isinstance(entry, dict) or type(entry.get("id")) is not int:
            log.add("bad picture", place, "id", f"expected a whole number, got {shown(entry)}")
            continue
        number: int = entry["id"]
        try:
            name = plain_name(entry.get("file_name"))
        except DataError as error:
            log.add("bad picture", place, "file_name", f"{shown(entry.get('file_name'))} {error}")
            name = ""
        if number in pictures:
            log.add("duplicate id", Place(document.name, name or place.picture), "id", f"{number} has another picture")
            continue
        pictures[number] = _picture(entry, name, folder, document, log)
    if document.images and pictures and folder is None:
        tried = ", ".join(sorted({printable(each) for each in _candidates(document.path, reading.images)}))
        reason = f"none of the first pictures is in {tried}; name their folder with --images"
        log.add("no file", Place(document.name), "images", reason)
    return pictures


def _picture(
    entry: Mapping[str, object], name: str, folder: PictureFolder | None, document: _Document, log: FaultLog
) -> _Picture:
    path = folder.path(name) if folder is not None and name else None
    full_name = printable(folder.prefix + name if folder is not None else name)
    place = Place(document.name, full_name)
    if path is not None and not is_file(path):
        log.add("missing picture", place, "file_name", f"there is no {printable(path)}")
        path = None
    width, height = entry.get("width"), entry.get("height")
    if type(width) is int and type(height) is int and width > 0 and height > 0 and width * height <= MAX_PIXELS:
        return _Picture(name=full_name, width=width, height=height, path=path)
    if width is not None or height is not None:
        reason = f"expected whole numbers of pixels, got {shown(width)} x {shown(height)}"
        log.add("bad picture", place, "width, height", reason)
    size: tuple[int, int] | str = measured(path) if path is not None else ""
    if isinstance(size, str):
        if size:
            log.add("missing picture", place, "file_name", size)
        return _Picture(name=full_name, width=0, height=0, path=None)
    return _Picture(name=full_name, width=size[0], height=size[1], path=path)


def _read_annotations(document: _Document, pictures: Mapping[int, _Picture], reading: _Reading) -> None:
    log, label_of, categories = reading.log, reading.label_of, reading.categories
    seen: set[int] = set()
    for index, entry in enumerate(document.annotations):
        if not isinstance(entry, dict):
            log.add("malformed", Place(document.name, "", f"annotation #{index}"), "", f"is {shown(entry)}")
            continue
        number = entry.get("id")
        where = f"annotation {number}" if type(number) is int else f"annotation #{index}"
        picture_id = entry.get("image_id")
        picture = pictures.get(picture_id) if type(picture_id) is int else None
        place = Place(document.name, picture.name if picture is not None else "", where)
        if type(number) is int:
            if number in seen:
                log.add("duplicate id", place, "id", f"{number} stands more than once among the annotations")
            seen.add(number)
        elif number is not None:
            log.add("malformed", place, "id", f"expected a whole number, got {shown(number)}")
        if picture is None:
            log.add("malformed", place, "image_id", f"there is no picture {shown(picture_id)}")
            continue
        category_id = entry.get("category_id")
        if type(category_id) is not int or category_id not in label_of:
            log.add("unknown class", place, "category_id", f"there is no category {shown(category_id)}")
            continue
        if not picture.width:  # its size is not known, and that has been said
            continue
        label, category, width, height = label_of[category_id], categories[category_id], picture.width, picture.height
        found = read_object(entry, label, category, width=width, height=height, place=place, log=log)
        if found is not None:
            picture.objects.append(found if reading.plan.names else replace(found, keypoints=()))


def _folder(document: _Document, names: Sequence[str], reading: _Reading) -> PictureFolder | None:
    plain = [name.replace("\\", "/") for name in names]
    return picture_folder(_candidates(document.path, reading.images), plain, reading.images, reading.root)


def _candidates(path: Path, images: Path | None) -> list[Path]:
    """Where the pictures of an annotation file may lie."""
    if images is not None:
        split = split_of(path)
        return [images, images / path.stem.rpartition("_")[2], *([images / split] if split else [])]
    here, above = path.parent, path.parent.parent
    part = path.stem.rpartition("_")[2]  # instances_train2017 -> train2017
    return [
        here,
        here / "images",
        here / part,
        above / "images" / part,
        above / part,
        above / "images",
        above,
    ]

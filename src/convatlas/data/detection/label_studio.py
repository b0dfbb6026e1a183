"""Label Studio's JSON export: a list of tasks, https://labelstud.io/guide/export#Label-Studio-JSON-format-of-annotated-tasks.

    [{"id": 1, "data": {"image": "/data/upload/1/1a2b3c4d-a.jpg"},
      "annotations": [{"id": 7, "result": [
         {"id": "x1", "type": "rectanglelabels", "original_width": 640, "original_height": 480,
          "value": {"x": …, "y": …, "width": …, "height": …, "rotation": 0, "rectanglelabels": ["cat"]}}]}]}]

Places are parts of the picture in hundredths. Read are rectangles (a turned one becomes an outline and the box around
it) and polygons; other regions are passed over and said. Of several annotations of a task the one marked as ground
truth counts, else the first that was not cancelled. Classes stand in the alphabet's order.
"""

import math
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from convatlas.data.detection.checks import is_number, is_text, note_duplicates, settled_box, shown
from convatlas.data.detection.createml import renumbered
from convatlas.data.detection.faults import FaultLog, Place
from convatlas.data.detection.finding import is_file, measured, prefix_of
from convatlas.data.detection.json_file import first_entry, load_json
from convatlas.data.detection.records import ObjectListing, ObjectRecord, PictureRecord
from convatlas.data.pictures import PICTURE_SUFFIXES, printable
from convatlas.errors import DataError, UsageError
from convatlas.types.polygons import Polygon, check_polygon, check_reach

_UPLOADED = re.compile(r"[0-9a-f]{8}-")  # what Label Studio puts before the name of a file that was uploaded
_SHAPES = ("rectanglelabels", "polygonlabels")
_FARTHEST = 300.0  # hundredths of the picture


def is_label_studio(document: object) -> bool:
    """Whether a JSON document is Label Studio's export: a list whose first entry has data and annotations."""
    match document:
        case [{"data": dict(), "annotations": list()}, *_]:
            return True
    return False


def label_studio_files(folder: Path) -> list[Path]:
    """The JSON files of a folder that are Label Studio's exports, as far as their beginnings tell, sorted."""
    return sorted(path for path in folder.glob("*.json") if is_label_studio([first_entry(path)]))


def list_label_studio(source: Path, images: Path | None = None) -> ObjectListing:
    """All pictures and objects of an exported file, or of the one in a folder.

    images: the folder of the pictures; without it they are looked for beside the file, in `images` and in `upload`.
    Raises DataError where nothing can be listed.
    """
    if source.is_dir():
        found = label_studio_files(source)
        if len(found) != 1:
            names = ", ".join(printable(path.name) for path in found) or "none"
            raise DataError(f"{printable(source)}: expected one export of Label Studio's in it, found {names}")
        (source,) = found
    document = load_json(source)
    if not isinstance(document, list):
        raise DataError(f"{printable(source)}: expected Label Studio's list of tasks, got {shown(document)}")
    folders = [images] if images is not None else [source.parent, source.parent / "images", source.parent / "upload"]
    reading = _Reading(file=printable(source.name), folders=folders)
    for index, task in enumerate(document):
        _read_task(task, index, reading)
    if not reading.labels:
        reading.log.add("no class", Place(reading.file), "", "no rectangle or polygon has a label")
    classes = sorted(reading.labels)
    number_of = {reading.labels[name]: number for number, name in enumerate(classes)}
    return ObjectListing(
        origin=printable(source),
        format="label-studio",
        classes=tuple(classes),
        pictures=tuple(renumbered(picture, number_of) for picture in reading.pictures),
        faults=tuple(reading.log.faults),
    )


@dataclass(kw_only=True)
class _Reading:
    """What has been read so far. labels: class -> number in the order in which it was met."""

    file: str
    folders: Sequence[Path]
    log: FaultLog = field(default_factory=FaultLog)
    labels: dict[str, int] = field(default_factory=dict)
    pictures: list[PictureRecord] = field(default_factory=list)
    task_of: dict[Path, str] = field(default_factory=dict)


def _read_task(task: object, index: int, reading: _Reading) -> None:
    log = reading.log
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        log.add("bad picture", Place(reading.file, f"task #{index}"), "data", f"expected a task, got {shown(task)}")
        return
    name = f"task {task['id']}" if type(task.get("id")) is int else f"task #{index}"
    address = _address(task["data"])
    place = Place(reading.file, name)
    if address is None:
        log.add("bad picture", place, "data", f"expected the address of a picture, got {shown(task['data'])}")
        return
    picture = _find(address, reading.folders)
    if picture is None:
        tried = ", ".join(printable(folder) for folder in reading.folders)
        log.add("missing picture", place, "data", f"{shown(_file_name(address))} is not in {tried}")
        return
    if picture in reading.task_of:
        log.add("duplicate id", place, "data", f"{printable(picture.name)} is in {reading.task_of[picture]} already")
        return
    reading.task_of[picture] = name
    size = measured(picture)
    if isinstance(size, str):
        log.add("missing picture", place, "data", size)
        return
    full_name = prefix_of(picture.parent, *reading.folders[:1]) + printable(picture.name)
    place = Place(reading.file, full_name)
    regions = _regions(task.get("annotations"), place, log)
    if regions is None:
        return
    objects = [
        found
        for number, region in enumerate(regions)
        if (found := _object(region, number, size, place, reading)) is not None
    ]
    note_duplicates(objects, reading.file, full_name, log)
    reading.pictures.append(
        PictureRecord(
            name=full_name,
            path=picture,
            width=size[0],
            height=size[1],
            file=reading.file,
            objects=tuple(objects),
        )
    )


def _address(data: Mapping[str, object]) -> str | None:
    """Which of a task's values is its picture: the one named `image`, else the first that ends as pictures do."""
    values = [data.get("image"), *data.values()]
    for value in values:
        if isinstance(value, str) and PurePosixPath(_file_name(value)).suffix.lower() in PICTURE_SUFFIXES:
            return value
    return None


def _file_name(address: str) -> str:
    """The last part of an address: of a path, a URL, or Label Studio's `/data/local-files/?d=folder/a.jpg`."""
    try:
        parts = urllib.parse.urlsplit(address)
        local = urllib.parse.parse_qs(parts.query).get("d")
        path = local[0] if local else urllib.parse.unquote(parts.path)
    except ValueError:  # "http://[a/b.jpg": free text, or an address of no known form
        path = address
    last = PurePosixPath(path.replace("\\", "/")).name  # exports from Windows have its separators
    return PureWindowsPath(last).name  # and a name may begin with a drive, which would lead elsewhere


def _find(address: str, folders: Sequence[Path]) -> Path | None:
    """The picture of an address, under its name or under the one that it had before it was uploaded."""
    name = _file_name(address)
    names = [name, name[9:]] if _UPLOADED.match(name) else [name]
    candidates = (folder / each for each in names for folder in folders)
    return next((path for path in candidates if is_file(path)), None)


def _regions(annotations: object, place: Place, log: FaultLog) -> Sequence[object] | None:
    """The regions of the annotation that counts; None, with a fault in the log, where there is none."""
    if not isinstance(annotations, list):
        log.add("malformed", place, "annotations", f"expected a list, got {shown(annotations)}")
        return None
    done = [each for each in annotations if isinstance(each, dict) and not each.get("was_cancelled")]
    if not done:
        log.add("no annotation", place, "annotations", "the task has not been annotated")
        return None
    chosen = next((each for each in done if each.get("ground_truth")), done[0])
    if len(done) > 1:
        log.add("not read", place, "annotations", f"{len(done)} annotations; {shown(chosen.get('id'))} is taken")
    result = chosen.get("result")
    if not isinstance(result, list):
        log.add("malformed", place, "result", f"expected a list, got {shown(result)}")
        return None
    return result


def _object(region: object, number: int, size: tuple[int, int], place: Place, reading: _Reading) -> ObjectRecord | None:
    log = reading.log
    identity = region.get("id") if isinstance(region, dict) else None
    where = f"region {identity}" if is_text(identity) and identity else f"region #{number}"
    at = Place(place.file, place.picture, where)
    shape, value = (region.get("type"), region.get("value")) if isinstance(region, dict) else (None, None)
    if isinstance(region, dict) and shape not in _SHAPES:  # of other tools; relations, which have no value
        log.add("not read", at, "type", f"{shown(shape)} is neither rectanglelabels nor polygonlabels")
        return None
    if not isinstance(region, dict) or not isinstance(value, dict):
        log.add("malformed", at, "value", f"expected a region, got {shown(region)}")
        return None
    if not _same_size(region, size, at, log):
        return None
    name = _label(value.get(shape), str(shape), at, log)
    corners = _rectangle(value, size, at, log) if shape == "rectanglelabels" else _polygon(value, size, at, log)
    if name is None or corners is None:
        return None
    (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    if shape == "rectanglelabels" and (value["width"] < 0 or value["height"] < 0):
        x1, y1, x2, y2 = x2, y2, x1, y1
    box = settled_box((x1, y1, x2, y2), *size, at, "value", log)
    if box is None:
        return None
    outlined = shape == "polygonlabels" or bool(value.get("rotation"))
    label = reading.labels.setdefault(name, len(reading.labels))
    return ObjectRecord(where=at.annotation, label=label, box=box, outline=(corners,) if outlined else None)


def _label(labels: object, shape: str, place: Place, log: FaultLog) -> str | None:
    match labels:
        case [str(name)] if name.strip() and is_text(name):
            return name.strip()
    log.add("unknown class", place, shape, f"expected one label, got {shown(labels)}")
    return None


def _same_size(region: Mapping[str, object], size: tuple[int, int], place: Place, log: FaultLog) -> bool:
    """Whether the region was drawn on a picture of this shape: hundredths of another one would lie elsewhere."""
    stated = region.get("original_width"), region.get("original_height")
    turned = region.get("image_rotation")
    if turned not in (None, 0):
        log.add("not read", place, "image_rotation", f"the picture was turned by {shown(turned)} degrees")
        return False
    if stated in ((None, None), size):
        return True
    log.add("size", place, "original_width, original_height", f"{shown(stated)}, but the picture has {size}")
    return False


def _rectangle(value: Mapping[str, object], size: tuple[int, int], place: Place, log: FaultLog) -> Polygon | None:
    """The four corners in pixels, turned about the first by `rotation` degrees clockwise."""
    numbers = []
    for key in ("x", "y", "width", "height", "rotation"):
        number = value.get(key, 0 if key == "rotation" else None)
        if not isinstance(number, int | float) or not is_number(number) or not abs(number) <= max(_FARTHEST, 360):
            reason = f"expected hundredths of the picture, got {shown(number)}"
            log.add("malformed", place, f"value/{key}", reason)
            return None
        numbers.append(float(number))
    x, y, width, height, rotation = numbers
    across, down = size[0] / 100, size[1] / 100
    sides = np.array([[0, 0], [width * across, 0], [width * across, height * down], [0, height * down]])
    sine, cosine = math.sin(math.radians(rotation)), math.cos(math.radians(rotation))
    turned = np.stack([sides @ [cosine, -sine], sides @ [sine, cosine]], axis=1) if rotation else sides
    corners: Polygon = turned + np.array([x * across, y * down])
    if rotation:  # an outline; of others the box alone counts, and is cut
        try:
            check_reach(corners, size[1], size[0])
        except UsageError as error:
            log.add("malformed mask", place, "value", str(error))
            return None
    return corners


def _polygon(value: Mapping[str, object], size: tuple[int, int], place: Place, log: FaultLog) -> Polygon | None:
    points = value.get("points")
    pairs = (
        [point for point in points if isinstance(point, list) and len(point) == 2] if isinstance(points, list) else []
    )
    try:
        if not isinstance(points, list) or len(pairs) != len(points):
            raise UsageError(f"expected pairs x, y, got {shown(points)}")
        polygon = check_polygon([number for pair in pairs for number in pair])
        if np.abs(polygon).max() > _FARTHEST:
            raise UsageError(f"expected hundredths of the picture, got {np.abs(polygon).max():g}")
        in_pixels: Polygon = polygon * (np.array(size) / 100)
        check_reach(in_pixels, size[1], size[0])
    except UsageError as error:
        log.add("malformed mask", place, "value/points", str(error))
        return None
    return in_pixels

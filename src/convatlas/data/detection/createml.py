"""CreateML's JSON, as labelImg writes it: a list of pictures with boxes about their centres, in pixels.

    [{"image": "a.jpg", "annotations": [{"label": "cat",
        "coordinates": {"x": centre, "y": centre, "width": …, "height": …}}]}, …]

https://developer.apple.com/documentation/createml/mlobjectdetector/datasource. Classes stand in the alphabet's order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from convatlas.data.detection.checks import as_float, is_number, is_text, note_duplicates, settled_box, shown
from convatlas.data.detection.faults import FaultLog, Kind, Place
from convatlas.data.detection.finding import measured, picture_folder, plain_name, split_of, split_order
from convatlas.data.detection.json_file import load_json
from convatlas.data.detection.records import Box, ObjectListing, ObjectRecord, PictureRecord
from convatlas.data.listing import SPLIT_NAMES
from convatlas.data.pictures import printable
from convatlas.errors import DataError
from convatlas.types import Split


def is_createml(document: object) -> bool:
    """Whether a JSON document is CreateML's: a list whose first entry has an image and annotations."""
    match document:
        case [{"image": str(), "annotations": list()}, *_]:
            return True
    return False


def createml_files(folder: Path) -> list[Path]:
    """JSON files of a folder, and of folders in it that are named as parts are, train first."""
    places = [folder, *(folder / name for name in SPLIT_NAMES)]
    found = {path for place in places for path in place.glob("*.json")}
    return sorted(found, key=lambda path: (split_order(split_of(path)), path))


def list_createml(source: Path, images: Path | None = None) -> ObjectListing:
    """All pictures and objects of a file, or of the files of a folder.

    images: the folder of the pictures; without it, the file's own. Raises DataError where nothing can be listed.
    """
    files = createml_files(source) if source.is_dir() else [source]
    if not files:
        raise DataError(f"{printable(source)}: holds no JSON file")
    root = source if source.is_dir() else source.parent
    log = FaultLog()
    labels: dict[str, int] = {}  # class -> number in the order in which it was met
    pictures: list[PictureRecord] = []
    for path in files:
        document = load_json(path)
        if not isinstance(document, list):
            raise DataError(f"{printable(path)}: expected CreateML's list of pictures, got {shown(document)}")
        split = split_of(path) if source.is_dir() else None
        pictures += _pictures(document, path, root, images, split, labels, log)
    _note_repeats(pictures, log)
    if not labels:
        log.add("no class", Place(printable(source)), "label", "no annotation has a class")
    classes = sorted(labels)
    number_of = {labels[name]: number for number, name in enumerate(classes)}
    return ObjectListing(
        origin=printable(source),
        format="createml",
        classes=tuple(classes),
        pictures=tuple(renumbered(picture, number_of) for picture in pictures),
        faults=tuple(log.faults),
    )


def renumbered(picture: PictureRecord, number_of: Mapping[int, int]) -> PictureRecord:
    """The picture with other class numbers: old -> new."""
    objects = tuple(replace(each, label=number_of[each.label]) for each in picture.objects)
    return replace(picture, objects=objects)


def _pictures(
    document: Sequence[object],
    path: Path,
    root: Path,
    images: Path | None,
    split: Split | None,
    labels: dict[str, int],
    log: FaultLog,
) -> list[PictureRecord]:
    file = printable(path.relative_to(root).as_posix())
    names = [entry["image"] for entry in document if isinstance(entry, dict) and isinstance(entry.get("image"), str)]
    candidates = [images] if images is not None else [path.parent, path.parent / "images"]
    folder = picture_folder(candidates, names, images, root)
    if document and folder is None:
        tried = ", ".join(printable(each) for each in candidates)
        log.add("no file", Place(file), "image", f"none of the first pictures is in {tried}; name it with --images")
    found = []
    for index, entry in enumerate(document):
        place = Place(file, f"picture #{index}")
        try:
            if not isinstance(entry, dict):
                raise DataError("expected an image and its annotations")
            name = plain_name(entry.get("image"))
        except DataError as error:
            log.add("bad picture", place, "image", f"{shown(entry)}: {error}")
            continue
        picture = folder.path(name) if folder is not None else path.parent / name
        full_name = printable((folder.prefix if folder is not None else "") + name)
        place = Place(file, full_name)
        size = measured(picture)
        if isinstance(size, str):
            log.add("missing picture", place, "image", size)
            continue
        objects = _objects(entry.get("annotations"), size, place, labels, log)
        note_duplicates(objects, file, full_name, log)
        found.append(
            PictureRecord(
                name=full_name,
                path=picture,
                width=size[0],
                height=size[1],
                file=file,
                split=split,
                objects=tuple(objects),
            )
        )
    return found


def _objects(
    annotations: object, size: tuple[int, int], place: Place, labels: dict[str, int], log: FaultLog
) -> list[ObjectRecord]:
    if not isinstance(annotations, list):
        log.add("malformed", place, "annotations", f"expected a list, got {shown(annotations)}")
        return []
    objects = []
    for index, entry in enumerate(annotations):
        at = Place(place.file, place.picture, f"annotation #{index}")
        label = entry.get("label") if isinstance(entry, dict) else None
        if not isinstance(label, str) or not label.strip() or not is_text(label):
            log.add("unknown class", at, "label", f"expected the name of a class, got {shown(label)}")
            continue
        box = _box(entry.get("coordinates"), at, log)
        settled = box and settled_box(box, *size, at, "coordinates", log)
        if settled:
            number = labels.setdefault(label.strip(), len(labels))
            objects.append(ObjectRecord(where=at.annotation, label=number, box=settled))
    return objects


def _box(coordinates: object, place: Place, log: FaultLog) -> Box | None:
    values = [coordinates.get(key) if isinstance(coordinates, dict) else None for key in ("x", "y", "width", "height")]
    numbers = [as_float(value) for value in values if isinstance(value, int | float) and is_number(value)]
    if len(numbers) < 4:
        log.add("malformed", place, "coordinates", f"expected x, y, width, height, got {shown(coordinates)}")
        return None
    x, y, width, height = numbers
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _note_repeats(pictures: list[PictureRecord], log: FaultLog) -> None:
    """Log and take out pictures that stand in the files more than once."""
    first: dict[Path, PictureRecord] = {}
    for picture in pictures:
        earlier = first.setdefault(picture.path, picture)
        if earlier is not picture:
            kind: Kind = "two parts" if earlier.split != picture.split else "duplicate id"
            log.add(kind, Place(picture.file, picture.name), "image", f"stands in {earlier.file} already")
    pictures[:] = first.values()

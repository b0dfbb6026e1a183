"""PASCAL VOC's XML, one file a picture, as VOC defines it and as labelImg writes it.

VOC: Everingham, Winn, "The PASCAL Visual Object Classes Challenge 2012 Development Kit", Section 6 "Annotation" and
Section 3 "Data"; the top left pixel is (1, 1) and xmax, ymax lie inside, so a box of the pixels xmin .. xmax has the
edges xmin - 1 and xmax.

    VOC2012/Annotations/2007_000027.xml     JPEGImages/2007_000027.jpg     ImageSets/Main/train.txt

labelImg (https://github.com/HumanSignal/labelImg) fills in the same elements, but with edges counted from 0 and cut to
whole numbers (and 1 for 0, for the sake of readers that subtract 1): there xmin and xmax are the edges themselves. Its
files are told by `<database>Unknown</database>` and a `<path>`; naming the format decides otherwise.
Classes stand in the order of a `classes.txt`, `labels.txt` or `predefined_classes.txt`, else of the alphabet.
"""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from convatlas.data.detection.checks import note_duplicates, number_of, settled_box, shown
from convatlas.data.detection.faults import FaultLog, Place
from convatlas.data.detection.finding import is_file, measured, plain_name, prefix_of, split_of, split_order
from convatlas.data.detection.names_file import find_names
from convatlas.data.detection.records import Box, Format, ObjectListing, ObjectRecord, PictureRecord
from convatlas.data.detection.xml_file import load_xml
from convatlas.data.pictures import MAX_PIXELS, PICTURE_SUFFIXES, printable
from convatlas.errors import DataError
from convatlas.types import SPLITS, Split

_HEAD = 4096  # bytes
_LABELIMG_S_LOWEST = 1.0  # what labelImg writes for an edge at 0


def voc_files(folder: Path) -> list[Path]:
    """The XML files of a folder: in `Annotations`, else in the folder and those below it, sorted."""
    inside = folder / "Annotations"
    try:
        if inside.is_dir():
            return sorted(inside.glob("*.xml"))
        return sorted(path for path in folder.rglob("*.xml") if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{printable(folder)}: cannot be listed ({error.strerror or error})") from error


def looks_like_voc(path: Path) -> bool:
    """Whether the first element of an XML file is `<annotation>`."""
    if not is_file(path):
        return False
    try:
        with path.open("rb") as file:
            first = re.search(rb"<([A-Za-z_][\w.:-]*)", file.read(_HEAD))
    except OSError:
        return False
    return first is not None and first[1] == b"annotation"


def written_by_labelimg(root: Element) -> bool:
    """Whether a document bears the marks of labelImg."""
    return root.findtext("source/database") == "Unknown" and root.find("path") is not None


def list_voc(source: Path, images: Path | None = None, *, form: Format | None = None) -> ObjectListing:
    """All pictures and objects of one XML file or of a folder of them.

    images: the folder of the pictures; without it `JPEGImages` beside `Annotations`, or where the XML file is.
    form: "voc" or "labelimg" for all files; without it each file's own marks decide.
    Raises DataError where nothing can be listed.
    """
    files = voc_files(source) if source.is_dir() else [source]
    if not files:
        raise DataError(f"{printable(source)}: holds no VOC annotations (looked for *.xml in it and in Annotations)")
    root = source if source.is_dir() else source.parent
    names = find_names(root)
    reading = _Reading(root=root, images=images, form=form, known=None if names is None else set(names))
    parts = _image_sets(root, reading.log)
    for path in files:
        _read_file(path, parts, reading)
    for stem, split in parts.items():
        if split is not None and stem not in reading.stems:
            place = Place(f"ImageSets/Main/{split}.txt", stem)
            reading.log.add("no annotation", place, "", "is listed, but there is no annotation of this name")
    if any((place / "SegmentationObject").is_dir() for place in (root, root.parent)):  # root may be Annotations
        reading.log.add("not read", Place("SegmentationObject"), "", "of VOC the boxes are read, not the masks")
    classes = list(names) if names is not None else sorted({each.label for each in reading.objects()})
    index = {name: number for number, name in enumerate(classes)}
    if not classes:
        reading.log.add("no class", Place(printable(source)), "", "no file holds an object with a name")
    pictures = [_numbered(picture, index) for picture in reading.pictures]
    return ObjectListing(
        origin=printable(source),
        format="labelimg" if reading.of_labelimg > len(reading.pictures) / 2 else "voc",
        classes=tuple(classes),
        pictures=tuple(sorted(pictures, key=lambda each: split_order(each.split))),
        faults=tuple(reading.log.faults),
    )


@dataclass(frozen=True, kw_only=True)
class _Object:
    """An object whose class has no index yet."""

    where: str
    label: str
    box: Box
    difficult: bool


@dataclass(frozen=True, kw_only=True)
class _Picture:
    name: str
    path: Path
    width: int
    height: int
    file: str
    split: Split | None
    objects: list[_Object]


@dataclass(kw_only=True)
class _Reading:
    """What has been read so far. known: the classes that may occur, if a file states them."""

    root: Path
    images: Path | None
    form: Format | None
    known: set[str] | None
    log: FaultLog = field(default_factory=FaultLog)
    pictures: list[_Picture] = field(default_factory=list)
    stems: set[str] = field(default_factory=set)
    file_of: dict[Path, str] = field(default_factory=dict)  # picture -> the file of annotations that has it
    of_labelimg: int = 0

    def objects(self) -> list[_Object]:
        """The objects of all pictures."""
        return [each for picture in self.pictures for each in picture.objects]


def _read_file(path: Path, parts: dict[str, Split | None], reading: _Reading) -> None:
    name = prefix_of(path.parent, reading.root) + printable(path.name)
    log = reading.log
    reading.stems.add(path.stem)
    if parts and path.stem not in parts:
        return  # VOC's ImageSets say which annotations are meant
    try:
        root = load_xml(path, name)
    except DataError as error:
        log.add("bad file", Place(name), "", str(error).removeprefix(f"{name}: "))
        return
    if root.tag != "annotation":
        log.add("bad file", Place(name), "", f"expected <annotation>, got <{printable(root.tag)}>")
        return
    picture = _picture_file(root, path, reading)
    place = Place(name, printable(picture.name) if picture is not None else printable(path.stem))
    if picture is None:
        log.add("missing picture", place, "filename", f"there is no {shown(root.findtext('filename'))}")
    elif picture in reading.file_of:
        log.add("duplicate id", place, "filename", f"is the picture of {reading.file_of[picture]} already")
        picture = None
    else:
        reading.file_of[picture] = name
    size = _size(root, picture, place, log)
    if size is None:
        return
    labelimg = reading.form == "labelimg" or (reading.form is None and written_by_labelimg(root))
    objects = [
        found
        for number, element in enumerate(root.iterfind("object"), start=1)
        if (found := _object(element, size, Place(place.file, place.picture, f"object {number}"), labelimg, reading))
    ]
    if picture is None:
        return
    reading.of_labelimg += labelimg
    reading.pictures.append(
        _Picture(
            name=prefix_of(picture.parent, reading.images, reading.root) + printable(picture.name),
            path=picture,
            width=size[0],
            height=size[1],
            file=name,
            split=parts.get(path.stem) if parts else split_of(path.parent),
            objects=objects,
        )
    )
    _note_duplicates(objects, place, log)


def _picture_file(root: Element, path: Path, reading: _Reading) -> Path | None:
    """The file that `<filename>` names, or the picture that is named like the XML file."""
    beside = path.parent.parent
    folders = [path.parent, beside / "JPEGImages", beside / "images"] if reading.images is None else [reading.images]
    names = []
    with contextlib.suppress(DataError):  # the XML file's own name may still lead to it
        names.append(plain_name(root.findtext("filename")))
    names += [path.stem + suffix for suffix in sorted(PICTURE_SUFFIXES)]
    for folder in folders:
        for name in names:
            if Path(name).suffix.lower() in PICTURE_SUFFIXES and is_file(folder / name):
                return folder / name
    return None


def _size(root: Element, picture: Path | None, place: Place, log: FaultLog) -> tuple[int, int] | None:
    """Width and height as the file states them, else as the picture has them; None, with a fault, if neither does."""
    texts = [root.findtext(f"size/{side}") or "" for side in ("width", "height")]
    if all(text.strip().isascii() and text.strip().isdigit() and len(text) < 10 for text in texts):
        width, height = (int(text) for text in texts)
        if width and height and width * height <= MAX_PIXELS:
            return width, height
    elif any(texts):
        log.add("bad picture", place, "size", f"expected whole numbers of pixels, got {shown(texts)}")
    if picture is None:
        return None
    size = measured(picture)
    if isinstance(size, str):
        log.add("missing picture", place, "filename", size)
        return None
    return size


def _object(element: Element, size: tuple[int, int], place: Place, labelimg: bool, reading: _Reading) -> _Object | None:
    label = (element.findtext("name") or "").strip()
    if not label:
        reading.log.add("unknown class", place, "name", "is missing")
        return None
    if reading.known is not None and label not in reading.known:
        reading.log.add("unknown class", place, "name", f"{shown(label)} is not among the classes")
        return None
    box = _box(element, place, labelimg, reading.log)
    if box is None:
        return None
    settled = settled_box(box, *size, place, "bndbox", reading.log)
    if settled is None:
        return None
    difficult = (element.findtext("difficult") or "0").strip()
    if difficult not in ("0", "1"):
        reading.log.add("malformed", place, "difficult", f"expected 0 or 1, got {shown(difficult)}")
    return _Object(where=place.annotation, label=label, box=settled, difficult=difficult == "1")


def _box(element: Element, place: Place, labelimg: bool, log: FaultLog) -> Box | None:
    edges = []
    if element.find("bndbox") is None:
        log.add("malformed", place, "bndbox", "is missing; of VOC the boxes are read")
        return None
    for side in ("xmin", "ymin", "xmax", "ymax"):
        text = element.findtext(f"bndbox/{side}")
        try:
            edges.append(number_of(text or ""))
        except ValueError:
            reason = "is missing" if text is None else f"expected a number, got {shown(text)}"
            log.add("malformed", place, f"bndbox/{side}", reason)
    if len(edges) < 4:
        return None
    x1, y1, x2, y2 = edges
    if not labelimg:
        return x1 - 1, y1 - 1, x2, y2
    return (0.0 if x1 == _LABELIMG_S_LOWEST else x1), (0.0 if y1 == _LABELIMG_S_LOWEST else y1), x2, y2


def _image_sets(root: Path, log: FaultLog) -> dict[str, Split | None]:
    """The part of each picture that ImageSets/Main lists, by its name without suffix; empty without such lists."""
    folder = root / "ImageSets" / "Main"
    parts: dict[str, Split | None] = {}
    for split in SPLITS:
        for stem in _stems(folder / f"{split}.txt", log):
            if parts.get(stem, split) != split:
                log.add("two parts", Place(f"ImageSets/Main/{split}.txt", stem), "", f"is in {parts[stem]} already")
            else:
                parts[stem] = split
    for stem in _stems(folder / "trainval.txt", log):
        parts.setdefault(stem, None)
    return parts


def _stems(path: Path, log: FaultLog) -> Sequence[str]:
    """The first word of each line; class lists of VOC have a second."""
    if not path.is_file():
        return ()
    try:
        return [line.split()[0] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        log.add("bad file", Place(f"ImageSets/Main/{path.name}"), "", f"cannot be read ({error})")
        return ()


def _numbered(picture: _Picture, index: dict[str, int]) -> PictureRecord:
    return PictureRecord(
        name=picture.name,
        path=picture.path,
        width=picture.width,
        height=picture.height,
        file=picture.file,
        split=picture.split,
        objects=tuple(
            ObjectRecord(where=each.where, label=index[each.label], box=each.box, difficult=each.difficult)
            for each in picture.objects
        ),
    )


def _note_duplicates(objects: Sequence[_Object], place: Place, log: FaultLog) -> None:
    index = {name: number for number, name in enumerate({each.label for each in objects})}
    note_duplicates(
        [ObjectRecord(where=each.where, label=index[each.label], box=each.box) for each in objects],
        place.file,
        place.picture,
        log,
    )

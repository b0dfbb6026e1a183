"""From what a user names to pictures with objects: the format is recognised, or named."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

from convatlas.data.detection.coco import are_results, coco_files, list_coco, looks_like_coco
from convatlas.data.detection.createml import createml_files, is_createml, list_createml
from convatlas.data.detection.faults import KINDS
from convatlas.data.detection.finding import check_regular
from convatlas.data.detection.json_file import first_entry, load_json
from convatlas.data.detection.label_studio import is_label_studio, label_studio_files, list_label_studio
from convatlas.data.detection.object_set import ObjectSet, object_set
from convatlas.data.detection.records import Format, ObjectListing
from convatlas.data.detection.voc import list_voc, looks_like_voc
from convatlas.data.detection.yolo import list_yolo, looks_like_yolo
from convatlas.data.listing import SPLIT_NAMES
from convatlas.data.pictures import printable
from convatlas.data.scenes.scene_set import SCENES, embedded_scenes
from convatlas.data.source import EMBEDDED
from convatlas.errors import DataError, UsageError, did_you_mean

FORMATS: tuple[Format, ...] = get_args(Format)
_READ: Mapping[str, Callable[[Path, Path | None], ObjectListing]] = {
    "coco": list_coco,
    "voc": lambda source, images: list_voc(source, images, form="voc"),
    "labelimg": lambda source, images: list_voc(source, images, form="labelimg"),
    "yolo": list_yolo,
    "createml": list_createml,
    "label-studio": list_label_studio,
}
LABELLED_AS_A_WHOLE = ("folder", "idx", "manifest")  # what pictures without objects come in
_UNRECOGNISED = (
    "{name}: is not recognised as annotations of objects; expected COCO, CreateML or Label Studio JSON, VOC XML or "
    "YOLO text; name the format with --format"
)


def open_objects(
    source: str | Path,
    *,
    format: str | None = None,  # noqa: A002  # the command line's word
    images: str | Path | None = None,
) -> ObjectSet:
    """Open pictures with boxes, masks or keypoints.

    source: a COCO, CreateML or Label Studio JSON file, one XML of VOC's, a data.yaml, a folder of one of these; or
    "scenes", the embedded set.
    format: one of FORMATS; without it, it is recognised. images: the folder of the pictures, where they do not lie
    where the format puts them.
    Boxes are read from all; masks from COCO, YOLO and Label Studio (VOC's pictures of masks are passed over, which a
    warning says); keypoints from COCO and YOLO. COCO's captions are not read.

    Raises DataError with the first error (warnings are in the result), UsageError for an unknown format, MissingExtra
    for the embedded scenes when what they are made of is not installed.
    """
    if is_scenes(source, format, images):
        return embedded_scenes()
    listing = list_objects(source, format=format, images=images)
    errors = [fault for fault in listing.faults if fault.severity == "error"]
    if errors:
        more = len(errors) - 1
        rest = f" ({more:,} more: `convatlas data check {listing.origin}` lists all)" if more else ""
        raise DataError(f"{listing.origin}: {errors[0]}{rest}")
    if not listing.pictures:
        raise DataError(f"{listing.origin}: holds no picture that can be used")
    return object_set(
        origin=listing.origin,
        format=listing.format,
        classes=listing.classes,
        pictures=listing.pictures,
        keypoints=listing.keypoints,
        warnings=_warnings(listing),
    )


def is_scenes(
    source: str | Path,
    format: str | None = None,  # noqa: A002  # the command line's word
    images: str | Path | None = None,
) -> bool:
    """Whether the embedded scenes are meant; raises UsageError for a folder of their pictures, which they have not."""
    if source != SCENES or format not in (None, SCENES):
        return False
    if images is not None:
        raise UsageError("images: the scenes are made, not read; leave it out")
    return True


def has_objects(
    source: str | Path,
    format: str | None = None,  # noqa: A002  # the command line's word
    images: str | Path | None = None,
) -> bool:
    """Whether a source is to be opened by `open_objects`: as its format says, which is recognised where it is None.

    False for pictures labelled as a whole, and for what is not there. Raises DataError for a JSON file that cannot be
    read, and for a file that is neither annotations nor a .csv manifest; UsageError for an unknown format, and for
    `images` where there are no annotations.
    """
    known = (*FORMATS, *LABELLED_AS_A_WHOLE)
    if format is not None and format not in known:
        raise UsageError(f"format: expected one of {', '.join(known)}, got {format!r}.{did_you_mean(format, known)}")
    annotated = _has_annotations(source) if format is None else format not in LABELLED_AS_A_WHOLE
    if images is not None and not annotated and (source in EMBEDDED or Path(source).exists()):
        raise UsageError(
            f"images: {source} is not recognised as annotations; name their format, or leave it out: pictures that are "
            "labelled as a whole lie in the source"
        )
    return annotated


def list_objects(
    source: str | Path,
    *,
    format: str | None = None,  # noqa: A002  # the command line's word
    images: str | Path | None = None,
) -> ObjectListing:
    """All that a source states, with its faults; takes what `open_objects` takes, but the embedded scenes.

    Raises DataError where nothing can be listed, UsageError for an unknown format.
    """
    path = Path(source)
    name = printable(path)
    if source in EMBEDDED:
        raise DataError(f"{source}: the embedded pictures of this name are labelled as a whole and have no objects")
    if not path.exists():
        raise DataError(f"{name}: there is no such file or folder")
    folder = None if images is None else Path(images)
    if folder is not None and not folder.is_dir():
        raise DataError(f"{printable(folder)}: there is no such folder of pictures")
    if format is not None:
        if format not in _READ:
            raise UsageError(
                f"format: expected one of {', '.join(_READ)}, got {format!r}.{did_you_mean(format, _READ)}"
            )
        check_regular(path, name)
        return _READ[format](path, folder)
    found = recognise_format(path)
    if found is None:
        raise DataError(_UNRECOGNISED.format(name=name))
    # VOC's and labelImg's files can lie in one folder: each is read as its own marks say.
    return list_voc(path, folder) if found == "voc" else _READ[found](path, folder)


def recognise_format(source: str | Path) -> Format | None:
    """What a file's or folder's annotations are written in ("voc" for labelImg's XML too); None if there are none.

    Raises DataError for a JSON file that cannot be read.
    """
    if source == SCENES:
        return cast("Format", SCENES)
    path = Path(source)
    if path.is_dir():
        return _format_of_folder(path)
    check_regular(path, printable(path))
    match path.suffix.lower():
        case ".json":
            return _format_of_json(path)
        case ".xml":
            return "voc"
        case ".yaml" | ".yml":
            return "yolo"
    return None


def _has_annotations(source: str | Path) -> bool:
    """Whether a source is recognised; raises DataError for a file that is neither annotations nor a manifest."""
    if source == SCENES:
        return True
    path = Path(source)
    if source in ("", *EMBEDDED) or not path.exists():
        return False
    if recognise_format(path) is not None:
        return True
    if path.is_file() and path.suffix.lower() != ".csv":
        raise DataError(_UNRECOGNISED.format(name=printable(path)))
    return False


def _format_of_json(path: Path) -> Format | None:
    if looks_like_coco(path):
        return "coco"
    # Told by its first entry a list is parsed only once, when it is read; one that is not may be broken.
    return _format_of_list([first_entry(path)]) or _format_of_list(load_json(path))


def _format_of_folder(folder: Path) -> Format | None:
    signs: Sequence[tuple[Format, Callable[[Path], object]]] = (
        ("coco", coco_files),
        ("voc", _holds_voc),
        ("yolo", looks_like_yolo),
        ("createml", lambda folder: any(is_createml([first_entry(path)]) for path in createml_files(folder))),
        ("label-studio", label_studio_files),
        ("voc", _holds_voc_in_parts),
    )
    return next((name for name, holds in signs if holds(folder)), None)


def _holds_voc(folder: Path) -> bool:
    return (folder / "Annotations").is_dir() or any(map(looks_like_voc, folder.glob("*.xml")))


def _holds_voc_in_parts(folder: Path) -> bool:
    """Whether parts lie in folders of their own: train/a.xml. Classes of pictures may lie there, too, so no deeper."""
    parts = [place for name in SPLIT_NAMES for place in (folder / name, folder / name / "Annotations")]
    return any(looks_like_voc(path) for place in parts for path in place.glob("*.xml"))


def _format_of_list(document: object) -> Format | None:
    if are_results(document):
        return "coco"  # whose reader says what is wrong with them
    if is_createml(document):
        return "createml"
    return "label-studio" if is_label_studio(document) else None


def _warnings(listing: ObjectListing) -> tuple[str, ...]:
    """One line a kind: what was left out or mended, how often, and where first."""
    lines = []
    for kind, (severity, text) in KINDS.items():
        cases = [fault for fault in listing.faults if fault.kind == kind]
        if severity == "warning" and cases:
            more = f" and {len(cases) - 1:,} more" if len(cases) > 1 else ""
            lines.append(f"{text}: {cases[0]}{more}")
    return tuple(lines)

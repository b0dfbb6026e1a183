"""One format into another: pictures with their objects, written as a whole into a new folder."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from convatlas.data.detection.coco_write import write_coco
from convatlas.data.detection.createml_write import write_createml
from convatlas.data.detection.export import Export, Progress, plain_stems
from convatlas.data.detection.object_set import ObjectSet
from convatlas.data.detection.source import is_scenes, open_objects
from convatlas.data.detection.voc_write import holds_masks, write_voc
from convatlas.data.detection.yolo_write import write_yolo
from convatlas.errors import UsageError, did_you_mean
from convatlas.files import new_folder
from convatlas.types.rle import Rle, union

WRITERS: Mapping[str, Callable[[Export], None]] = {
    "coco": write_coco,
    "voc": write_voc,
    "yolo": write_yolo,
    "createml": write_createml,
}
_UNNUMBERED = "masks beside objects without one, or of more than 254 objects or classes"
_BELOW = "parts of masks below other masks"
# What a format has no place for, as far as the data have it; writers note in Export.lost what they could not keep.
_LOST: Mapping[str, tuple[str, ...]] = {
    "coco": (),
    "voc": ("crowd regions", "keypoints", _UNNUMBERED, _BELOW, "captions"),
    "yolo": ("crowd regions", "marks of difficult objects", "captions"),
    "createml": (
        "crowd regions",
        "masks",
        "keypoints",
        "marks of difficult objects",
        "classes without an object",
        "captions",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What was written: so many pictures and objects.

    lost: what of this data is not kept, with how many objects (or classes, or captions) had it.
    warnings: what was left out or mended in reading.
    """

    folder: Path
    format: str
    pictures: int
    objects: int
    lost: Mapping[str, int]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """The whole of it, ready for JSON."""
        return {
            "folder": str(self.folder),
            "format": self.format,
            "pictures": self.pictures,
            "objects": self.objects,
            "lost": dict(self.lost),
            "warnings": list(self.warnings),
        }


def convert_data(
    source: str | Path,
    folder: str | Path,
    *,
    to: str,
    format: str | None = None,  # noqa: A002  # the command line's word
    images: str | Path | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Write a source of pictures with objects into a new folder as `to`: "coco", "voc", "yolo" or "createml".

    source, format, images: as `open_objects` takes them. Pictures are copied as they are; the source is not changed.
    In COCO masks stay the polygons that they were, and are run lengths else. In YOLO, where no object can have
    keypoints, one is the outline that holds its pixels; where no single outline can (several parts, holes) the box is
    written, which `Converted.lost` counts. VOC's are written as the pictures of its development kit, for other readers:
    `open_objects` reads VOC's boxes only. YOLO's data are written in parts; pictures without one become train, and
    without a part val its data.yaml names train's folder as that, too, for other readers ask for one.
    Raises what `open_objects` raises, UsageError for an unknown `to`, a folder that holds files or lies in the source,
    and a class name that the format cannot hold, SaveError when the folder cannot be written; then nothing is left of
    it.
    """
    if to not in WRITERS:
        raise UsageError(f"to: expected one of {', '.join(WRITERS)}, got {to!r}.{did_you_mean(to, WRITERS)}")
    target = Path(folder)
    if target.is_dir() and any(target.iterdir()):
        raise UsageError(f"{target}: is not empty; name a new folder")
    from_folder = Path(source).is_dir() and not is_scenes(source, format, images)
    if from_folder and target.resolve().is_relative_to(Path(source).resolve()):
        raise UsageError(f"{target}: lies in {source}, of which it would become a part; name a folder elsewhere")
    return write_objects(open_objects(source, format=format, images=images), target, to=to, progress=progress)


def write_objects(objects: ObjectSet, folder: Path, *, to: str, progress: Progress | None = None) -> Converted:
    """Write a set into a new folder; see `convert_data`."""
    _check_names(objects.classes, to)
    with new_folder(folder.resolve()) as temporary:
        export = Export(objects=objects, stems=plain_stems(objects.names), folder=temporary, progress=progress)
        WRITERS[to](export)
    count, lost = _count(objects, _LOST[to])
    count -= lost.get("crowd regions", 0)
    return Converted(
        folder=folder,
        format=to,
        pictures=len(objects),
        objects=count,
        lost={**lost, **export.lost},
        warnings=objects.warnings,
    )


def _check_names(classes: Sequence[str], to: str) -> None:
    for name in classes:
        if to != "coco" and (not name.isprintable() or name != name.strip() or not name):
            raise UsageError(f"{to}: the class {name!r} has characters that this format cannot hold; rename it")


def _count(objects: ObjectSet, lost: Sequence[str]) -> tuple[int, dict[str, int]]:
    """How many objects there are, and of what may be lost that which there is."""
    found: Counter[str] = Counter()
    classes: set[int] = set()
    count = 0
    for index in range(len(objects)):
        sample = objects.truth(index)
        count += len(sample)
        classes.update(sample.classes.tolist())
        masks = [mask for mask in sample.masks if mask is not None]
        uncrowded = [
            mask for mask, crowd in zip(sample.masks, sample.iscrowd, strict=True) if mask is not None and not crowd
        ]
        held = holds_masks(sample, len(objects.classes))
        found["crowd regions"] += int(sample.iscrowd.sum())
        found["masks"] += len(masks)
        found[_UNNUMBERED] += 0 if held else len(uncrowded)
        found[_BELOW] += _overlapping(uncrowded) if held else 0
        found["keypoints"] += int((sample.keypoints[:, :, 2] > 0).any(axis=1).sum())
        found["marks of difficult objects"] += int(sample.difficult.sum())
        found["captions"] += len(objects.captions(index)) if objects.captions is not None else 0
    found["classes without an object"] = len(objects.classes) - len(classes)
    return count, {name: found[name] for name in lost if found[name]}


def _overlapping(masks: Sequence[Rle]) -> int:
    """How many masks hide a part of an earlier one."""
    if not masks:
        return 0
    free, hiding = masks[0], 0
    for mask in masks[1:]:
        joined = union([free, mask])
        hiding += joined.area < free.area + mask.area
        free = joined
    return hiding

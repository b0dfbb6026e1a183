"""One format into another: pictures with their objects, written as a whole into a new folder."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from convatlas.data.detection.coco_write import write_coco
from convatlas.data.detection.createml_write import write_createml
from convatlas.data.detection.export import Export, Progress, plain_stems
from convatlas.data.detection.object_set import ObjectSet
from convatlas.data.detection.source import open_objects
from convatlas.data.detection.voc_write import write_voc
from convatlas.data.detection.yolo_write import write_yolo
from convatlas.errors import UsageError, did_you_mean
from convatlas.files import new_folder

WRITERS: Mapping[str, Callable[[Export], None]] = {
    "coco": write_coco,
    "voc": write_voc,
    "yolo": write_yolo,
    "createml": write_createml,
}
# What a format has no place for.
_LOST: Mapping[str, tuple[str, ...]] = {
    "coco": (),
    "voc": ("crowd regions", "keypoints"),
    "yolo": ("crowd regions", "masks", "marks of difficult objects"),
    "createml": ("crowd regions", "masks", "keypoints", "marks of difficult objects"),
}


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What was written. lost: what of this data the format has no place for, with how many objects had it."""

    folder: Path
    format: str
    pictures: int
    objects: int
    lost: Mapping[str, int]
    warnings: tuple[str, ...]


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
    Raises what `open_objects` raises, UsageError for an unknown `to`, a folder that holds files, and a class name that
    the format cannot hold, SaveError when the folder cannot be written; then nothing is left of it.
    """
    if to not in WRITERS:
        raise UsageError(f"to: expected one of {', '.join(WRITERS)}, got {to!r}.{did_you_mean(to, WRITERS)}")
    target = Path(folder)
    if target.is_dir() and any(target.iterdir()):
        raise UsageError(f"{target}: is not empty; name a new folder")
    return write_objects(open_objects(source, format=format, images=images), target, to=to, progress=progress)


def write_objects(objects: ObjectSet, folder: Path, *, to: str, progress: Progress | None = None) -> Converted:
    """Write a set into a new folder; see `convert_data`."""
    _check_names(objects.classes, to)
    with new_folder(folder.resolve()) as temporary:
        export = Export(objects=objects, stems=plain_stems(objects.names), folder=temporary, progress=progress)
        WRITERS[to](export)
    count, lost = _count(objects, _LOST[to])
    return Converted(
        folder=folder, format=to, pictures=len(objects), objects=count, lost=lost, warnings=objects.warnings
    )


def _check_names(classes: Sequence[str], to: str) -> None:
    for name in classes:
        if to != "coco" and (not name.isprintable() or name != name.strip() or not name):
            raise UsageError(f"{to}: the class {name!r} has characters that this format cannot hold; rename it")


def _count(objects: ObjectSet, lost: Sequence[str]) -> tuple[int, dict[str, int]]:
    count = 0
    found = dict.fromkeys(lost, 0)
    for index in range(len(objects)):
        sample = objects.truth(index)
        count += len(sample)
        present = {
            "crowd regions": int(sample.iscrowd.sum()),
            "masks": sum(mask is not None for mask in sample.masks),
            "keypoints": int((sample.keypoints[:, :, 2] > 0).any(axis=1).sum()),
            "marks of difficult objects": int(sample.difficult.sum()),
        }
        for name in found:
            found[name] += present[name]
    return count, {name: number for name, number in found.items() if number}

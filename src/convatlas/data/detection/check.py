"""What is wrong with pictures with objects, all of it in one pass, before anyone trains on them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from convatlas.data.detection.faults import KINDS, Fault, Place
from convatlas.data.detection.object_set import ObjectSet, picture_set
from convatlas.data.detection.records import ObjectListing, PictureRecord
from convatlas.data.detection.source import list_objects
from convatlas.data.duplicates import exact_duplicates
from convatlas.data.looks import Look, Progress, look_at_all, picture_findings
from convatlas.data.report import DataReport, Finding, in_order, spread, tally
from convatlas.data.scenes.scene_set import embedded_scenes
from convatlas.types import SPLITS


def check_objects(
    source: str | Path,
    *,
    format: str | None = None,  # noqa: A002  # the command line's word
    images: str | Path | None = None,
    progress: Progress | None = None,
) -> DataReport:
    """Read all annotations, decode every picture, and report all faults; nothing is changed.

    source, format, images: as `open_objects` takes them. `progress` is told pictures done and pictures in all. Raises
    DataError where nothing can be listed, UsageError for an unknown format.
    """
    listing = list_objects(source, format=format, images=images)
    pictures = picture_set(listing.pictures, listing.origin)
    looks = look_at_all(pictures, progress)
    faults = [*listing.faults, *_wrong_sizes(listing.pictures, looks)]
    findings = [*_findings_of(faults), *picture_findings(looks)]
    readable = {index for index, look in enumerate(looks) if not look.reason}
    findings += _copies(listing.pictures, [group for group in exact_duplicates(pictures) if readable.issuperset(group)])
    findings += _unserved(listing)
    seen = [look for look in looks if not look.reason]
    return DataReport(
        source=listing.origin,
        format=listing.format,
        classes=listing.classes,
        counts=_counts(listing, objects=False),
        objects=_counts(listing, objects=True),
        pictures=len(looks),
        readable=len(seen),
        width=spread([look.width for look in seen]),
        height=spread([look.height for look in seen]),
        modes=tally(look.mode for look in seen),
        formats=tally(look.facts.format for look in seen if look.facts is not None),
        ignored=0,
        findings=in_order(findings),
    )


def check_scenes(progress: Progress | None = None) -> DataReport:
    """The same of the embedded scenes, which are made, not read."""
    scenes = embedded_scenes()
    counts: dict[str, Counter[int]] = {part: Counter() for part in SPLITS}
    objects: dict[str, Counter[int]] = {part: Counter() for part in SPLITS}
    sizes = []
    for index, part in enumerate(scenes.splits):
        sample = scenes.truth(index)
        labels = sample.classes.tolist()
        counts[str(part)].update(set(labels))
        objects[str(part)].update(labels)
        sizes.append((sample.width, sample.height))
        if progress is not None:
            progress(index + 1, len(scenes))
    return DataReport(
        source=scenes.origin,
        format=scenes.format,
        classes=scenes.classes,
        counts={part: _named(counts[part], scenes) for part in SPLITS},
        objects={part: _named(objects[part], scenes) for part in SPLITS},
        pictures=len(scenes),
        readable=len(scenes),
        width=spread([width for width, _ in sizes]),
        height=spread([height for _, height in sizes]),
        modes={"RGB": len(scenes)},
        formats={},
        ignored=0,
        findings=(),
    )


def _named(counts: Counter[int], scenes: ObjectSet) -> dict[str, int]:
    return {name: counts[label] for label, name in enumerate(scenes.classes)}


def _findings_of(faults: Sequence[Fault]) -> Iterator[Finding]:
    """One finding a kind, in the order of the table of kinds."""
    for kind, (severity, text) in KINDS.items():
        cases = tuple(str(fault) for fault in faults if fault.kind == kind)
        if cases:
            yield Finding(severity=severity, text=text, cases=cases)


def _wrong_sizes(pictures: Sequence[PictureRecord], looks: Sequence[Look]) -> Iterator[Fault]:
    for picture, look in zip(pictures, looks, strict=True):
        if not look.reason and (picture.width, picture.height) != (look.width, look.height):
            stated = f"{picture.width} x {picture.height} pixels are stated; it has {look.width} x {look.height}"
            if (picture.width, picture.height) == (look.height, look.width):
                stated += "; the two are swapped, or EXIF data turn the picture, as it is read"
            yield Fault(kind="size", place=Place(picture.file, picture.name), field="width, height", reason=stated)


def _copies(pictures: Sequence[PictureRecord], groups: Sequence[Sequence[int]]) -> list[Finding]:
    """Files that are the same byte for byte: wrong between parts, doubtful within one."""
    leaking: list[str] = []
    repeated: list[str] = []
    for group in groups:
        case = " = ".join(pictures[index].name for index in group)
        (leaking if len({pictures[index].split for index in group}) > 1 else repeated).append(case)
    findings = []
    if leaking:
        text = KINDS["two parts"][1]
        findings.append(Finding(severity="error", text=text, cases=tuple(leaking)))
    if repeated:
        text = "the same picture under more than one name; its objects count as often"
        findings.append(Finding(severity="warning", text=text, cases=tuple(repeated)))
    return findings


def _unserved(listing: ObjectListing) -> list[Finding]:
    """What no network could be trained on: no picture, no object, classes without one."""
    if not listing.pictures:
        return [Finding(severity="error", text="not one picture can be used")]
    present = {each.label for picture in listing.pictures for each in picture.objects}
    if not present:
        return [Finding(severity="error", text="not one object can be used")]
    absent = tuple(name for label, name in enumerate(listing.classes) if label not in present)
    if absent:
        return [Finding(severity="warning", text="classes without an object", cases=absent)]
    return []


def _counts(listing: ObjectListing, *, objects: bool) -> dict[str, dict[str, int]]:
    """Part -> class -> how many objects, or how many pictures with one."""
    counts: dict[str, Counter[int]] = {}
    for picture in listing.pictures:
        labels = [each.label for each in picture.objects]
        counts.setdefault(picture.split or "all", Counter()).update(labels if objects else set(labels))
    parts = [part for part in ("all", *SPLITS) if part in counts]
    return {part: {name: counts[part][label] for label, name in enumerate(listing.classes)} for part in parts}

"""What is wrong with a data set, all of it in one pass, before anyone trains on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from convatlas.data.detection.check import check_objects, check_scenes
from convatlas.data.detection.source import has_objects, is_scenes
from convatlas.data.digits import read_digits
from convatlas.data.duplicates import exact_duplicates
from convatlas.data.folder import list_folder
from convatlas.data.idx import read_idx_folder
from convatlas.data.listing import Listing, quoted
from convatlas.data.looks import Look, Progress, look_at_all, picture_findings
from convatlas.data.manifest import list_manifest
from convatlas.data.picture_set import PictureSet
from convatlas.data.report import DataReport, Finding, in_order, spread, tally
from convatlas.data.source import Kind, recognise
from convatlas.types import SPLITS

FEW_PICTURES = 10  # with fewer a class is hardly learned
UNEVEN = 10  # beyond this ratio the largest class drowns the smallest


def check_data(
    source: str | Path,
    *,
    format: str | None = None,  # noqa: A002  # the command line's word
    images: str | Path | None = None,
    progress: Progress | None = None,
) -> DataReport:
    """Decode every picture of a source, read all its annotations, and report all faults; nothing is changed.

    source: what `open_data` or `open_objects` takes. format: "folder", "idx", "manifest", or one of `open_objects`';
    without it, it is recognised. images: the folder of the pictures of annotations, where it is not the usual one.
    `progress` is told pictures done and pictures in all.

    Raises DataError only where nothing can be listed: no such folder, no CSV, no IDX, no annotations; UsageError for an
    unknown format.
    """
    if is_scenes(source, format, images):
        return check_scenes(progress)
    if has_objects(source, format, images):
        return check_objects(source, format=format, images=images, progress=progress)
    kind = recognise(source) if format is None else cast("Kind", format)
    survey = _survey(source, kind)
    listing, pictures = survey.listing, survey.pictures
    findings = [Finding(severity="error", text=fault) for fault in listing.faults]
    findings += [Finding(severity="warning", text=note) for note in listing.notes]
    looks: list[Look] = []
    if pictures is not None:
        looks = look_at_all(pictures, progress)
        readable = {index for index, look in enumerate(looks) if not look.reason}
        groups = [group for group in exact_duplicates(pictures) if readable.issuperset(group)]
        findings += picture_findings(looks)
        findings += _duplicate_findings(pictures, survey.parts, groups)
        findings += _class_findings(pictures, survey.parts, looks, groups)
    seen = [look for look in looks if not look.reason]
    return DataReport(
        source=listing.origin,
        format=kind,
        classes=listing.classes,
        counts=_counts(pictures, survey.parts) if pictures is not None else {},
        pictures=len(looks),
        readable=len(seen),
        width=spread([look.width for look in seen]),
        height=spread([look.height for look in seen]),
        modes=tally(look.mode for look in seen),
        formats=tally(look.facts.format for look in seen if look.facts is not None),
        ignored=listing.ignored,
        findings=in_order(findings),
    )


@dataclass(frozen=True, kw_only=True)
class _Survey:
    """What a source names. `parts` has the part of each picture, "all" where the source has no parts."""

    listing: Listing
    pictures: PictureSet | None
    parts: Sequence[str]


def _survey(source: str | Path, kind: Kind) -> _Survey:
    if kind in ("digits", "idx"):
        pictures, given = read_digits() if kind == "digits" else read_idx_folder(Path(source))
        listing = Listing(origin=pictures.origin, classes=pictures.classes)
        return _Survey(listing=listing, pictures=pictures, parts=given)
    listing = list_manifest(Path(source)) if kind == "manifest" else list_folder(Path(source))
    return _Survey(
        listing=listing,
        pictures=listing.pictures() if listing.classes else None,
        parts=listing.given or ("all",) * len(listing.names),
    )


def _duplicate_findings(pictures: PictureSet, parts: Sequence[str], groups: Sequence[Sequence[int]]) -> list[Finding]:
    """Byte-equal pictures: harmless within a class, wrong between classes and between parts."""
    contradicting, leaking, repeated = [], [], []
    for group in groups:
        case = " = ".join(pictures.names[index] for index in group)
        between_classes = len({pictures.targets[index].tobytes() for index in group}) > 1
        between_parts = len({parts[index] for index in group}) > 1
        if between_classes:
            contradicting.append(case)
        if between_parts:
            leaking.append(case)
        if not between_classes and not between_parts:
            repeated.append(case)
    findings: list[tuple[Literal["error", "warning"], str, list[str]]] = [
        ("error", "the same picture under different classes; keep the right one", contradicting),
        ("error", "the same picture in two parts, so that scores would be too good; keep one", leaking),
        ("warning", "the same picture more than once in a class", repeated),
    ]
    return [Finding(severity=severity, text=text, cases=tuple(cases)) for severity, text, cases in findings if cases]


def _class_findings(
    pictures: PictureSet, parts: Sequence[str], looks: Sequence[Look], groups: Sequence[Sequence[int]]
) -> list[Finding]:
    """Classes that are empty, too small or of too different sizes, counting readable, distinct pictures."""
    copies = {index for group in groups for index in group[1:]}
    # A class needs one picture to learn from and one to validate with; test pictures serve neither.
    serving = [
        index for index, look in enumerate(looks) if not look.reason and parts[index] != "test" and index not in copies
    ]
    counts = pictures.take(serving).counts().tolist()
    listed = pictures.counts().tolist()
    too_few, few = [], []
    for name, count, of in zip(pictures.classes, counts, listed, strict=True):
        case = f"{name}: {count} of {of}"
        if count < 2 and of:  # a class without any picture is a fault of the listing already
            too_few.append(case)
        elif count < FEW_PICTURES and of:
            few.append(case)
    findings = []
    if too_few:
        text = "fewer than 2 readable, distinct pictures outside of test; add pictures or remove the class"
        findings.append(Finding(severity="error", text=text, cases=tuple(too_few)))
    if few:
        text = f"fewer than {FEW_PICTURES} readable, distinct pictures outside of test; more would help"
        findings.append(Finding(severity="warning", text=text, cases=tuple(few)))
    findings += _unserved_parts(pictures, parts, looks)
    smallest, largest = min(counts), max(counts)
    if smallest and largest / smallest > UNEVEN:
        names = [pictures.classes[counts.index(count)] for count in (largest, smallest)]
        text = f"classes of very different size: {names[0]} {largest:,}, {names[1]} {smallest:,}; weight the classes"
        findings.append(Finding(severity="warning", text=text))
    return findings


def _unserved_parts(pictures: PictureSet, parts: Sequence[str], looks: Sequence[Look]) -> list[Finding]:
    """Classes whose pictures in train or val are all unreadable, and, in a manifest, classes that train lacks."""
    findings = []
    for part in ("train", "val"):
        inside = [index for index, name in enumerate(parts) if name == part]
        if not inside:
            continue
        readable = pictures.take([index for index in inside if not looks[index].reason]).counts()
        listed = pictures.take(inside).counts()
        missing = [
            name
            for name, count, of in zip(pictures.classes, readable, listed, strict=True)
            if not count and (of or part == "train")
        ]
        if missing:
            text = f"no readable picture in {part} of {quoted(missing)}"
            findings.append(Finding(severity="error", text=text))
    return findings


def _counts(pictures: PictureSet, parts: Sequence[str]) -> dict[str, dict[str, int]]:
    counts = {}
    for part in ("all", *SPLITS):
        inside = [index for index, name in enumerate(parts) if name == part]
        if inside:
            of_class = pictures.take(inside).counts().tolist()
            counts[part] = dict(zip(pictures.classes, of_class, strict=True))
    return counts

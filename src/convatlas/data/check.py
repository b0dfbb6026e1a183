"""What is wrong with a data set, all of it in one pass, before anyone trains on it."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from convatlas.data.digits import read_digits
from convatlas.data.duplicates import exact_duplicates
from convatlas.data.folder import list_folder
from convatlas.data.idx import read_idx_folder
from convatlas.data.listing import Listing, quoted
from convatlas.data.manifest import list_manifest
from convatlas.data.picture_set import FileReader, PictureSet
from convatlas.data.pictures import SUFFIXES_OF_FORMAT, PictureFacts, examine
from convatlas.data.source import recognise
from convatlas.errors import PictureError
from convatlas.types import SPLITS

FEW_PICTURES = 10  # with fewer a class is hardly learned
UNEVEN = 10  # beyond this ratio the largest class drowns the smallest

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of fault: what it is and what to do, and each picture or class that has it."""

    severity: Literal["error", "warning"]
    text: str
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The smallest, median and largest of a number of pixels."""

    smallest: int
    median: float
    largest: int


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What a data set holds and what is wrong with it.

    counts: part ("train", "val", "test", or "all" where the source has no parts) -> class -> pictures.
    readable: how many pictures could be decoded. width, height: theirs; None if there are none.
    modes: how they are stored ("RGB", "L", "P", "CMYK", ...) -> how many. formats: "JPEG", "PNG", ... -> how many.
    ignored: files that are not named as pictures. findings: errors first, then warnings.
    """

    source: str
    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    pictures: int
    readable: int
    width: Spread | None
    height: Spread | None
    modes: dict[str, int]
    formats: dict[str, int]
    ignored: int
    findings: tuple[Finding, ...]

    @property
    def usable(self) -> bool:
        """Whether training on it would be right: no errors, though there may be warnings."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, object]:
        """The whole report, ready for JSON."""
        return {"usable": self.usable, **asdict(self)}


def check_data(source: str | Path, *, progress: Progress | None = None) -> DataReport:
    """Decode every picture of a source and report all faults; `progress` is told pictures done and pictures in all.

    Raises what `open_data` raises only where nothing can be listed: no such folder, no CSV, no IDX.
    """
    survey = _survey(source)
    listing, pictures = survey.listing, survey.pictures
    findings = [Finding(severity="error", text=fault) for fault in listing.faults]
    findings += [Finding(severity="warning", text=note) for note in listing.notes]
    looks: list[_Look] = []
    if pictures is not None:
        looks = _look_at_all(pictures, progress)
        readable = {index for index, look in enumerate(looks) if not look.reason}
        groups = [group for group in exact_duplicates(pictures) if readable.issuperset(group)]
        findings += _picture_findings(looks)
        findings += _duplicate_findings(pictures, survey.parts, groups)
        findings += _class_findings(pictures, survey.parts, looks, groups)
    seen = [look for look in looks if not look.reason]
    return DataReport(
        source=listing.origin,
        classes=listing.classes,
        counts=_counts(pictures, survey.parts) if pictures is not None else {},
        pictures=len(looks),
        readable=len(seen),
        width=_spread([look.width for look in seen]),
        height=_spread([look.height for look in seen]),
        modes=_tally(look.mode for look in seen),
        formats=_tally(look.facts.format for look in seen if look.facts is not None),
        ignored=listing.ignored,
        findings=tuple(sorted(findings, key=lambda finding: finding.severity)),
    )


@dataclass(frozen=True, kw_only=True)
class _Survey:
    """What a source names. `parts` has the part of each picture, "all" where the source has no parts."""

    listing: Listing
    pictures: PictureSet | None
    parts: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    """What was seen of one picture; `reason` says why nothing could be."""

    name: str
    reason: str = ""
    width: int = 0
    height: int = 0
    mode: str = ""
    facts: PictureFacts | None = None  # of a file
    suffix: str = ""


def _survey(source: str | Path) -> _Survey:
    kind = recognise(source)
    if kind in ("digits", "idx"):
        pictures, given = read_digits() if kind == "digits" else read_idx_folder(Path(source))
        listing = Listing(origin=pictures.origin, classes=pictures.classes, entries=())
        return _Survey(listing=listing, pictures=pictures, parts=given)
    listing = list_manifest(Path(source)) if kind == "manifest" else list_folder(Path(source))
    return _Survey(
        listing=listing,
        pictures=listing.pictures() if listing.classes else None,
        parts=[entry.split or "all" for entry in listing.entries],
    )


def _look_at_all(pictures: PictureSet, progress: Progress | None) -> list[_Look]:
    looks: list[_Look] = []
    pool = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))  # decoders work outside of Python's lock
    try:
        for look in pool.map(lambda index: _look(pictures, index), range(len(pictures))):
            looks.append(look)
            if progress is not None:
                progress(len(looks), len(pictures))
    finally:
        pool.shutdown(cancel_futures=True)
    return looks


def _look(pictures: PictureSet, index: int) -> _Look:
    name = pictures.names[index]
    if not isinstance(pictures.read, FileReader):
        height, width, channels = pictures.read(index).shape
        return _Look(name=name, width=width, height=height, mode="L" if channels == 1 else "RGB")
    path = pictures.read.paths[index]
    try:
        pixels, facts = examine(path, name)
    except PictureError as error:
        return _Look(name=name, reason=error.reason)
    height, width = pixels.shape[:2]
    return _Look(name=name, width=width, height=height, mode=facts.mode, facts=facts, suffix=path.suffix.lower())


def _picture_findings(looks: Sequence[_Look]) -> list[Finding]:
    """Faults of single pictures."""
    unreadable = tuple(f"{look.name}: {look.reason}" for look in looks if look.reason)
    files = [(look, look.facts) for look in looks if look.facts is not None]
    disguised = tuple(
        f"{look.name}: is {facts.format}"
        for look, facts in files
        if look.suffix not in SUFFIXES_OF_FORMAT.get(facts.format, ())
    )
    animated = tuple(look.name for look, facts in files if facts.animated)
    return [
        Finding(severity="warning", text=text, cases=cases)
        for text, cases in (
            ("cannot be read; training lists and skips them", unreadable),
            ("the name does not fit the content; the content is what counts", disguised),
            ("more than one frame or page; the first is used", animated),
        )
        if cases
    ]


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
    pictures: PictureSet, parts: Sequence[str], looks: Sequence[_Look], groups: Sequence[Sequence[int]]
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


def _unserved_parts(pictures: PictureSet, parts: Sequence[str], looks: Sequence[_Look]) -> list[Finding]:
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


def _spread(values: Sequence[int]) -> Spread | None:
    if not values:
        return None
    return Spread(smallest=min(values), median=float(np.median(values)), largest=max(values))


def _tally(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())

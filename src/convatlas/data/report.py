"""What a check of a data set says: counts, sizes, and findings that name each case."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One kind of fault: what it is and what to do, and each picture, annotation or class that has it."""

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

    format: what it is written in ("folder", "idx", "manifest", "digits", "coco", "voc", ...).
    counts: part ("train", "val", "test", or "all" where the source has no parts) -> class -> pictures.
    objects: the same of objects; None where pictures are labelled as a whole.
    readable: how many pictures could be decoded. width, height: theirs; None if there are none.
    modes: how they are stored ("RGB", "L", "P", "CMYK", ...) -> how many. formats: "JPEG", "PNG", ... -> how many.
    ignored: files that are not named as pictures. findings: errors first, then warnings.
    """

    source: str
    format: str
    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    objects: dict[str, dict[str, int]] | None = None
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


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first, then warnings, each as they were found."""
    return tuple(sorted(findings, key=lambda finding: finding.severity))


def spread(values: Sequence[int]) -> Spread | None:
    """The spread of some numbers; None when there are none."""
    if not values:
        return None
    return Spread(smallest=min(values), median=float(np.median(values)), largest=max(values))


def tally(words: Iterable[str]) -> dict[str, int]:
    """How often each word occurs, the most frequent first."""
    return dict(Counter(words).most_common())

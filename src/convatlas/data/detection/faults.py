"""What can be wrong with annotations: each kind once, and a log that every reader writes its cases to.

Reading never stops at a fault, so that one pass finds them all. What cannot be used is left out and said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]
Kind = Literal[
    "no file",
    "bad file",
    "no class",
    "bad picture",
    "size",
    "duplicate id",
    "two parts",
    "malformed",
    "malformed mask",
    "reversed",
    "unknown class",
    "missing picture",
    "no annotation",
    "zero area",
    "away",
    "outside",
    "duplicate",
    "not read",
]

# Errors stop training: what is meant cannot be known. Warnings do not: what is done instead is said.
KINDS: Mapping[Kind, tuple[Severity, str]] = {
    "no file": ("error", "a file or folder that another names is not there"),
    "bad file": ("error", "a file of annotations cannot be read"),
    "no class": ("error", "the classes are not stated as they must be"),
    "bad picture": ("error", "an entry for a picture is not as it must be"),
    "size": ("error", "the stated size is not that of the picture, so boxes would lie elsewhere"),
    "duplicate id": ("error", "an id or a name that must be unique stands more than once"),
    "two parts": ("error", "the same picture in two parts, so that scores would be too good; keep one"),
    "malformed": ("error", "an annotation is not as the format asks; mend it or take it out"),
    "malformed mask": ("error", "a mask is not as the format asks; mend it or take it out"),
    "reversed": ("error", "a box whose right or lower edge comes first"),
    "unknown class": ("error", "an object of a class that is not among the classes"),
    "missing picture": ("warning", "the picture is not there or cannot be opened; it is left out"),
    "no annotation": ("warning", "a listed picture without annotations; it is left out"),
    "zero area": ("warning", "an object without area; it is left out"),
    "away": ("warning", "an object wholly outside of its picture; it is left out"),
    "outside": ("warning", "a box reaches beyond its picture; it is cut at the edge"),
    "duplicate": ("warning", "the same object twice: class and box are equal; both are kept"),
    "not read": ("warning", "something that is not read here is passed over"),
}


class Place(NamedTuple):
    """Where a fault lies. `picture` and `annotation` are empty where it concerns the whole file."""

    file: str
    picture: str = ""
    annotation: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One case: where, in which field of the file, and what is wrong."""

    kind: Kind
    place: Place
    field: str
    reason: str

    @property
    def severity(self) -> Severity:
        """Whether it stops training."""
        return KINDS[self.kind][0]

    def __str__(self) -> str:
        """`train.json, 12.jpg, annotation 55, bbox: is 0 wide`."""
        return ", ".join(part for part in (*self.place, self.field) if part) + f": {self.reason}"


@dataclass(frozen=True)
class FaultLog:
    """The cases found so far, in the order in which they were met."""

    faults: list[Fault] = field(default_factory=list)

    def add(self, kind: Kind, place: Place, field: str, reason: str) -> None:
        """Note one case; `field` may be empty."""
        self.faults.append(Fault(kind=kind, place=place, field=field, reason=reason))

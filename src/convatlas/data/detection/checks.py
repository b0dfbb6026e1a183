"""The checks that objects of every format go through: is the box one, does it lie in its picture, stands it twice?"""

import itertools
import math
import reprlib
from collections.abc import Sequence
from typing import Any

from convatlas.data.detection.faults import FaultLog, Place
from convatlas.data.detection.records import Box, ObjectRecord

_ROUNDING = 0.5  # pixels: a box beyond its picture by less was rounded, and is cut without a word
_NO_LENGTH = 1e-3  # pixels: at 16,384 pixels float32 tells no smaller ones apart
_FARTHEST = 1e9  # pixels: squares of larger numbers lose what they measure


def settled_box(box: Box, width: int, height: int, place: Place, field: str, log: FaultLog) -> Box | None:
    """The box cut at the edges of its picture of width x height pixels; None, with a fault in the log, if it is none.

    box: x1, y1, x2, y2, any floats, x2 and y2 exclusive. field: what the file calls it.
    """
    x1, y1, x2, y2 = box
    if 0 <= x1 < x2 - _NO_LENGTH and 0 <= y1 < y2 - _NO_LENGTH and x2 <= width and y2 <= height:
        return box
    words = f"x {x1:g} to {x2:g}, y {y1:g} to {y2:g} in a picture of {width} x {height}"
    if not all(math.isfinite(value) and abs(value) < _FARTHEST for value in box):
        log.add("malformed", place, field, f"holds a number that is not finite or absurdly large ({words})")
        return None
    if x2 < x1 or y2 < y1:
        log.add("reversed", place, field, words)
        return None
    if x2 - x1 <= _NO_LENGTH or y2 - y1 <= _NO_LENGTH:
        log.add("zero area", place, field, words)
        return None
    cut = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if cut[2] - cut[0] <= _NO_LENGTH or cut[3] - cut[1] <= _NO_LENGTH:
        log.add("away", place, field, words)
        return None
    if max(-x1, -y1, x2 - width, y2 - height) > _ROUNDING:
        log.add("outside", place, field, words)
    return cut


def note_duplicates(objects: Sequence[ObjectRecord], file: str, picture: str, log: FaultLog) -> None:
    """Log objects of one picture that have the class and the box of an earlier one."""
    first: dict[tuple[int, Box], str] = {}
    for each in objects:
        earlier = first.setdefault((each.label, each.box), each.where)
        if earlier is not each.where:
            log.add("duplicate", Place(file, picture, each.where), "", f"is {earlier} once more")


def is_number(value: object) -> bool:
    """Whether a value of a JSON document is a number (and not true or false)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def number_of(text: str) -> float:
    """A number as files of any tool write it; raises ValueError for all that Python reads beyond, such as 1_000."""
    if "_" in text or not text.isascii():
        raise ValueError(text)
    return float(text)


def as_float(value: float) -> float:
    """A number of a JSON document as a float; an integer beyond all floats is infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def shown(value: object, limit: int = 40) -> str:
    """A value from a file, short enough for one line of a message; of a huge one only the beginning is looked at."""
    try:
        text = _BEGINNING.repr(value)
    except ValueError:  # YAML's hexadecimal numbers can have more digits than Python writes
        text = "a number of too many digits"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def is_text(value: object) -> bool:
    """Whether a value is text that can be written: JSON and YAML can hold halves of characters (`"\\ud800"`)."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


class _Beginning(reprlib.Repr):
    """`repr` of some levels and entries only, a dict's in their own order."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxset = self.maxdict = 16
        self.maxstring = self.maxlong = self.maxother = 200

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0:
            return "{...}"
        entries = itertools.islice(x.items(), self.maxdict)
        pairs = [f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}" for key, value in entries]
        return "{" + ", ".join([*pairs, *["..."] * (len(x) > self.maxdict)]) + "}"


_BEGINNING = _Beginning()

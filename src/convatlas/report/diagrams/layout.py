"""What is to be placed, and the places: texts in their lines, sizes, and the layout that comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from convatlas.report.diagrams.folding import Box, Folded, Frame
from convatlas.report.diagrams.lettering import width, wrap
from convatlas.report.diagrams.words import TIMES, by

TEXT: Final = 12  # px
LABEL_TEXT: Final = 11  # px, of shapes on arrows
LINE_HEIGHT: Final = 15  # px from line to line
LABEL_HEIGHT: Final = 14
_PAD_X, _PAD_Y = 6, 5

Point = tuple[float, float]
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Area:
    """A rectangle: its left upper corner and size, in px."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right side."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower side."""
        return self.y + self.height

    @property
    def middle(self) -> Point:
        """Its centre."""
        return self.x + self.width / 2, self.y + self.height / 2

    def moved(self, x: float, y: float) -> "Area":
        """The same elsewhere."""
        return Area(x=self.x + x, y=self.y + y, width=self.width, height=self.height)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of text."""

    text: str
    bold: bool = False

    @property
    def width(self) -> float:
        """In px."""
        return width(self.text, TEXT, bold=self.bold)


@dataclass(frozen=True, kw_only=True)
class Label:
    """The shape at the start of arrows: of which box, all that they carry, and as it is written."""

    source: int
    shapes: tuple[Shape, ...]
    text: str


@dataclass(frozen=True, kw_only=True)
class Layout:
    """All places, in px.

    lines: the text of each box. headings: of each frame. frames: the rectangles of each; one, but for slides, where a
    frame may go on in the next row. stems: of each label, the line from its box to it. ways: of each link, from its
    label to the box, the points of Bézier curves.
    """

    width: float
    height: float
    boxes: tuple[Area, ...]
    lines: tuple[tuple[Line, ...], ...]
    frames: tuple[tuple[Area, ...], ...]
    headings: tuple[tuple[Line, ...], ...]
    labels: tuple[tuple[Label, Area], ...]
    stems: tuple[tuple[Point, Point], ...]
    ways: tuple[tuple[Point, ...], ...]

    def with_whole_frames(self) -> "Layout":
        """The same, with one rectangle for each frame, around all of its parts."""
        return replace(self, frames=tuple((_around(areas),) for areas in self.frames))


def _around(areas: Sequence[Area]) -> Area:
    x, y = min(area.x for area in areas), min(area.y for area in areas)
    return Area(
        x=x,
        y=y,
        width=max(area.right for area in areas) - x,
        height=max(area.bottom for area in areas) - y,
    )


def shape_text(shapes: Sequence[Shape]) -> str:
    """`64x56x56`; where repeated boxes give different ones, from the first to the last: `96…224x56x56`."""
    first, last = shapes[0], shapes[-1]
    if first == last:
        return by(first) or "1"
    if len(first) == len(last) and first[1:] == last[1:]:
        return TIMES.join([f"{first[0]}…{last[0]}", *map(str, first[1:])])
    return f"{shape_text([first])} … {shape_text([last])}"


def labels_of(folded: Folded) -> tuple[Label, ...]:
    """One for each box and what leaves it."""
    found = dict.fromkeys((link.source, link.shapes) for link in folded.links)
    return tuple(Label(source=source, shapes=shapes, text=shape_text(shapes)) for source, shapes in found)


def box_lines(box: Box, longest: float) -> tuple[Line, ...]:
    """The lines of a box; the paper's name for it before them, and how often it is there after them."""
    repeated = (f"{TIMES}{box.run}",) if box.run > 1 else ()
    return _lines((box.name,) if box.name else (), (*box.texts, *repeated), longest)


def heading(frame: Frame, longest: float) -> tuple[Line, ...]:
    """What stands over a frame: its title, and what its repetitions give each other."""
    title = frame.title + (f" {TIMES}{frame.run}" if frame.run > 1 else "")
    return _lines((title,), (frame.note,) if frame.note else (), longest)


def _lines(title: tuple[str, ...], words: tuple[str, ...], longest: float) -> tuple[Line, ...]:
    bold = wrap(title, TEXT, longest, bold=True)
    return (*(Line(text=each, bold=True) for each in bold), *(Line(text=each) for each in wrap(words, TEXT, longest)))


@dataclass(frozen=True, kw_only=True)
class Lettered:
    """What is to be placed: the texts in their lines, and with them the size of each box, and the labels."""

    folded: Folded
    lines: tuple[tuple[Line, ...], ...]
    sizes: tuple[tuple[float, float], ...]
    headings: tuple[tuple[Line, ...], ...]
    labels: tuple[Label, ...]

    @cached_property
    def label_of(self) -> dict[tuple[int, tuple[Shape, ...]], int]:
        """Which label stands at the start of the links from a box that carry these shapes."""
        return {(label.source, label.shapes): index for index, label in enumerate(self.labels)}

    @cached_property
    def targets(self) -> tuple[tuple[int, ...], ...]:
        """The boxes that the links from each label lead to."""
        found: list[list[int]] = [[] for _ in self.labels]
        for link in self.folded.links:
            found[self.label_of[link.source, link.shapes]].append(link.target)
        return tuple(map(tuple, found))


def letter(folded: Folded, longest: Sequence[float]) -> Lettered:
    """Break the texts into lines. longest: px that a line of each box may have."""
    lines = tuple(box_lines(box, limit) for box, limit in zip(folded.boxes, longest, strict=True))
    return Lettered(
        folded=folded,
        lines=lines,
        sizes=tuple(_size(each) for each in lines),
        headings=tuple(heading(frame, 150) for frame in folded.frames),
        labels=labels_of(folded),
    )


def _size(lines: Sequence[Line]) -> tuple[float, float]:
    return round(max(line.width for line in lines) + 2 * _PAD_X), len(lines) * LINE_HEIGHT + 2 * _PAD_Y


def stem(box: Area, label: Area, *, across: bool) -> tuple[Point, Point]:
    """The line from a box to a label beside it."""
    if across:
        y = min(max(label.middle[1], box.y + 2), box.bottom - 2)
        return (box.right, y), (label.x, label.middle[1])
    x = min(max(label.middle[0], box.x + 2), box.right - 2)
    return (x, box.bottom), (label.middle[0], label.y)

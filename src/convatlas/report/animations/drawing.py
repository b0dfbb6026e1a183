"""What an animation shows, as plain data: marks, each with the steps at which it is seen. No SVG and no pixels yet.

Lengths are in units of which a drawing is 360 wide: one is about one pixel on a phone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

WIDTH: Final = 360
MARGIN: Final = 10
SIZE: Final = 13  # of text: no less than 11 pixels on a phone
MINUS: Final = "\N{MINUS SIGN}"
TIMES: Final = "\N{MULTIPLICATION SIGN}"
REST: Final = 2  # how many steps longer the last one stays

ShapeRole = Literal[
    "cell", "padding", "window", "reach", "now", "kept", "waiting", "gone", "ink1", "ink2", "ink3", "ink4"
]
TextRole = Literal["number", "letter", "muted", "words", "strong", "wrong"]
Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True)
class Box:
    """A rectangle by its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Rectangles that are drawn alike."""

    boxes: tuple[Box, ...]
    role: ShapeRole


@dataclass(frozen=True, kw_only=True)
class Label:
    """Text on a base line at y, which starts, ends, or has its middle, at x."""

    x: float
    y: float
    text: str
    role: TextRole = "words"
    anchor: Anchor = "start"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A shape or a text that is seen from step `first` to step `last`, both included."""

    drawn: Shape | Label
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """All marks in the order of drawing, and what is said of them. still: the step that tells most by itself."""

    title: str
    description: str
    height: float
    steps: int
    still: int
    marks: tuple[Mark, ...]

    def at(self, step: int) -> tuple[Shape | Label, ...]:
        """What is seen at a step, 0 to steps - 1, in the order of drawing."""
        return tuple(mark.drawn for mark in self.marks if mark.first <= step <= mark.last)

    @property
    def shares(self) -> int:
        """Into how many equal parts of time the loop is cut: one a step, and `REST` more for the last."""
        return self.steps + REST


@dataclass(frozen=True)
class Grid:
    """Square cells in rows and columns; (x, y) is the upper left corner of the first."""

    x: float
    y: float
    cell: float
    rows: int
    columns: int

    @property
    def right(self) -> float:
        """Where the last column ends."""
        return self.x + self.columns * self.cell

    @property
    def bottom(self) -> float:
        """Where the last row ends."""
        return self.y + self.rows * self.cell

    def box(self, row: int, column: int, *, rows: int = 1, columns: int = 1) -> Box:
        """The cell, or with it those below and to the right of it. Rows and columns may lie outside."""
        return Box(self.x + column * self.cell, self.y + row * self.cell, columns * self.cell, rows * self.cell)

    def every_cell(self) -> Iterator[tuple[int, int]]:
        """Row and column of each cell, row by row."""
        return ((row, column) for row in range(self.rows) for column in range(self.columns))

    def shape(self, role: ShapeRole, places: Iterable[tuple[int, int]]) -> Shape:
        """These cells, drawn alike."""
        return Shape(boxes=tuple(self.box(row, column) for row, column in places), role=role)

    def label(self, row: int, column: int, text: str, role: TextRole = "number") -> Label:
        """Text in the middle of a cell."""
        box = self.box(row, column)
        return Label(
            x=box.x + box.width / 2, y=box.y + box.height / 2 + 0.36 * SIZE, text=text, role=role, anchor="middle"
        )


@dataclass
class Reel:
    """Collects the marks of a drawing whose number of steps is known."""

    steps: int

    def __post_init__(self) -> None:
        self.marks: list[Mark] = []

    def always(self, *drawn: Shape | Label) -> None:
        """Seen at every step."""
        self.during(0, self.steps - 1, *drawn)

    def at(self, step: int, *drawn: Shape | Label) -> None:
        """Seen at one step."""
        self.during(step, step, *drawn)

    def since(self, step: int, *drawn: Shape | Label) -> None:
        """Seen from a step to the end."""
        self.during(step, self.steps - 1, *drawn)

    def during(self, first: int, last: int, *drawn: Shape | Label) -> None:
        """Seen from one step to another, both included."""
        self.marks += [Mark(drawn=each, first=first, last=last) for each in drawn]


def number(value: float) -> str:
    """A number as it is written in a cell: at most two decimals, and a true minus sign."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text.replace("-", MINUS)

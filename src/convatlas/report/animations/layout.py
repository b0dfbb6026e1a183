"""Where grids of numbers stand: two side by side where they fit, else one below the other."""

from collections.abc import Iterable
from typing import Final

from convatlas.report.animations.animation import Numbers
from convatlas.report.animations.drawing import (
    MARGIN,
    SIZE,
    TIMES,
    WIDTH,
    Drawing,
    Grid,
    Label,
    Reel,
    number,
)

LEAST_CELL: Final = 22  # holds three characters
MOST_CELL: Final = 30
LINE: Final = 19  # from one line of words to the next
TOP: Final = MARGIN + SIZE + 8  # of the first grid, below its heading
HEADING: Final = 36  # from a grid to one below it
_GAP: Final = 26


def side_by_side(source: int, target: int, headings: tuple[str, str]) -> tuple[Grid, Grid]:
    """Grids of source x source and target x target cells, with room for a heading above each."""
    words = [text_width(heading) for heading in headings]
    room = WIDTH - 2 * MARGIN
    for cell in range(MOST_CELL, LEAST_CELL - 1, -1):
        left, right = max(source * cell, words[0]), max(target * cell, words[1])
        if left + _GAP + right <= room:
            return (
                Grid(MARGIN, TOP, cell, source, source),
                Grid(MARGIN + left + _GAP, TOP, cell, target, target),
            )
    cell = min(MOST_CELL, room // max(source, target))
    above = Grid(MARGIN, TOP, cell, source, source)
    return above, Grid(MARGIN, above.bottom + HEADING, cell, target, target)


def text_width(text: str) -> float:
    """About how wide a text is: an upper bound for figures and words of a usual sans serif."""
    return 0.56 * SIZE * len(text)


def labels(grid: Grid, values: Numbers, places: Iterable[tuple[int, int]]) -> tuple[Label, ...]:
    """The numbers of these cells."""
    return tuple(grid.label(row, column, number(values[row, column])) for row, column in places)


def show_grid(reel: Reel, grid: Grid, heading: str) -> None:
    """The empty cells and what is said above them, at every step."""
    reel.always(grid.shape("cell", grid.every_cell()), Label(x=grid.x, y=grid.y - 8, text=heading))


def show_numbers(reel: Reel, grid: Grid, values: Numbers, heading: str) -> None:
    """A grid with its numbers, at every step."""
    show_grid(reel, grid, heading)
    reel.always(*labels(grid, values, grid.every_cell()))


def finished(reel: Reel, *, title: str, description: str, bottom: float, still: int | None = None) -> Drawing:
    """The drawing of all that the reel has; it stands still at its last step unless another tells more."""
    # What is seen at the same steps lies together, and what is always seen below all else.
    ranges = dict.fromkeys([(0, reel.steps - 1), *((mark.first, mark.last) for mark in reel.marks)])
    order = {each: place for place, each in enumerate(ranges)}
    return Drawing(
        title=title,
        description=description,
        height=bottom + MARGIN,
        steps=reel.steps,
        still=reel.steps - 1 if still is None else still,
        marks=tuple(sorted(reel.marks, key=lambda mark: order[mark.first, mark.last])),
    )


def by(side: int) -> str:
    """A square's size: 5 is 5 by 5."""
    return f"{side}{TIMES}{side}"

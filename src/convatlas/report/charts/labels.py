"""Labels of dots that keep out of the way: of each other, of the dots, and of the lines that join them with theirs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from convatlas.report.charts.canvas import Box, Palette, Sheet, text_size

Segment = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A disc that a label may name: centre and radius in CSS pixels from the figure's top left corner.

    core: the part of the disc that no label may touch, its own or another's; None: all of it. label: None for a disc
    that is only in the way. Labels with a larger `weight` choose their places first.
    """

    x: float
    y: float
    radius: float
    core: float | None = None
    label: str | None = None
    weight: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where a label came to stand; `leader` joins it with its disc when it is not beside it."""

    spot: Spot
    box: Box
    leader: Segment | None


DISTANCES: Final = (3.0, 9.0, 16.0, 24.0, 34.0, 46.0, 60.0)
DIRECTIONS: Final = 16


def place_labels(spots: Sequence[Spot], area: Box, taken: Sequence[Box] = ()) -> tuple[Placed, ...]:
    """A place for each label that finds one: within the area, on no disc, label, leader or box that is taken, and
    beside no other disc than its own.

    Nearest places first, to the right before above before left before below; a leader is drawn from the third distance
    on. What finds no place is left out; the same spots always give the same places.
    """
    placed: list[Placed] = []
    for spot in sorted((s for s in spots if s.label), key=lambda s: (-s.weight, s.x, s.y, s.label or "")):
        for box, leader in _candidates(spot):
            if box.within(area) and _free(spot, box, leader, spots, placed, taken):
                placed.append(Placed(spot=spot, box=box, leader=leader))
                break
    return tuple(placed)


def _candidates(spot: Spot) -> Iterator[tuple[Box, Segment | None]]:
    width, height = text_size(spot.label or "")
    for step, distance in enumerate(DISTANCES):
        for turn in range(DIRECTIONS):
            # 0, +1, -1, +2, … sixteenths of a turn from the right
            sixteenth = (turn + 1) // 2 * (1 if turn % 2 else -1)
            angle = 2 * math.pi * sixteenth / DIRECTIONS
            across, up = math.cos(angle), math.sin(angle)
            reach = spot.radius + distance
            x, y = spot.x + reach * across, spot.y - reach * up
            left = x - width * (0.5 - 0.5 * _sign(across))
            top = y - height * (0.5 + 0.5 * _sign(up))
            box = Box(left=left, top=top, right=left + width, bottom=top + height)
            if step < 2:
                yield box, None
            else:
                start = (spot.x + spot.radius * across, spot.y - spot.radius * up)
                yield box, (start, box.nearest(*start))


def _sign(value: float) -> float:
    """-1, 0 or 1; directions near an axis count as on it, so that a label stands centred there."""
    return 0.0 if abs(value) < 0.2 else math.copysign(1.0, value)


def _free(
    spot: Spot,
    box: Box,
    leader: Segment | None,
    spots: Sequence[Spot],
    placed: Sequence[Placed],
    taken: Sequence[Box],
) -> bool:
    boxes = [*taken, *(other.box for other in placed)]
    leaders = [other.leader for other in placed if other.leader]
    free = not (
        any(box.meets(other, 2) for other in boxes)
        or any(_crosses(other, box) for other in leaders)
        or any(math.dist(box.nearest(other.x, other.y), (other.x, other.y)) < _core(other) + 1 for other in spots)
    )
    if leader is None or not free:
        return free and not _nearer_to_another(spot, box, spots)
    return not (
        any(_crosses(leader, other) for other in boxes)
        or any(_distance(leader, (other.x, other.y)) < _core(other) for other in spots if other is not spot)
        or any(_segments_cross(leader, other) for other in leaders)
    )


def _nearer_to_another(spot: Spot, box: Box, spots: Sequence[Spot]) -> bool:
    """Whether a reader would take the label for that of another disc; discs that overlap are not asked."""

    def away(other: Spot) -> float:
        return math.dist(box.nearest(other.x, other.y), (other.x, other.y)) - other.radius

    own = away(spot)
    return any(away(other) < own + 1 for other in spots if other is not spot and other.core is None)


def _core(spot: Spot) -> float:
    return spot.radius if spot.core is None else spot.core


def _distance(segment: Segment, point: tuple[float, float]) -> float:
    (ax, ay), (bx, by) = segment
    length = (bx - ax) ** 2 + (by - ay) ** 2
    along = 0.0 if length == 0 else ((point[0] - ax) * (bx - ax) + (point[1] - ay) * (by - ay)) / length
    along = min(max(along, 0.0), 1.0)
    return math.dist(point, (ax + along * (bx - ax), ay + along * (by - ay)))


def _crosses(segment: Segment, box: Box) -> bool:
    """Whether the segment touches the box: one of a few points of it lies inside, close enough for short leaders."""
    (ax, ay), (bx, by) = segment
    steps = max(int(math.dist(*segment) / 2), 1)
    return any(
        box.left <= ax + (bx - ax) * i / steps <= box.right and box.top <= ay + (by - ay) * i / steps <= box.bottom
        for i in range(steps + 1)
    )


def _segments_cross(one: Segment, other: Segment) -> bool:
    def turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    return turn(*one, other[0]) * turn(*one, other[1]) <= 0 and turn(*other, one[0]) * turn(*other, one[1]) <= 0


def draw_labels(figure: Figure, palette: Palette, placed: Sequence[Placed]) -> None:
    """Write the labels and draw their leaders; places are of the whole figure."""
    sheet = Sheet(figure=figure, palette=palette, left=0, top=0, width=0, height=0)
    for label in placed:
        if label.leader:
            (x0, y0), (x1, y1) = (sheet.point(*end) for end in label.leader)
            line = Line2D(
                (x0, x1), (y0, y1), transform=figure.dpi_scale_trans, color=palette.muted, linewidth=0.8, alpha=0.7
            )
            figure.add_artist(line)
        sheet.text(
            (label.box.left + label.box.right) / 2,
            (label.box.top + label.box.bottom) / 2,
            label.spot.label or "",
            color=palette.ink,
            side="center",
        )

"""Parts that were placed by themselves, put together: the rows of a slide, or the stages of a column."""

import itertools
from collections.abc import Callable, Sequence
from typing import Final

from convatlas.report.diagrams.dot import Placed
from convatlas.report.diagrams.layout import Area, Layout, Lettered, Point, stem

LANE: Final = 9  # px between lines from row to row
MOST_LANES: Final = 3
_GAP: Final = 8  # px between the stages of a column

# Corners or curves from where a line leaves a part (x, y) to where it enters the next one, in which lane.
_Joint = Callable[[Point, Point, int, int], tuple[Point, ...]]


def rows(text: Lettered, parts: Sequence[Placed]) -> Layout:
    """Rows above each other, each from left to right, and lines from the end of each to the begin of the next."""
    left = LANE * MOST_LANES
    tops: list[float] = []
    at = 0.0
    for part in parts:
        at += LANE * (len(part.entries) + 1) if part.entries else 0
        tops.append(at)
        at += part.height + LANE

    def joint(start: Point, end: Point, place: int, lane: int) -> tuple[Point, ...]:
        apart = LANE * (lane + 1)
        leaves, enters, turn = left + parts[place - 1].width + apart, left - apart, tops[place] - apart
        return _straight([start, (leaves, start[1]), (leaves, turn), (enters, turn), (enters, end[1]), end])

    size = (2 * left + max(part.width for part in parts), at - LANE)
    return _put_together(text, parts, [(left, top) for top in tops], joint, size, across=True)


def column(text: Lettered, parts: Sequence[Placed]) -> Layout:
    """Stages below each other, each in the middle."""
    width = max(part.width for part in parts)
    corners = []
    at = 0.0
    for part in parts:
        corners.append(((width - part.width) / 2, at))
        at += part.height + _GAP

    def joint(start: Point, end: Point, place: int, lane: int) -> tuple[Point, ...]:
        del place, lane
        middle = (start[1] + end[1]) / 2
        return start, (start[0], middle), (end[0], middle), end

    laid = _put_together(text, parts, corners, joint, (width, at - _GAP), across=False)
    return laid.with_whole_frames()


def _put_together(
    text: Lettered,
    parts: Sequence[Placed],
    corners: Sequence[Point],
    joint: _Joint,
    size: tuple[float, float],
    *,
    across: bool,
) -> Layout:
    folded = text.folded
    boxes: dict[int, Area] = {}
    labels: dict[int, Area] = {}
    frames: dict[int, list[Area]] = {}
    ways: dict[int, tuple[Point, ...]] = {}
    begun: dict[int, tuple[Point, ...]] = {}  # of a label whose links go on, the way until where it left a part
    for place, (part, (x, y)) in enumerate(zip(parts, corners, strict=True)):
        boxes |= {index: area.moved(x, y) for index, area in part.boxes.items()}
        labels |= {index: area.moved(x, y) for index, area in part.labels.items()}
        for index, area in part.frames.items():
            frames.setdefault(index, []).append(area.moved(x, y))
        for lane, index in enumerate(sorted(part.entries)):
            (entry,) = _moved((part.entries[index],), x, y)
            begun[index] = (*begun[index], *joint(begun[index][-1], entry, place, lane)[1:])
        for index, way in part.ways.items():
            link = folded.links[index]
            before = () if link.source in part.boxes else begun[text.label_of[link.source, link.shapes]]
            ways[index] = _joined(before, _moved(way, x, y))
        for index in sorted(part.exits):
            begun[index] = _joined(begun.get(index, ()), _moved(part.onward[index], x, y))
    return Layout(
        width=size[0],
        height=size[1],
        boxes=tuple(boxes[index] for index in range(len(folded.boxes))),
        lines=text.lines,
        frames=tuple(tuple(frames[index]) for index in range(len(folded.frames))),
        headings=text.headings,
        labels=tuple((label, labels[index]) for index, label in enumerate(text.labels)),
        stems=tuple(stem(boxes[label.source], labels[index], across=across) for index, label in enumerate(text.labels)),
        ways=tuple(ways[index] for index in range(len(folded.links))),
    )


def _moved(way: tuple[Point, ...], x: float, y: float) -> tuple[Point, ...]:
    return tuple((each[0] + x, each[1] + y) for each in way)


def _straight(corners: Sequence[Point]) -> tuple[Point, ...]:
    """Straight lines as Bézier curves."""
    points = [corners[0]]
    for start, end in itertools.pairwise(corners):
        points += [start, end, end]
    return tuple(points)


def _joined(before: tuple[Point, ...], after: tuple[Point, ...]) -> tuple[Point, ...]:
    """One way after the other, with a line between them."""
    return (*before, *_straight([before[-1], after[0]])[1:], *after[1:]) if before else after

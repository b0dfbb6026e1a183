"""A drawing that fits its place: a column as wide as a phone, or rows on a slide.

Text keeps its size. What is too wide is written in shorter lines, then its neighbours give way to each other, and at
last the widest block stays closed.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Final

from convatlas.arithmetic.tracing.trace import Trace
from convatlas.report.diagrams.dot import Placed, place, place_part
from convatlas.report.diagrams.folding import Folded, fold
from convatlas.report.diagrams.layout import TEXT, Area, Layout, Lettered, Point, letter, stem

COLUMN: Final = 355  # px: how wide a column is at most; a phone has 390, a page on it margins
SLIDE: Final = (16, 9)
SLIDE_TEXT: Final = 0.0175  # of a slide's height: what text should have
_WIDE, _NARROW = 150, (110, 84, 64, 54)  # px that a line may have
_OPEN_ON_SLIDES: Final = (16, 9, 6, 0)  # boxes of an opened block, from rich to poor
_LANE: Final = 9  # px between lines from row to row
_MOST_LANES: Final = 3


def as_column(traced: Trace, part_names: Mapping[str, str], depth: int | None, room: float) -> tuple[Folded, Layout]:
    """From above to below, at most `room` px wide where that can be; with a depth as wide as it gets."""
    shut: frozenset[str] = frozenset()
    while True:
        folded = fold(traced, part_names=part_names, depth=depth, shut=shut)
        best = None
        for laid in _columns(folded):
            if best is None or laid.width < best.width:
                best = laid
            if laid.width <= room:
                return folded, laid
        assert best is not None
        widest = _widest(folded, best, room)
        if widest is None or depth is not None:
            return folded, best
        shut |= {widest}


def _columns(folded: Folded) -> Iterator[Layout]:
    """Ways to lay it out, the narrower the later."""
    every = len(folded.boxes)
    yield place(letter(folded, [_WIDE] * every))
    for longest in _NARROW:
        laid = place(letter(folded, [longest] * every))
        limits = [_WIDE if index in _alone(laid) else longest for index in range(every)]
        text = letter(folded, limits)
        yield place(text)
        yield place(text, lower=_crowded(laid))


def _alone(laid: Layout) -> frozenset[int]:
    """Boxes that have no neighbour beside them."""
    return frozenset(
        index
        for index, box in enumerate(laid.boxes)
        if not any(other is not box and other.y < box.bottom and box.y < other.bottom for other in laid.boxes)
    )


def _crowded(laid: Layout) -> frozenset[int]:
    """Every second one of the boxes of a row of four or more."""
    rows: dict[int, list[int]] = {}
    for index, box in enumerate(laid.boxes):
        rows.setdefault(round(box.middle[1]), []).append(index)
    return frozenset(
        index
        for row in rows.values()
        if len(row) > 3
        for index in sorted(row, key=lambda each: laid.boxes[each].x)[1::2]
    )


def _widest(folded: Folded, laid: Layout, room: float) -> str | None:
    """The path of the widest block that is open."""
    blocks = [
        (areas[0].width, frame.path)
        for frame, areas in zip(folded.frames, laid.frames, strict=True)
        if not frame.is_stage and areas[0].width > room / 2
    ]
    return max(blocks)[1] if blocks else None


# --- Slides


def as_slide(traced: Trace, part_names: Mapping[str, str], depth: int | None, above: float) -> tuple[Folded, Layout]:
    """From left to right, in rows, on 16:9, with as much opened as leaves the text legible.

    above: px for a heading.
    """
    best: tuple[float, Folded, Layout] | None = None
    for largest in _OPEN_ON_SLIDES:
        folded = fold(traced, part_names=part_names, depth=depth, largest=largest)
        text = letter(folded, [110] * len(folded.boxes))
        for rows in _splits(text):
            laid = _stacked(text, [place_part(text, row, across=True) for row in rows])
            height = slide_size(laid, above)[1]
            if best is None or height < best[0]:
                best = (height, folded, laid)
        if depth is not None or (best is not None and TEXT / best[0] >= SLIDE_TEXT):
            break
    assert best is not None
    return best[1], best[2]


def slide_size(laid: Layout, above: float) -> tuple[float, float]:
    """Width and height of the slide that holds a drawing with its margins, in px."""
    margin = 16
    height = max(laid.height + above + 2 * margin, (laid.width + 2 * margin) * SLIDE[1] / SLIDE[0])
    return height * SLIDE[0] / SLIDE[1], height


def _splits(text: Lettered) -> Iterator[list[range]]:
    """The boxes in one to seven rows, about as wide as each other, cut where little goes on to the next row."""
    whole = place_part(text, range(len(text.folded.boxes)), across=True)
    every = len(text.folded.boxes)
    crossing = [
        sum(label.source < cut <= max(text.targets[index]) for index, label in enumerate(text.labels))
        for cut in range(every)
    ]
    price = [150.0 * max(crossing[cut] - 1, 0) + (_cut_through(text, cut) if cut else 0) for cut in range(every)]
    right = list(itertools.accumulate((whole.boxes[index].right for index in range(every)), max))
    left = [whole.boxes[index].x for index in range(every)]
    # best[row][stop]: the width of the widest row, and what the cuts cost, and where the last row starts
    best: list[dict[int, tuple[float, int]]] = [{stop: (right[stop - 1] - left[0], 0) for stop in range(1, every + 1)}]
    for row in range(7):
        if row:
            best.append({})
            for stop in range(row + 1, every + 1):
                ways = [
                    (max(best[row - 1][start][0], right[stop - 1] - left[start] + price[start]), start)
                    for start in range(row, stop)
                    if start in best[row - 1] and crossing[start] <= _MOST_LANES
                ]
                if ways:
                    best[row][stop] = min(ways)
        if every not in best[row]:
            return
        cuts = [every]
        for each in range(row, -1, -1):
            cuts.insert(0, best[each][cuts[0]][1])
        yield [range(start, stop) for start, stop in itertools.pairwise(cuts)]


def _cut_through(text: Lettered, cut: int) -> float:
    """What it costs, in px, to cut before this box: more within a block than within a stage, nothing between them."""
    frames = text.folded.frames
    before, after = (set(_around(text, index)) for index in (cut - 1, cut))
    return sum(60.0 if frames[frame].is_stage else 300.0 for frame in before & after)


def _around(text: Lettered, box: int) -> Iterator[int]:
    frame = text.folded.boxes[box].frame
    while frame is not None:
        yield frame
        frame = text.folded.frames[frame].parent


def _stacked(text: Lettered, rows: list[Placed]) -> Layout:
    """Rows above each other, and the lines from each to the next."""
    folded = text.folded
    left = _LANE * _MOST_LANES
    tops: list[float] = []
    at = 0.0
    for row in rows:
        at += _LANE * (len(row.entries) + 1) if row.entries else 0
        tops.append(at)
        at += row.height + _LANE
    width = left + max(row.width for row in rows) + left
    places: dict[str, dict[int, Area]] = {"box": {}, "label": {}}
    frames: dict[int, list[Area]] = {}
    ways: dict[int, tuple[Point, ...]] = {}
    so_far: dict[int, tuple[Point, ...]] = {}  # of a label that goes on, the way until it enters a row
    for row, top in zip(rows, tops, strict=True):
        places["box"] |= {index: area.moved(left, top) for index, area in row.boxes.items()}
        places["label"] |= {index: area.moved(left, top) for index, area in row.labels.items()}
        for index, area in row.frames.items():
            frames.setdefault(index, []).append(area.moved(left, top))
        for lane, index in enumerate(sorted(row.entries)):
            x, y = row.entries[index]
            way = so_far[index]
            enters = left - _LANE * (lane + 1)
            turn = top - _LANE * (lane + 1)
            corners = [(way[-1][0], turn), (enters, turn), (enters, y + top), (x + left, y + top)]
            so_far[index] = (*way, *_straight([way[-1], *corners])[1:])
        for index, part in row.ways.items():
            link = folded.links[index]
            moved = _moved(part, left, top)
            label = text.label_of[link.source, link.shapes]
            ways[index] = moved if link.source in row.boxes else (*so_far[label], *_joined(so_far[label], moved))
        for lane, index in enumerate(sorted(row.exits)):
            x, y = row.exits[index]
            moved = _moved(row.onward[index], left, top)
            before = so_far.get(index, ())
            way = (*before, *_joined(before, moved)) if before else moved
            leaves = left + row.width + _LANE * (lane + 1)
            so_far[index] = (*way, *_straight([way[-1], (leaves, y + top)])[1:])
            del x
    boxes = tuple(places["box"][index] for index in range(len(folded.boxes)))
    return Layout(
        width=width,
        height=at - _LANE,
        boxes=boxes,
        lines=text.lines,
        frames=tuple(tuple(frames[index]) for index in range(len(folded.frames))),
        headings=text.headings,
        labels=tuple((label, places["label"][index]) for index, label in enumerate(text.labels)),
        stems=tuple(
            stem(boxes[label.source], places["label"][index], across=True) for index, label in enumerate(text.labels)
        ),
        ways=tuple(ways[index] for index in range(len(folded.links))),
    )


def _moved(way: tuple[Point, ...], x: float, y: float) -> tuple[Point, ...]:
    return tuple((each[0] + x, each[1] + y) for each in way)


def _straight(corners: list[Point]) -> tuple[Point, ...]:
    """Straight lines as Bézier curves."""
    points = [corners[0]]
    for start, end in itertools.pairwise(corners):
        points += [start, end, end]
    return tuple(points)


def _joined(before: tuple[Point, ...], after: tuple[Point, ...]) -> tuple[Point, ...]:
    """What goes on after the last point of a way: a line to the next curve's start, and the curve."""
    return (*_straight([before[-1], after[0]])[1:], *after[1:])

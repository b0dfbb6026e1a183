"""A drawing that fits its place: a column as wide as a phone, or rows on a slide.

Text keeps its size. What is too wide is written in shorter lines, then its neighbours give way to each other, and at
last the widest block stays closed.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Final

from convatlas.arithmetic.tracing.trace import Trace
from convatlas.report.diagrams.dot import place, place_part
from convatlas.report.diagrams.folding import Folded, fold
from convatlas.report.diagrams.layout import TEXT, Layout, Lettered, letter
from convatlas.report.diagrams.stacking import MOST_LANES, column, rows

COLUMN: Final = 355  # px: how wide a column is at most; a phone has 390, a page on it margins
SLIDE: Final = (16, 9)
SLIDE_TEXT: Final = 0.0175  # of a slide's height: what text should have
_WIDE, _NARROW = 150, (110, 84, 64, 54)  # px that a line may have
_OPEN_ON_SLIDES: Final = (16, 9, 6, 0)  # boxes of an opened block, from rich to poor


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
        for lower in (frozenset[int](), _crowded(laid)):
            yield place(text, lower=lower)
            yield column(text, [place_part(text, part, across=False, lower=lower) for part in _stages(text)])


def _stages(text: Lettered) -> list[range]:
    """The boxes cut between the frames, where little goes on."""
    every = len(text.folded.boxes)
    cuts = [0]
    for cut in range(1, every):
        frames = [list(_around(text, index)) for index in (cut - 1, cut)]
        together = set(frames[0]) & set(frames[1])
        whole = all(text.folded.frames[frame].is_stage for frame in together)
        if frames[0] != frames[1] and whole and _crossing(text, cut) <= MOST_LANES:
            cuts.append(cut)
    return [range(start, stop) for start, stop in itertools.pairwise([*cuts, every])]


def _crossing(text: Lettered, cut: int) -> int:
    """How many tensors go past a cut before this box."""
    return sum(label.source < cut <= max(text.targets[index]) for index, label in enumerate(text.labels))


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
        for parts in _splits(text):
            laid = rows(text, [place_part(text, part, across=True) for part in parts])
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
    crossing = [_crossing(text, cut) for cut in range(every)]
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
                    if start in best[row - 1] and crossing[start] <= MOST_LANES
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

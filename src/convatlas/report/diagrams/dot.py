"""Places boxes, frames, labels and arrows by Graphviz's `dot`, which comes with pygraphviz.

Of each tensor that leaves a box the shape stands at the common start of its arrows, right at the box. To `dot` that
label is a node of its own, so that nothing is laid over it.
"""

import itertools
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from convatlas.errors import MissingExtra
from convatlas.report.diagrams.folding import Folded
from convatlas.report.diagrams.layout import (
    LABEL_HEIGHT,
    LABEL_TEXT,
    LINE_HEIGHT,
    Area,
    Layout,
    Lettered,
    Point,
    stem,
)
from convatlas.report.diagrams.lettering import width

_MARGIN: Final = 5  # px within a frame
_SIDE_BY_SIDE: Final = 6  # px between neighbours
_APART: Final = 9  # px between a box and its label, and the label and the next box
_INCH: Final = 72


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Boxes of one run of indices, placed by themselves, in px from their left upper corner.

    boxes, labels: by index. frames: by index, the part of each that is here. ways: of links by index, from their label,
    or from where it enters, to their box. entries, exits: of labels whose links come from before or go on after these
    boxes, where they do. onward: of a label that goes on, the way to its exit.
    """

    width: float
    height: float
    boxes: dict[int, Area]
    labels: dict[int, Area]
    frames: dict[int, Area]
    ways: dict[int, tuple[Point, ...]]
    entries: dict[int, Point]
    exits: dict[int, Point]
    onward: dict[int, tuple[Point, ...]]


def place_part(text: Lettered, boxes: range, *, across: bool, lower: frozenset[int] = frozenset()) -> Placed:
    """Place these boxes, from above to below, or from left to right where `across`.

    lower: boxes that give way to their neighbours, by a row. Raises MissingExtra where pygraphviz is missing.
    """
    graph = _graphviz(_Dot(text, boxes, across, lower).text())
    _, _, total, bottom = _numbers(graph.graph_attr["bb"])
    areas = {str(name): _area(graph.get_node(name).attr, bottom) for name in graph.nodes()}
    frames = {int(name.removeprefix("cluster_")): _frame_area(bounds, bottom) for name, bounds in _frame_bounds(graph)}
    ways: dict[int, tuple[Point, ...]] = {}
    onward: dict[int, tuple[Point, ...]] = {}
    for edge in graph.edges(keys=True):
        kind, _, index = (edge[2] or "").partition(":")
        if kind in ("link", "onward"):
            way = _points(graph.get_edge(*edge).attr["pos"], bottom)
            (ways if kind == "link" else onward)[int(index)] = way
    by_kind: dict[str, dict[int, Area]] = {kind: {} for kind in "blex"}
    for name, area in areas.items():
        by_kind[name[0]][int(name[1:])] = area
    return Placed(
        width=total,
        height=bottom,
        boxes=by_kind["b"],
        labels=by_kind["l"],
        frames=frames,
        ways={index: _to_border(way, by_kind["b"][text.folded.links[index].target]) for index, way in ways.items()},
        entries={index: area.middle for index, area in by_kind["e"].items()},
        exits={index: area.middle for index, area in by_kind["x"].items()},
        onward=onward,
    )


def place(text: Lettered, *, lower: frozenset[int] = frozenset()) -> Layout:
    """Lay all of it out from above to below."""
    folded = text.folded
    placed = place_part(text, range(len(folded.boxes)), across=False, lower=lower)
    boxes = tuple(placed.boxes[index] for index in range(len(folded.boxes)))
    return Layout(
        width=placed.width,
        height=placed.height,
        boxes=boxes,
        lines=text.lines,
        frames=tuple((placed.frames[index],) for index in range(len(folded.frames))),
        headings=text.headings,
        labels=tuple((label, placed.labels[index]) for index, label in enumerate(text.labels)),
        stems=tuple(
            stem(boxes[label.source], placed.labels[index], across=False) for index, label in enumerate(text.labels)
        ),
        ways=tuple(placed.ways[index] for index in range(len(folded.links))),
    )


# --- To dot and back


class _Dot:
    """Writes the boxes b…, labels l…, and where links enter, e…, or go on, x…, in dot's language."""

    def __init__(self, text: Lettered, boxes: range, across: bool, lower: frozenset[int]) -> None:
        self._text = text
        self._boxes = boxes
        self._across = across
        self._lower = lower
        labels = range(len(text.labels))
        self._own = [each for each in labels if text.labels[each].source in boxes]
        self._entering = [
            each for each in labels if text.labels[each].source < boxes.start and max(text.targets[each]) >= boxes.start
        ]
        self._leaving = [each for each in (*self._own, *self._entering) if max(text.targets[each]) >= boxes.stop]

    def text(self) -> str:
        """The graph."""
        lines = [
            f"digraph {{ graph [rankdir={'LR' if self._across else 'TB'} nodesep={_SIDE_BY_SIDE / _INCH} "
            f"ranksep={_APART / _INCH} margin=0 pad=0 splines=true newrank=true];",
            'node [shape=box fixedsize=true label=""];',
            "edge [dir=none];",
            *self._clusters(None),
            *self._ghosts("e", self._entering, "source"),
            *self._ghosts("x", self._leaving, "sink"),
            *self._edges(),
        ]
        return "\n".join([*lines, "}"])

    def _ghosts(self, letter_: str, labels: Sequence[int], rank: str) -> list[str]:
        if not labels:
            return []
        names = " ".join(f"{letter_}{each};" for each in labels)
        return [f"{{ rank={rank}; node [width=0.01 height=0.01]; {names} }}"]

    def _clusters(self, parent: int | None) -> list[str]:
        folded, labels = self._text.folded, self._text.labels
        lines = [
            f"b{index} {_node_size(*self._text.sizes[index])};"
            for index in self._boxes
            if folded.boxes[index].frame == parent
        ]
        lines += [
            f"l{index} {_node_size(width(labels[index].text, LABEL_TEXT) + 2, LABEL_HEIGHT)};"
            for index in self._own
            if folded.boxes[labels[index].source].frame == parent
        ]
        for index, frame in enumerate(folded.frames):
            inner = self._clusters(index) if frame.parent == parent else []
            if inner:
                lines += [f"subgraph cluster_{index} {{ graph [margin={_MARGIN} labeljust=l", self._heading(index)]
                lines += [*inner, "}"]
        return lines

    def _heading(self, index: int) -> str:
        """Room for what stands over a frame; none where it goes on from the row before."""
        if min(self._first_boxes(index)) < self._boxes.start:
            return "];"
        lines = self._text.headings[index]
        room, high = max(line.width for line in lines) + 6, LINE_HEIGHT * len(lines)
        return (
            f'label=<<TABLE BORDER="0" CELLPADDING="0" FIXEDSIZE="TRUE" WIDTH="{room:.0f}" HEIGHT="{high}">'
            "<TR><TD></TD></TR></TABLE>>];"
        )

    def _first_boxes(self, frame: int) -> list[int]:
        """The first box right in a frame, and of each frame in it."""
        folded = self._text.folded
        inner = [index for index, each in enumerate(folded.frames) if each.parent == frame]
        own = next((index for index, box in enumerate(folded.boxes) if box.frame == frame), None)
        return [*([] if own is None else [own]), *(first for each in inner for first in self._first_boxes(each))]

    def _edges(self) -> list[str]:
        text, out, into = self._text, *(("e", "w") if self._across else ("s", "n"))
        lines = [f"b{text.labels[each].source}:{out} -> l{each}:{into} [weight=20];" for each in self._own]
        for index, link in enumerate(text.folded.links):
            label = text.label_of[link.source, link.shapes]
            if link.target in self._boxes:
                start = f"l{label}:{out}" if link.source in self._boxes else f"e{label}"
                weight = 3 if link.target == link.source + 1 else 1
                length = 3 if link.target in self._lower else 1
                settings = f'[key="link:{index}" weight={weight} minlen={length}]'
                lines.append(f"{start} -> b{link.target}:{into} {settings};")
        for label in self._leaving:
            start = f"l{label}:{out}" if label in self._own else f"e{label}"
            lines.append(f'{start} -> x{label} [key="onward:{label}"];')
        waists = [each for each in waists_of(text.folded) if each in self._boxes]
        first_label = {text.labels[each].source: each for each in reversed(self._own)}
        for waist, following in itertools.pairwise(waists):  # the middle of the drawing stays in the middle
            lines.append(f"l{first_label[waist]}:{out} -> b{following}:{into} [weight=5 style=invis key=middle];")
        return lines


def waists_of(folded: Folded) -> tuple[int, ...]:
    """Boxes through which all goes: nothing goes past them."""
    reach, found = 0, []
    for index in range(len(folded.boxes)):
        if (reach <= index and any(link.source == index for link in folded.links)) or index == len(folded.boxes) - 1:
            found.append(index)
        reach = max([reach, *(link.target for link in folded.links if link.source == index)])
    return tuple(found)


def _node_size(width_: float, height: float) -> str:
    return f"[width={width_ / _INCH:.4f} height={height / _INCH:.4f}]"


def _graphviz(text: str) -> Any:
    try:
        import pygraphviz  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise MissingExtra("drawing a diagram", "atlas") from error
    graph = pygraphviz.AGraph(string=text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph.layout("dot")
    return graph


def _frame_bounds(graph: Any) -> Iterator[tuple[str, str]]:
    for inner in graph.subgraphs():
        if inner.name and inner.name.startswith("cluster_"):  # else it only holds nodes in one rank
            yield inner.name, inner.graph_attr["bb"]
        yield from _frame_bounds(inner)


def _area(attributes: Any, bottom: float) -> Area:
    x, y = _numbers(attributes["pos"])
    size = [float(attributes[name]) * _INCH for name in ("width", "height")]
    return Area(x=x - size[0] / 2, y=bottom - y - size[1] / 2, width=size[0], height=size[1])


def _frame_area(bounds: str, bottom: float) -> Area:
    left, low, right, high = _numbers(bounds)
    return Area(x=left, y=bottom - high, width=right - left, height=high - low)


def _points(text: str, bottom: float) -> tuple[Point, ...]:
    points = [_numbers(each) for each in text.replace("\\\n", "").split()]
    return tuple((x, bottom - y) for x, y in points)


def _numbers(text: str) -> list[float]:
    return [float(each) for each in re.split(r"[,\s]+", text.strip()) if each not in ("", "e", "s")]


def _to_border(way: tuple[Point, ...], box: Area) -> tuple[Point, ...]:
    """The last point right on the border: dot ends within a tenth of a px of it."""
    x, y = way[-1]
    x, y = min(max(x, box.x), box.right), min(max(y, box.y), box.bottom)
    sides = {abs(x - box.x): (box.x, y), abs(box.right - x): (box.right, y)}
    sides |= {abs(y - box.y): (x, box.y), abs(box.bottom - y): (x, box.bottom)}
    return (*way[:-1], sides[min(sides)])

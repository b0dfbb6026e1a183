"""A laid out diagram as SVG: shapes and text in the page's colours, and what each stands for as data attributes.

A box is `<g class="box" data-index data-role data-path data-times data-ops>`, an arrow `<g class="link" data-from
data-to data-shape>`, a frame `<g class="frame" data-path data-times data-members>`. `data-ops` are operations of the
trace, from 0: "3-5 9"; -1 is the output, -2 the first input. Several shapes, of repeated boxes, stand side by side.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from xml.etree import ElementTree

from convatlas.report.diagrams.folding import Box, Folded
from convatlas.report.diagrams.layout import LABEL_TEXT, LINE_HEIGHT, TEXT, Area, Layout, Line, Point
from convatlas.report.diagrams.lettering import FONT
from convatlas.report.palette import DARK, LIGHT
from convatlas.report.words import plain

MARGIN: Final = 8  # px around all
HEADING: Final = 34  # px for a title at the top
_HEAD: Final = (7.0, 3.2)  # length and half the width of an arrow's head
# What a role looks like: its outline differs as well as its colour.
_STYLE: Final = f"""
text {{ font: {TEXT}px {FONT}; fill: var(--ink); text-anchor: middle }}
.name, .heading.first {{ font-weight: 600 }}
.heading {{ fill: var(--muted); text-anchor: start }}
.heading, .shape {{ paint-order: stroke; stroke: var(--page); stroke-width: 3px; stroke-linejoin: round }}
.shape {{ fill: var(--muted); font-size: {LABEL_TEXT}px }}
.title {{ font-size: 20px; font-weight: 600; text-anchor: start }}
.key {{ fill: var(--muted); text-anchor: start }}
.frame rect {{ fill: none; stroke: var(--muted); stroke-opacity: .45 }}
.link path {{ fill: none; stroke: var(--muted); stroke-width: 1.2 }}
.link polygon {{ fill: var(--muted) }}
.box .outline, .box .mark {{ fill: var(--page); stroke: var(--muted); stroke-width: 1.2 }}
.convolution .outline {{ fill: var(--answer); fill-opacity: .14; stroke: var(--answer) }}
.dense .outline, .dense .mark {{ fill: var(--mistake); fill-opacity: .12; stroke: var(--mistake) }}
.dense .mark {{ fill: none; stroke-width: 2 }}
.pooling .outline {{ fill: var(--cell) }}
.join .outline {{ stroke: var(--ink); stroke-width: 1.6 }}
.attention .outline, .gate .outline {{ fill: var(--mistake); fill-opacity: .07; stroke: var(--mistake) }}
.attention .outline, .gate .outline {{ stroke-dasharray: 6 2 }}
.block .outline, .block .mark {{ fill: var(--cell); stroke: var(--ink) }}
.norm .outline, .activation .outline, .shape-only .outline {{ stroke-dasharray: 1.5 2.5 }}
"""
_ROUND: Final = {"pooling": 9, "other": 4}


def write_svg(
    folded: Folded,
    laid: Layout,
    *,
    name: str,
    title: str,
    description: str,
    key: Sequence[str],
    size: tuple[float, float],
    standalone: bool,
    heading: str = "",
) -> str:
    """The diagram as an `<svg>` element.

    name: makes its ids unique and its style its own. title, description: what a screen reader says. key: lines at the
    foot that say how to read it. size: of the whole in px, with its margins. standalone: a file of its own, which
    brings its colours, light and dark, and a page behind it. heading: text at the top.
    """
    top = HEADING if heading else 0
    cut = 0 if standalone or heading else MARGIN - 1  # a page has margins of its own
    view = (cut, cut, size[0] - 2 * cut, size[1] - 2 * cut)
    root = ElementTree.Element(
        "svg",
        {
            **({"xmlns": "http://www.w3.org/2000/svg"} if standalone else {}),
            "id": name,
            "viewBox": " ".join(map(_number, view)),
            **(_shown(size, bool(heading)) if standalone else {}),
            "role": "img",
            "aria-labelledby": f"{name}-title {name}-desc",
            "style": f"--width: {math.ceil(view[2])}px",
        },
    )
    _text_element(root, "title", title, id=f"{name}-title")
    _text_element(root, "desc", description, id=f"{name}-desc")
    ElementTree.SubElement(root, "style").text = _style(name, standalone)
    if standalone:
        sides = {"width": _number(size[0]), "height": _number(size[1])}
        ElementTree.SubElement(root, "rect", {**sides, "style": "fill: var(--page)"})
    left = (size[0] - laid.width) / 2
    if heading:
        _written(root, heading, left, MARGIN + 20, "title")
    room = ElementTree.SubElement(root, "g", {"transform": f"translate({_number(left)} {_number(MARGIN + top)})"})
    _frames(room, folded, laid)
    _links(room, folded, laid)
    _headings(room, laid)
    for label, area in laid.labels:
        _written(room, label.text, area.middle[0], area.middle[1] + TEXT * 0.36, "shape")
    for index, box in enumerate(folded.boxes):
        _box(room, index, box, laid.boxes[index], laid.lines[index])
    for index, line in enumerate(key):
        _written(root, line, MARGIN, size[1] - MARGIN - (len(key) - 1 - index) * LINE_HEIGHT - 3, "key")
    return ElementTree.tostring(root, encoding="unicode") + ("\n" if standalone else "")


def _shown(size: tuple[float, float], slide: bool) -> dict[str, str]:
    """The size of a file of its own, in CSS px: as it is, a slide as wide as a screen."""
    scale = 1280 / size[0] if slide else 1
    return {"width": _number(size[0] * scale), "height": _number(size[1] * scale)}


def _style(name: str, standalone: bool) -> str:
    rules = [f"#{name} {each}" for each in _STYLE.strip().splitlines()]
    rules = [each.replace(", .", f", #{name} .") if "{" in each else each for each in rules]
    if standalone:
        rules.insert(0, f"#{name} {{ {_variables(LIGHT)} }}")
        rules.insert(1, f"@media (prefers-color-scheme: dark) {{ #{name} {{ {_variables(DARK)} }} }}")
    return "\n".join(rules)


def _variables(colours: Mapping[str, str]) -> str:
    return "; ".join(f"--{role}: {colour}" for role, colour in colours.items())


def _frames(parent: ElementTree.Element, folded: Folded, laid: Layout) -> None:
    for frame, areas in zip(folded.frames, laid.frames, strict=True):
        group = ElementTree.SubElement(
            parent,
            "g",
            {
                "class": "frame",
                "data-path": plain(frame.path),
                "data-times": str(frame.times),
                "data-members": ";".join(ranges(each) for each in frame.members),
            },
        )
        for area in areas:
            ElementTree.SubElement(group, "rect", {**_rectangle(area), "rx": "6"})


def _headings(parent: ElementTree.Element, laid: Layout) -> None:
    """Over the arrows, which must not cross out what is written."""
    for frame, (areas, lines) in enumerate(zip(laid.frames, laid.headings, strict=True)):
        group = ElementTree.SubElement(parent, "g", {"class": "headings", "data-frame": str(frame)})
        for index, line in enumerate(lines):
            kind = "heading first" if line.bold else "heading"
            _written(group, line.text, areas[0].x + 8, areas[0].y + 15 + index * LINE_HEIGHT, kind)


def _links(parent: ElementTree.Element, folded: Folded, laid: Layout) -> None:
    stems = {(label.source, label.shapes): stem for (label, _), stem in zip(laid.labels, laid.stems, strict=True)}
    for link, way in zip(folded.links, laid.ways, strict=True):
        group = ElementTree.SubElement(
            parent,
            "g",
            {
                "class": "link",
                "data-from": str(link.source),
                "data-to": str(link.target),
                "data-shape": " ".join("x".join(map(str, shape)) or "1" for shape in link.shapes),
            },
        )
        start, label = stems[link.source, link.shapes]
        curves = " ".join(_point(each) for each in way[1:])
        path = f"M{_point(start)} L{_point(label)} M{_point(way[0])} C{curves}"
        ElementTree.SubElement(group, "path", {"d": path})
        ElementTree.SubElement(
            group, "polygon", {"points": " ".join(_point(each) for each in _head(way[-1], laid.boxes[link.target]))}
        )


def _head(tip: Point, box: Area) -> tuple[Point, Point, Point]:
    """The arrow's head: straight down onto the upper side of a box, or from the left."""
    length, half = _HEAD
    if abs(tip[1] - box.y) < abs(tip[0] - box.x):
        return tip, (tip[0] - half, tip[1] - length), (tip[0] + half, tip[1] - length)
    return tip, (tip[0] - length, tip[1] - half), (tip[0] - length, tip[1] + half)


def _box(parent: ElementTree.Element, index: int, box: Box, area: Area, lines: Sequence[Line]) -> None:
    role = "shape-only" if box.role == "shape" else box.role
    group = ElementTree.SubElement(
        parent,
        "g",
        {
            "class": f"box {role}",
            "data-index": str(index),
            "data-role": box.role,
            "data-path": plain(" ".join(dict.fromkeys(box.paths))),
            "data-times": str(box.times),
            "data-ops": ranges(box.ops),
        },
    )
    if box.role == "block":  # a second sheet behind it
        ElementTree.SubElement(group, "rect", {**_rectangle(area.moved(2.5, 2.5)), "rx": "2", "class": "mark"})
    round_ = area.height / 2 if box.role in ("join", "input", "output") else _ROUND.get(box.role, 2)
    ElementTree.SubElement(group, "rect", {**_rectangle(area), "rx": _number(round_), "class": "outline"})
    if box.role == "dense":
        bar = _number(area.x + 3)
        ends = {"x1": bar, "x2": bar, "y1": _number(area.y + 2), "y2": _number(area.bottom - 2)}
        ElementTree.SubElement(group, "line", {**ends, "class": "mark"})
    x, y = area.middle
    first = y - len(lines) * LINE_HEIGHT / 2 + LINE_HEIGHT * 0.76
    for place, line in enumerate(lines):
        _written(group, line.text, x, first + place * LINE_HEIGHT, "name" if line.bold else "words")


def ranges(ops: Iterable[int]) -> str:
    """`{3, 4, 5, 9}` -> "3-5 9"; negative numbers stand for themselves."""
    told: list[list[int]] = []
    for op in sorted(ops):
        if told and op >= 0 and told[-1][-1] == op - 1 and told[-1][0] >= 0:
            told[-1][-1:] = [op] if len(told[-1]) > 1 else [told[-1][0], op]
        else:
            told.append([op])
    return " ".join("-".join(map(str, each)) for each in told)


def _written(parent: ElementTree.Element, text: str, x: float, y: float, kind: str) -> None:
    _text_element(parent, "text", text, **{"x": _number(x), "y": _number(y), "class": kind})


def _text_element(parent: ElementTree.Element, tag: str, text: str, **attributes: str) -> None:
    ElementTree.SubElement(parent, tag, attributes).text = plain(text)


def _rectangle(area: Area) -> dict[str, str]:
    sides = {"x": area.x, "y": area.y, "width": area.width, "height": area.height}
    return {side: _number(value) for side, value in sides.items()}


def _point(point: Point) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")

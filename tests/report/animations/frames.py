"""Reading an animation back from its SVG: what is drawn, where, and when it is seen."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

SVG = "{http://www.w3.org/2000/svg}"
HREF = "href"


@dataclass(frozen=True)
class Seen:
    """A rectangle or a text of one frame. role: its class; text: None for a rectangle."""

    role: str
    x: float
    y: float
    width: float
    height: float
    text: str | None = None
    anchor: str = "start"


def parse(svg: str) -> ElementTree.Element:
    """The root; names without namespace, as an SVG in HTML has none."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
    return root


def still(svg: str) -> list[Seen]:
    """All that a frame without motion draws."""
    root = parse(svg)
    assert not root.findall(".//g")
    return [seen for element in root for seen in drawn(element, {})]


def animated(svg: str, moment: float) -> list[Seen]:
    """All that is seen of an animation at a moment, 0..1 of its loop, by its keyframes."""
    root = parse(svg)
    rules = keyframes(style(root))
    shared = {path.get("id"): path for path in root.findall("defs/path")}
    names = dict(re.findall(r"\.(r\d+-\d+)\{animation-name:([\w-]+)\}", style(root)))
    seen = []
    for element in root:
        if element.tag == "g":
            (key,) = [name for name in element.get("class", "").split() if re.fullmatch(r"r\d+-\d+", name)]
            if not visible(rules[names[key]], moment):
                continue
            seen += [each for child in element for each in drawn(child, shared)]
        elif element.tag != "defs" and "hint" not in element.get("class", ""):
            seen += drawn(element, shared)
    return seen


def style(root: ElementTree.Element) -> str:
    return "".join(element.text or "" for element in root.findall("style"))


def keyframes(css: str) -> dict[str, list[tuple[float, bool]]]:
    """Of each rule the percentages, ascending, and whether the group is visible from there on."""
    rules = {}
    for name, body in re.findall(r"@keyframes ([\w-]+)\{((?:[^{}]*\{[^{}]*\})*)\}", css):
        stops = []
        for places, value in re.findall(r"([\d.%,]+)\{visibility:(visible|hidden)\}", body):
            stops += [(float(place.rstrip("%")), value == "visible") for place in places.split(",")]
        assert stops == sorted(stops), name
        rules[name] = stops
    return rules


def visible(stops: list[tuple[float, bool]], moment: float) -> bool:
    """With step-end each value holds until the next percentage."""
    return [value for percent, value in stops if percent <= 100 * moment + 1e-9][-1]


def drawn(element: ElementTree.Element, shared: dict[str | None, ElementTree.Element]) -> list[Seen]:
    role = element.get("class", "")
    if element.tag == "text":
        x, y = float(element.get("x", "")), float(element.get("y", ""))
        return [Seen(role, x, y, 0, 0, element.text or "", element.get("text-anchor", "start"))]
    if element.tag == "use":
        dx, dy = float(element.get("x", "")), float(element.get("y", ""))
        path = shared[element.get(HREF, "").removeprefix("#")]
        return [Seen(role, b.x + dx, b.y + dy, b.width, b.height) for b in drawn(path, shared)]
    if element.tag != "path":
        return []
    d = element.get("d", "")
    boxes = re.findall(r"M([-\d.]+) ([-\d.]+)h([-\d.]+)v([-\d.]+)h[-\d.]+z", d)
    assert len(boxes) == d.count("M")
    return [Seen(role, *map(float, box)) for box in boxes]


def number(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-"))


def inside(box: Seen, seen: list[Seen]) -> list[str]:
    """The texts whose anchor lies within a rectangle."""
    return [
        each.text
        for each in seen
        if each.text is not None and box.x <= each.x <= box.x + box.width and box.y <= each.y <= box.y + box.height
    ]


def one(seen: list[Seen], role: str) -> Seen:
    (found,) = [each for each in seen if each.role == role]
    return found

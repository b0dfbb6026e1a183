"""Reads a diagram back from its SVG and compares it with the network's own trace, by brute force.

Nothing of the code that draws is used: which operation gets which tensor from which is found anew.
"""

import collections
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
from PIL import ImageFont

from convatlas.arithmetic.tracing.trace import Trace

SVG = "{http://www.w3.org/2000/svg}"
TIMES = "\N{MULTIPLICATION SIGN}"
LOOKING = (  # operations whose output looks into the memory of their input
    *("view", "permute", "transpose", "t", "unsqueeze", "squeeze", "expand", "as_strided", "slice", "select", "split"),
    *("split_with_sizes", "unbind", "detach", "alias", "narrow", "chunk", "_unsafe_view", "_reshape_alias", "unfold"),
)


@dataclass(frozen=True, kw_only=True)
class ReadBox:
    role: str
    area: tuple[float, float, float, float]  # left, top, right, bottom
    texts: tuple[tuple[str, float, float, str], ...]  # text, x, y, class
    times: int
    ops: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class ReadLink:
    source: int
    target: int
    shapes: tuple[str, ...]
    points: tuple[tuple[float, float], ...]  # start, the label's two ends, control points, end
    head: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ReadFrame:
    members: tuple[frozenset[int], ...]
    times: int
    headings: tuple[tuple[str, float, float, str], ...]
    areas: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Read:
    width: float
    height: float
    title: str
    description: str
    boxes: tuple[ReadBox, ...]
    links: tuple[ReadLink, ...]
    frames: tuple[ReadFrame, ...]
    labels: tuple[tuple[str, float, float], ...]


def read(svg: str) -> Read:
    root = ElementTree.fromstring(svg)
    namespace = SVG if root.tag.startswith("{") else ""
    assert root.get("role") == "img"
    _, _, width, height = map(float, root.get("viewBox", "").split())
    groups: dict[str, list[ElementTree.Element]] = {"box": [], "link": [], "frame": [], "headings": []}
    for group in root.iter(f"{namespace}g"):
        kind = group.get("class", "").split(" ")[0]
        if kind in groups:
            groups[kind].append(group)
    return Read(
        width=width,
        height=height,
        title=root.findtext(f"{namespace}title", ""),
        description=root.findtext(f"{namespace}desc", ""),
        boxes=tuple(_box(each, namespace) for each in groups["box"]),
        links=tuple(_link(each, namespace) for each in groups["link"]),
        frames=tuple(
            _frame(frame, heads, namespace) for frame, heads in zip(groups["frame"], groups["headings"], strict=True)
        ),
        labels=tuple((text, x, y) for text, x, y, kind in _texts(root, namespace) if kind == "shape"),
    )


def _box(group: ElementTree.Element, namespace: str) -> ReadBox:
    outline = next(each for each in group.iter(f"{namespace}rect") if each.get("class") == "outline")
    return ReadBox(
        role=group.get("data-role", ""),
        area=_area(outline),
        texts=tuple(_texts(group, namespace)),
        times=int(group.get("data-times", "")),
        ops=_ops(group.get("data-ops", "")),
    )


def _link(group: ElementTree.Element, namespace: str) -> ReadLink:
    path, head = group.find(f"{namespace}path"), group.find(f"{namespace}polygon")
    assert path is not None
    assert head is not None
    numbers = [float(each) for each in re.findall(r"-?[\d.]+", path.get("d", ""))]
    tip = [float(each) for each in head.get("points", "").split(" ")[0].split(",")]
    return ReadLink(
        source=int(group.get("data-from", "")),
        target=int(group.get("data-to", "")),
        shapes=tuple(group.get("data-shape", "").split(" ")),
        points=tuple(zip(numbers[::2], numbers[1::2], strict=True)),
        head=(tip[0], tip[1]),
    )


def _frame(group: ElementTree.Element, heads: ElementTree.Element, namespace: str) -> ReadFrame:
    return ReadFrame(
        members=tuple(_ops(each) for each in group.get("data-members", "").split(";")),
        times=int(group.get("data-times", "")),
        headings=tuple(_texts(heads, namespace)),
        areas=tuple(_area(each) for each in group.iter(f"{namespace}rect")),
    )


def _texts(group: ElementTree.Element, namespace: str) -> Iterator[tuple[str, float, float, str]]:
    for text in group.iter(f"{namespace}text"):
        yield text.text or "", float(text.get("x", "")), float(text.get("y", "")), text.get("class", "")


def _area(rect: ElementTree.Element) -> tuple[float, float, float, float]:
    x, y, width, height = (float(rect.get(side, "0")) for side in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def _ops(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(" "):
        first, dash, last = part.partition("-") if not part.startswith("-") else (part, "", "")
        found |= set(range(int(first), int(last) + 1)) if dash else {int(first)}
    return frozenset(found)


# --- The trace, by brute force


def flows(traced: Trace) -> tuple[list[tuple[int, int, tuple[int, ...]]], set[int]]:
    """(operation that made a tensor, operation that takes it, its shape), and all that depend on the input.

    The network's inputs are made by -2, -3, …; -1 takes its outputs.
    """
    maker = {ref.id: -2 - index for index, ref in enumerate(traced.inputs)}
    memory: dict[int, int] = {}
    writer: dict[int, int] = {}
    found: list[tuple[int, int, tuple[int, ...]]] = []
    live: set[int] = set()

    def takes(index: int, refs: tuple) -> bool:
        sources = set()
        for ref in refs:
            if ref.id in maker:
                sources.add((maker[ref.id], ref.shape))
            wrote = writer.get(memory.get(ref.id, ref.id))
            if wrote is not None and wrote > maker.get(ref.id, -9):
                sources.add((wrote, ref.shape))
        found.extend((source, index, shape) for source, shape in sources)
        return bool(sources)

    for index, op in enumerate(traced.ops):
        if op.kind in LOOKING:
            for output in op.outputs:
                if output.id != op.inputs[0].id:
                    memory[output.id] = memory.get(op.inputs[0].id, op.inputs[0].id)
        if takes(index, op.inputs):
            live.add(index)
            for output in op.outputs:
                maker[output.id] = index
                if any(output.id == ref.id for ref in op.inputs):
                    writer[memory.get(output.id, output.id)] = index
    takes(-1, traced.outputs)
    return found, live


def check(svg: str, traced: Trace) -> Read:
    """All that must hold between a diagram and its network's trace."""
    drawn = read(svg)
    edges, live = flows(traced)
    box_of = {op: index for index, box in enumerate(drawn.boxes) for op in box.ops}
    assert sum(len(box.ops) for box in drawn.boxes) == len(box_of), "an operation in two boxes"
    ends = {-1, *(-2 - index for index in range(len(traced.inputs)))}
    assert set(box_of) == live | ends, "each operation that depends on the input is in a box, and no other"
    _check_links(drawn, traced, edges, box_of)
    _check_repetitions(drawn, traced)
    _check_words(drawn, traced)
    return drawn


def _check_links(
    drawn: Read, traced: Trace, edges: list[tuple[int, int, tuple[int, ...]]], box_of: dict[int, int]
) -> None:
    batch = traced.inputs[0].shape[0]
    member = [{op: place for place, ops in enumerate(frame.members) for op in ops} for frame in drawn.frames]
    wanted: dict[tuple[int, int], set[str]] = collections.defaultdict(set)
    for source, target, shape in edges:
        told = any(source in each and target in each and each[source] != each[target] for each in member)
        if box_of[source] != box_of[target] and not told:
            of_one = shape[1:] if len(shape) > 1 and shape[0] == batch else shape
            wanted[box_of[source], box_of[target]].add("x".join(map(str, of_one)) or "1")
    assert len({(link.source, link.target) for link in drawn.links}) == len(drawn.links), "an arrow twice"
    assert {(link.source, link.target): set(link.shapes) for link in drawn.links} == wanted


def _check_repetitions(drawn: Read, traced: Trace) -> None:
    assert all(frame.times % len(frame.members) == 0 or frame.times == len(frame.members) for frame in drawn.frames)
    for box in drawn.boxes:
        around = [frame for frame in drawn.frames if box.ops <= frozenset().union(*frame.members)]
        shown = _repeated(" ".join(text for text, *_ in box.texts))
        for frame in around:
            shown *= _repeated(" ".join(text for text, *_ in frame.headings))
        assert shown == box.times, "what is written and how often it is there"
        kinds = collections.Counter(traced.ops[op].kind for op in box.ops if op >= 0)
        if box.role == "convolution":
            assert kinds["convolution"] == box.times
        elif box.role not in ("input", "output"):
            assert all(count % box.times == 0 for count in kinds.values()), kinds


def _repeated(text: str) -> int:
    found = re.findall(rf"(?:^| ){TIMES}(\d+)(?= |$|:)", text)
    return int(found[-1]) if found and "upsampling" not in text and "transposed" not in text else 1


def _check_words(drawn: Read, traced: Trace) -> None:
    """What a box says of its convolutions is what the trace says of them."""
    for box in drawn.boxes:
        convolutions = [traced.ops[op] for op in box.ops if op >= 0 and traced.ops[op].kind == "convolution"]
        if box.role == "convolution":
            words = " ".join(text for text, *_ in box.texts)
            kernel = TIMES.join(map(str, convolutions[0].inputs[1].shape[2:]))
            assert f"{kernel}" in words
            assert f"{convolutions[0].outputs[0].shape[1]:,}" in words
            stride = convolutions[0].args[3]
            assert isinstance(stride, tuple)
            if set(stride) != {1}:
                assert f"{TIMES if convolutions[0].args[6] else '/'}{stride[0]}" in words


def check_places(drawn: Read, *, across: bool = False) -> None:
    """Texts are within their boxes, nothing lies over another thing, arrows end at the borders of their boxes."""
    for box in drawn.boxes:
        left, top, right, bottom = box.area
        assert box.texts
        for text, x, y, kind in box.texts:
            width = text_width(text, 12, bold=kind == "name")
            assert left <= x - width / 2, text
            assert x + width / 2 <= right, text
            assert top <= y - 9, text
            assert y + 3 <= bottom, text
    for frame in drawn.frames:
        left, top, right, bottom = frame.areas[0]
        for text, x, y, kind in frame.headings:
            assert left <= x, text
            assert x + text_width(text, 12, bold="first" in kind) <= right, text
            assert top <= y - 9, text
            assert y <= bottom, text
    labels = [(x - text_width(t, 11) / 2, y - 8, x + text_width(t, 11) / 2, y + 2) for t, x, y in drawn.labels]
    for one, other in itertools.combinations([*(box.area for box in drawn.boxes), *labels], 2):
        assert not _overlap(one, other), (one, other)
    for area in [*(box.area for box in drawn.boxes), *labels]:
        assert area[0] >= -0.5
        assert area[2] <= drawn.width
        assert area[3] <= drawn.height
    for link in drawn.links:
        assert _on_border(link.points[0], drawn.boxes[link.source].area), "an arrow begins at its box"
        assert _on_border(link.points[-1], drawn.boxes[link.target].area), "an arrow ends at its box"
        assert link.head == link.points[-1]
        assert _label_at(drawn, link, across) == _label(link.shapes)


def _label_at(drawn: Read, link: ReadLink, across: bool) -> str:
    """The text that stands between the line from the box and the arrow that goes on."""
    (_, (x, y), (further_x, further_y)) = link.points[:3]
    for text, text_x, text_y in drawn.labels:
        half = text_width(text, 11) / 2
        if not across and y <= text_y <= further_y and abs(text_x - x) < 1.5 and abs(text_x - further_x) < 1.5:
            return text
        if across and abs(text_x - half - x) < 3 and abs(text_x + half - further_x) < 3 and abs(text_y - 4 - y) < 3:
            return text
    return ""


def _label(shapes: tuple[str, ...]) -> str:
    first, last = shapes[0].split("x"), shapes[-1].split("x")
    if len(shapes) == 1:
        return TIMES.join(first)
    if first[1:] == last[1:]:
        return TIMES.join([f"{first[0]}…{last[0]}", *first[1:]])
    return f"{TIMES.join(first)} … {TIMES.join(last)}"


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return across > 0.1 and down > 0.1


def _on_border(point: tuple[float, float], area: tuple[float, float, float, float]) -> bool:
    (x, y), (left, top, right, bottom) = point, area
    within = left - 0.1 <= x <= right + 0.1 and top - 0.1 <= y <= bottom + 0.1
    return within and min(abs(x - left), abs(x - right), abs(y - top), abs(y - bottom)) < 0.1


_FONTS: dict[tuple[int, bool], ImageFont.FreeTypeFont] = {}


def text_width(text: str, size: int, *, bold: bool = False) -> float:
    """In px, by Pillow, of DejaVu Sans, which is wider than what browsers take for a sans-serif."""
    if (size, bold) not in _FONTS:
        file = Path(mpl.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
        _FONTS[size, bold] = ImageFont.truetype(str(file), size * 10, layout_engine=ImageFont.Layout.BASIC)
    return _FONTS[size, bold].getlength(text) / 10

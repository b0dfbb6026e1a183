"""A matplotlib figure as inline SVG that belongs to its page: its colours, its font, ids that clash with nothing.

matplotlib draws in fixed colours, one a role; each is then replaced by a CSS variable of the page, so that one
drawing serves light, dark and print. Text stays text and takes the page's font.
"""

import io
import re
import warnings
from typing import Final
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure

from convatlas.report.words import plain

# One colour a role. The values are never seen; the page says what each variable looks like.
INK: Final = "#010101"
MUTED: Final = "#020202"
LINE: Final = "#030303"
ANSWER: Final = "#040404"  # what counts: the held-out score, right answers
MISTAKE: Final = "#050505"
CELL: Final = "#060606"  # an empty cell of a matrix
PAGE: Final = "#070707"  # behind a label that lines may cross
VARIABLES: Final = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    ANSWER: "var(--answer)",
    MISTAKE: "var(--mistake)",
    CELL: "var(--cell)",
    PAGE: "var(--page)",
}
PIXELS_AN_INCH: Final = 72  # of matplotlib's SVG: one unit is one CSS pixel when the drawing is shown at its own width

_NAMESPACE = re.compile(r"^\{[^}]*\}")
_REFERENCE = re.compile(r"#([\w.-]+)")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of the given size in CSS pixels; no backend and no state of pyplot is touched."""
    return Figure(figsize=(width / PIXELS_AN_INCH, height / PIXELS_AN_INCH))


def inline_svg(figure: Figure, name: str, title: str, description: str) -> str:
    """The figure as an `<svg>` element to stand in HTML.

    `name` makes its ids unique within the page; `title` and `description` are what a screen reader says.
    """
    drawn = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), warnings.catch_warnings():
        # The reader's browser draws the text: that matplotlib's own font lacks a letter does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(drawn, format="svg", transparent=True, metadata=nothing)
    root = ElementTree.fromstring(drawn.getvalue())
    width = root.get("width", "").removesuffix("pt")
    _adopt(root, name)
    root.attrib = {
        "viewBox": root.get("viewBox", ""),
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
        "style": f"--width: {float(width):.0f}px; stroke-linejoin: round; stroke-linecap: butt",
    }
    for tag, text in (("desc", description), ("title", title)):  # inserted in front, so the title ends up first
        element = ElementTree.Element(tag, {"id": f"{name}-{tag}"})
        element.text = plain(text)
        root.insert(0, element)
    return ElementTree.tostring(root, encoding="unicode")


def _adopt(root: ElementTree.Element, name: str) -> None:
    """Drop namespaces, matplotlib's style sheet and unused ids; prefix the others; put variables for colours."""
    referred = {
        found for element in root.iter() for value in element.attrib.values() for found in _REFERENCE.findall(value)
    }
    for element in root.iter():
        element.tag = _NAMESPACE.sub("", element.tag)
        for child in [child for child in element if _NAMESPACE.sub("", child.tag) in ("style", "metadata")]:
            element.remove(child)
        element.attrib = {
            _NAMESPACE.sub("", key): _adopted_value(_NAMESPACE.sub("", key), value, name)
            for key, value in element.attrib.items()
            if key != "id" or value in referred
        }


def _adopted_value(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "style":
        for colour, variable in VARIABLES.items():
            value = value.replace(colour, variable)
        value = re.sub(r"font-family:[^;]*;?\s*", "", value)
    if key in ("href", "clip-path", "style"):
        value = _REFERENCE.sub(rf"#{name}-\1", value)
    return value.replace("\n", " ") if key == "d" else value

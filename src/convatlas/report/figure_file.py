"""A matplotlib figure as a picture file, SVG or PNG, with words for those who cannot see it."""

import io
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.figure import Figure

from convatlas.errors import UsageError
from convatlas.files import new_file
from convatlas.report.words import plain

SUFFIXES: Final = (".svg", ".png")
_SVG: Final = "http://www.w3.org/2000/svg"
_DOTS_AN_INCH: Final = 144  # of a PNG: two for each CSS pixel of `new_figure`


def check_figure_path(field: str, out: Path) -> None:
    """Raise UsageError naming the field unless `out` can be a picture file: ends in .svg or .png, and is no folder."""
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{field}: expected a name that ends in {' or '.join(SUFFIXES)}, got {out}")
    if out.is_dir():
        raise UsageError(f"{field}: {out} is a folder; name a file in it, such as {out / f'chart{SUFFIXES[0]}'}")


def write_figure(figure: Figure, out: Path, *, title: str, description: str) -> None:
    """Write the figure as a whole or not at all, on white, the same bytes each time.

    out: its ending says which, .svg or .png. `title` and `description` are what a screen reader says of the SVG; a PNG
    carries them as its metadata. Raises UsageError for another ending, SaveError when it cannot be written.
    """
    check_figure_path("out", out)
    drawn = io.BytesIO()
    if out.suffix.lower() == ".png":
        words = {"Title": plain(title), "Description": plain(description), "Software": None}
        figure.savefig(drawn, format="png", dpi=_DOTS_AN_INCH, facecolor="white", metadata=words)
        content = drawn.getvalue()
    else:
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "figure"}):
            figure.savefig(drawn, format="svg", facecolor="white", metadata=nothing)
        content = _described(drawn.getvalue(), plain(title), plain(description))
    with new_file(out) as temporary:
        temporary.write_bytes(content)


def _described(svg: bytes, title: str, description: str) -> bytes:
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(svg)
    root.set("role", "img")
    root.set("aria-labelledby", "title desc")
    for tag, text in (("desc", description), ("title", title)):  # inserted in front, so the title ends up first
        element = ElementTree.Element(f"{{{_SVG}}}{tag}", {"id": tag})
        element.text = text
        root.insert(0, element)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()

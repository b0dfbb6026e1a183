"""How wide text is: by the metrics of DejaVu Sans, which matplotlib ships, wider than what browsers use instead."""

import unicodedata
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from PIL import ImageFont

FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'
_UNITS: Final = 2048  # of the font's own to its size: measured this large, in px, nothing is rounded


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Of one line, in px, at this size in px: no sans-serif in use is wider."""
    return sum(_advance(character, bold) for character in text) * size


def wrap(pieces: tuple[str, ...], size: float, longest: float, *, bold: bool = False) -> tuple[str, ...]:
    """Pieces of text in lines: joined by a dot where they fit into this width in px; a longer one is broken at blanks.

    A single word that is longer stays whole.
    """
    lines: list[str] = []
    for piece in pieces:
        joined = f"{lines[-1]} · {piece}" if lines else piece
        if width(joined, size, bold=bold) <= longest:
            lines[-1:] = [joined]
            continue
        words = piece.split(" ")
        line = words[0]
        for word in words[1:]:
            if width(f"{line} {word}", size, bold=bold) <= longest:
                line = f"{line} {word}"
            else:
                lines.append(line)
                line = word
        lines.append(line)
    return tuple(lines)


@cache
def _advance(character: str, bold: bool) -> float:
    """As a share of the size; Chinese letters, which the font lacks, are squares."""
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    return _font(bold).getlength(character) / _UNITS


@cache
def _font(bold: bool) -> ImageFont.FreeTypeFont:
    matplotlib = find_spec("matplotlib")  # found, and not imported: half a second
    assert matplotlib is not None
    assert matplotlib.origin is not None
    fonts = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf"
    file = fonts / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(str(file), _UNITS, layout_engine=ImageFont.Layout.BASIC)

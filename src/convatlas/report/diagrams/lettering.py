"""How wide text is: by the metrics of DejaVu Sans, which matplotlib ships, wider than what browsers use instead."""

from functools import cache
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.ft2font import FT2Font

FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'
_ACCURACY: Final = 100  # the font is measured this large, in px


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
    """As a share of the size."""
    font = _font(bold)
    font.set_text(character)
    return font.load_char(ord(character)).linearHoriAdvance / 65536 / _ACCURACY


@cache
def _font(bold: bool) -> FT2Font:
    file = Path(mpl.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    font = FT2Font(str(file))
    font.set_size(_ACCURACY, 72)
    return font

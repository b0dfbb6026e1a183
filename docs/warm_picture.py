"""Warm prediction, drawn from benchmarks/results/warm.json: docs/pictures/warm.svg, as wide as a phone.

`docs/generate.py` writes it, and compares it with `--check`.
"""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import warm
from matplotlib.patches import Rectangle

from convatlas.report.charts.canvas import ROLES, Panel, Sheet, own_style
from convatlas.report.charts.picture import compose, standalone
from convatlas.report.svg import PIXELS_AN_INCH, inline_svg

FILE: Final = Path(__file__).resolve().parent / "pictures" / "warm.svg"
ALT: Final = (
    "Bars for six networks: how many pictures convatlas, the best bare engine and torchvision in eager mode answer in "
    "the same time"
)
_RESULT: Final = Path(warm.__file__).parent / "results" / "warm.json"
_WIDTH: Final = 310.0  # with its margins 358 pixels, what a phone of 390 shows
_LABELS: Final = 158.0  # right of the longest bar
_BAR: Final = 12.0  # high
_ROW: Final = 18.0
_GROUP: Final = 84.0


@dataclass(frozen=True, kw_only=True)
class _Bar:
    """speed: in times torchvision's. role: its colour, a field of the palette."""

    name: str
    seconds: float
    speed: float
    role: str


def pages() -> dict[Path, str]:
    """What the file should hold."""
    return {FILE: drawn(json.loads(_RESULT.read_text(encoding="utf-8")))}


def drawn(measured: Mapping[str, Any]) -> str:
    """The picture as SVG, of what `benchmarks.warm` measured."""
    groups = {warm.TITLES[row["model"]]: _bars(row) for row in measured["rows"] if row["batch"] == 1}
    told = "; ".join(
        f"{title}: " + ", ".join(f"{bar.name} {_told(bar)}" for bar in bars) for title, bars in groups.items()
    )
    size = (_WIDTH, _GROUP * len(groups))
    panel = Panel(
        name="warm",
        title="Pictures in the same time",
        description=f"One picture after another, float32, {measured['threads']} threads. {told}.",
        wide=size,
        narrow=size,
        draw=lambda sheet: _draw(sheet, groups),
    )
    with own_style():
        drawing = inline_svg(compose([panel], ROLES), FILE.stem, ALT, panel.description)
    return standalone(drawing)


def _bars(row: Mapping[str, Any]) -> list[_Bar]:
    best = warm.best_bare(row)
    named = (("auto", "convatlas", "answer"), (best, best, "muted"), ("torchvision", "torchvision", "line"))
    bars = []
    for kind, name, role in named:
        taken = row["seconds"][kind]
        speed = statistics.median(
            theirs / own for theirs, own in zip(row["seconds"]["torchvision"], taken, strict=True)
        )
        bars.append(_Bar(name=name, seconds=statistics.median(taken), speed=speed, role=role))
    return bars


def _draw(sheet: Sheet, groups: Mapping[str, Sequence[_Bar]]) -> None:
    longest = max(bar.speed for bars in groups.values() for bar in bars)
    for number, (title, bars) in enumerate(groups.items()):
        top = _GROUP * number
        sheet.text(0, top + 10, title, color=sheet.palette.ink, bold=True)
        for place, bar in enumerate(bars):
            middle = top + 30 + _ROW * place
            length = (sheet.width - _LABELS) * bar.speed / longest
            left, bottom = sheet.point(0, middle + _BAR / 2)
            sheet.figure.add_artist(
                Rectangle(
                    (left, bottom),
                    length / PIXELS_AN_INCH,
                    _BAR / PIXELS_AN_INCH,
                    transform=sheet.figure.dpi_scale_trans,
                    facecolor=getattr(sheet.palette, bar.role),
                    edgecolor="none",
                )
            )
            sheet.text(length + 6, middle, f"{bar.name} {_told(bar)}", color=sheet.palette.ink)


def _told(bar: _Bar) -> str:
    """ "4.2x, 3.07 ms"."""
    return f"{bar.speed:.1f}x, {warm.told_seconds(bar.seconds)}"

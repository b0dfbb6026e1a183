"""How cost grows, drawn from benchmarks/results/growth.json: three files of docs/pictures, and what they show.

`docs/generate.py` writes them, and compares them with `--check`. They are as wide as a phone, so that their words are
as large there as anywhere.
"""

import json
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import growth
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from convatlas.report.charts.canvas import DISC, ROLES, TEXT, Panel, Sheet, own_style, short
from convatlas.report.charts.picture import compose, standalone
from convatlas.report.svg import inline_svg

FOLDER: Final = Path(__file__).resolve().parent / "pictures"
# File -> what it shows, for who does not see it.
PICTURES: Final[Mapping[str, str]] = {
    "growth-batch.svg": "Two line charts of ResNet-18 against the pictures in a batch, 1 to 64: the time of one "
    "picture and the memory of the process, for prediction and for a step of training",
    "growth-resolution.svg": "Two line charts of ResNet-18 against the side of one picture, 96 to 512 pixels: the time "
    "of a prediction and the memory of the process",
    "growth-data.svg": "Two line charts against the files of a data set: the seconds to list and to split them and the "
    "memory that this takes, ours and, where it was measured, torchvision's ImageFolder's",
}
_WIDE: Final = (310.0, 250.0)  # with its margins 358 pixels, what a phone of 390 shows
_ROW: Final = 18.0  # of the key


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One line of a chart. role: its colour, a field of the palette."""

    name: str
    role: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class _Chart:
    title: str
    axis: str
    lines: Sequence[_Line]
    across: Callable[[float], str]
    up: Callable[[float], str]
    places: Sequence[float]  # where the axis below has words


def pages() -> dict[Path, str]:
    """What each file should hold."""
    measured = json.loads(growth.RESULT.read_text(encoding="utf-8"))
    return {FOLDER / name: drawn(name, measured) for name in PICTURES}


def drawn(name: str, measured: Mapping[str, Any]) -> str:
    """A picture of PICTURES as SVG, of what `benchmarks.growth` measured."""
    charts = {"growth-batch.svg": _batch, "growth-resolution.svg": _resolution, "growth-data.svg": _data}[name]
    panels = [_panel(chart, number) for number, chart in enumerate(charts(measured))]
    description = " ".join(f"{panel.title}. {panel.description}" for panel in panels)
    with own_style():
        drawing = inline_svg(compose(panels, ROLES), Path(name).stem, PICTURES[name], description)
    return standalone(drawing)


def _batch(measured: Mapping[str, Any]) -> Iterator[_Chart]:
    names = {
        "batch": "prediction, 224 px, ONNX Runtime",
        "training": f"a training step, {measured['training_side']} px",
    }
    for title, value, up in (
        ("Time a picture", lambda point: _median(point) / point["batch"], _time),
        ("Memory of the process", lambda point: point["bytes"], _bytes),
    ):
        lines = [
            _Line(name=words, role=role, points=[(p["batch"], value(p)) for p in measured[curve] if p["bytes"]])
            for (curve, words), role in zip(names.items(), ("answer", "muted"), strict=True)
        ]
        places = [point["batch"] for point in measured["batch"]]
        yield _Chart(title=title, axis="pictures in a batch", lines=lines, across=short, up=up, places=places)


def _resolution(measured: Mapping[str, Any]) -> Iterator[_Chart]:
    for title, value, up in (
        ("Time of a picture", _median, _time),
        ("Memory of the process", lambda point: float(point["bytes"]), _bytes),
    ):
        points = [(point["side"], value(point)) for point in measured["resolution"] if point["bytes"]]
        lines = [_Line(name="prediction, one picture, torch", role="answer", points=points)]
        places = [place for place, _ in points]
        yield _Chart(title=title, axis="side of the picture, pixels", lines=lines, across=short, up=up, places=places)


def _data(measured: Mapping[str, Any]) -> Iterator[_Chart]:
    million = measured["million"]
    rows = [*measured["indexing"], *(million["rows"][:1] if million else [])]  # in memory: the disk is another curve
    names = {
        "split_ours": ("ours, split into parts too", "ink"),
        "list_theirs": ("torchvision's ImageFolder", "muted"),
        "list_ours": ("ours", "answer"),
    }
    medians = [growth.median_seconds(row) for row in rows]
    for title, values, up in (
        ("Time to index", medians, _time),
        ("Memory beyond imports", [row["work"] for row in rows], _bytes),
    ):
        lines = [
            _Line(
                name=words,
                role=role,
                points=[(r["files"], v[kind]) for r, v in zip(rows, values, strict=True) if v.get(kind)],
            )
            for kind, (words, role) in names.items()
            if any(value.get(kind) for value in values)
        ]
        places = [row["files"] for row in rows]
        yield _Chart(title=title, axis="files", lines=lines, across=short, up=up, places=places)


def _panel(chart: _Chart, number: int) -> Panel:
    told = "; ".join(
        f"{line.name}: " + ", ".join(f"{chart.up(y)} at {chart.across(x)}" for x, y in line.points)
        for line in chart.lines
    )
    size = (_WIDE[0], _WIDE[1] + _ROW * len(chart.lines))
    return Panel(
        name=str(number),
        title=chart.title,
        description=f"Against {chart.axis}, both axes logarithmic. {told}.",
        wide=size,
        narrow=size,
        draw=lambda sheet: _draw(sheet, chart),
    )


def _draw(sheet: Sheet, chart: _Chart) -> None:
    for row, line in enumerate(chart.lines):
        sheet.text(24, 8 + _ROW * row, line.name, color=sheet.palette.ink)
        across, up = sheet.point(10, 8 + _ROW * row)
        disc = Line2D([across], [up], transform=sheet.figure.dpi_scale_trans, **_look(sheet, line))
        sheet.figure.add_artist(disc)
    axes = sheet.axes(left=58, right=16, top=_ROW * len(chart.lines) + 10, bottom=44)
    axes.set_xscale("log")
    axes.set_yscale("log")
    values = [value for line in chart.lines for _, value in line.points]
    low, high = min(values) / 1.3, max(values) * 1.3
    axes.set_ylim(low, high)
    axes.set_xlim(min(chart.places) / 1.15, max(chart.places) * 1.15)
    axes.xaxis.set_major_locator(FixedLocator(list(chart.places)))
    axes.yaxis.set_major_locator(FixedLocator(round_values(low, high)))
    for axis, told in ((axes.xaxis, chart.across), (axes.yaxis, chart.up)):
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _, told=told: told(value)))
    axes.set_xlabel(chart.axis, color=sheet.palette.muted, fontsize=TEXT, labelpad=4)
    for line in chart.lines:
        xs, ys = zip(*line.points, strict=True)
        axes.plot(xs, ys, **_look(sheet, line))


def _look(sheet: Sheet, line: _Line) -> dict[str, Any]:
    color = getattr(sheet.palette, line.role)
    return {"color": color, "linewidth": 2, "marker": DISC, "markersize": 7, "markeredgewidth": 0}


def round_values(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers within, evenly on a logarithmic axis: 1, 2 and 5 of each power of ten, or fewer of each."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        values = [float(f"{step}e{power}") for power in powers for step in steps]
        within = [value for value in values if low <= value <= high]
        if len(within) <= most:
            return within
    return within[:: math.ceil(len(within) / most)]


def _median(point: Mapping[str, Any]) -> float:
    return float(statistics.median(point["seconds"]))


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def _bytes(held: float) -> str:
    return next(
        (f"{held / size:.3g} {unit}" for size, unit in ((1e9, "GB"), (1e6, "MB")) if held >= size),
        f"{held / 1e3:.3g} kB",
    )

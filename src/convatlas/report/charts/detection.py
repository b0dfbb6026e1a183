"""The history of object detection: average precision by year and against speed, as published.

Speeds were measured on different hardware, by different people, and with or without proposals; a shape stands for the
hardware, and only dots of one shape compare, those of "other or not stated" with none.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator, NullLocator

from convatlas.catalog.detection import COCO, VOC, DetectionFigure
from convatlas.report.charts.canvas import (
    MIDDLE,
    NARROW,
    TEXT,
    Box,
    Panel,
    Sheet,
    area_of,
    beeswarm,
    pixels,
    shift,
    text_size,
)
from convatlas.report.charts.labels import Spot, draw_labels, place_labels

NOT_COMPARABLE: Final = "speeds on different hardware do not compare"
STAGES: Final = {0: "hand-made features", 1: "one stage", 2: "two stages"}
_RADIUS: Final = 4.5
# Hardware in the order of its age; the shape of its dots. What is not listed is drawn as "other or not stated".
_SHAPES: Final = {
    "K40": "s",
    "M40 or Titan X": "o",
    "V100": "^",
    "T4, TensorRT": "D",
    "A100, TensorRT": "v",
}
_OTHER: Final = "other or not stated"
_CLASSES: Final = {
    "K40, proposals on the processor": "K40",
    "Titan X": "M40 or Titan X",
    "M40": "M40 or Titan X",
    "T4, TensorRT, half precision": "T4, TensorRT",
}


@dataclass(frozen=True, kw_only=True)
class DetectionHistory:
    """All published figures of the catalog, oldest first."""

    figures: tuple[DetectionFigure, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {"kind": "detection", "note": NOT_COMPARABLE, "figures": [asdict(each) for each in self.figures]}


def hardware_class(figure: DetectionFigure) -> str:
    """The hardware whose speeds the figure's compares with, as the chart names it."""
    name = _CLASSES.get(figure.hardware, figure.hardware)
    return name if name in _SHAPES else _OTHER


def panels(history: DetectionHistory) -> tuple[Panel, ...]:
    """Four drawings: COCO by year, VOC by year, and either against speed."""
    coco = [each for each in history.figures if each.on in COCO]
    voc = [each for each in history.figures if each.on == VOC]
    return (
        _by_year("coco", "COCO average precision of object detectors by year", coco),
        _by_year("voc", "VOC 2007 mean average precision of object detectors by year", voc),
        _by_speed("coco-speed", "COCO average precision against speed", coco),
        _by_speed("voc-speed", "VOC 2007 mean average precision against speed", voc),
    )


def rows(history: DetectionHistory) -> tuple[tuple[str, ...], ...]:
    """A header and one row a figure, as text: where it was measured, on what hardware, and who prints it."""
    header = (
        "detector",
        "year",
        "kind",
        "measured on",
        "AP",
        "pictures a second",
        "hardware",
        "time without",
        "source",
    )
    return (
        header,
        *(
            (
                each.detector,
                str(each.year),
                STAGES[each.stages],
                each.on,
                f"{each.value:g}",
                "-" if each.rate is None else f"{each.rate:.3g}",
                each.hardware or "-",
                each.excludes or "-",
                each.source + (f"; speed: {each.speed_source}" if each.speed_source else ""),
            )
            for each in history.figures
        ),
    )


def _by_year(name: str, title: str, figures: Sequence[DetectionFigure]) -> Panel:
    told = "; ".join(f"{each.year} {each.label} {each.value:g}" for each in figures if each.lead)
    hollow = " Hollow: on validation pictures instead of test-dev." if name == "coco" else ""
    return Panel(
        name=name,
        title=title,
        description=f"{len(figures)} published figures in percent.{hollow} {told}.",
        wide=(MIDDLE, 480),
        narrow=(NARROW, 520),
        draw=lambda sheet: _draw_years(sheet, figures),
    )


def _by_speed(name: str, title: str, figures: Sequence[DetectionFigure]) -> Panel:
    timed = [each for each in figures if each.rate is not None]
    told = "; ".join(
        f"{each.label} {each.value:g} at {each.rate:.3g} a second on {each.hardware}"
        + (f", without {each.excludes}" if each.excludes else "")
        for each in timed
    )
    return Panel(
        name=name,
        title=title,
        description=f"{len(timed)} published figures; {NOT_COMPARABLE}: a shape stands for the hardware. {told}.",
        wide=(MIDDLE, 500),
        narrow=(NARROW, 560),
        draw=lambda sheet: _draw_speeds(sheet, timed),
    )


def _draw_years(sheet: Sheet, figures: Sequence[DetectionFigure]) -> None:
    hollow = any(each.on != COCO[0] and each.on != VOC for each in figures)
    key = _key(
        sheet,
        [(label, _colour(sheet, number), "o", True) for number, label in _present(figures)]
        + ([("validation pictures", sheet.palette.ink, "o", False)] if hollow else []),
    )
    axes = sheet.axes(left=38, right=14, top=key.bottom - sheet.top + 8, bottom=30)
    years = [each.year for each in figures]
    axes.set_xlim(min(years) - 0.7, max(years) + 0.7)
    _percent_axis(axes, figures)
    axes.grid(visible=False, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(7 if sheet.width < MIDDLE else 12, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    places = [pixels(axes, each.year, each.value) for each in figures]
    moves = beeswarm(places, 2 * _RADIUS + 1)
    spots = []
    for each, (x, y), move in zip(figures, places, moves, strict=True):
        axes.plot(
            each.year,
            each.value,
            transform=shift(axes, move),
            gid=f"{each.detector} on {each.on}",
            **_marked(sheet, _colour(sheet, each.stages), "o", filled=each.on in (COCO[0], VOC)),
        )
        spots.append(_spot(each, x + move, y))
    draw_labels(sheet.figure, sheet.palette, place_labels(spots, area_of(axes, sheet), [key]))


def _draw_speeds(sheet: Sheet, figures: Sequence[DetectionFigure]) -> None:
    present = {hardware_class(each) for each in figures}
    shapes = [(name, shape) for name, shape in (*_SHAPES.items(), (_OTHER, "X")) if name in present]
    kinds = [(label, _colour(sheet, number), "o", True) for number, label in _present(figures)]
    without = (
        [("without proposals", sheet.palette.ink, "s", False)]
        if any(f.excludes == "proposals" for f in figures)
        else []
    )
    key = _key(sheet, [*kinds, *((name, sheet.palette.ink, shape, True) for name, shape in shapes), *without])
    axes = sheet.axes(left=38, right=20, top=key.bottom - sheet.top + 8, bottom=46)
    rates = [each.rate or 1 for each in figures]
    axes.set_xscale("log")
    axes.set_xlim(min(rates) / 1.6, max(rates) * 1.8)
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_xlabel("pictures a second, as published", color=sheet.palette.muted, fontsize=TEXT, labelpad=4)
    _percent_axis(axes, figures)
    spots = []
    for each, rate in zip(figures, rates, strict=True):
        shape = _SHAPES.get(hardware_class(each), "X")
        axes.plot(
            rate,
            each.value,
            gid=f"{each.detector} on {each.on}",
            **_marked(sheet, _colour(sheet, each.stages), shape, filled=each.excludes != "proposals"),
        )
        spots.append(_spot(each, *pixels(axes, rate, each.value)))
    draw_labels(sheet.figure, sheet.palette, place_labels(spots, area_of(axes, sheet), [key]))


def _percent_axis(axes: Axes, figures: Sequence[DetectionFigure]) -> None:
    values = [each.value for each in figures]
    axes.set_ylim(min(values) - 4, max(values) + 5)
    axes.yaxis.set_major_locator(MultipleLocator(10))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}%"))


def _present(figures: Sequence[DetectionFigure]) -> list[tuple[int, str]]:
    return [(number, label) for number, label in STAGES.items() if any(each.stages == number for each in figures)]


def _colour(sheet: Sheet, stages: int) -> str:
    return {0: sheet.palette.muted, 1: sheet.palette.answer, 2: sheet.palette.mistake}[stages]


def _spot(figure: DetectionFigure, x: float, y: float) -> Spot:
    return Spot(x=x, y=y, radius=_RADIUS, label=figure.label, weight=1.0 if figure.lead else 0.0)


def _marked(sheet: Sheet, colour: str, shape: str, *, filled: bool) -> dict[str, Any]:
    return {
        "linestyle": "",
        "marker": shape,
        "markersize": 2 * _RADIUS - (0 if filled else 1),
        "markerfacecolor": colour if filled else sheet.palette.page,
        "markeredgecolor": colour if not filled else sheet.palette.page,
        "markeredgewidth": 1.5 if not filled else 0.5,
        "clip_on": False,
    }


def _key(sheet: Sheet, entries: Sequence[tuple[str, str, str, bool]]) -> Box:
    """What colours and shapes mean, in as many lines as it needs, from the sheet's top; the room that it takes."""
    x, y = 8.0, 12.0
    for label, colour, shape, filled in entries:
        wide = text_size(label)[0] + 32
        if x > 8 and x + wide > sheet.width:
            x, y = 8.0, y + 1.7 * TEXT
        across, up = sheet.point(x + 4, y)
        sheet.figure.add_artist(
            Line2D(
                [across],
                [up],
                transform=sheet.figure.dpi_scale_trans,
                **_marked(sheet, colour, shape, filled=filled),
            )
        )
        sheet.text(x + 14, y, label, color=sheet.palette.muted)
        x += wide
    return Box(left=sheet.left, top=sheet.top, right=sheet.left + sheet.width, bottom=sheet.top + y + TEXT)

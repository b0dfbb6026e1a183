"""Accuracy against what it costs, after Canziani, Paszke and Culurciello 2017 (https://arxiv.org/abs/1605.07678).

ImageNet top-1 of the networks against multiply-accumulates, parameters, and the latency measured by
`python -m benchmarks zoo`; a disc's area says the parameters.

Which figure of a card is drawn: only top-1 of one network on ImageNet's validation pictures, trained on ImageNet-1k
alone, at the size of picture that the card counts costs for, since a larger one would cost more than is shown. Among
those: one view of each picture before several, all 50,000 pictures before a part, the paper's or its authors' figure
before another's, and then the highest. Figures of several views or of a part of the pictures are drawn hollow. A
network without such a figure is left out, and `Efficiency.left_out` says why.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MultipleLocator, NullLocator

from convatlas.catalog import Card, Published
from convatlas.catalog.latency import MeasuredLatency
from convatlas.report.charts.canvas import (
    DISC,
    MIDDLE,
    NARROW,
    TEXT,
    Box,
    Panel,
    Sheet,
    area_of,
    pixels,
    short,
    text_size,
)
from convatlas.report.charts.labels import Spot, draw_labels, place_labels

EXTRA_DATA: Final = ("ImageNet-21k", "JFT-300M", "more than ImageNet")
# Named before all others: one or two of each family that stand for it.
LEAD: Final = (
    "alexnet",
    "vgg16",
    "googlenet_paper",
    "resnet50",
    "resnet152",
    "densenet121",
    "squeezenet1_0",
    "inception_v3",
    "xception",
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "shufflenet_v2_x1_0",
    "nasnet_large",
    "senet154",
    "efficientnet_b0",
    "efficientnet_b7",
    "efficientnet_v2_s",
    "vit_b_16",
    "vgg19_bn",
    "resnet18",
    "inception_v4",
    "efficientnet_b4",
    "mnasnet_a1",
    "vit_ti_16",
)


@dataclass(frozen=True, kw_only=True)
class EfficiencyPoint:
    """One network: its top-1 accuracy in percent with its source, and its costs for one picture.

    views: "one" or "several" of each picture; whole: of all 50,000 validation pictures. milliseconds: None where the
    latency was not measured.
    """

    network: str
    family: str
    year: int
    top1: float
    protocol: str
    source: str
    views: str
    whole: bool
    macs: int
    params: int
    milliseconds: float | None

    @property
    def filled(self) -> bool:
        """One view of every picture: the accuracy is that of the pass whose cost is shown."""
        return self.views == "one" and self.whole


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """The networks with a figure, oldest first; why the others have none; and what the latency was measured on."""

    points: tuple[EfficiencyPoint, ...]
    left_out: dict[str, str]
    measured_on: str

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {"kind": "efficiency", "rule": RULE, **asdict(self)}


RULE: Final = (
    "ImageNet top-1 after training on ImageNet-1k alone, at the card's size of picture; one view before several, all "
    "50,000 pictures before a part, the paper's or authors' figure before another's, then the highest"
)


def efficiency(cards: Sequence[Card], latency: MeasuredLatency) -> Efficiency:
    """The figure of each card by the rule above. Cards that were never measured on ImageNet are not listed at all."""
    points, left_out = [], {}
    for card in cards:
        figures = [p for p in card.published if p.measure in ("accuracy", "error") and p.on.startswith("ImageNet")]
        fit = [p for p in figures if _trained_alone(p) and _same_size(card, p)]
        if fit:
            points.append(_point(card, max(fit, key=_preference), latency.seconds.get(card.name)))
        elif figures:
            alone = any(map(_trained_alone, figures))
            left_out[card.name] = (
                "only figures of larger pictures" if alone else "only figures after more training data"
            )
        elif card.num_classes == 1000:
            left_out[card.name] = "no published top-1 figure"
    return Efficiency(points=tuple(points), left_out=left_out, measured_on=str(latency))


def _point(card: Card, figure: Published, seconds: float | None) -> EfficiencyPoint:
    return EfficiencyPoint(
        network=card.name,
        family=card.family,
        year=card.year,
        top1=_accuracy(figure),
        protocol=figure.protocol,
        source=figure.source,
        views="one" if _one_view(figure) else "several",
        whole=_whole(figure),
        macs=card.macs,
        params=card.params,
        milliseconds=None if seconds is None else round(seconds * 1000, 3),
    )


def _preference(figure: Published) -> tuple[bool, bool, bool, float]:
    own = figure.source.startswith(("paper", "authors"))
    return _one_view(figure), _whole(figure), own, _accuracy(figure)


def _accuracy(figure: Published) -> float:
    return figure.value if figure.measure == "accuracy" else round(100 - figure.value, 6)


def _one_view(figure: Published) -> bool:
    return re.match(r"1-crop|\d+ x \d+", figure.protocol) is not None


def _whole(figure: Published) -> bool:
    return "of the 50000" not in figure.protocol and "blacklisted" not in figure.protocol


def _trained_alone(figure: Published) -> bool:
    return not any(words in figure.protocol for words in EXTRA_DATA)


def _same_size(card: Card, figure: Published) -> bool:
    """Whether the protocol's size of picture, where it states one, is the card's; several views state theirs."""
    stated = re.match(r"1-crop (\d+)|(\d+) x \d+|trained and tested with crops of (\d+)", figure.protocol)
    return stated is None or int(next(filter(None, stated.groups()))) == card.input[1]


def panels(data: Efficiency) -> tuple[Panel, ...]:
    """Three drawings: against MACs, parameters, and measured latency."""
    return (
        _panel(data, "macs", "multiply-accumulates of one picture", lambda point: float(point.macs), short),
        _panel(data, "parameters", "parameters", lambda point: float(point.params), short),
        _panel(data, "latency", "milliseconds a picture, measured", lambda p: p.milliseconds, _milliseconds),
    )


def rows(data: Efficiency) -> tuple[tuple[str, ...], ...]:
    """A header and one row a network, as text."""
    header = ("network", "year", "top-1", "protocol", "source", "MACs", "parameters", "latency")
    return (
        header,
        *(
            (
                p.network,
                str(p.year),
                f"{p.top1:g}%",
                p.protocol,
                p.source,
                short(p.macs),
                short(p.params),
                "-" if p.milliseconds is None else f"{_milliseconds(p.milliseconds)} ms",
            )
            for p in data.points
        ),
    )


def _milliseconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _panel(
    data: Efficiency,
    name: str,
    axis: str,
    cost: Callable[[EfficiencyPoint], float | None],
    told: Callable[[float], str],
) -> Panel:
    points = [(point, value) for point in data.points if (value := cost(point)) is not None]
    cheapest, best = min(points, key=lambda each: each[1]), max(points, key=lambda each: each[0].top1)
    ends = "; ".join(f"{p.network} {p.top1:g}% at {told(value)}" for p, value in dict.fromkeys((cheapest, best)))
    timed = f" Latency on {data.measured_on}." if name == "latency" else ""
    return Panel(
        name=name,
        title=f"ImageNet top-1 accuracy against {axis}",
        description=f"{len(points)} networks; a disc's area says the parameters; hollow: several views of a picture "
        f"or a part of the validation pictures. From the cheapest to the best: {ends}.{timed}",
        wide=(MIDDLE, 520),
        narrow=(NARROW, 430),
        draw=lambda sheet: _draw(sheet, points, axis, told),
    )


def _draw(
    sheet: Sheet, points: Sequence[tuple[EfficiencyPoint, float]], axis: str, told: Callable[[float], str]
) -> None:
    scale = 1.0 if sheet.width > NARROW + 50 else 0.7
    key = _key(sheet, scale)
    axes = sheet.axes(left=40, right=22, top=key.bottom - sheet.top + 8, bottom=46)
    costs, accuracies = [value for _, value in points], [point.top1 for point, _ in points]
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 1.5, max(costs) * 1.7)
    axes.set_ylim(min(accuracies) - 3, max(accuracies) + 2.5)
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: told(value)))
    axes.yaxis.set_major_locator(MultipleLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}%"))
    axes.set_xlabel(axis, color=sheet.palette.muted, fontsize=TEXT, labelpad=4)
    spots = []
    for point, value in sorted(points, key=lambda each: -each[0].params):  # the small ones on top
        radius = _radius(point.params, scale)
        axes.plot(
            value,
            point.top1,
            clip_on=False,
            gid=point.network,
            **_disc(sheet, radius, filled=point.filled),
        )
        x, y = pixels(axes, value, point.top1)
        lead = LEAD.index(point.network) if point.network in LEAD else None
        # Only the middle of a disc is closed to the labels of others: the large ones lie on each other anyway.
        spots.append(
            Spot(
                x=x,
                y=y,
                radius=radius,
                core=min(radius, 6),
                label=None if lead is None else point.network,
                weight=0.0 if lead is None else float(len(LEAD) - lead),
            )
        )
    draw_labels(sheet.figure, sheet.palette, place_labels(spots, area_of(axes, sheet, margin=3), [key]))


def _radius(params: float, scale: float) -> float:
    """CSS pixels: 100 million parameters have a disc of radius 15 at a desk."""
    return float(max(scale * 15 * (params / 1e8) ** 0.5, 2.0))


def _key(sheet: Sheet, scale: float) -> Box:
    """What the sizes and the hollow discs mean, in one line at the top; the room that it takes."""
    x, y = 6.0, 18.0
    sheet.text(x, y, "parameters", color=sheet.palette.muted)
    x += text_size("parameters")[0] + 10
    for params in (1e6, 1e7, 1e8):
        radius = _radius(params, scale)
        _draw_disc(sheet, x + radius, y, radius, filled=True)
        x += 2 * radius + 4
        sheet.text(x, y, short(params), color=sheet.palette.muted)
        x += text_size(short(params))[0] + 10
    words = "several views, or a part of the pictures"
    if x + text_size(words)[0] + 20 > sheet.width:
        x, y = 6.0, 38.0
    _draw_disc(sheet, x + 5, y, 4.5, filled=False)
    sheet.text(x + 14, y, words, color=sheet.palette.muted)
    return Box(left=sheet.left, top=sheet.top, right=sheet.left + sheet.width, bottom=sheet.top + y + 12)


def _draw_disc(sheet: Sheet, x: float, y: float, radius: float, *, filled: bool) -> None:
    across, up = sheet.point(x, y)
    disc = Line2D([across], [up], transform=sheet.figure.dpi_scale_trans, **_disc(sheet, radius, filled=filled))
    sheet.figure.add_artist(disc)


def _disc(sheet: Sheet, radius: float, *, filled: bool) -> dict[str, Any]:
    return {
        "linestyle": "",
        "marker": DISC,
        "markersize": 2 * radius,
        "markerfacecolor": sheet.palette.answer if filled else "none",
        "markeredgecolor": sheet.palette.answer if filled else sheet.palette.muted,
        "markeredgewidth": 1,
        "alpha": 0.4 if filled else 0.9,
    }

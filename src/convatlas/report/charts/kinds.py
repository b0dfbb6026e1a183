"""The charts by kind: their data, their drawings for a page or a file, and their tables."""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from convatlas.catalog import list_cards
from convatlas.catalog.detection import detection_history
from convatlas.catalog.latency import measured_latency
from convatlas.catalog.milestones import milestones
from convatlas.errors import UsageError, did_you_mean
from convatlas.report.charts import detection, efficiency, family_tree, initialisation, timeline
from convatlas.report.charts.canvas import Panel, own_style
from convatlas.report.charts.picture import write_panels
from convatlas.report.svg import inline_svg

ChartData = (
    timeline.Timeline
    | efficiency.Efficiency
    | family_tree.FamilyTree
    | detection.DetectionHistory
    | initialisation.Initialisation
)
Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class _Kind:
    title: str
    data: Callable[[], Any]
    panels: Callable[[Any], tuple[Panel, ...]]
    rows: Callable[[Any], Rows]


_KINDS: Final[Mapping[str, _Kind]] = {
    "timeline": _Kind(
        title="Networks through the years",
        data=lambda: timeline.Timeline(milestones=milestones()),
        panels=timeline.panels,
        rows=timeline.rows,
    ),
    "efficiency": _Kind(
        title="Accuracy and what it costs",
        data=lambda: efficiency.efficiency(list_cards(), measured_latency()),
        panels=efficiency.panels,
        rows=efficiency.rows,
    ),
    "family-tree": _Kind(
        title="Family tree of the networks",
        data=lambda: family_tree.family_tree(list_cards()),
        panels=family_tree.panels,
        rows=family_tree.rows,
    ),
    "detection": _Kind(
        title="Object detection through the years",
        data=lambda: detection.DetectionHistory(figures=detection_history()),
        panels=detection.panels,
        rows=detection.rows,
    ),
    "initialisation": _Kind(
        title="Initial weights and the signal through depth",
        data=initialisation.measure,
        panels=initialisation.panels,
        rows=initialisation.rows,
    ),
}
KINDS: Final = tuple(_KINDS)
# For the style sheet of a page with charts: a wide and a narrow drawing stand in it, and one of them is shown.
CHART_STYLE: Final = """\
.chart > .at-a-desk { display: none; }
@media (min-width: 48rem) {
  .chart > .at-a-desk { display: block; }
  .chart > .on-a-phone { display: none; }
}
"""


def check_kind(kind: str) -> None:
    """Raise UsageError, with the nearest names, unless there is such a chart."""
    _kind(kind)


def chart_data(kind: str) -> ChartData:
    """What a chart shows, taken from the catalog or, for initialisation, measured now with the usual sizes."""
    data: ChartData = _kind(kind).data()
    return data


def panels(kind: str, data: ChartData | None = None) -> tuple[Panel, ...]:
    """The drawings of a chart. `data`: what `chart_data` gives, if it is at hand."""
    return _kind(kind).panels(chart_data(kind) if data is None else data)


def rows(kind: str, data: ChartData | None = None) -> Rows:
    """The table of a chart: a header, then its rows, all text. `data`: what `chart_data` gives, if it is at hand."""
    return _kind(kind).rows(chart_data(kind) if data is None else data)


def inline_chart(kind: str, name: str, data: ChartData | None = None) -> str:
    """The chart as HTML for a page: a `<figure class="chart">` for each of its drawings.

    Each holds two SVG elements, for a desk and for a phone, of which CHART_STYLE shows one; colours are the page's
    variables (--ink, --muted, --line, --answer, --mistake, --cell, --page) and ids begin with `name`.
    """
    drawn = []
    with own_style():
        for panel in panels(kind, data):
            sizes = (("at-a-desk", "wide", panel.wide), ("on-a-phone", "narrow", panel.narrow))
            pictures = [
                f'<div class="{shown}">'
                f"{inline_svg(panel.figure(size), f'{name}-{panel.name}-{word}', panel.title, panel.description)}</div>"
                for shown, word, size in sizes
            ]
            caption = f"<figcaption>{html.escape(panel.title)}</figcaption>"
            drawn.append(f'<figure class="chart">{"".join(pictures)}{caption}</figure>')
    return "\n".join(drawn)


def write_chart(kind: str, data: ChartData, out: Path) -> None:
    """Write the chart, all its drawings one under the other, into `out` (.svg or .png), whole or not at all.

    An SVG is light or dark as its reader is; a PNG is light. Raises UsageError for another ending, SaveError.
    """
    found = _kind(kind)
    with own_style():
        write_panels(found.panels(data), out, title=found.title)


def _kind(kind: str) -> _Kind:
    if kind not in _KINDS:
        raise UsageError(f'no chart is named "{kind}".{did_you_mean(kind, KINDS)} There is: {", ".join(KINDS)}')
    return _KINDS[kind]

"""The chart of `convatlas costs`: how many times more the one way costs than the other, a bar a comparison."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from convatlas.arithmetic.costs.comparison import Comparison
from convatlas.report.figure_file import write_figure
from convatlas.report.svg import PIXELS_AN_INCH, new_figure

# Those of the reports' light theme; a file has no page to take them from.
_INK: Final = "#1b1f24"
_MUTED: Final = "#57606a"
_LINE: Final = "#dfe3e8"
_BAR: Final = "#1a5fb4"
_TEXT: Final = 11.5
_ROW: Final = 38  # pixels from one bar to the next


def write_cost_chart(comparisons: Sequence[Comparison], out: Path) -> None:
    """Draw the comparisons, one or more, into `out` (.svg or .png). One alone shows its two counts as bars."""
    title = comparisons[0].title if len(comparisons) == 1 else "How many times as much the dearer way costs"
    described = "; ".join(
        f"{each.title}: {each.dearer.value:,} against {each.cheaper.value:,} {each.counted}, {_times(each.ratio)} times"
        for each in comparisons
    )
    figure = _counts(comparisons[0]) if len(comparisons) == 1 else _ratios(comparisons)
    write_figure(figure, out, title=title, description=f"{described}.")


def _ratios(comparisons: Sequence[Comparison]) -> Figure:
    figure, axes = _rows(len(comparisons), left=320, right=250)
    axes.set_xscale("log")
    axes.set_xlim(1, max(10.0, *(2 * each.ratio for each in comparisons)))
    axes.xaxis.set_major_locator(LogLocator(10))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}x"))
    axes.set_xlabel("times as much (each line is ten times the one before it)", color=_MUTED, fontsize=_TEXT)
    for row, each in enumerate(comparisons):
        axes.barh(row, each.ratio - 1, left=1, height=0.5, color=_BAR)
        _beside(
            axes, each.ratio, row, f"{_times(each.ratio)}x: {_short(each.dearer.value)} → {_short(each.cheaper.value)}"
        )
    axes.set_yticks(
        range(len(comparisons)),
        [f"{each.name}: {each.counted} of\n{each.dearer.name} → {each.cheaper.name}" for each in comparisons],
        color=_INK,
    )
    return figure


def _counts(comparison: Comparison) -> Figure:
    figure, axes = _rows(2, left=190, right=120, top=44)
    figure.text(16 / figure.bbox.width, 1 - 24 / figure.bbox.height, comparison.title, color=_INK, fontsize=_TEXT)
    sides = (comparison.dearer, comparison.cheaper)
    axes.set_xlim(0, max(each.value for each in sides))
    axes.xaxis.set_major_locator(NullLocator())
    axes.set_xlabel(f"{comparison.counted}: {_times(comparison.ratio)} times", color=_MUTED, fontsize=_TEXT)
    for row, each in enumerate(sides):
        axes.barh(row, each.value, height=0.5, color=_MUTED if row == 0 else _BAR)
        _beside(axes, each.value, row, f"{each.value:,}")
    axes.set_yticks(range(2), [each.name for each in sides], color=_INK)
    return figure


def _rows(count: int, *, left: float, right: float, top: float = 16) -> tuple[Figure, Axes]:
    """Axes with `count` rows, the first on top; margins in CSS pixels."""
    bottom, wide = 52, 340
    figure = new_figure(left + wide + right, top + _ROW * count + bottom)
    width, height = figure.get_size_inches() * PIXELS_AN_INCH
    axes = figure.add_axes((left / width, bottom / height, wide / width, _ROW * count / height))
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_LINE)
    axes.grid(axis="x", color=_LINE, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=_MUTED, labelsize=_TEXT - 1, pad=8)
    axes.set_ylim(count - 0.5, -0.5)
    return figure, axes


def _beside(axes: Axes, end: float, row: int, text: str) -> None:
    axes.annotate(
        text,
        xy=(end, row),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        color=_INK,
        fontsize=_TEXT,
        annotation_clip=False,
    )


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"


def _short(count: int) -> str:
    """25 -> "25", 1,179,648 -> "1.18 M"."""
    for size, unit in ((10**9, " G"), (10**6, " M"), (10**3, " k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count}"

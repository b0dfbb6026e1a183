"""A chart as a picture file: its drawings one under the other, each beneath its title, on a background of its own."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from convatlas.files import write_text
from convatlas.report.charts.canvas import DARK, LIGHT, ROLES, Palette, Panel, Sheet, blank, text_size, wrapped
from convatlas.report.figure_file import check_figure_path, write_figure
from convatlas.report.svg import inline_svg

_MARGIN: Final = 24.0
_TITLE: Final = 15.0
_APART: Final = 34.0


def write_panels(panels: Sequence[Panel], out: Path, *, title: str) -> None:
    """Write the drawings in their wide form into `out`. Raises UsageError unless it is .svg or .png, SaveError."""
    check_figure_path("out", out)
    description = " ".join(f"{panel.title}. {panel.description}" for panel in panels)
    if out.suffix.lower() == ".png":
        write_figure(compose(panels, LIGHT), out, title=title, description=description)
    else:
        write_text(out, standalone(inline_svg(compose(panels, ROLES), "chart", title, description)))


def compose(panels: Sequence[Panel], palette: Palette) -> Figure:
    """All drawings on one figure, each with its title above it."""
    width = max(panel.wide[0] for panel in panels)
    titles = [wrapped(panel.title, width, _TITLE, "bold") for panel in panels]
    heights = [text_size(words, _TITLE, "bold")[1] for words in titles]
    total = sum(panel.wide[1] + height + 14 for panel, height in zip(panels, heights, strict=True))
    figure = blank(width + 2 * _MARGIN, total + _APART * (len(panels) - 1) + 2 * _MARGIN)
    top = _MARGIN
    for panel, words, height in zip(panels, titles, heights, strict=True):
        whole = Sheet(figure=figure, palette=palette, left=_MARGIN, top=top, width=width, height=height)
        whole.text(0, height / 2, words, color=palette.ink, bold=True, size=_TITLE)
        top += height + 14
        panel.draw(
            Sheet(
                figure=figure,
                palette=palette,
                left=_MARGIN,
                top=top,
                width=panel.wide[0],
                height=panel.wide[1],
            )
        )
        top += panel.wide[1] + _APART
    return figure


def standalone(svg: str) -> str:
    """An `<svg>` made for a page as a file of its own: with its colours, light and dark, a font and a background."""
    found = re.match(r'<svg viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    if found is None:
        raise ValueError("expected an <svg> that begins with its viewBox")
    width, height = found.groups()
    style = (
        f"<style>svg {{ {_variables(LIGHT)} font-family: {_FONT}; }} "
        f"@media (prefers-color-scheme: dark) {{ svg {{ {_variables(DARK)} }} }}</style>"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"{svg[4 : svg.index(">")]}>'
    words, _, rest = svg[svg.index(">") + 1 :].partition("</desc>")
    background = f'<rect width="{width}" height="{height}" style="fill: var(--page)"/>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{head}{words}</desc>{style}{background}{rest}\n'


_FONT: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif'


def _variables(palette: Palette) -> str:
    return " ".join(
        f"--{role}: {getattr(palette, role)};" for role in ("ink", "muted", "line", "answer", "mistake", "cell", "page")
    )

"""Pictures of what a unit sees: the theoretical field as a box and the measured one as heat, laid over a photograph.

Also maps of how often each pixel is visited. Drawn for files of their own: a PNG or SVG with a title and a description
that a screen reader says.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from convatlas.report.figure_file import write_figure
from convatlas.types import Pixels

_INK, _MUTED, _BOX, _PAPER = "#1a1a1a", "#5f6368", "#d9480f", "#f4f3f0"
_COLUMNS = 4  # at most
_PANEL, _GAP, _HEADING = 2.6, 0.16, 0.4  # inches: a panel's width, between panels, the title
_LAYER, _LINE, _ABOVE = 0.2, 0.165, 0.07  # inches: a panel's heading, a line of its caption, what is left under them
_AROUND = 0.12  # of the photograph's longer side, at most: what is shown of the padding


Quad = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class FieldPanel:
    """One layer's part of a picture of fields.

    box: (left, top, width, height) in pixels of the photograph, of which 0 is the first pixel's left edge; it may reach
    beyond the photograph, into the padding. heat: (H, W), at least 0, of the photograph's size. caption: short lines.
    """

    layer: str
    caption: str
    box: Quad | None = None
    heat: NDArray[np.float64] | None = None


def write_field_panels(path: Path, panels: Sequence[FieldPanel], photograph: Pixels, *, title: str) -> None:
    """Write a picture with a panel a layer: the photograph in grey, the heat and the box over it.

    A box that reaches far beyond the photograph is cut off at the panel's edge, where its line is dashed.
    Raises UsageError for a name that does not end in .png or .svg, SaveError for a place that cannot be written.
    """
    height, width = photograph.shape[:2]
    grey = photograph.astype(np.float64).mean(axis=2) / 255
    boxes = [panel.box for panel in panels if panel.box is not None]
    beyond = max([0.0, *(max(-box[0], -box[1], box[0] + box[2] - width, box[1] + box[3] - height) for box in boxes)])
    margin = min(beyond + 0.03 * max(width, height) * (beyond > 0), _AROUND * max(width, height))
    edges = (-margin, -margin, width + margin, height + margin)

    def draw(axes: Axes, panel: FieldPanel) -> None:
        axes.set_facecolor(_PAPER)  # the padding
        extent = (0.0, float(width), float(height), 0.0)
        axes.imshow(0.4 + 0.6 * grey, cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="nearest")
        if panel.heat is not None and panel.heat.max() > 0:
            axes.imshow(_glow(panel.heat), extent=extent, interpolation="nearest")
        if panel.box is not None:
            _draw_box(axes, panel.box, edges)
        axes.set(xlim=(-margin, width + margin), ylim=(height + margin, -margin))

    _write(path, panels, draw, title=title, shape=((height + 2 * margin) / (width + 2 * margin)))


def _draw_box(axes: Axes, box: Quad, edges: Quad) -> None:
    """The outline of a box, each side that lies beyond the edges (left, top, right, bottom) dashed along the edge."""
    left, top, wide, high = box
    inside = (max(left, edges[0]), max(top, edges[1]), min(left + wide, edges[2]), min(top + high, edges[3]))
    x0, y0, x1, y1 = inside
    sides = (((x0, x0), (y0, y1)), ((x0, x1), (y0, y0)), ((x1, x1), (y0, y1)), ((x0, x1), (y1, y1)))
    for across, down in sides:
        axes.plot(across, down, color="white", linewidth=3.6, solid_capstyle="projecting")
    for (across, down), drawn, true in zip(sides, inside, (left, top, left + wide, top + high), strict=True):
        style = "solid" if drawn == true else (0, (4, 3))
        axes.plot(across, down, color=_BOX, linewidth=1.8, linestyle=style, solid_capstyle="projecting")


def write_visit_panels(path: Path, panels: Sequence[FieldPanel], *, title: str) -> None:
    """Write a picture with a panel a layer: each pixel the lighter the more often it is visited.

    Raises as `write_field_panels` does.
    """
    height, width = next(panel.heat.shape for panel in panels if panel.heat is not None)

    def draw(axes: Axes, panel: FieldPanel) -> None:
        assert panel.heat is not None
        axes.imshow(panel.heat, cmap="viridis", vmin=0, extent=(0, width, height, 0), interpolation="nearest")

    _write(path, panels, draw, title=title, shape=height / width)


def _glow(heat: NDArray[np.float64]) -> NDArray[np.float64]:
    """(H, W) -> (H, W, 4) colours that let the photograph through where there is little."""
    share = np.sqrt(heat / heat.max())
    colours: NDArray[np.float64] = mpl.colormaps["inferno"](0.25 + 0.75 * share)
    colours[..., 3] = 0.9 * share
    return colours


def _write(
    path: Path, panels: Sequence[FieldPanel], draw: Callable[[Axes, FieldPanel], None], *, title: str, shape: float
) -> None:
    count = math.ceil(len(panels) / _COLUMNS)
    columns = math.ceil(len(panels) / count)
    rows = [panels[begin : begin + columns] for begin in range(0, len(panels), columns)]
    words = [_LAYER + _LINE * max(len(panel.caption.splitlines()) for panel in row) + _ABOVE for row in rows]
    wide = columns * (_PANEL + _GAP) + _GAP
    titles = textwrap.wrap(title, int(8.5 * wide))  # characters an inch
    heading = _HEADING + 0.23 * (len(titles) - 1)
    high = heading + sum(words) + len(rows) * (_PANEL * shape + _GAP)
    figure = Figure(figsize=(wide, high), facecolor="white")
    for number, line in enumerate(titles):
        base = high - 0.27 - 0.23 * number
        figure.text(_GAP / wide, base / high, line, fontsize=13, color=_INK, weight="bold", parse_math=False)
    top = high - heading
    for row, above in zip(rows, words, strict=True):
        for column, panel in enumerate(row):
            left = _GAP + column * (_PANEL + _GAP)
            lines = [(panel.layer, 11.0, _INK), *((line, 9.5, _MUTED) for line in panel.caption.splitlines())]
            for number, (line, size, colour) in enumerate(lines):
                base = top - _LAYER + 0.03 - number * _LINE
                figure.text(left / wide, base / high, line, fontsize=size, color=colour, parse_math=False)
            bottom = top - above - _PANEL * shape
            axes = figure.add_axes((left / wide, bottom / high, _PANEL / wide, _PANEL * shape / high))
            draw(axes, panel)
            axes.set(xticks=[], yticks=[])
            for side in axes.spines.values():
                side.set_visible(False)
        top -= above + _PANEL * shape + _GAP
    described = "; ".join(f"{panel.layer}: {', '.join(panel.caption.splitlines())}" for panel in panels)
    write_figure(figure, path, title=title, description=f"{described}.")

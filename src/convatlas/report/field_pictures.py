"""Pictures of what a unit sees: the theoretical field as a box and the measured one as heat, laid over a photograph.

Also maps of how often each pixel is visited. Drawn for files of their own: a PNG or SVG with a title and a description
that a screen reader says.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from convatlas.report.figure_file import write_figure
from convatlas.types import Pixels

_INK, _MUTED, _BOX, _PAPER = "#1a1a1a", "#5f6368", "#d9480f", "#f4f3f0"
_COLUMNS = 4  # at most
_PANEL, _WORDS, _GAP, _HEADING = 2.9, 0.58, 0.16, 0.32  # inches: a panel's side, the lines above it, between them


@dataclass(frozen=True, kw_only=True)
class FieldPanel:
    """One layer's part of a picture of fields.

    box: (left, top, width, height) in pixels of the photograph, of which 0 is the first pixel's left edge; it may reach
    beyond the photograph, into the padding. heat: (H, W), at least 0, of the photograph's size. caption: a line or two.
    """

    layer: str
    caption: str
    box: tuple[float, float, float, float] | None = None
    heat: NDArray[np.float64] | None = None


def draw_fields(path: Path, panels: Sequence[FieldPanel], photograph: Pixels, *, title: str) -> None:
    """Write a picture with a panel a layer: the photograph in grey, the heat and the box over it.

    Raises UsageError for a name that does not end in .png or .svg, SaveError for a place that cannot be written.
    """
    height, width = photograph.shape[:2]
    grey = photograph.astype(np.float64).mean(axis=2) / 255
    boxes = [panel.box for panel in panels if panel.box is not None]
    # So much around the photograph that boxes are seen whole, but for those that are much larger than it.
    beyond = max([0.0, *(max(-box[0], -box[1], box[0] + box[2] - width, box[1] + box[3] - height) for box in boxes)])
    margin = min(beyond + 0.03 * max(width, height) * (beyond > 0), 0.6 * max(width, height))

    def draw(axes: Axes, panel: FieldPanel) -> None:
        axes.set_facecolor(_PAPER)  # the padding
        extent = (0.0, float(width), float(height), 0.0)
        axes.imshow(0.4 + 0.6 * grey, cmap="gray", vmin=0, vmax=1, extent=extent, interpolation="nearest")
        if panel.heat is not None and panel.heat.max() > 0:
            axes.imshow(_glow(panel.heat), extent=extent, interpolation="nearest")
        if panel.box is not None:
            left, top, wide, high = panel.box
            axes.add_patch(Rectangle((left, top), wide, high, fill=False, edgecolor="white", linewidth=3.2, alpha=0.8))
            axes.add_patch(Rectangle((left, top), wide, high, fill=False, edgecolor=_BOX, linewidth=1.6))
        axes.set(xlim=(-margin, width + margin), ylim=(height + margin, -margin))

    _write(path, panels, draw, title=title, shape=((height + 2 * margin) / (width + 2 * margin)))


def draw_visits(path: Path, panels: Sequence[FieldPanel], *, title: str) -> None:
    """Write a picture with a panel a layer: each pixel the lighter the more often it is visited.

    Raises as `draw_fields` does.
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
    rows = math.ceil(len(panels) / _COLUMNS)
    columns = math.ceil(len(panels) / rows)
    wide, high = columns * (_PANEL + _GAP) + _GAP, rows * (_PANEL * shape + _WORDS + _GAP) + _HEADING
    figure = Figure(figsize=(wide, high), facecolor="white")
    figure.text(_GAP / wide, 1 - 0.12 / high, title, va="top", fontsize=12, color=_INK, weight="bold", parse_math=False)
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        left = _GAP + column * (_PANEL + _GAP)
        bottom = high - _HEADING - row * (_PANEL * shape + _WORDS + _GAP) - _WORDS - _PANEL * shape
        axes = figure.add_axes((left / wide, bottom / high, _PANEL / wide, _PANEL * shape / high))
        draw(axes, panel)
        axes.set(xticks=[], yticks=[])
        for side in axes.spines.values():
            side.set_visible(False)
        above = (left / wide, (bottom + _PANEL * shape + 0.06) / high)
        figure.text(*above, panel.caption, fontsize=8.5, color=_MUTED, linespacing=1.35, parse_math=False)
        heading = (above[0], above[1] + (0.15 + 0.155 * panel.caption.count("\n")) / high)
        figure.text(*heading, panel.layer, fontsize=10, color=_INK, parse_math=False)
    described = "; ".join(f"{panel.layer}: {', '.join(panel.caption.splitlines())}" for panel in panels)
    write_figure(figure, path, title=title, description=f"{described}.")

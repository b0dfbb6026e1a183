"""The curves of the activations and of their derivatives, one small plot each, as a picture for a page or a lecture."""

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convatlas.arithmetic.scratch.activations import ACTIVATIONS, Activation
from convatlas.report.figure_file import write_figure

CURVE: Final = "#1a5fb4"
SLOPE: Final = "#c64600"
INK: Final = "#222222"
MUTED: Final = "#777777"
LINE: Final = "#dddddd"
FROM, TO = -5.0, 8.0  # as far as ReLU6's upper kink


def write_activation_curves(out: Path) -> None:
    """Draw `activation_curves` into `out` (.svg or .png). Raises UsageError for another ending, SaveError."""
    written = "; ".join(f"{one.name}: {one.formula}, derivative {one.derivative_formula}" for one in ACTIVATIONS)
    title = "Activations and their derivatives"
    write_figure(activation_curves(), out, title=title, description=f"Over x from {FROM:g} to {TO:g}. {written}.")


def activation_curves() -> Figure:
    """All of `ACTIVATIONS` in a grid of four columns: the function blue, its derivative orange and dashed.

    Every plot has the same two axes, so that slopes compare.
    """
    figure = Figure(figsize=(9.6, 5.4), facecolor="white")
    grid = figure.subplots(2, 4, sharex=True, sharey=True, squeeze=False)
    for axes, activation in zip(grid.ravel(), ACTIVATIONS, strict=True):
        _draw(axes, activation)
    figure.subplots_adjust(left=0.04, right=0.985, top=0.86, bottom=0.07, wspace=0.12, hspace=0.42)
    return figure


def _draw(axes: Axes, activation: Activation) -> None:
    x = np.linspace(FROM, TO, 1301)
    slope = activation.derivative(x)
    jumps = np.abs(np.diff(slope, prepend=slope[0])) > 0.1
    axes.plot(x, activation.function(x), color=CURVE, linewidth=2)
    # A derivative that jumps has no value between: the line is broken there.
    axes.plot(x, np.where(jumps, np.nan, slope), color=SLOPE, linewidth=1.5, linestyle=(0, (4, 2)))
    axes.set(xlim=(FROM, TO), ylim=(-2, 6.5), xticks=[-4, 0, 4, 8], yticks=[-2, 0, 2, 4, 6])
    axes.axhline(0, color=LINE, linewidth=1, zorder=0)
    axes.axvline(0, color=LINE, linewidth=1, zorder=0)
    axes.tick_params(length=0, labelcolor=MUTED, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.text(0, 1.17, activation.name, transform=axes.transAxes, color=INK, fontsize=11, weight="bold", va="bottom")
    axes.text(0, 1.09, activation.formula, transform=axes.transAxes, color=CURVE, fontsize=8.5, va="bottom")
    axes.text(0, 1.01, activation.derivative_formula, transform=axes.transAxes, color=SLOPE, fontsize=8.5, va="bottom")

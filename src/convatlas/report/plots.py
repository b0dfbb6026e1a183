"""The plots of a report, each as inline SVG: learning curves, the reliability diagram, the confusion matrix.

Few colours, labels beside what they name, no legend, no frame. Sizes are CSS pixels; every drawing is legible at its
own width and fits a phone, but for a confusion matrix of many classes, which scrolls in its box.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from convatlas.metrics.calibration import ReliabilityBin
from convatlas.metrics.classification import wilson_interval
from convatlas.report.svg import (
    ANSWER,
    CELL,
    INK,
    LINE,
    MISTAKE,
    MUTED,
    PAGE,
    PIXELS_AN_INCH,
    inline_svg,
    new_figure,
)
from convatlas.report.words import shorten
from convatlas.types import EpochRow, best_epoch

MOST_CLASSES: Final = 30  # in a confusion matrix that a person can still read
TEXT: Final = 11.5  # font size
LONGEST_LABEL: Final = 16  # characters of a class name beside a plot


def curves(history: Sequence[EpochRow], score_name: str) -> tuple[str, str, str]:
    """Three plots over the epochs: both losses, the validation score, and the learning rate."""
    return _losses(history), _score(history, score_name), _learning_rate(history)


def reliability_diagram(bins: Sequence[ReliabilityBin]) -> str:
    """How often the network was right against how sure it was, with 95 % intervals; beneath, how many pictures."""
    figure = new_figure(340, 400)
    axes = _axes(figure, left=60, right=14, top=10, bottom=124)
    filled = [
        (one.confidence, one.accuracy, one.count)
        for one in bins
        if one.confidence is not None and one.accuracy is not None
    ]
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 4)))
    for confidence, accuracy, count in filled:
        interval = wilson_interval(round(accuracy * count), count)
        axes.plot([confidence] * 2, interval, color=ANSWER, linewidth=2, alpha=0.35, solid_capstyle="butt")
        axes.plot(confidence, accuracy, "o", color=ANSWER, markersize=7, markeredgewidth=0, clip_on=False)
    behind = {"facecolor": PAGE, "edgecolor": "none", "pad": 2}
    for x, y, side, text in ((0.02, 0.93, "left", "too modest"), (0.98, 0.07, "right", "too sure")):
        axes.text(x, y, text, color=MUTED, fontsize=TEXT, ha=side, va="center", bbox=behind)
    ticks = np.linspace(0, 1, 6)
    axes.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=ticks)
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    axes.set_ylabel("share that is right", color=MUTED, fontsize=TEXT, labelpad=4)

    counts = _axes(figure, left=60, right=14, top=292, bottom=58)
    most = max(one.count for one in bins)
    for one in bins:
        width = one.high - one.low
        counts.add_patch(Rectangle((one.low + 0.04 * width, 0), 0.92 * width, one.count, color=MUTED, alpha=0.5, lw=0))
    counts.set(xlim=(0, 1), ylim=(0, most), xticks=ticks, yticks=[0, most])
    counts.xaxis.set_major_formatter(FuncFormatter(_percent))
    counts.yaxis.set_major_formatter(FuncFormatter(_count))
    counts.set_ylabel("pictures", color=MUTED, fontsize=TEXT, labelpad=4)
    counts.set_xlabel("probability that the network states", color=MUTED, fontsize=TEXT, labelpad=6)
    described = "; ".join(
        f"at {confidence:.0%} sure, {accuracy:.0%} right ({count} pictures)" for confidence, accuracy, count in filled
    )
    return inline_svg(figure, "reliability", "Reliability diagram", f"Mean of each bin: {described}.")


def confusion_plot(confusion: NDArray[np.int64], classes: Sequence[str]) -> str | None:
    """The matrix as a map of counts: rows true, columns predicted; None for more than MOST_CLASSES classes.

    Right answers and mistakes have a colour each; its strength is the share of the row, for mistakes on a scale
    of their own, since they are rare.
    """
    number = len(classes)
    if number > MOST_CLASSES:
        return None
    labels = [shorten(label, LONGEST_LABEL) for label in classes]
    longest = max(map(len, labels))
    cell = min(max(360 / number, 26), 72)
    left = 28 + 6.6 * longest
    upright = 6.6 * longest < cell - 4
    top = 44 if upright else 34 + 6.6 * longest
    figure = new_figure(left + cell * number + 4, top + cell * number + 4)
    axes = _axes(figure, left=left, right=4, top=top, bottom=4)
    axes.set(xlim=(0, number), ylim=(number, 0), xticks=np.arange(number) + 0.5, yticks=np.arange(number) + 0.5)
    axes.grid(visible=False)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xticklabels(labels, rotation=0 if upright else 90, parse_math=False, color=INK)
    axes.set_yticklabels(labels, parse_math=False, color=INK)
    axes.set_xlabel("predicted", color=MUTED, fontsize=TEXT, labelpad=8)
    axes.set_ylabel("true", color=MUTED, fontsize=TEXT, labelpad=8)
    axes.spines["bottom"].set_visible(False)
    _cells(axes, confusion, small=cell < 30)
    right = int(np.trace(confusion))
    return inline_svg(
        figure,
        "confusion",
        "Confusion matrix",
        f"{number} by {number} counts, rows true, columns predicted: {right} of {int(confusion.sum())} pictures lie "
        "on the diagonal, where both agree. The table of confusions names the most frequent of the others.",
    )


def _cells(axes: Axes, confusion: NDArray[np.int64], *, small: bool) -> None:
    share = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    worst = max(float((share - np.diag(np.diag(share))).max()), 0.25)  # a slip of 1 % shall not look like a disaster
    for (row, column), count in np.ndenumerate(confusion):
        if count == 0:
            colour, alpha = CELL, 1.0
        elif row == column:
            colour, alpha = ANSWER, 0.12 + 0.33 * float(share[row, column])
        else:
            colour, alpha = MISTAKE, 0.2 + 0.25 * math.sqrt(float(share[row, column]) / worst)
        axes.add_patch(Rectangle((column + 0.02, row + 0.02), 0.96, 0.96, facecolor=colour, alpha=alpha, linewidth=0))
        if count:
            text = f"{count}" if count < 10_000 else f"{count / 1000:.0f}k"
            middle = (column + 0.5, row + 0.53)
            axes.text(*middle, text, ha="center", va="center", color=INK, fontsize=9 if small else TEXT)


def _losses(history: Sequence[EpochRow]) -> str:
    figure, axes = _panel()
    epochs = [row.epoch for row in history]
    train, validation = [row.train_loss for row in history], [row.val_loss for row in history]
    _line(axes, epochs, train, MUTED)
    _line(axes, epochs, validation, ANSWER)
    axes.set_ylim(bottom=0)
    _finish_panel(axes, epochs, (("training", train[-1], MUTED), ("validation", validation[-1], ANSWER)))
    description = (
        f"From epoch {epochs[0]} to {epochs[-1]} the training loss went from {train[0]:.3g} to {train[-1]:.3g}, "
        f"the validation loss from {validation[0]:.3g} to {validation[-1]:.3g}."
    )
    return inline_svg(figure, "loss", "Loss in each epoch", description)


def _score(history: Sequence[EpochRow], score_name: str) -> str:
    figure, axes = _panel()
    epochs, scores = [row.epoch for row in history], [row.val_score for row in history]
    best = best_epoch(history)
    _line(axes, epochs, scores, ANSWER)
    axes.plot(best.epoch, best.val_score, "o", color=ANSWER, markersize=6, markeredgewidth=0, clip_on=False)
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    _finish_panel(axes, epochs, ((f"kept {best.val_score:.1%}", best.val_score, ANSWER),))
    description = (
        f"It went from {scores[0]:.1%} to {scores[-1]:.1%}; {best.val_score:.1%} in epoch {best.epoch}, which was kept."
    )
    return inline_svg(figure, "score", f"Validation {score_name} after each epoch", description)


def _learning_rate(history: Sequence[EpochRow]) -> str:
    figure, axes = _panel()
    epochs, rates = [row.epoch for row in history], [row.learning_rate for row in history]
    _line(axes, epochs, rates, MUTED)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _finish_panel(axes, epochs, ())
    description = f"From {rates[0]:.3g} in the first epoch to {rates[-1]:.3g} in the last; highest {max(rates):.3g}."
    return inline_svg(figure, "learning-rate", "Learning rate in each epoch", description)


def _panel() -> tuple[Figure, Axes]:
    figure = new_figure(330, 210)
    return figure, _axes(figure, left=46, right=74, top=10, bottom=40)


def _axes(figure: Figure, *, left: float, right: float, top: float, bottom: float) -> Axes:
    """Axes with the given margins in CSS pixels: only a base line and faint horizontal lines."""
    width, height = figure.get_size_inches() * PIXELS_AN_INCH
    axes = figure.add_axes((left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height))
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(LINE)
    axes.grid(axis="y", color=LINE, linewidth=1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=MUTED, labelsize=TEXT, pad=6)
    return axes


def _line(axes: Axes, epochs: list[int], values: list[float], colour: str) -> None:
    # One epoch alone is a point: a line through it would not be seen.
    marker = "o" if len(epochs) == 1 else ""
    axes.plot(epochs, values, color=colour, linewidth=2, marker=marker, markeredgewidth=0, solid_capstyle="round")


def _finish_panel(axes: Axes, epochs: list[int], labels: tuple[tuple[str, float, str], ...]) -> None:
    """The epoch axis, few ticks, and at the right end each line's (text, height, colour), kept apart."""
    axes.set_xlim(epochs[0] - 0.5 * (len(epochs) == 1), epochs[-1] + 0.5 * (len(epochs) == 1))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel("epoch", color=MUTED, fontsize=TEXT, labelpad=4)
    low, high = axes.get_ylim()
    apart = 0.09 * (high - low)
    floor = -math.inf
    for text, height, colour in sorted(labels, key=lambda label: label[1]):
        floor = max(height, floor + apart)
        axes.annotate(
            text,
            xy=(1, floor),
            xycoords=("axes fraction", "data"),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=TEXT,
            annotation_clip=False,
        )


def _percent(value: float, _: int | None) -> str:
    return f"{value * 100:.4g}%"


def _count(value: float, _: int | None) -> str:
    return f"{value:,.0f}"

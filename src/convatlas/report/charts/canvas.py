"""What all charts share: colours by role, places in CSS pixels, axes with few lines, dots that lie side by side."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import matplotlib as mpl
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import ScaledTranslation, Transform

from convatlas.report import palette, svg
from convatlas.report.svg import PIXELS_AN_INCH, new_figure

TEXT: Final = 11.5  # font size in CSS pixels; never smaller
WIDE: Final = 1000.0  # the widest drawing that fits a page at a desk
MIDDLE: Final = 720.0
NARROW: Final = 350.0  # the widest that a phone of 390 pixels shows at its own size


@dataclass(frozen=True, kw_only=True)
class Palette:
    """A colour for each role that a line, a dot or a word may have."""

    ink: str
    muted: str
    line: str
    answer: str
    mistake: str
    cell: str
    page: str


# A circle of four curves: matplotlib's own has eight, and a chart has hundreds.
_K: Final = 4 / 3 * (2**0.5 - 1)
DISC: Final = Path(
    [
        (0, 1),
        *((_K, 1), (1, _K), (1, 0)),
        *((1, -_K), (_K, -1), (0, -1)),
        *((-_K, -1), (-1, -_K), (-1, 0)),
        *((-1, _K), (-_K, 1), (0, 1)),
        (0, 1),
    ],
    [Path.MOVETO, *[Path.CURVE4] * 12, Path.CLOSEPOLY],
    readonly=True,
)

# For a page: `svg.inline_svg` puts the page's variable for each.
ROLES: Final = Palette(
    ink=svg.INK,
    muted=svg.MUTED,
    line=svg.LINE,
    answer=svg.ANSWER,
    mistake=svg.MISTAKE,
    cell=svg.CELL,
    page=svg.PAGE,
)
# Those of the pages, for files.
LIGHT: Final = Palette(**palette.LIGHT)
DARK: Final = Palette(**palette.DARK)


@dataclass(frozen=True, kw_only=True)
class Box:
    """A rectangle in CSS pixels, from the top left corner of its figure down."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box", apart: float = 0.0) -> bool:
        """Whether less than `apart` lies between the two."""
        return (
            self.left < other.right + apart
            and other.left < self.right + apart
            and self.top < other.bottom + apart
            and other.top < self.bottom + apart
        )

    def within(self, other: "Box") -> bool:
        """Whether no part of the box lies outside the other."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the box that is nearest to (x, y)."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A part of a figure to draw in: its corner and size in CSS pixels, and the colours."""

    figure: Figure
    palette: Palette
    left: float
    top: float
    width: float
    height: float

    def point(self, x: float, y: float) -> tuple[float, float]:
        """A point of the sheet, from its top left corner, as the figure counts: inches from its bottom left one."""
        height = self.figure.get_size_inches()[1]
        return (self.left + x) / PIXELS_AN_INCH, height - (self.top + y) / PIXELS_AN_INCH

    def axes(self, *, left: float, right: float, top: float, bottom: float) -> Axes:
        """Axes with these margins within the sheet: a base line and faint lines behind the data."""
        width, height = self.figure.get_size_inches() * PIXELS_AN_INCH
        axes = self.figure.add_axes(
            (
                (self.left + left) / width,
                1 - (self.top + self.height - bottom) / height,
                (self.width - left - right) / width,
                (self.height - top - bottom) / height,
            )
        )
        for side in ("top", "left", "right"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(self.palette.line)
        axes.grid(color=self.palette.line, linewidth=1)
        axes.set_axisbelow(True)
        axes.set_facecolor("none")
        axes.tick_params(which="both", length=0, labelcolor=self.palette.muted, labelsize=TEXT, pad=6)
        return axes

    def text(
        self, x: float, y: float, words: str, *, color: str, side: str = "left", bold: bool = False, size: float = TEXT
    ) -> Text:
        """Words at a point of the sheet, their middle at height y."""
        return self.figure.text(
            *self.point(x, y),
            words,
            transform=self.figure.dpi_scale_trans,
            color=color,
            fontsize=size,
            ha=side,
            va="center_baseline" if "\n" not in words else "center",
            weight="bold" if bold else "normal",
            parse_math=False,
        )


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One drawing of a chart.

    name: what tells it from the others. title, description: what a screen reader says. wide, narrow: its size in CSS
    pixels on a page at a desk and on a phone. draw: puts it on a sheet of either size.
    """

    name: str
    title: str
    description: str
    wide: tuple[float, float]
    narrow: tuple[float, float]
    draw: Callable[[Sheet], None]

    def figure(self, size: tuple[float, float], palette: Palette = ROLES) -> Figure:
        """The drawing alone, as a figure of that size."""
        figure = blank(*size)
        self.draw(Sheet(figure=figure, palette=palette, left=0, top=0, width=size[0], height=size[1]))
        return figure


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Draw and save by matplotlib's own defaults: what a user's matplotlibrc says does not reach a chart."""
    with mpl.style.context("default"):
        yield


def blank(width: float, height: float) -> Figure:
    """An empty figure of that many CSS pixels, in which a pixel of the display is one of CSS."""
    figure = new_figure(width, height)
    figure.set_dpi(PIXELS_AN_INCH)
    return figure


@functools.cache
def _renderer() -> RendererAgg:
    return RendererAgg(100, 100, PIXELS_AN_INCH)  # type: ignore[no-untyped-call]


@functools.cache
def text_size(words: str, size: float = TEXT, weight: str = "normal") -> tuple[float, float]:
    """Width and height of words in CSS pixels, in matplotlib's font, which is wider than a page's; lines by "\\n"."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    measure = _renderer().get_text_width_height_descent
    widths = [float(measure(line, font, ismath=False)[0]) for line in words.split("\n")]  # type: ignore[no-untyped-call]
    return max(widths), 1.2 * size * len(widths)


def wrapped(words: str, width: float, size: float = TEXT, weight: str = "normal") -> str:
    """The words in lines of at most `width` CSS pixels; a single word may be longer."""
    lines: list[str] = []
    for word in words.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_size(joined, size, weight)[0] <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return "\n".join(lines)


def pixels(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """A point of the data in CSS pixels from the figure's top left corner. The axes' limits must be set."""
    across, up = axes.transData.transform((x, y))
    return float(across), float(_figure_of(axes).get_size_inches()[1] * PIXELS_AN_INCH - up)


def area_of(axes: Axes, sheet: Sheet, *, margin: float = 2.0) -> Box:
    """Where labels of the axes may stand: from the axes' left and top to the sheet's right end, above the base line."""
    left, bottom = axes.transAxes.transform((0, 0))
    height = sheet.figure.get_size_inches()[1] * PIXELS_AN_INCH
    return Box(
        left=float(left) + margin,
        top=sheet.top + margin,
        right=sheet.left + sheet.width - margin,
        bottom=float(height - bottom) - margin,
    )


def beeswarm(places: Sequence[tuple[float, float]], apart: float) -> list[float]:
    """How far each dot moves to the side so that none lies on another: (x, y) in pixels to pixels of x.

    From the lowest up, each dot takes the free place that is nearest to its own, right before left.
    """
    moves = [0.0] * len(places)
    done: list[int] = []
    for index in sorted(range(len(places)), key=lambda i: (places[i][0], -places[i][1], i)):
        x, y = places[index]
        for step in range(200):
            move = (step + 1) // 2 * (1 if step % 2 else -1) * apart / 4
            if all(math.dist((x + move, y), (places[i][0] + moves[i], places[i][1])) >= apart for i in done):
                moves[index] = move
                break
        done.append(index)
    return moves


def shift(axes: Axes, across: float) -> Transform:
    """What moves a dot of the axes that many CSS pixels to the right."""
    moved: Transform = axes.transData + ScaledTranslation(across / PIXELS_AN_INCH, 0, _figure_of(axes).dpi_scale_trans)
    return moved


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    return figure


def short(value: float) -> str:
    """25 -> "25", 4,089,184,256 -> "4.09 G"."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"

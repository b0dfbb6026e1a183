"""Reading a drawn figure back: its marks with their places in the data, and the boxes of its words."""

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from convatlas.report.charts.canvas import Panel, own_style


def drawn(panel: Panel, size: str) -> Figure:
    with own_style():
        return panel.figure(panel.wide if size == "wide" else panel.narrow)


def marks(figure: Figure) -> dict[str, Line2D]:
    """The marks of the data by name, in axes or on the figure."""
    (axes,) = figure.axes or [figure]
    return {line.get_gid(): line for line in axes.findobj(Line2D) if line.get_gid()}


def point(line: Line2D) -> tuple[float, float]:
    (x,), (y,) = line.get_data()
    return float(x), float(y)


def words(figure: Figure) -> list[tuple[Text, Bbox]]:
    """Everything that can be read, with the box that it takes up in CSS pixels."""
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    found = list(figure.texts)
    for axes in figure.axes:
        found += [*axes.texts, axes.title]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            found.append(axis.label)
            # Ticks beyond the limits exist but are not drawn.
            found += [tick.label1 for tick in axis.get_major_ticks() if low - 1e-9 <= tick.get_loc() <= high + 1e-9]
    return [(text, text.get_window_extent(renderer)) for text in found if text.get_text().strip()]

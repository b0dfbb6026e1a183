"""Pictures of fields: the box where the field lies, cut off and dashed where it goes on, and words that stay inside."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from convatlas.report import field_pictures
from convatlas.report.field_pictures import FieldPanel, write_field_panels, write_visit_panels

pytestmark = pytest.mark.row("A-05")
PHOTOGRAPH = np.full((40, 60, 3), 128, dtype=np.uint8)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are written, before they are."""
    drawn: list[Figure] = []
    monkeypatch.setattr(field_pictures, "write_figure", lambda figure, *_, **__: drawn.append(figure))
    return drawn


def box_lines(figure: Figure, panel: int) -> dict[tuple[float, ...], str]:
    """(x0, x1, y0, y1) of each coloured line of a panel's box -> its style."""
    lines = [line for line in figure.axes[panel].lines if line.get_color() != "white"]
    return {(*map(float, line.get_xdata()), *map(float, line.get_ydata())): line.get_linestyle() for line in lines}


def test_a_box_is_drawn_where_the_field_lies(figures: list[Figure]) -> None:
    panel = FieldPanel(layer="conv1", caption="a line", box=(10, 5, 20, 15))
    write_field_panels(Path("fields.png"), [panel], PHOTOGRAPH, title="fields")
    assert box_lines(figures[0], 0) == {
        (10, 10, 5, 20): "-",
        (30, 30, 5, 20): "-",
        (10, 30, 5, 5): "-",
        (10, 30, 20, 20): "-",
    }
    assert figures[0].axes[0].get_xlim() == (0, 60), "no padding around where none is seen"


def test_a_side_far_outside_is_dashed_along_the_edge(figures: list[Figure]) -> None:
    panel = FieldPanel(layer="conv5", caption="a line", box=(-500, 5, 520, 900))
    write_field_panels(Path("fields.png"), [panel], PHOTOGRAPH, title="fields")
    (left, right), (bottom, top) = figures[0].axes[0].get_xlim(), figures[0].axes[0].get_ylim()
    assert [-left, right - 60, bottom - 40, -top] == pytest.approx([0.12 * 60] * 4)
    assert box_lines(figures[0], 0) == {
        (left, left, 5, bottom): "--",
        (20, 20, 5, bottom): "-",
        (left, 20, 5, 5): "-",
        (left, 20, bottom, bottom): "--",
    }


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_no_words_reach_out_of_their_panel(count: int, figures: list[Figure]) -> None:
    caption = "box: field 1311 x 1311, jump 32\nsees the whole picture\nglow: measured, 1024 pixels wide"
    panels = [FieldPanel(layer=f"conv{index}_x: 112 x 112 units", caption=caption) for index in range(count)]
    write_field_panels(
        Path("fields.png"), panels, PHOTOGRAPH, title="What the unit in the middle sees: " + "a_net " * 8
    )
    figure = figures[0]
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    panels_drawn = [axes.get_window_extent(renderer) for axes in figure.axes]
    assert len(panels_drawn) == count
    for box in boxes:
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(panel) for panel in panels_drawn)
    assert not any(one.overlaps(other) for index, one in enumerate(boxes) for other in boxes[:index])


def test_the_file_says_what_it_shows(tmp_path: Path) -> None:
    panel = FieldPanel(layer="s2: 14 x 14 units", caption="first\nsecond", heat=np.eye(4))
    write_visit_panels(tmp_path / "visits.svg", [panel], title="visits")
    title, description = ElementTree.parse(tmp_path / "visits.svg").getroot()[:2]
    assert (title.text, description.text) == ("visits", "s2: 14 x 14 units: first, second.")

"""Inline SVG: themed, deterministic, well-formed, and safe whatever a class is called."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from convatlas.metrics.calibration import reliability, softmax
from convatlas.report import plots
from convatlas.report.svg import VARIABLES
from convatlas.report.words import plain, shorten
from convatlas.types import EpochRow

pytestmark = pytest.mark.row("F-01")

NASTY = ("<script>alert(1)</script>", "$x^2$ & $", 'id="a" #010101 url(#b)', "犬 \N{DOG FACE}", "a\x00b\x1b[31m", "")


def history(epochs: int) -> tuple[EpochRow, ...]:
    return tuple(
        EpochRow(
            epoch=epoch,
            learning_rate=0.01 / epoch,
            train_loss=2 / epoch,
            val_loss=1.5 / epoch,
            val_score=1 - 0.5 / epoch,
            val_loss_error=0.01,
            seconds=1.5,
            images_per_second=900.0,
        )
        for epoch in range(1, epochs + 1)
    )


def confusion(classes: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 3, (classes, classes)) + 20 * np.eye(classes, dtype=np.int64)


def bins():
    random = np.random.default_rng(0)
    return reliability(softmax(random.normal(0, 2, (300, 4))), random.integers(0, 4, 300))


def drawings() -> list[str]:
    matrix = plots.confusion_plot(confusion(6), NASTY)
    assert matrix is not None
    return [*plots.curves(history(9), "mAP"), plots.reliability_diagram(bins()), matrix]


def text_of(drawing: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(drawing).iter("text")]


def test_a_drawing_says_what_it_shows():
    for drawing in drawings():
        root = ElementTree.fromstring(drawing)
        assert root.tag == "svg"
        assert root.get("role") == "img"
        title, description = root[0], root[1]
        assert (title.tag, description.tag) == ("title", "desc")
        assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
        assert title.text
        assert description.text


def test_colours_are_variables_of_the_page():
    for drawing in drawings():
        styles = " ".join(element.get("style", "") for element in ElementTree.fromstring(drawing).iter())
        assert "var(--muted)" in styles
        assert not re.findall(r"#[0-9a-fA-F]{3,6}\b(?![^;]*\))", styles), "a colour that no theme can change"
        assert set(re.findall(r"var\(--[a-z]+\)", styles)) <= set(VARIABLES.values())
        assert "font-family" not in styles, "text takes the page's font"
        assert "<style" not in drawing, "matplotlib's style sheet would apply to the whole page"


def test_ids_are_unique_on_the_page_and_every_reference_has_its_target():
    together = "".join(re.sub(r"<text.*?</text>", "", drawing, flags=re.DOTALL) for drawing in drawings())
    ids = re.findall(r'\bid="([^"]+)"', together)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", together)) <= {(i, "") for i in ids} | {
        ("", i) for i in ids
    }


def test_drawings_are_deterministic():
    assert drawings() == drawings()


def test_class_names_come_through_literally():
    drawing = plots.confusion_plot(confusion(6), NASTY)
    assert drawing is not None
    assert "<script" not in drawing
    shown = text_of(drawing)
    for name in NASTY[:-1]:
        assert shown.count(shorten(name, 16)) == 2, f"{name!r} labels one row and one column"
    assert plain("a\x00b\x1b[31m\ud800") == "a�b�[31m�"
    assert shorten("a very long class name", 10) == "a very lo…"


def test_a_confusion_matrix_shows_every_count_that_is_not_zero():
    matrix = np.array([[12345, 2], [0, 7]])
    drawing = plots.confusion_plot(matrix, ["x", "y"])
    assert drawing is not None
    assert [text for text in text_of(drawing) if text not in ("x", "y", "true", "predicted")] == ["12k", "2", "7"]
    assert plots.confusion_plot(confusion(31), [str(i) for i in range(31)]) is None


def test_one_epoch_and_one_filled_bin_can_be_drawn():
    for drawing in plots.curves(history(1), "top-1 accuracy"):
        assert "<use" in drawing, "a single epoch is a point"
    certain = reliability([[1.0, 0.0]], [0])
    assert "100% sure, 100% right (1 pictures)" in plots.reliability_diagram(certain)


def test_curves_label_their_ends_without_overlap():
    flat = tuple(row for row in history(30) if row.epoch > 25)
    drawing = plots.curves(flat, "mAP")[0]
    heights = {
        element.text: float(element.get("y") or re.findall(r"[-\d.]+", element.get("transform", ""))[1])
        for element in ElementTree.fromstring(drawing).iter("text")
        if element.text in ("training", "validation")
    }
    assert heights["validation"] - heights["training"] >= 11

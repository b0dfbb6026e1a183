"""The activation curves and the filtered photograph: what they show, and that they can be drawn."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.arithmetic.scratch import filters
from convatlas.arithmetic.scratch.activations import ACTIVATIONS
from convatlas.errors import UsageError
from convatlas.report.activation_curves import activation_curves, write_activation_curves
from convatlas.report.filtered_photograph import filtered_photograph


@pytest.mark.row("A-08")
def test_each_activation_has_its_curve_and_its_derivative() -> None:
    plots = activation_curves().axes
    assert len(plots) == len(ACTIVATIONS) == 8
    for axes, activation in zip(plots, ACTIVATIONS, strict=True):
        assert axes.texts[0].get_text() == activation.name
        curve, slope = axes.lines[:2]
        np.testing.assert_allclose(curve.get_ydata(), activation.function(curve.get_xdata()))
        drawn = ~np.isnan(slope.get_ydata())
        np.testing.assert_allclose(slope.get_ydata()[drawn], activation.derivative(slope.get_xdata()[drawn]))
        assert np.count_nonzero(~drawn) == len(activation.kinks)  # broken where it jumps


@pytest.mark.row("A-08")
def test_the_curves_are_written_with_words_for_those_who_cannot_see_them(tmp_path: Path) -> None:
    write_activation_curves(tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text(encoding="utf-8")
    for activation in ACTIVATIONS:
        assert f"{activation.name}: " in drawn
    with pytest.raises(UsageError, match=r"ends in \.svg or \.png"):
        write_activation_curves(tmp_path / "curves.txt")


@pytest.mark.row("A-11")
def test_a_photograph_and_its_answers_are_drawn(photographs: Path) -> None:
    cat = np.asarray(Image.open(photographs / "chelsea.png").convert("RGB"))[::3, ::3]
    figure = filtered_photograph(cat)
    shown = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    assert len(shown) == 9
    assert (shown[0] == cat).all()
    np.testing.assert_allclose(shown[1], filters.apply(cat, filters.SOBEL_X))
    np.testing.assert_allclose(shown[7], cat[1:-1, 1:-1, 0])  # red alone
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=30)
    assert Image.open(drawn).size[0] == 288


@pytest.mark.row("A-11")
def test_a_plain_picture_can_be_drawn_and_a_grey_one_is_refused() -> None:
    filtered_photograph(np.full((5, 5, 3), 7, np.uint8)).savefig(io.BytesIO(), format="png", dpi=20)
    with pytest.raises(UsageError, match="photograph must be a colour picture"):
        filtered_photograph(np.zeros((5, 5, 1), np.uint8))

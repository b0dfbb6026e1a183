"""Distortions: the identity where nothing is asked for, known matrices where one thing is, and never out of range."""

import pytest
import torch

from convatlas.data.augment import Distortion

pytestmark = pytest.mark.row("F-02")


def a_picture() -> torch.Tensor:
    """One bright 4 x 4 square, its centre 8 to the right and 4 above the middle of 32 x 32."""
    x = torch.zeros(1, 1, 32, 32)
    x[:, :, 10:14, 22:26] = 1
    return x


def centre(x: torch.Tensor) -> tuple[float, float]:
    """Centre of mass, in pixels right of and below the middle."""
    weights = x[0, 0] / x.sum()
    places = torch.arange(32) + 0.5 - 16
    return float((weights.sum(0) * places).sum()), float((weights.sum(1) * places).sum())


def test_nothing_asked_for_is_nothing_done():
    x = torch.rand(3, 2, 8, 9)
    assert Distortion()(x) is x


def test_zero_displacement_is_the_identity():
    x = torch.rand(3, 2, 8, 9)
    torch.testing.assert_close(Distortion(rotate=1e-6)(x), x, atol=1e-4, rtol=0)


def test_half_of_the_pictures_are_mirrored_exactly():
    torch.manual_seed(0)
    x = torch.rand(1, 1, 8, 8).expand(400, 1, 8, 8)
    y = Distortion(flip=True)(x)
    mirrored = (y - x.flip(3)).abs().amax((1, 2, 3)) < 1e-5
    same = (y - x).abs().amax((1, 2, 3)) < 1e-5
    assert bool((mirrored ^ same).all())
    assert 160 < int(mirrored.sum()) < 240


def drawn(distortion: Distortion, monkeypatch: pytest.MonkeyPatch, value: float) -> torch.Tensor:
    """The picture with every random number at `value` of its range, -1..1."""
    monkeypatch.setattr("convatlas.data.augment._uniform", lambda count: torch.full((count,), value))
    return distortion(a_picture())


def test_rotation_turns_by_its_angle(monkeypatch):
    right, below = centre(drawn(Distortion(rotate=90.0), monkeypatch, 1.0))
    assert sorted((abs(right), abs(below))) == pytest.approx([4, 8], abs=0.05)
    assert (right, below) == pytest.approx((-4, -8), abs=0.05) or (right, below) == pytest.approx((4, 8), abs=0.05)


def test_translation_moves_by_its_part_of_the_size(monkeypatch):
    right, below = centre(drawn(Distortion(translate=0.125), monkeypatch, 1.0))
    assert (abs(right - 8), abs(below + 4)) == pytest.approx((4, 4), abs=0.05)


def test_scale_enlarges_by_its_factor(monkeypatch):
    larger = drawn(Distortion(scale=0.25), monkeypatch, 1.0)
    assert centre(larger) == pytest.approx((10, -5), abs=0.05)
    assert float(larger.sum()) == pytest.approx(16 * 1.25**2, rel=0.02)


def test_shear_moves_columns_in_proportion_to_their_height(monkeypatch):
    right, below = centre(drawn(Distortion(shear=45.0), monkeypatch, 1.0))
    assert below == pytest.approx(-4, abs=0.05) or right == pytest.approx(8, abs=0.05)
    assert (right, below) != pytest.approx((8, -4), abs=0.5)


def test_elastic_displacement_has_the_length_that_it_says():
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 48).expand(200, 1, 32, 48)  # wider than high: the units of x and y differ
    moved = (Distortion(elastic=1.5)(ramp) - ramp)[:, 0, :, 8:-8] * 47  # in pixels, away from the repeated border
    assert float(moved.square().mean().sqrt()) == pytest.approx(1.5, rel=0.05)
    turned = ramp.transpose(2, 3)
    moved = (Distortion(elastic=1.5)(turned) - turned)[:, 0, 8:-8] * 47
    assert float(moved.square().mean().sqrt()) == pytest.approx(1.5, rel=0.05)
    neighbours = (moved[:, :, 1:] - moved[:, :, :-1]).square().mean().sqrt()
    assert float(neighbours) < 0.6, "neighbouring pixels move together"


def test_values_stay_within_those_of_the_picture():
    torch.manual_seed(0)
    x = torch.rand(50, 1, 16, 16)
    y = Distortion(rotate=30, translate=0.2, scale=0.3, shear=20, elastic=2)(x)
    assert y.shape == x.shape
    assert float(y.min()) >= float(x.min()) - 1e-6 and float(y.max()) <= float(x.max()) + 1e-6


def test_pictures_of_a_batch_are_distorted_each_in_its_own_way():
    torch.manual_seed(0)
    y = Distortion(rotate=20.0)(a_picture().expand(8, 1, 32, 32))
    assert (
        len({round(float(image[0, 12, 24]), 6) for image in y} | {round(float(image.square().sum()), 4) for image in y})
        > 6
    )

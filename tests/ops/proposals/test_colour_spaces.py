"""The eight colour spaces, against the standard library, known values, and the invariances that the paper names."""

import colorsys

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.ops.proposals.colour_spaces import COLOUR_SPACES, to_colour_space
from tests.ops.proposals.pictures import noise

pytestmark = pytest.mark.row("C-06")

CHANNELS = {"intensity": 1, "hue": 1, "c": 2}


@pytest.mark.parametrize("space", COLOUR_SPACES)
def test_every_colour_is_within_0_and_1(space):
    levels = np.array([0, 1, 127, 254, 255], np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(5, 25, 3)
    values = to_colour_space(colours, space)
    assert values.shape == (5, 25, CHANNELS.get(space, 3))
    assert values.dtype == np.float32
    assert values.min() >= 0
    assert values.max() <= 1
    grey = to_colour_space(colours[:, :, :1], space)
    assert np.array_equal(grey, to_colour_space(np.repeat(colours[:, :, :1], 3, axis=2), space))


def test_hsv_and_hue_are_the_standard_library_s():
    picture = noise(0, 6, 7)
    expected = [[colorsys.rgb_to_hsv(*(pixel / 255.0)) for pixel in row] for row in picture]
    np.testing.assert_allclose(to_colour_space(picture, "hsv"), expected, atol=1e-6)
    np.testing.assert_allclose(to_colour_space(picture, "hue"), np.array(expected)[:, :, :1], atol=1e-6)


def test_lab_of_known_colours():
    picture = np.array([[[255, 0, 0], [0, 0, 255], [255, 255, 255], [119, 119, 119]]], np.uint8)
    lab = to_colour_space(picture, "lab")[0] * [100, 255, 255] - [0, 128, 128]  # CIE, D65
    expected = [[53.24, 80.09, 67.20], [32.30, 79.19, -107.86], [100, 0, 0], [50.03, 0, 0]]
    np.testing.assert_allclose(lab, expected, atol=0.03)


def test_the_others_by_hand():
    pixel = np.array([[[60, 30, 10], [0, 0, 0]]], np.uint8)
    third = 1 / 3
    by_hand = {
        "rgb": [[60 / 255, 30 / 255, 10 / 255], [0, 0, 0]],
        "intensity": [[100 / 765], [0]],
        "rgi": [[0.6, 0.3, 100 / 765], [third, third, 0]],
        "normalised_rgb": [[0.6, 0.3, 0.1], [third] * 3],
        # O1 / O3 = sqrt(3/2) 0.3, of +-sqrt(3/2); O2 / O3 = 0.7 / sqrt 2, of -sqrt 2 .. sqrt(1/2)
        "c": [[0.65, (0.7 + 2) / 3], [0.5, 2 / 3]],
    }
    for space, expected in by_hand.items():
        np.testing.assert_allclose(to_colour_space(pixel, space)[0], expected, atol=1e-6, err_msg=space)


@pytest.mark.parametrize("space", ["normalised_rgb", "c", "hue"])
def test_a_shadow_changes_nothing(space):
    picture = noise(1, 8, 8) // 3 + 1
    np.testing.assert_allclose(to_colour_space(picture, space), to_colour_space(picture * 2, space), atol=1e-5)


def test_a_highlight_does_not_change_the_hue():
    picture = noise(2, 8, 8) // 2
    np.testing.assert_allclose(to_colour_space(picture, "hue"), to_colour_space(picture + 90, "hue"), atol=1e-5)


def test_what_is_no_colour_space_and_no_picture():
    with pytest.raises(UsageError, match=r"space: expected one of rgb, .* not 'labb'.*lab"):
        to_colour_space(noise(0, 2, 2), "labb")
    with pytest.raises(TypeError, match="picture: expected uint8"):
        to_colour_space(np.zeros((2, 2, 3)), "lab")
    with pytest.raises(ValueError, match="picture: expected height x width"):
        to_colour_space(np.zeros((2, 2, 4), np.uint8), "lab")

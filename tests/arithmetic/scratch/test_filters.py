"""Hand-made filters: the notes' matrices by hand, SciPy and scikit-image on a photograph."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.signal import correlate2d
from skimage import filters as skimage_filters

from convatlas.arithmetic.scratch import filters
from convatlas.arithmetic.scratch.convolution import convolve
from convatlas.arithmetic.scratch.kinds import depthwise, separate
from convatlas.errors import UsageError

pytestmark = pytest.mark.row("A-11")


@pytest.fixture(scope="module")
def cat(photographs: Path) -> np.ndarray:
    return np.asarray(Image.open(photographs / "chelsea.png").convert("RGB"))


def test_the_notes_edge_is_found_in_the_two_middle_columns() -> None:
    example = filters.edge_example()
    assert example.picture.tolist() == [[10, 10, 10, 0, 0, 0]] * 6
    assert example.kernel.tolist() == [[1, 0, -1]] * 3
    assert example.response.tolist() == [[0, 30, 30, 0]] * 4
    assert (correlate2d(example.picture, example.kernel, mode="valid") == example.response).all()


def test_the_edge_lies_the_other_way_in_a_mirror_and_is_not_level() -> None:
    picture = filters.edge_example().picture
    assert filters.apply(picture[:, ::-1], filters.VERTICAL_EDGE).tolist() == [[0, -30, -30, 0]] * 4
    assert not filters.apply(picture, filters.HORIZONTAL_EDGE).any()
    assert filters.apply(picture.T, filters.HORIZONTAL_EDGE).T.tolist() == [[0, 30, 30, 0]] * 4


def test_the_notes_exercise_with_a_bias_of_minus_500() -> None:
    example = filters.bias_example()
    assert example.picture.shape == (5, 5)
    assert example.kernel.shape == (3, 3)
    assert example.bias == -500
    assert example.response.tolist() == [[765, 765, 0], [510, 510, 0], [255, 255, 0]]
    assert example.activated.tolist() == [[265, 265, 0], [10, 10, 0], [0, 0, 0]]
    by_layer = convolve(example.picture[None, None], example.kernel[None, None], [example.bias])
    assert (np.maximum(by_layer[0, 0], 0) == example.activated).all()


def test_the_notes_depthwise_layer_has_3_3_32_parameters() -> None:
    assert filters.depthwise_parameters(32) == 3 * 3 * 32 == 288
    assert filters.depthwise_parameters(32, bias=True) == 320
    weight = np.ones((32, 1, 3, 3))
    assert weight.size == 288
    assert depthwise(np.ones((1, 32, 5, 5)), weight).shape == (1, 32, 3, 3)
    with pytest.raises(UsageError, match="channels must be a whole number of at least 1, not 0"):
        filters.depthwise_parameters(0)


def test_edge_kernels_are_silent_on_a_plain_surface_and_blurs_keep_it() -> None:
    edges = ("VERTICAL_EDGE", "HORIZONTAL_EDGE", "SOBEL_X", "SOBEL_Y", "SCHARR_X", "SCHARR_Y", "LAPLACE")
    assert [name for name in edges if np.sum(getattr(filters, name)) != 0] == []
    for name in ("MEAN", "GAUSS", "SHARPEN"):
        np.testing.assert_allclose(filters.apply(np.full((4, 4), 7.0), getattr(filters, name)), 7)
    for name in ("SOBEL_X", "SOBEL_Y", "SCHARR_X", "SCHARR_Y"):
        separate(getattr(filters, name))  # a difference one way, a mean the other


def test_on_a_photograph_sobel_and_scharr_are_scipys_and_scikit_images(cat: np.ndarray) -> None:
    grey = cat @ np.array(filters.LUMA)
    inner = (slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(filters.apply(cat, filters.SOBEL_X), ndimage.sobel(grey, axis=1)[inner], atol=1e-9)
    np.testing.assert_allclose(filters.apply(cat, filters.SOBEL_Y), ndimage.sobel(grey, axis=0)[inner], atol=1e-9)
    np.testing.assert_allclose(filters.apply(cat, filters.LAPLACE), ndimage.laplace(grey)[inner], atol=1e-9)
    # scikit-image divides Sobel's by 4 and Scharr's by 16, and the length by the root of 2.
    for ours, theirs, weight in (
        (filters.edge_strength(cat), skimage_filters.sobel, 4),
        (filters.edge_strength(cat, filters.SCHARR_X, filters.SCHARR_Y), skimage_filters.scharr, 16),
    ):
        np.testing.assert_allclose(ours / (weight * np.sqrt(2)), theirs(grey)[inner], atol=1e-9)


def test_a_colour_filter_attends_to_the_channels_that_it_weighs(cat: np.ndarray) -> None:
    random = np.random.default_rng(0)
    kernel, weights = random.normal(size=(3, 3)), (0.5, -2.0, 1.5)
    by_channel = [
        weight * correlate2d(cat[:, :, c].astype(float), kernel, mode="valid") for c, weight in enumerate(weights)
    ]
    np.testing.assert_allclose(filters.apply(cat, kernel, channels=weights), sum(by_channel), atol=1e-6)
    red = np.zeros((3, 3, 3), np.uint8)
    red[:, :, 0] = 200
    identity = ((0, 0, 0), (0, 1, 0), (0, 0, 0))
    assert filters.apply(red, identity, channels=(1, 0, 0)).item() == 200
    assert filters.apply(red, identity, channels=(0, 1, 0)).item() == 0
    assert filters.apply(red, identity, channels=(1, -1, 0)).item() == 200


def test_padding_keeps_the_size(cat: np.ndarray) -> None:
    assert filters.apply(cat, filters.GAUSS, padding=1).shape == cat.shape[:2]


@pytest.mark.parametrize(
    ("picture", "kernel", "words"),
    [
        (np.zeros((4, 4, 4)), filters.MEAN, r"picture must be \(H, W\), or \(H, W, 3\)"),
        (np.zeros(4), filters.MEAN, "picture must have 2 axes or more"),
        (np.zeros((4, 4)), [1, 2], "kernel must have 2 axes"),
        (np.zeros((2, 4)), filters.MEAN, "kernel: 3x3, .* larger than the padded input, 2x4"),
    ],
)
def test_what_does_not_fit_is_named(picture, kernel, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        filters.apply(picture, kernel)

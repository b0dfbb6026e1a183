"""Sliding windows: what each window holds, where it lies, the pyramid's sizes, maps against windows cut out."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from convatlas.errors import UsageError
from convatlas.ops import windows
from convatlas.ops.windows import pyramid, slide, slide_maps, window_boxes

pytestmark = pytest.mark.row("C-05")


def some_picture(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def corner_values(cut):
    """First and last pixel of each window, and its sum."""
    return np.stack([cut[:, 0, 0, 0], cut[:, -1, -1, -1], cut.sum(axis=(1, 2, 3))], axis=1).astype(np.float64)


def test_every_window_is_cut_out_where_its_box_says():
    picture = some_picture(40, 50)
    found = slide(picture, corner_values, window=(16, 12), stride=(3, 5), factor=100)
    assert len(found.boxes) == 9 * 8  # (40 - 16) / 3 + 1 and (50 - 12) / 5 + 1
    for box, scores in zip(found.boxes.astype(int).tolist(), found.scores, strict=True):
        x1, y1, x2, y2 = box
        part = picture[y1:y2, x1:x2]
        assert part.shape == (16, 12, 3)
        assert scores.tolist() == [part[0, 0, 0], part[-1, -1, -1], part.sum()]
    assert found.boxes.dtype == found.scores.dtype == np.float32


def test_many_windows_are_asked_about_some_at_a_time():
    counts = []

    def score(cut):
        counts.append(len(cut))
        return np.zeros((len(cut), 2))

    assert slide(some_picture(40, 40, 1), score, window=(8, 8), stride=(1, 1), factor=100).scores.shape == (33 * 33, 2)
    assert max(counts) <= windows._BATCH < sum(counts) == 33 * 33


def test_memory_is_that_of_some_windows_not_of_all():
    """18,769 windows of 64 x 64 pixels would be 230 MB."""
    picture = some_picture(200, 200)
    tracemalloc.start()
    slide(picture, lambda cut: cut[:, :1, 0, 0].astype(float), window=(64, 64), stride=(1, 1), factor=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


@pytest.mark.parametrize("width", [52, 53, 97, 1333])
def test_no_window_reaches_out_of_the_picture_by_rounding(width):
    """52 pixels as 37, in float32, are 52.0000038."""
    found = slide(some_picture(40, width), corner_values, window=1, stride=3)
    assert found.boxes.min() >= 0
    assert found.boxes[:, 2].max() <= width
    assert found.boxes[:, 3].max() <= 40

    def nothing(pixels):
        return np.zeros((pixels.shape[0] - 8, pixels.shape[1] - 7, 1))

    last = slide_maps(some_picture(40, width), nothing, window=(9, 8), stride=1, factor=1.05)
    assert last.boxes[:, 2].max() == width


def test_a_number_is_meant_along_both_axes():
    picture = some_picture(30, 40)
    one, pair = (
        slide(picture, corner_values, window=window, stride=stride) for window, stride in ((8, 4), ((8, 8), (4, 4)))
    )
    assert (one.boxes == pair.boxes).all()
    assert (one.scores == pair.scores).all()
    assert len(list(pyramid(picture, smallest=8))) == len(list(pyramid(picture, smallest=(8, 8))))
    assert (window_boxes(30, 8, 4) == window_boxes((30, 30), (8, 8), (4, 4))).all()


def test_places_by_hand():
    assert window_boxes((4, 5), (2, 3), (2, 1)).tolist() == [
        [[0, 0, 3, 2], [1, 0, 4, 2], [2, 0, 5, 2]],
        [[0, 2, 3, 4], [1, 2, 4, 4], [2, 2, 5, 4]],
    ]
    assert window_boxes((4, 5), (5, 3), (1, 1)).shape == (0, 3, 4)


def test_a_pyramid_shrinks_by_the_factor_down_to_the_window():
    picture = some_picture(64, 96)
    levels = list(pyramid(picture, smallest=(20, 20), factor=2**0.5, largest=2.0))
    assert [level.picture.shape[:2] for level in levels] == [
        (128, 192), (91, 136), (64, 96), (45, 68), (32, 48), (23, 34)
    ]  # fmt: skip
    assert (levels[2].picture == picture).all()
    assert levels[3].scale == (45 / 64, 68 / 96)
    half = Image.fromarray(picture).resize((48, 32), Image.Resampling.BILINEAR)
    assert (levels[4].picture == np.asarray(half)).all()
    assert list(pyramid(picture, smallest=(65, 20))) == []
    grey = list(pyramid(picture[:, :, 0], smallest=(32, 32)))
    assert grey[-1].picture.shape == (32, 48, 1)


def test_an_object_is_found_at_its_size_and_place():
    """A white square of 32 x 32, sought with one of 8 x 8 in the middle of a window of 16 x 16: at a quarter's size."""
    picture = np.zeros((96, 96, 1), np.uint8)
    picture[40:72, 24:56] = 255

    sought = np.zeros((16, 16, 1))
    sought[4:12, 4:12] = 255

    def likeness(cut):
        return -np.abs(cut - sought).sum(axis=(1, 2, 3))[:, None]

    found = slide(picture, likeness, window=(16, 16), stride=(2, 2), factor=2)
    assert found.boxes[found.scores[:, 0].argmax()].tolist() == [8, 24, 72, 88]
    sizes = {tuple(side) for side in (found.boxes[:, 2:] - found.boxes[:, :2]).tolist()}
    assert sizes == {(16, 16), (32, 32), (64, 64)}
    assert found.boxes.min() >= 0
    assert found.boxes.max() <= 96


def test_maps_of_all_places_are_the_windows_cut_out():
    """A linear score of each window, once by windows and once by correlating the whole level."""
    picture = some_picture(50, 70)
    kernel = np.random.default_rng(1).normal(0, 1, (12, 10, 3))

    def of_windows(cut):
        return (cut * kernel).sum(axis=(1, 2, 3))[:, None]

    def of_level(pixels):
        rows, columns = (pixels.shape[0] - 12) // 4 + 1, (pixels.shape[1] - 10) // 3 + 1
        scores = np.zeros((rows, columns, 1))
        for y in range(12):
            for x in range(10):
                shifted = pixels[y : y + 4 * rows - 3 : 4, x : x + 3 * columns - 2 : 3]
                scores[:, :, 0] += shifted @ kernel[y, x]
        return scores

    settings = {"window": (12, 10), "stride": (4, 3), "factor": 1.3}
    cut, maps = slide(picture, of_windows, **settings), slide_maps(picture, of_level, **settings)
    assert (cut.boxes == maps.boxes).all()
    assert maps.scores == pytest.approx(cut.scores, rel=1e-5, abs=1e-2)
    assert len(cut.boxes) > 200


def test_a_picture_smaller_than_the_window_has_none():
    found = slide(some_picture(10, 40), corner_values, window=(16, 16), stride=(4, 4))
    assert found.boxes.shape == (0, 4)
    assert len(found.scores) == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"window": (0, 8)}, r"window must be two whole numbers >= 1, .* not \(0, 8\)"),
        ({"window": (8.5, 8)}, "window"),
        ({"stride": (4, 0)}, "stride"),
        ({"stride": (4,)}, "stride"),
        ({"stride": 4.0}, "stride must be two whole numbers >= 1, .* not 4.0"),
        ({"stride": 0}, "stride"),
        ({"window": None}, "window"),
        ({"window": True}, "window"),
        ({"factor": 1.0}, "factor"),
        ({"factor": float("nan")}, "factor"),
        ({"largest": 0.0}, "largest"),
    ],
)
def test_wrong_arguments_are_named(wrong, said):
    settings = {"window": (8, 8), "stride": (4, 4)} | wrong
    with pytest.raises(UsageError, match=said):
        slide(some_picture(20, 20), corner_values, **settings)


def test_scores_that_do_not_fit_are_refused():
    settings = {"window": (8, 8), "stride": (4, 4)}
    for score in (lambda cut: np.zeros((len(cut) * 2, 1)), lambda cut: np.zeros(len(cut))):
        with pytest.raises(UsageError, match="score: expected 16 rows, one a window"):
            slide(some_picture(20, 20), score, **settings)
    with pytest.raises(UsageError, match="expected 4 x 4 places x scores for a picture of 20 x 20, got 3 x 4 x 1"):
        slide_maps(some_picture(20, 20), lambda pixels: np.zeros((3, 4, 1)), **settings)
    with pytest.raises(TypeError, match="uint8"):
        slide(some_picture(20, 20).astype(float), corner_values, **settings)

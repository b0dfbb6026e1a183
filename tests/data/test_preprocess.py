import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convatlas.data.preprocess import Preprocess
from convatlas.errors import BundleError, UsageError
from convatlas.types import Pixels


def noise(height: int, width: int, channels: int) -> Pixels:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, channels), np.uint8)


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    source=st.tuples(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 3])),
    channels=st.sampled_from([1, 3]),
    how=st.tuples(
        st.sampled_from(["crop", "pad", "stretch"]), st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"])
    ),
    extra=st.none() | st.integers(0, 20),
)
def test_any_picture_gets_the_size_asked_for(
    size: tuple[int, int], source: tuple[int, int, int], channels: Any, how: Any, extra: int | None
) -> None:
    (height, width), (fit, interpolation) = size, how
    resize = None
    if extra is not None and fit == "crop":
        resize = max(height, width) + extra
    if extra is not None and fit == "pad":
        resize = max(1, min(height, width) - extra)
    preprocess = Preprocess(
        channels=channels, height=height, width=width, fit=fit, resize=resize, interpolation=interpolation
    )
    pixels = preprocess(noise(*source))
    assert pixels.shape == (channels, height, width)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_right_size_passes_untouched(fit: Any, channels: Any) -> None:
    picture = noise(20, 30, channels)
    pixels = Preprocess(channels=channels, height=20, width=30, fit=fit)(picture)
    np.testing.assert_array_equal(pixels, picture.transpose(2, 0, 1))


def test_mnist_is_framed_by_two_pixels() -> None:
    picture = noise(28, 28, 1)
    pixels = Preprocess(channels=1, height=32, width=32, fit="pad", resize=28, fill=9)(picture)
    np.testing.assert_array_equal(pixels[0, 2:30, 2:30], picture[:, :, 0])
    frame = pixels[0].copy()
    frame[2:30, 2:30] = 9
    assert (frame == 9).all()


def test_pad_scales_the_longer_side_and_centres() -> None:
    picture = np.full((20, 40, 3), 200, np.uint8)
    pixels = Preprocess(channels=3, height=10, width=10, fit="pad")(picture)
    assert [int(row[0, 5]) for row in pixels[0][:, None]] == [0, 0, 200, 200, 200, 200, 200, 0, 0, 0]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
def test_crop_is_resize_then_centre_crop(interpolation: Any) -> None:
    picture = noise(375, 500, 3)
    pixels = Preprocess(channels=3, height=224, width=224, resize=256, interpolation=interpolation)(picture)
    # torchvision's arithmetic: the shorter side to 256, the longer to int(256 * 500 / 375) = 341; left round(58.5).
    scaled = Image.fromarray(picture).resize((341, 256), Image.Resampling[interpolation.upper()])
    twin = np.asarray(scaled.crop((58, 16, 58 + 224, 16 + 224))).transpose(2, 0, 1)
    assert np.abs(pixels.astype(int) - twin).max() <= 1


def test_crop_by_default_just_covers() -> None:
    picture = np.zeros((10, 30, 1), np.uint8)
    picture[:, 10:20] = 255
    pixels = Preprocess(channels=1, height=10, width=10)(picture)
    assert (pixels == 255).all()


def test_a_very_long_picture_needs_no_memory() -> None:
    picture = np.zeros((1, 2_000_000, 1), np.uint8)
    for fit in ("crop", "pad", "stretch"):
        assert Preprocess(channels=1, height=224, width=224, fit=fit)(picture).shape == (1, 224, 224)


def test_stretch_ignores_the_shape() -> None:
    picture = np.zeros((4, 8, 1), np.uint8)
    picture[:, 4:] = 200
    pixels = Preprocess(channels=1, height=4, width=4, fit="stretch", interpolation="nearest")(picture)
    assert pixels[0, 0].tolist() == [0, 0, 200, 200]


def test_shrinking_averages() -> None:
    stripes = np.zeros((8, 8, 1), np.uint8)
    stripes[:, ::2] = 200
    pixels = Preprocess(channels=1, height=2, width=2, fit="stretch")(stripes)
    assert np.abs(pixels.astype(int) - 100).max() <= 12


def test_colour_becomes_grey_by_luma_and_grey_becomes_colour() -> None:
    red = np.zeros((2, 2, 3), np.uint8)
    red[:, :, 0] = 255
    assert (Preprocess(channels=1, height=2, width=2)(red) == 76).all()  # 0.299 * 255
    grey = noise(2, 2, 1)
    assert (Preprocess(channels=3, height=2, width=2)(grey) == grey[:, :, 0]).all()


def test_a_view_of_a_picture_is_taken() -> None:
    picture = noise(20, 20, 3)[5:15, 3:13][:, ::-1]
    pixels = Preprocess(channels=3, height=10, width=10)(picture)
    np.testing.assert_array_equal(pixels, picture.transpose(2, 0, 1))


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(TypeError, match="uint8"):
        Preprocess(channels=1, height=2, width=2)(np.zeros((2, 2, 1)))  # type: ignore[arg-type]  # the point
    with pytest.raises(ValueError, match="height x width"):
        Preprocess(channels=1, height=2, width=2)(np.zeros((2, 2, 4), np.uint8))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"channels": 2}, "channels"),
        ({"channels": True}, "channels"),
        ({"height": 0}, "height"),
        ({"width": 2.5}, "width"),
        ({"height": 100_000, "width": 100_000}, "height, width"),
        ({"fit": "croped"}, 'fit.*Did you mean "crop"'),
        ({"interpolation": "linear"}, 'interpolation.*Did you mean "bilinear"'),
        ({"fill": 256}, "fill"),
        ({"resize": 31}, "resize"),
        ({"resize": "32"}, "resize"),
        ({"fit": "stretch", "resize": 32}, "resize"),
        ({"fit": "pad", "resize": 33}, "resize"),
        ({"fit": "pad", "resize": 0}, "resize"),
    ],
)
def test_impossible_values_name_their_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError, match=f"^{field}"):
        Preprocess(**{"channels": 1, "height": 32, "width": 32, **change})


def test_json_round_trip() -> None:
    preprocess = Preprocess(channels=3, height=224, width=224, resize=256, interpolation="bicubic", fill=3)
    assert Preprocess.from_dict(json.loads(json.dumps(preprocess.to_dict()))) == preprocess


def test_from_dict_names_what_is_unknown_missing_or_impossible() -> None:
    whole = Preprocess(channels=3, height=8, width=8).to_dict()
    with pytest.raises(BundleError, match=r"unknown field 'heigth'.*height"):
        Preprocess.from_dict({**whole, "heigth": 3})
    with pytest.raises(BundleError, match="'fill' is missing"):
        Preprocess.from_dict({name: value for name, value in whole.items() if name != "fill"})
    with pytest.raises(BundleError, match="preprocess: width"):
        Preprocess.from_dict({**whole, "width": -1})

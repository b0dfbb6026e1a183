"""Ten crops against torchvision's on the same square, whole pictures against Pillow's own resize."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from convatlas.data.preprocess import Preprocess
from convatlas.data.views import DESCRIBED, crop_margin, named_views, ten_crops, whole_picture
from convatlas.errors import DataError, UsageError
from convatlas.types import Pixels

ALEXNET = Preprocess(channels=3, height=224, width=224, resize=256)


def noise(height: int, width: int, channels: int = 3) -> Pixels:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, channels), np.uint8)


# --- Ten crops


@pytest.mark.row("B-02")
@pytest.mark.parametrize("size", [(256, 256), (375, 500), (500, 375), (256, 300), (60, 40)])
def test_ten_crops_are_torchvision_s_of_the_central_square(size):
    """Section 2 of AlexNet's paper: the shorter side to 256, then the central 256 x 256; Section 4.1: the patches."""
    picture = noise(*size)
    square = Preprocess(channels=3, height=256, width=256, resize=256)(picture)
    peer = [crop.numpy() for crop in v2.TenCrop(224)(torch.from_numpy(square))]
    crops = ten_crops(picture, ALEXNET)
    assert crops.shape == (10, 3, 224, 224)
    np.testing.assert_array_equal(crops[:5], np.stack(peer[:5]))
    # torchvision cuts a mirror image, we mirror the cuts: left and right are exchanged.
    np.testing.assert_array_equal(crops[5:], np.stack([peer[place] for place in (6, 5, 8, 7, 9)]))


def test_the_square_is_torchvision_s_resize_and_centre_crop():
    picture = noise(375, 500)
    scaled = Image.fromarray(picture).resize((341, 256), Image.Resampling.BILINEAR)
    square = np.asarray(v2.CenterCrop(256)(scaled)).transpose(2, 0, 1)
    crops = ten_crops(picture, ALEXNET).astype(int)
    assert np.abs(crops[0] - square[:, :224, :224]).max() <= 1
    assert np.abs(crops[3] - square[:, 32:, 32:]).max() <= 1
    assert np.abs(crops[4] - ALEXNET(picture)).max() <= 1  # the centre is the single view


def test_a_margin_of_odd_pixels_keeps_the_mirror_image_of_the_centre():
    preprocess = Preprocess(channels=1, height=231, width=231, resize=256)
    picture = noise(256, 256, 1)
    crops = ten_crops(picture, preprocess)
    five = [crop.numpy() for crop in v2.FiveCrop(231)(torch.from_numpy(picture.transpose(2, 0, 1)))]
    np.testing.assert_array_equal(crops[:5], np.stack(five))
    np.testing.assert_array_equal(crops[5:], np.stack(five)[..., ::-1])


@pytest.mark.parametrize(
    ("preprocess", "side"),
    [
        (ALEXNET, 256),
        (Preprocess(channels=3, height=224, width=224), 256),
        (Preprocess(channels=3, height=224, width=224, resize=224), 256),
        (Preprocess(channels=3, height=32, width=32), 37),  # 36.6
        (Preprocess(channels=3, height=20, width=30, resize=40), 40),
        (Preprocess(channels=3, height=20, width=28), 32),
    ],
)
def test_without_a_margin_it_is_alexnet_s_in_proportion(preprocess, side):
    assert crop_margin(preprocess) == side
    crops = ten_crops(noise(50, 70), preprocess)
    assert crops.shape == (10, 3, preprocess.height, preprocess.width)
    square = Preprocess(channels=3, height=side, width=side)(noise(50, 70))
    np.testing.assert_array_equal(crops[3], square[:, -preprocess.height :, -preprocess.width :])


def test_the_crops_of_a_symmetric_picture_are_their_mirror_images():
    half = noise(64, 32)
    picture = np.concatenate([half, half[:, ::-1]], axis=1)
    crops = ten_crops(picture, Preprocess(channels=3, height=56, width=56, resize=64))
    for place, mirrored in ((0, 6), (1, 5), (2, 8), (3, 7), (4, 9)):
        np.testing.assert_array_equal(crops[place], crops[mirrored])


# --- Whole pictures


@pytest.mark.row("B-06")
@pytest.mark.parametrize(
    ("size", "scaled"), [((375, 500), (341, 256)), ((500, 375), (256, 341)), ((30, 30), (256, 256))]
)
def test_a_whole_picture_is_scaled_and_not_cut(size, scaled):
    picture = noise(*size)
    whole, mirrored = whole_picture(picture, ALEXNET)
    expected = np.asarray(Image.fromarray(picture).resize(scaled, Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(mirrored, expected[:, :, ::-1])


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    picture=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    margin=st.none() | st.integers(0, 20),
)
def test_the_single_view_is_a_part_of_the_whole_picture(size, picture, margin):
    height, width = size
    resize = None if margin is None else max(size) + margin
    preprocess = Preprocess(channels=1, height=height, width=width, resize=resize, interpolation="nearest")
    whole = whole_picture(noise(*picture, 1), preprocess)[0]
    assert whole.shape[1] >= height and whole.shape[2] >= width
    assert resize is None or min(whole.shape[1:]) == resize
    assert min(whole.shape[1] - height, whole.shape[2] - width) == 0 or resize is not None


def test_a_whole_picture_of_the_size_of_a_view_is_the_view():
    preprocess = Preprocess(channels=3, height=40, width=40)
    picture = noise(40, 40)
    np.testing.assert_array_equal(whole_picture(picture, preprocess)[0], preprocess(picture))


# --- What is refused


@pytest.mark.parametrize(("name", "nearest"), [("tencrop", '"ten-crop"'), ("Dense", '"dense"'), ("singel", '"single"')])
def test_an_unknown_name_suggests_the_nearest(name, nearest):
    with pytest.raises(
        UsageError, match=f"expected one of single, ten-crop, dense, got '{name}'. Did you mean {nearest}"
    ):
        named_views(name)
    assert [named_views(known) for known in DESCRIBED] == ["single", "ten-crop", "dense"]


@pytest.mark.parametrize("fit", ["pad", "stretch"])
@pytest.mark.parametrize("cut", [ten_crops, whole_picture])
def test_a_preprocess_that_shows_all_of_the_picture_leaves_no_other_view(cut, fit):
    with pytest.raises(UsageError, match=rf'sees all of each picture already \(fit="{fit}"\).*--fit crop'):
        cut(noise(40, 40), Preprocess(channels=3, height=32, width=32, fit=fit))


def test_a_picture_too_long_for_any_memory_is_named_and_ten_crops_take_it():
    picture = np.zeros((1, 100_000, 3), np.uint8)
    with pytest.raises(DataError, match=r"wide\.png: 100000 x 1 pixels become 25600000 x 256 .* or use ten crops"):
        whole_picture(picture, ALEXNET, "wide.png")
    assert ten_crops(picture, ALEXNET).shape == (10, 3, 224, 224)

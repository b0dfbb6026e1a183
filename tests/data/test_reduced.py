"""A JPEG that is reduced while it is decoded, against the same one decoded whole."""

import dataclasses
import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.many_files import photograph_files
from numpy.typing import NDArray
from PIL import Image

from convatlas.data.pictures import Decoded, decode, decode_image
from convatlas.data.preprocess import (
    LARGEST_DIFFERENCE,
    MARGIN,
    MEAN_DIFFERENCE,
    NARROWEST,
    PROBABILITY_DIFFERENCE,
    Preprocess,
)
from convatlas.engine.predict.predictor import Predictor
from convatlas.errors import PictureError

FILES = photograph_files()


@cache
def photograph(file: Path) -> Image.Image:
    return Image.open(file).convert("RGB")


def jpeg(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **{"quality": 90, **options})
    return file.getvalue()


def just_enough(image: Image.Image, **changes: Any) -> Preprocess:
    """The largest picture of a network for which this one may still be halved: the worst case."""
    side = min(image.size) // (2 * MARGIN)
    return Preprocess(**({"channels": 3, "height": side * 7 // 8, "width": side * 7 // 8, "resize": side} | changes))


def differences(content: bytes, preprocess: Preprocess) -> tuple[float, float]:
    """The mean and the largest absolute difference of pixels, having made sure that the picture was reduced."""
    reduced = decode_image(content, reduction=preprocess.reduction)
    assert reduced.image.width < reduced.size[0]
    apart = np.abs(preprocess.fitted(reduced).astype(int) - preprocess(decode(content)))
    return float(apart.mean()), float(apart.max())


def is_within(found: tuple[float, float]) -> bool:
    return found[0] <= MEAN_DIFFERENCE and found[1] <= LARGEST_DIFFERENCE


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("subsampling", [0, 2])
def test_photographs_stay_within_the_tolerance(file: Path, subsampling: int) -> None:
    image = photograph(file)
    assert is_within(differences(jpeg(image, subsampling=subsampling), just_enough(image)))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_every_fit_and_filter_at_every_factor(fit: str, interpolation: str, factor: int) -> None:
    image = photograph(FILES[0])
    side = min(image.size) // (factor * MARGIN)
    preprocess = Preprocess(channels=3, height=side, width=side, fit=fit, interpolation=interpolation)  # type: ignore[arg-type]
    content = jpeg(image)
    assert decode_image(content, reduction=preprocess.reduction).image.width == -(-image.width // factor)
    assert is_within(differences(content, preprocess))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sides_that_are_no_multiple_stay_in_place_whatever_the_camera_s_turn(orientation: int) -> None:
    """The last column and row of the reduced picture reach beyond it, and a turn brings them to another side."""
    image = photograph(FILES[1])
    image = image.crop((0, 0, image.width // 8 * 8 - 7, image.height // 8 * 8 - 5))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = jpeg(image, exif=exif)
    side = min(image.size) // 16
    preprocess = Preprocess(channels=3, height=side, width=side, fit="stretch")
    reduced = decode_image(content, reduction=preprocess.reduction)
    assert reduced.image.width < reduced.size[0] / 7
    assert reduced.size == decode(content).shape[1::-1]
    assert is_within(differences(content, preprocess))
    centre = dataclasses.replace(reduced, frame=(0, 0, *reduced.image.size))  # as if nothing reached beyond
    exact = preprocess(decode(content)).astype(int)
    apart = np.abs(preprocess.fitted(reduced) - exact).mean()
    assert apart < np.abs(preprocess.fitted(centre) - exact).mean()


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_half_a_pixel_beside_would_be_seen(shift: float) -> None:
    """The mutant: most photographs leave the tolerance when the frame lies half a reduced pixel off."""
    seen = 0
    for file in FILES:
        image = photograph(file)
        preprocess = just_enough(image)
        reduced = decode_image(jpeg(image), reduction=preprocess.reduction)
        left, top, right, bottom = reduced.frame
        beside = (max(0, left + shift), top, min(right + shift, reduced.image.width), bottom)
        moved = preprocess.fitted(dataclasses.replace(reduced, frame=beside)).astype(int)
        apart = np.abs(moved - preprocess(decode(jpeg(image))))
        seen += not is_within((float(apart.mean()), float(apart.max())))
    assert seen > len(FILES) / 2


def test_grey_cmyk_progressive_and_stereo_jpegs() -> None:
    image = photograph(FILES[0])
    other = photograph(FILES[1])
    contents = [
        jpeg(image.convert("L")),
        jpeg(image.convert("CMYK")),
        jpeg(image, progressive=True),
        jpeg(image, "MPO", save_all=True, append_images=[other]),
    ]
    for content in contents:
        assert is_within(differences(content, just_enough(image)))
        assert is_within(differences(content, just_enough(image, channels=1)))
    assert decode_image(contents[0], reduction=just_enough(image).reduction).image.mode == "L"


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "BMP", "GIF"])
def test_other_formats_are_decoded_whole(kind: str) -> None:
    file = io.BytesIO()
    photograph(FILES[0]).save(file, kind)
    whole = decode_image(file.getvalue(), reduction=lambda width, height: 8)
    assert whole.image.size == whole.size == photograph(FILES[0]).size
    np.testing.assert_array_equal(np.asarray(whole.image), decode(file.getvalue()))


def test_without_a_reduction_the_pixels_are_those_of_decode() -> None:
    image = photograph(FILES[0])
    whole: Decoded = decode_image(jpeg(image))
    assert whole.frame == (0, 0, *image.size)
    pixels: NDArray[np.uint8] = decode(jpeg(image))
    np.testing.assert_array_equal(np.asarray(whole.image), pixels)
    preprocess = Preprocess(channels=3, height=64, width=48, resize=70)
    np.testing.assert_array_equal(preprocess.fitted(whole), preprocess(pixels))


@pytest.mark.parametrize(
    ("size", "changes", "factor"),
    [
        ((4000, 3000), {}, 4),
        ((3000, 4000), {}, 4),
        ((2048, 2048), {}, 4),
        ((2047, 2047), {}, 2),
        ((500, 375), {}, 1),
        ((1024, 1024), {}, 2),
        ((1023, 5000), {}, 1),
        ((8000, 6000), {}, 8),
        ((80000, 60000), {}, 8),  # the decoder knows no more
        ((4000, 3000), {"interpolation": "nearest"}, 1),
        ((4000, 3000), {"fit": "stretch", "resize": None}, 4),  # 3000 / 448 is less than 8
        ((4000, 3000), {"fit": "pad", "resize": None}, 8),  # scaled to 224 x 168
        ((224, 224), {}, 1),
    ],
)
def test_the_factor(size: tuple[int, int], changes: dict[str, Any], factor: int) -> None:
    fields: dict[str, Any] = {"channels": 3, "height": 224, "width": 224, "resize": 256} | changes
    assert Preprocess(**fields).reduction(*size) == factor


def strip(short: int, long: int) -> Image.Image:
    random = np.random.default_rng(short)
    return Image.fromarray(random.integers(0, 256, (7, 7, 3), dtype=np.uint8)).resize((long, short))


@pytest.mark.row("J-01")
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("size", [224, 16])
@pytest.mark.parametrize(("short", "long"), [(9, 3000), (17, 8000), (40, 1500), (65, 1500)])
def test_strips_stay_within_the_tolerance(short: int, long: int, size: int, *, turned: bool) -> None:
    image = strip(short, long)
    if turned:
        image = image.transpose(Image.Transpose.TRANSPOSE)
    content = jpeg(image, quality=95)
    preprocess = Preprocess(channels=3, height=size, width=size, fit="pad")
    reduced = preprocess.fitted(decode_image(content, reduction=preprocess.reduction))
    apart = np.abs(reduced.astype(int) - preprocess(decode(content)))
    assert is_within((float(apart.mean()), float(apart.max())))


@pytest.mark.row("J-01")
def test_strips_are_reduced_from_the_narrowest_side_on() -> None:
    preprocess = Preprocess(channels=3, height=224, width=224, fit="pad")
    assert (round(50 * 224 / 1500), round(51 * 224 / 1500)) == (NARROWEST - 1, NARROWEST)
    assert (preprocess.reduction(1500, 50), preprocess.reduction(1500, 51)) == (1, 2)
    content = jpeg(strip(51, 1500), quality=95)
    assert is_within(differences(content, preprocess))


@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 15, 17])
def test_tiny_pictures_at_every_factor(width: int) -> None:
    content = jpeg(photograph(FILES[0]).resize((width, 9)))
    for factor in (1, 2, 4, 8):
        found = decode_image(content, reduction=lambda wide, high, factor=factor: factor)
        assert found.size == (width, 9)
        scale = found.frame[2] / width
        assert found.frame == (0, 0, width * scale, 9 * scale)
        assert found.image.size == (-(-width * scale // 1), -(-9 * scale // 1))


def test_a_truncated_picture_is_refused_all_the_same() -> None:
    content = jpeg(photograph(FILES[0]))
    with pytest.raises(PictureError, match="truncated"):
        decode_image(content[: len(content) // 2], "half", reduction=lambda width, height: 8)


@pytest.mark.row("J-04")
def test_probabilities_of_real_weights_hardly_change(lite0_cache: Path) -> None:
    (bundle,) = (lite0_cache / "bundles").iterdir()
    predictor, exact = Predictor(bundle, threads=1), Predictor(bundle, threads=1, exact=True)
    pictures = []
    for file in FILES[::3]:
        image = photograph(file)
        scale = 2 * MARGIN * 256 / min(image.size)
        pictures.append(jpeg(image.resize((round(image.width * scale) + 1, round(image.height * scale) + 1))))
    assert predictor.bundle.preprocess.reduction(1024, 1024) == 2
    apart = np.abs(predictor.probabilities(pictures) - exact.probabilities(pictures))
    assert 0 < apart.max() <= PROBABILITY_DIFFERENCE

import io
import pickle
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convatlas.data.pictures import MAX_PIXELS, PICTURE_SUFFIXES, decode, examine
from convatlas.errors import PictureError

COLOURS = np.zeros((8, 12, 3), np.uint8)  # left half red, right half blue, so that a turned picture is seen
COLOURS[:, :6, 0] = 255
COLOURS[:, 6:, 2] = 255
RAMP = np.arange(96, dtype=np.uint8).reshape(8, 12) * 2


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_formats_give_the_pixels_that_were_saved(kind: str) -> None:
    image = Image.fromarray(COLOURS)
    np.testing.assert_array_equal(decode(saved(image, kind)), COLOURS)


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95, "subsampling": 0}), ("WEBP", {"quality": 95})])
def test_lossy_formats_come_near(kind: str, options: dict[str, Any]) -> None:
    pixels = decode(saved(Image.fromarray(COLOURS), kind, **options)).astype(int)
    assert np.abs(pixels - COLOURS).mean() < 12


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])  # a GIF has a palette, so it is colour
def test_grey_stays_one_channel(kind: str) -> None:
    pixels = decode(saved(Image.fromarray(RAMP), kind))
    np.testing.assert_array_equal(pixels, RAMP[:, :, None])


def test_decoded_pixels_can_be_written_to() -> None:
    pixels = decode(saved(Image.fromarray(COLOURS), "PNG"))
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable


def test_one_bit_becomes_black_and_white() -> None:
    image = Image.fromarray(RAMP > 90)
    assert image.mode == "1"
    np.testing.assert_array_equal(decode(saved(image, "PNG"))[:, :, 0], np.where(RAMP > 90, 255, 0))


def test_palette_becomes_rgb() -> None:
    image = Image.fromarray(COLOURS).quantize(4)
    np.testing.assert_array_equal(decode(saved(image, "PNG")), COLOURS)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_transparent_palette_entry_becomes_white(kind: str) -> None:
    image = Image.fromarray(COLOURS).quantize(4)
    red = image.getpixel((0, 0))
    pixels = decode(saved(image, kind, transparency=red))
    assert (pixels[:, :6] == 255).all()
    assert (pixels[:, 6:] == (0, 0, 255)).all()


def test_transparency_is_composed_on_white() -> None:
    image = Image.new("RGBA", (2, 1))
    image.putpixel((0, 0), (0, 0, 0, 51))  # a fifth black over white: 255 * 4 / 5
    image.putpixel((1, 0), (10, 20, 30, 255))
    assert decode(saved(image, "PNG")).tolist() == [[[204, 204, 204], [10, 20, 30]]]


def test_grey_with_transparency_stays_grey_on_white() -> None:
    image = Image.new("LA", (2, 1))
    image.putpixel((0, 0), (0, 51))
    image.putpixel((1, 0), (77, 255))
    assert decode(saved(image, "PNG")).tolist() == [[[204], [77]]]


@pytest.mark.parametrize(("mode", "background"), [("L", 7), ("RGB", (1, 2, 3)), ("1", 0)])
def test_a_transparent_colour_becomes_white(mode: str, background: Any) -> None:
    image = Image.new(mode, (2, 1), background)
    image.putpixel((1, 0), 255 if mode != "RGB" else (200, 100, 50))
    pixels = decode(saved(image, "PNG", transparency=background))
    assert (pixels[0, 0] == 255).all()
    assert pixels[0, 1].tolist() == ([200, 100, 50] if mode == "RGB" else [255])


def test_sixteen_bit_png_loses_its_low_byte() -> None:
    values = np.array([[0, 255, 256, 0x1234, 65535]], ">u2")
    data = png(5, 1, depth=16, colour=0, rows=b"\0" + values.tobytes())
    assert decode(data)[0, :, 0].tolist() == [0, 0, 1, 0x12, 255]


def test_transparent_value_of_a_sixteen_bit_png_becomes_white() -> None:
    values = np.array([[0x1234, 0x1200]], ">u2")
    data = png(2, 1, depth=16, colour=0, rows=b"\0" + values.tobytes(), extra=png_chunk(b"tRNS", b"\x12\x34"))
    assert decode(data)[0, :, 0].tolist() == [255, 0x12]


def test_sixteen_bit_rgb_png_loses_its_low_byte() -> None:
    values = np.array([[0x1234, 0xFFFF, 0x00FF]], ">u2")
    assert decode(png(1, 1, depth=16, colour=2, rows=b"\0" + values.tobytes())).tolist() == [[[0x12, 0xFF, 0]]]


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bit_tiff(order: str) -> None:
    values = np.array([[0, 256, 65535]], order)
    assert decode(saved(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 1, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 100, 200]], np.float32), [0, 100, 200]),
        (np.array([[0, 511, 65535]], np.float32), [0, 1, 255]),
        (np.array([[-1, 0, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 1, 200]], np.int32), [0, 1, 200]),
        (np.array([[0, 511, 65535]], np.int32), [0, 1, 255]),
        (np.array([[-100, 0, 100]], np.int32), [0, 128, 255]),
        (np.array([[-5, -5, -5]], np.int32), [0, 0, 0]),
    ],
)
def test_deep_tiff_follows_the_rule_of_ranges(values: Any, expected: list[int]) -> None:
    assert decode(saved(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == expected


def test_nan_is_refused() -> None:
    with pytest.raises(PictureError, match="not finite"):
        decode(saved(Image.fromarray(np.array([[np.nan, 1]], np.float32)), "TIFF"))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind: str) -> None:
    pixels = decode(saved(Image.fromarray(COLOURS).convert("CMYK"), kind)).astype(int)
    assert pixels.shape == (8, 12, 3)
    assert np.abs(pixels - COLOURS).mean() < 12


def test_ycbcr_tiff_becomes_rgb() -> None:
    pixels = decode(saved(Image.fromarray(COLOURS).convert("YCbCr"), "TIFF")).astype(int)
    assert np.abs(pixels - COLOURS).max() <= 2


def test_lab_tiff_becomes_rgb() -> None:
    # CIE L*a*b* (D50) of sRGB red is 54.3, 80.8, 69.9; 8-bit TIFF holds L * 2.55 and signed a, b.
    data = saved(Image.frombytes("LAB", (1, 1), bytes([138, 81, 70])), "TIFF")
    assert data.endswith(bytes([138, 81, 70]))
    assert examine(data)[1].mode == "LAB"
    assert np.abs(decode(data).astype(int) - (255, 0, 0)).max() <= 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int, kind: str) -> None:
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :16] = 255  # the corner top left is white
    upright[:8, 16:] = 160
    # How a camera stores the upright picture under each orientation (EXIF 2.3, 4.6.4: what row 0 and column 0 are).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: upright.T[::-1],
        7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(np.ascontiguousarray(stored)).convert("RGB"), kind, exif=exif)
    pixels = decode(data)[:, :, 0].astype(int)
    assert pixels.shape == upright.shape
    assert np.abs(pixels - upright).mean() < 6


def test_damaged_exif_leaves_the_pixels_alone() -> None:
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\xff\xff\xff\xff" * 3
    pixels = decode(saved(Image.fromarray(COLOURS), "JPEG", exif=exif))
    assert pixels.shape == COLOURS.shape


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_used(kind: str) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    pixels, facts = examine(data)
    assert facts.animated
    assert (pixels == (255, 0, 0)).all()


def test_facts_of_a_still_picture() -> None:
    facts = examine(saved(Image.fromarray(RAMP), "JPEG"))[1]
    assert (facts.format, facts.mode, facts.animated) == ("JPEG", "L", False)


def test_content_decides_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(saved(Image.fromarray(COLOURS), "PNG"))
    np.testing.assert_array_equal(decode(path), COLOURS)
    assert examine(path)[1].format == "PNG"


def test_a_bomb_is_refused_by_its_header() -> None:
    data = png(60_000, 60_000, depth=8, colour=2, rows=b"\0")
    assert len(data) < 200
    with pytest.raises(PictureError, match="178,956,970 pixels"):
        decode(data, "bomb.png")


def test_just_below_the_limit_pillow_does_not_warn_and_just_above_it_is_refused() -> None:
    side = 13_377  # 13,377 squared is below the limit, 13,378 squared above
    assert side**2 <= MAX_PIXELS < (side + 1) ** 2
    with pytest.raises(PictureError, match="truncated"):
        decode(png(side, side, depth=1, colour=0, rows=b"\0"))
    with pytest.raises(PictureError, match="exhaust memory"):
        decode(png(side + 1, side + 1, depth=1, colour=0, rows=b"\0"))


def test_the_limit_does_not_depend_on_pillows_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(PictureError, match="178,956,970 pixels"):
        decode(png(60_000, 60_000, depth=8, colour=2, rows=b"\0"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_truncated_pictures_are_named(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise), kind)
    for share in (0.02, 0.3, 0.6):
        with pytest.raises(PictureError) as caught:
            decode(data[: int(len(data) * share)], "half.bin")
        assert caught.value.picture == "half.bin"
        assert str(caught.value).startswith("half.bin: ")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP"])
def test_damaged_pictures_decode_or_raise_picture_error(kind: str) -> None:
    chance = np.random.default_rng(1)
    data = saved(Image.fromarray(COLOURS), kind)
    for _ in range(150):
        damaged = bytearray(data)
        for position in chance.integers(0, len(data), 4):
            damaged[position] = chance.integers(256)
        try:
            pixels = decode(bytes(damaged))
        except PictureError:
            continue
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"not a picture at all, only text", "is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is not a picture"),  # Pillow would start another program for it
        (b"\xff\xd8\xff", "not a picture|damaged"),
    ],
)
def test_files_that_are_no_pictures(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "text.jpg"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=reason) as caught:
        decode(path)
    assert caught.value.picture == str(path)
    with pytest.raises(PictureError, match=reason):
        decode(content)


def test_missing_file_folder_and_impossible_path(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="there is no such file"):
        decode(tmp_path / "none.png")
    with pytest.raises(PictureError, match="is a folder"):
        decode(tmp_path)
    with pytest.raises(PictureError, match="cannot be read"):
        decode(Path("a\0b.png"))


def test_the_name_given_is_the_name_reported(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"^cat/1\.png: "):
        decode(tmp_path / "none.png", "cat/1.png")


def test_picture_error_survives_a_worker_process() -> None:
    with pytest.raises(PictureError) as caught:
        decode(b"", "empty.png")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value) == "empty.png: is empty (0 bytes)"


def test_threads_leave_the_warning_filters_as_they_were() -> None:
    data = saved(Image.fromarray(COLOURS), "PNG")
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [decode(data) for _ in range(30)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_suffixes_are_lower_case() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp"} == PICTURE_SUFFIXES


def test_the_data_room_imports_no_torch() -> None:
    code = (
        "import sys, convatlas.data.source, convatlas.data.check, convatlas.data.preprocess, "
        "convatlas.data.contact_sheet; convatlas.data.source.open_data('digits'); "
        "print(sorted({'torch', 'torchvision', 'pandas', 'matplotlib', 'mlxtend'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

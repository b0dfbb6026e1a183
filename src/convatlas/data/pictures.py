"""One picture, from a file or from bytes: whatever its format and mode, upright 8-bit grey or RGB pixels.

The content decides the format, never the suffix. Colour profiles are not applied, as in torchvision and timm.
"""

import contextlib
import io
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from convatlas.errors import PictureError
from convatlas.types import Pixels

SUFFIXES_OF_FORMAT = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
}
PICTURE_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES_OF_FORMAT.values() for suffix in suffixes)

# Where Pillow itself refuses by default (twice its Image.MAX_IMAGE_PIXELS): half a gigabyte of RGB. It stands here as
# a number so that no program that changes Pillow's setting changes what we accept, and so that Pillow's mere warning,
# from half of it on, need not be heeded.
MAX_PIXELS = 178_956_970

_BOMB = (
    f"claims more than {MAX_PIXELS:,} pixels and is not decoded: it may be made to exhaust memory; "
    "make it smaller if you trust it"
)
_REDUCIBLE = frozenset({"JPEG", "MPO"})
_GREY_MODES = frozenset({"1", "L", "LA", "La"})
_ORIENTATION_TAG = 0x0112
_TURN_UPRIGHT = {  # EXIF orientation -> what undoes it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPPING_TURNS = frozenset(
    {Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90}
)
_RIGHT_BECOMES_LEFT = frozenset(  # the stored picture's far end of what becomes the horizontal
    {
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.ROTATE_270,
        Image.Transpose.TRANSVERSE,
    }
)
_BOTTOM_BECOMES_TOP = frozenset(
    {Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE}
)


@dataclass(frozen=True, kw_only=True)
class PictureFacts:
    """What a picture's file holds: its real format ("JPEG"), Pillow's name of its mode ("RGB"), more than one frame."""

    format: str
    mode: str
    animated: bool


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A picture as Pillow holds it, perhaps with fewer pixels than its file says.

    image: upright, of mode "L" if it is grey, else "RGB". size: width and height of the whole picture, upright.
    frame: where the picture lies in `image`: left, top, right, bottom in pixels of `image`. A picture of 4001 pixels
    that is decoded at a quarter of its size fills 1000.25 of the 1001 columns.
    """

    image: Image.Image
    size: tuple[int, int]
    frame: tuple[float, float, float, float]


def decode(source: Path | bytes, name: str | None = None) -> Pixels:
    """Decode a JPEG, PNG, WebP, TIFF, GIF or BMP to pixels (H, W, 1) if it is grey, else (H, W, 3) RGB, uint8.

    The first frame of an animation is used; EXIF orientation is applied; transparency is composed on white; a palette
    becomes RGB. Depth: 16-bit values lose their low byte (`>> 8`). 32-bit integers and floats have no agreed white, so
    the first of the ranges 0..1 (floats only), 0..255, 0..65535 that holds all values is taken as black to white, and
    if none does, the picture's own minimum to maximum.

    `name` is what an error calls the picture; without it, its path. Raises PictureError for a picture that is missing,
    empty, truncated, of no known format, or larger than MAX_PIXELS (seen in its header, before memory is spent).
    """
    return examine(source, name)[0]


def examine(source: Path | bytes, name: str | None = None) -> tuple[Pixels, PictureFacts]:
    """Decode a picture as `decode` does, and say what its file holds."""
    with _named_refusals(source, name), _opened(source) as image:
        image.load()
        facts = _facts(image)
        return _pixels(_upright(image)), facts


def decode_image(
    source: Path | bytes, name: str | None = None, *, reduction: Callable[[int, int], int] | None = None
) -> Decoded:
    """Decode a picture as `decode` does, but leave the pixels with Pillow, which spares two copies of them.

    reduction: is given the whole picture's width and height, upright, and says by how much a JPEG may be reduced while
    it is decoded: 1, 2, 4 or 8 times. The decoder then computes no more pixels than those of the reduced picture, a
    third of the time for a picture of 12 megapixels. Other formats are decoded whole. None: so is every picture.
    Raises PictureError.
    """
    with _named_refusals(source, name), _opened(source) as image:
        across, down = image.size
        wide, high = float(across), float(down)
        if reduction is not None and image.format in _REDUCIBLE:
            swapped = _turn(image) in _SWAPPING_TURNS
            factor = reduction(down, across) if swapped else reduction(across, down)
            drafted = image.draft(None, (max(1, across // factor), max(1, down // factor)))
            # Where a side is no multiple of the factor, the last column or row reaches beyond the picture.
            _, (_, _, wide, high) = drafted or ("", (0, 0, wide, high))
        image.load()
        turn = _turn(image)
        upright = _grey_or_rgb(_upright(image))
        if turn in _SWAPPING_TURNS:
            across, down, wide, high = down, across, high, wide
        left = upright.width - wide if turn in _RIGHT_BECOMES_LEFT else 0
        top = upright.height - high if turn in _BOTTOM_BECOMES_TOP else 0
        return Decoded(image=upright, size=(across, down), frame=(left, top, left + wide, top + high))


def measure(source: Path | bytes, name: str | None = None) -> tuple[int, int]:
    """Width and height in pixels of the picture that `decode` gives, from its header alone; raises PictureError."""
    with _named_refusals(source, name), _opened(source) as image:
        # For a tag that may stand behind a PNG's pixels Pillow would decode them; there it is as good as never.
        known = image.format != "PNG" or "exif" in image.info
        turned = known and _turn(image) in _SWAPPING_TURNS
        return (image.height, image.width) if turned else (image.width, image.height)


def channels(source: Path | bytes, name: str | None = None) -> int:
    """How many channels the picture has that `decode` gives, 1 or 3, from its header alone; raises PictureError."""
    with _named_refusals(source, name), _opened(source) as image:
        return 1 if image.mode in _GREY_MODES or image.mode.startswith("I") or image.mode == "F" else 3


@contextlib.contextmanager
def _opened(source: Path | bytes) -> Iterator[Image.Image]:
    """The picture with its header read, its size allowed, its pixels not yet decoded."""
    with _open(source) as file, _PILLOW_QUIET, Image.open(file, formats=tuple(SUFFIXES_OF_FORMAT)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise _RefusedError(_BOMB)
        yield image


@contextlib.contextmanager
def _named_refusals(source: Path | bytes, name: str | None) -> Iterator[None]:
    """Whatever keeps a picture from being decoded, as a PictureError that names it."""
    if name is None:
        name = printable(source) if isinstance(source, Path) else "picture"
    try:
        yield
    except _RefusedError as refusal:
        raise PictureError(name, str(refusal)) from None
    except UnidentifiedImageError:
        known = ", ".join(SUFFIXES_OF_FORMAT)
        raise PictureError(name, f"is not a picture, or damaged at its start (expected one of {known})") from None
    except Image.DecompressionBombError:
        raise PictureError(name, _BOMB) from None
    except MemoryError:
        raise PictureError(name, "does not fit into memory") from None
    except Exception as error:  # a damaged file makes Pillow's decoders raise whatever they stumble upon
        raise PictureError(name, f"cannot be decoded, it is damaged or truncated ({error})") from error


def printable(path: Path | str) -> str:
    """A path, or a part of one, as text that is valid UTF-8 even where a file name is in another encoding."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


class _RefusedError(Exception):
    """A reason of our own not to decode."""


def _open(source: Path | bytes) -> BinaryIO:
    """The source as an open file; raises _RefusedError for what holds nothing to decode."""
    if isinstance(source, bytes):
        if not source:
            raise _RefusedError("is empty (0 bytes)")
        return io.BytesIO(source)
    try:
        status = source.stat()
        if stat.S_ISDIR(status.st_mode):
            raise _RefusedError("is a folder, not a picture")
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise _RefusedError("is not a regular file")
        if status.st_size == 0:
            raise _RefusedError("is empty (0 bytes)")
        return source.open("rb")
    except FileNotFoundError:
        raise _RefusedError("there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise _RefusedError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _facts(image: Image.Image) -> PictureFacts:
    if image.format == "MPO":  # a JPEG of a telephone or stereo camera, with previews behind the picture
        return PictureFacts(format="JPEG", mode=image.mode, animated=False)
    return PictureFacts(format=str(image.format), mode=image.mode, animated=bool(getattr(image, "is_animated", False)))


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What sets the picture upright."""
    try:
        return _TURN_UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF data says nothing about the pixels, which are sound
        return None


def _upright(image: Image.Image) -> Image.Image:
    turn = _turn(image)
    if turn is None:
        return image
    upright = image.transpose(turn)
    upright.format = image.format
    return upright


def _pixels(image: Image.Image) -> Pixels:
    pixels = np.array(_grey_or_rgb(image))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _grey_or_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(image))
    mode = "L" if image.mode in _GREY_MODES else "RGB"
    if image.mode == "LAB":
        image = _rgb_of_lab(image)
    elif image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        image = paper
    return image if image.mode == mode else image.convert(mode)


def _eight_bits(image: Image.Image) -> Pixels:
    """Pixels (H, W) of a picture of 16 or 32 bits a value, by the rule of `decode`."""
    values = np.asarray(image)
    if image.mode != "F" and (image.mode.startswith("I;16") or image.format == "PNG"):
        pixels = (values >> 8).astype(np.uint8)
        transparent = image.info.get("transparency")
        if isinstance(transparent, int):
            pixels[values == transparent] = 255
        return pixels
    if not np.isfinite(values).all():
        raise _RefusedError("holds values that are not finite (NaN or infinity)")
    low, high = float(values.min()), float(values.max())
    wide = values.astype(np.float64)
    if image.mode == "F" and low >= 0 and high <= 1:
        wide *= 255
    elif low >= 0 and high <= 65535:
        if high > 255:
            wide //= 256
    else:
        wide = (wide - low) * 255 / (high - low or 1)
    return np.rint(wide).astype(np.uint8)


def _rgb_of_lab(image: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), inMode="LAB", outMode="RGB"
    )
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None, "only a transform in place gives None"
    return converted


class _PillowQuiet:
    """Keeps Pillow's warnings about odd metadata from the user: a picture decodes, or it raises.

    Python's own `catch_warnings` is not made for threads: overlapping ones restore each other's filters and leave
    some behind. So the first thread to enter sets the filter, and the last to leave restores what was.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._saved.__exit__(kind, error, trace)


_PILLOW_QUIET = _PillowQuiet()

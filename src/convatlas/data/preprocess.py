"""Geometry: a picture of any size becomes the uint8 pixels that a network takes. No mean, no scale: the network's own.

The one object is stored in the bundle and used by validation, prediction, export and serving.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convatlas.data.pictures import MAX_PIXELS, Decoded
from convatlas.errors import BundleError, UsageError, did_you_mean
from convatlas.types import Pixels, check_pixels

Fit = Literal["crop", "pad", "stretch"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

_FILTERS: dict[Interpolation, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


MARGIN = 2  # of a reduced picture, in each direction, over what it is scaled to
NARROWEST = 8  # pixels of each side of what it is scaled to: in strips the decoder's last row weighs too much
# What reducing may change, as measured on photographs: pixels of 255 in a picture, and a class's probability.
MEAN_DIFFERENCE, LARGEST_DIFFERENCE, PROBABILITY_DIFFERENCE = 2.0, 22, 0.08


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Brings a picture to `channels` x `height` x `width`.

    fit: how a picture of another shape is made to fit.
        "crop": scaled until its shorter side is `resize` pixels (None: until it just covers height x width), then the
        centre is cut out. `resize` is at least height and width.
        "pad": scaled until its longer side is `resize` pixels (None: until it just fits), then centred on `fill`.
        `resize` is at most height and width.
        "stretch": scaled to height x width whatever its shape; `resize` is None.
    interpolation: Pillow's filter; shrinking averages over all pixels (antialias), except with "nearest".
    fill: grey value 0..255 of the padding.

    Raises UsageError, naming the field, for values that do not go together.
    """

    channels: Literal[1, 3]
    height: int
    width: int
    fit: Fit = "crop"
    resize: int | None = None
    interpolation: Interpolation = "bilinear"
    fill: int = 0

    def __post_init__(self) -> None:
        if not _is_int(self.channels) or self.channels not in (1, 3):
            raise UsageError(f"channels: expected 1 (grey) or 3 (RGB), got {self.channels!r}")
        for name, side in (("height", self.height), ("width", self.width)):
            if not _is_int(side) or side < 1:
                raise UsageError(f"{name}: expected a whole number of pixels from 1 on, got {side!r}")
        if self.height * self.width > MAX_PIXELS:
            raise UsageError(f"height, width: {self.height} x {self.width} is more than {MAX_PIXELS:,} pixels")
        _check_choice("fit", self.fit, get_args(Fit))
        _check_choice("interpolation", self.interpolation, get_args(Interpolation))
        if not _is_int(self.fill) or not 0 <= self.fill <= 255:
            raise UsageError(f"fill: expected a grey value 0..255, got {self.fill!r}")
        self._check_resize()

    def _check_resize(self) -> None:
        if self.resize is None:
            return
        if self.fit == "stretch":
            raise UsageError(f'resize: has no meaning with fit="stretch" and must be None, got {self.resize!r}')
        if not _is_int(self.resize) or self.resize < 1:
            raise UsageError(f"resize: expected a whole number of pixels from 1 on, or None, got {self.resize!r}")
        if self.fit == "crop" and not max(self.height, self.width) <= self.resize <= MAX_PIXELS:
            size = f"{self.height} x {self.width}"
            raise UsageError(f'resize: with fit="crop" at least the larger of {size} is needed, got {self.resize}')
        if self.fit == "pad" and self.resize > min(self.height, self.width):
            size = f"{self.height} x {self.width}"
            raise UsageError(f'resize: with fit="pad" at most the smaller of {size} fits, got {self.resize}')

    def __call__(self, picture: Pixels) -> NDArray[np.uint8]:
        """(H, W, 1 or 3) uint8 pixels -> a contiguous (channels, height, width) uint8 array.

        Colour becomes grey by the luma of ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B, as Pillow); grey becomes colour
        by repeating. A picture that already has the size keeps its pixels. Raises TypeError or ValueError for an array
        that is not a picture.
        """
        picture = check_pixels(picture)
        image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else np.ascontiguousarray(picture))
        return self.fitted(Decoded(image=image, size=image.size, frame=(0, 0, image.width, image.height)))

    def fitted(self, picture: Decoded) -> NDArray[np.uint8]:
        """As calling, of a picture that Pillow holds; a reduced one comes within what `reduction` says."""
        image = picture.image.convert("L") if self.channels == 1 else picture.image
        small = self._fit(image, picture.size, picture.frame)
        planes = np.empty(self.shape, np.uint8)
        pixels = np.asarray(small)
        planes[:] = pixels if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return planes

    def reduction(self, width: int, height: int) -> int:
        """By how much a JPEG of this size may be reduced while it is decoded: 8, 4, 2, or 1 for not at all.

        What is left has in each direction at least MARGIN times the pixels that it is then scaled to: the decoder's
        shrinking is not the filter's, and averaging over several pixels hides most of the difference. On photographs
        the pixels that the network takes differ from those of the whole picture by at most MEAN_DIFFERENCE on average
        over a picture and LARGEST_DIFFERENCE anywhere; with EfficientNet-Lite0's published weights no class's
        probability changes by more than PROBABILITY_DIFFERENCE. "nearest" takes single pixels, and so whole pictures;
        whole are strips, too, of which a side is scaled to less than NARROWEST pixels: they would differ by more.
        """
        wide, high = self._scaled(width, height)
        if self.interpolation == "nearest" or min(wide, high) < NARROWEST:
            return 1
        return next((each for each in (8, 4, 2) if width >= each * MARGIN * wide and height >= each * MARGIN * high), 1)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of what a picture becomes."""
        return self.channels, self.height, self.width

    def scaled_size(self, width: int, height: int) -> tuple[int, int]:
        """With fit="crop", the size (width, height) that a picture of this size is scaled to before it is cut."""
        if self.resize is not None:
            shorter = min(width, height)
            return self.resize * width // shorter, self.resize * height // shorter
        if width * self.height <= height * self.width:
            return self.width, max(self.height, self.width * height // width)
        return max(self.width, self.height * width // height), self.height

    def to_dict(self) -> dict[str, object]:
        """All fields by name, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Preprocess":
        """The object that `to_dict` described; raises BundleError for an unknown, missing or impossible field."""
        fields = [field.name for field in dataclasses.fields(cls)]
        for name in value:
            if name not in fields:
                raise BundleError(f"preprocess: unknown field {name!r}.{did_you_mean(str(name), fields)}")
        for name in fields:
            if name not in value:
                raise BundleError(f"preprocess: the field {name!r} is missing")
        try:
            return cls(**value)
        except UsageError as error:
            raise BundleError(f"preprocess: {error}") from error

    def _scaled(self, width: int, height: int) -> tuple[int, int]:
        """The size (width, height) that a whole picture of this size is scaled to."""
        match self.fit:
            case "crop":
                return self.scaled_size(width, height)
            case "pad":
                room_wide, room_high = (self.width, self.height) if self.resize is None else (self.resize, self.resize)
                scale = min(room_wide / width, room_high / height)
                return min(room_wide, max(1, round(width * scale))), min(room_high, max(1, round(height * scale)))
            case "stretch":
                return self.width, self.height

    def _fit(self, image: Image.Image, size: tuple[int, int], frame: tuple[float, float, float, float]) -> Image.Image:
        """The picture that lies in `frame` of the image and is `size` pixels wide and high when it is whole."""
        width, height = self._scaled(*size)
        if self.fit == "crop":
            return self._crop(image, frame, width, height)
        small = self._resized(image, width, height, frame)
        return self._padded(small) if self.fit == "pad" else small

    def _crop(
        self, image: Image.Image, frame: tuple[float, float, float, float], width: int, height: int
    ) -> Image.Image:
        # torchvision's Resize and CenterCrop, rounding included. Only what is kept is computed: scaled as a whole, a
        # picture of 1 x 100,000 pixels would fill the memory before it is cut.
        left, top = round((width - self.width) / 2), round((height - self.height) / 2)
        start, above, end, below = frame
        across, down = (end - start) / width, (below - above) / height
        right, bottom = start + (left + self.width) * across, above + (top + self.height) * down
        box = (start + left * across, above + top * down, min(right, end), min(bottom, below))  # rounding may pass it
        return self._resized(image, self.width, self.height, box)

    def _padded(self, small: Image.Image) -> Image.Image:
        if small.size == (self.width, self.height):
            return small
        fill = self.fill if small.mode == "L" else (self.fill,) * 3
        padded = Image.new(small.mode, (self.width, self.height), fill)
        padded.paste(small, ((self.width - small.width) // 2, (self.height - small.height) // 2))
        return padded

    def _resized(
        self, image: Image.Image, width: int, height: int, box: tuple[float, float, float, float]
    ) -> Image.Image:
        """The part `box` (left, top, right, bottom) of the picture at a new size; unscaled pixels stay as they are."""
        if (width, height) == (box[2] - box[0], box[3] - box[1]):
            return image.crop((round(box[0]), round(box[1]), round(box[2]), round(box[3])))
        return image.resize((width, height), _FILTERS[self.interpolation], box=box)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        hint = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise UsageError(f"{name}: expected one of {', '.join(choices)}, got {value!r}.{hint}")

"""Pictures small enough to stand inside an HTML file, as data: addresses."""

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from convatlas.types import Pixels, check_pixels

LONGEST_SIDE = 160  # pixels; a larger picture is reduced to it
TINY = 64  # up to here a picture is stored losslessly and its pixels are shown as squares


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A picture as the page shows it."""

    source: str  # a data: address, PNG for a tiny picture, JPEG otherwise
    width: int  # of the stored picture, pixels
    height: int
    tiny: bool


def thumbnail(pixels: Pixels) -> Thumbnail:
    """The picture, H x W x (1 or 3) uint8, its longer side at most LONGEST_SIDE pixels, its shape kept."""
    pixels = check_pixels(pixels)
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
    tiny = max(picture.size) <= TINY
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    stored = io.BytesIO()
    if tiny:
        picture.save(stored, format="PNG", optimize=True)
    else:
        picture.save(stored, format="JPEG", quality=85)
    kind = "png" if tiny else "jpeg"
    source = f"data:image/{kind};base64,{base64.b64encode(stored.getvalue()).decode('ascii')}"
    return Thumbnail(source=source, width=picture.width, height=picture.height, tiny=tiny)

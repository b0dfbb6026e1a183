"""What the digits stand on: parts of photographs and of textures that scikit-image carries, and patterns.

scikit-image (BSD-3-Clause) states of each of these pictures that it is in the public domain or CC0 (`skimage.data`). It
is found, never imported. All arithmetic is in whole numbers, so that a ground is the same everywhere.
Shapes: H x W pixels of the ground.
"""

import hashlib
import importlib.util
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convatlas.data.pictures import decode
from convatlas.data.scenes.chance import Chance
from convatlas.errors import DataError, MissingExtra
from convatlas.types import Pixels

Grey = NDArray[np.uint8]  # (H, W)

# The first 16 digits of the SHA-256 of the decoded pixels: with other ones scenes would be others, without a word.
_PHOTOGRAPHS = {
    "astronaut": "a8c429c18afa7b0f",
    "camera": "5cb24482a53416f9",
    "chelsea": "416b729128bfb2c3",
    "clock_motion": "ad313afa739ea86c",
    "coffee": "0ce2b51640b9c95f",
}
_TEXTURES = {"brick": "664a145c5253f0d6", "grass": "b18dae4c68bf850a", "gravel": "3d51ad45f789cd8b"}
_HALVINGS = 2  # a photograph is used at its own size, at half and at a quarter of it


def make_ground(chance: Chance, height: int, width: int) -> Pixels:
    """(H, W, 3) uint8: by chance a photograph, a texture in two colours or a pattern in two colours.

    Raises MissingExtra when scikit-image is not installed, DataError when its pictures are not the known ones.
    """
    match chance.whole(0, 3):
        case 0 | 1:
            name = chance.one_of(tuple(_PHOTOGRAPHS))
            return _part(_levels(name)[chance.whole(0, _HALVINGS)], chance, height, width)
        case 2:
            name = chance.one_of(tuple(_TEXTURES))
            texture = _part(_levels(name)[chance.whole(0, 1)], chance, height, width)
            return _in_two_colours(texture[:, :, 0], chance)
        case _:
            return _in_two_colours(chance.one_of(_PATTERNS)(chance, height, width), chance)


def _folder() -> Path:
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("the embedded scenes", "scenes")
    return Path(found.submodule_search_locations[0], "data")


@cache
def _levels(name: str) -> tuple[Pixels, ...]:
    """The picture (H', W', 3), at its own size and halved again and again."""
    path = _folder() / f"{name}.png"
    pixels = decode(path)
    digest = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()[:16]
    if digest != (_PHOTOGRAPHS | _TEXTURES)[name]:
        raise DataError(f"{path}: is not the picture that scikit-image 0.25 and 0.26 carry; install one of these")
    levels = [np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))]
    for _ in range(_HALVINGS):
        levels.append(_halved(levels[-1]))
    for level in levels:
        level.flags.writeable = False
    return tuple(levels)


def _halved(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
    even = pixels[:height, :width].astype(np.uint16)
    four = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return ((four + 2) // 4).astype(np.uint8)


def _part(pixels: Pixels, chance: Chance, height: int, width: int) -> Pixels:
    """A part of the picture, by chance mirrored; a picture that is too small is continued by its mirror images."""
    rows = _stretch(chance, height, pixels.shape[0])
    columns = _stretch(chance, width, pixels.shape[1])
    if chance.whole(0, 1):
        columns = columns[::-1]
    return pixels[rows[:, None], columns[None, :]]


def _stretch(chance: Chance, length: int, available: int) -> NDArray[np.int64]:
    start = chance.whole(0, max(0, available - length))
    places = (start + np.arange(length)) % (2 * available)
    return np.where(places < available, places, 2 * available - 1 - places)


def _in_two_colours(grey: Grey, chance: Chance) -> Pixels:
    """Black becomes one colour, white another."""
    dark, light = (np.array([chance.whole(0, 255) for _ in range(3)], np.int32) for _ in range(2))
    level = np.arange(256, dtype=np.int32)[:, None]
    colours: Pixels = ((dark * (255 - level) + light * level) // 255).astype(np.uint8)
    return colours[grey]


def _plain(chance: Chance, height: int, width: int) -> Grey:
    return np.full((height, width), chance.whole(0, 255), np.uint8)


def _gradient(chance: Chance, height: int, width: int) -> Grey:
    across, down = chance.whole(-8, 8), chance.whole(-8, 8)
    columns, rows = np.arange(width, dtype=np.int64), np.arange(height, dtype=np.int64)
    slope = across * columns[None, :] * height + down * rows[:, None] * width
    low, high = int(slope.min()), int(slope.max())
    return ((slope - low) * 255 // max(1, high - low)).astype(np.uint8)


def _stripes(chance: Chance, height: int, width: int) -> Grey:
    across, down = chance.whole(0, 4), chance.whole(0, 4)
    phase = across * np.arange(width)[None, :] + down * np.arange(height)[:, None]
    return np.where(phase // chance.whole(8, 48) % 2, 255, 0).astype(np.uint8)


def _chequers(chance: Chance, height: int, width: int) -> Grey:
    side = chance.whole(4, 32)
    fields = np.arange(width)[None, :] // side + np.arange(height)[:, None] // side
    return np.where(fields % 2, 255, 0).astype(np.uint8)


def _clouds(chance: Chance, height: int, width: int) -> Grey:
    """Values on a coarse net, and in between what lies between them."""
    meshes = chance.whole(2, 16)
    net = chance.grey(meshes + 1, meshes + 1).astype(np.int32)
    row, down = _between(height, meshes)
    column, across = _between(width, meshes)
    rows = net[row] * (256 - down)[:, None] + net[row + 1] * down[:, None]
    values: Grey = ((rows[:, column] * (256 - across) + rows[:, column + 1] * across) // 65536).astype(np.uint8)
    return values


def _between(length: int, meshes: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """For each pixel the mesh in which it lies, and how far into it, in 256ths."""
    place = np.arange(length, dtype=np.int32) * meshes * 256 // length
    return place >> 8, place & 255


def _grain(chance: Chance, height: int, width: int) -> Grey:
    return chance.grey(height, width)


_PATTERNS: tuple[Callable[[Chance, int, int], Grey], ...] = (_plain, _gradient, _stripes, _chequers, _clouds, _grain)

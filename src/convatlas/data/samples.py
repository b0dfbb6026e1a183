"""Single pictures of a data set as files: to look at, to try a model on."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from convatlas.data.picture_set import PictureSet
from convatlas.errors import DataError, PictureError, UsageError
from convatlas.files import new_folder
from convatlas.types import Failure


@dataclass(frozen=True, kw_only=True)
class Samples:
    """paths: the files that were written, in order. skipped: pictures that could not be read and were passed over."""

    paths: tuple[Path, ...]
    skipped: tuple[Failure, ...]


def write_samples(pictures: PictureSet, folder: str | Path, *, count: int = 10, seed: int = 0) -> Samples:
    """Write up to `count` pictures, classes in turn, as PNG files named NUMBER-CLASS.png into a new folder.

    For a picture that cannot be read the next one of its class is taken. The folder is written whole or not at all.
    Raises UsageError for a count below 1 and for a folder that holds other files, DataError when not one picture can be
    read, SaveError when the folder cannot be written.
    """
    if count < 1:
        raise UsageError(f"count: expected at least 1, got {count}")
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is not empty; name a new folder with --out")
    names: list[str] = []
    skipped: list[Failure] = []
    with new_folder(folder.resolve()) as temporary:
        for number, (place, picture) in enumerate(islice(_in_turn(pictures, seed, skipped), count)):
            names.append(f"{number:03}-{_label(pictures, place)}.png")
            picture.save(temporary / names[-1], "PNG")
        if not names:
            reason = f" ({skipped[0].source}: {skipped[0].reason})" if skipped else ""
            raise DataError(f"{pictures.origin}: not one of {len(pictures)} pictures can be read{reason}")
    return Samples(paths=tuple(folder / name for name in names), skipped=tuple(skipped))


def _in_turn(pictures: PictureSet, seed: int, skipped: list[Failure]) -> Iterator[tuple[int, Image.Image]]:
    """Places and pictures, one of each class, then another of each; in each class in a random order by the seed.

    Those without any class (multi-label) are a class of their own. What cannot be read is added to `skipped`.
    """
    waiting: list[deque[int]] = [deque() for _ in range(len(pictures.classes) + 1)]
    for place in np.random.default_rng(seed).permutation(len(pictures)).tolist():
        waiting[pictures.first_class(place)].append(place)
    while any(waiting):
        for places in waiting:
            found = _next_readable(pictures, places, skipped)
            if found is not None:
                yield found


def _next_readable(pictures: PictureSet, places: deque[int], skipped: list[Failure]) -> tuple[int, Image.Image] | None:
    """The first of `places` that can be read; what was tried is taken out, what failed is added to `skipped`."""
    while places:
        place = places.popleft()
        try:
            pixels = pictures.read(place)
        except PictureError as error:
            skipped.append(Failure(source=pictures.names[place], reason=error.reason))
            continue
        return place, Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return None


def _label(pictures: PictureSet, place: int) -> str:
    """The class as a part of a file name that every system accepts."""
    label = "+".join(pictures.labels(place)) or "none"
    return "".join(c if c.isalnum() or c in "-_+" else "_" for c in label)[:50]  # 50 characters are up to 200 bytes

"""Single pictures of a data set as files: to look at, to try a model on."""

from pathlib import Path

import numpy as np
from PIL import Image

from convatlas.data.picture_set import PictureSet
from convatlas.errors import UsageError
from convatlas.files import new_file


def write_samples(pictures: PictureSet, folder: Path, *, count: int = 10, seed: int = 0) -> list[Path]:
    """Write `count` pictures, classes in turn, as PNG files named NUMBER-CLASS.png; returns their paths.

    Raises UsageError for a count below 1 and for a folder that holds other files, PictureError for a picture that
    cannot be read.
    """
    if count < 1:
        raise UsageError(f"count: expected at least 1, got {count}")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is not empty; name a new folder with --out")
    paths = []
    for number, place in enumerate(_in_turn(pictures, count, seed)):
        picture = pictures.read(place)
        path = folder / f"{number:03}-{_label(pictures, place)}.png"
        with new_file(path) as temporary:
            Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture).save(temporary, "PNG")
        paths.append(path)
    return paths


def _in_turn(pictures: PictureSet, count: int, seed: int) -> list[int]:
    """Places of pictures, one of each class, then another of each; in each class a random order by the seed."""
    order = np.random.default_rng(seed).permutation(len(pictures))
    first = pictures.targets if not pictures.multilabel else pictures.targets.argmax(axis=1)
    turns = np.zeros(len(pictures), dtype=np.int64)
    for label in range(len(pictures.classes)):
        of_label = order[first[order] == label]
        turns[of_label] = np.arange(len(of_label))
    return [int(place) for place in np.lexsort((first, turns))[:count]]


def _label(pictures: PictureSet, place: int) -> str:
    """The class as a part of a file name that every system accepts."""
    if pictures.multilabel:
        label = "+".join(pictures.classes[k] for k in pictures.targets[place].nonzero()[0].tolist()) or "none"
    else:
        label = pictures.classes[int(pictures.targets[place])]
    return "".join(c if c.isalnum() or c in "-_+" else "_" for c in label)[:80]

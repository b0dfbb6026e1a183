"""Some pictures of a set with their objects drawn: as one sheet, and with words for those who cannot see it."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from PIL import Image

from convatlas.data.contact_sheet import Cell, check_numbers, sheet_of
from convatlas.data.detection.drawing import draw_objects
from convatlas.data.detection.object_set import ObjectSet
from convatlas.errors import PictureError, UsageError
from convatlas.types import Sample


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """One picture. picture: with its objects; None, with the reason, for one that cannot be drawn."""

    name: str
    picture: Image.Image | None
    reason: str
    sample: Sample
    words: str

    def __str__(self) -> str:
        """`val/17.jpg, 640 x 480 pixels: 3 objects: dog (2), cat (1)`, or why it is not drawn."""
        if self.picture is None:
            return f"{self.name}: {self.reason}"
        return f"{self.name}, {self.sample.width} x {self.sample.height} pixels: {self.words}"


def draw_some(objects: ObjectSet, *, count: int = 24, size: int = 384, seed: int = 0) -> tuple[Drawn, ...]:
    """Up to `count` pictures, chosen by `seed`, in the order of the set; each with a longer side of `size` pixels.

    Raises UsageError for numbers that make no drawing, or when there is no picture.
    """
    check_numbers(count=count, columns=1, size=size)
    if not len(objects):
        raise UsageError(f"{objects.origin}: there is no picture to show")
    by_chance = sorted(
        range(len(objects)), key=lambda index: hashlib.sha256(f"{seed}:{objects.names[index]}".encode()).digest()
    )
    return tuple(_drawn(objects, index, size) for index in sorted(by_chance[:count]))


def object_sheet(drawn: Sequence[Drawn], *, columns: int = 4, size: int = 384) -> Image.Image:
    """An RGB sheet of what `draw_some` drew at this size, `columns` in a row, with the pictures' names below.

    One that cannot be drawn is a crossed box. Raises UsageError for numbers that make no sheet.
    """
    check_numbers(count=len(drawn), columns=columns, size=size)
    cells = [Cell(picture=each.picture, caption=PurePosixPath(each.name).name) for each in drawn]
    return sheet_of(cells, columns=columns, size=size, letters=min(20, max(11, size // 24)))


def told_objects(sample: Sample, classes: Sequence[str]) -> str:
    """`3 objects: dog (2), cat (1)`, the most frequent class first; `no object`."""
    counts = Counter(sample.classes.tolist())
    if not counts:
        return "no object"
    parts = [f"{' '.join(classes[label].split())} ({count})" for label, count in counts.most_common()]
    return f"{len(sample)} {'object' if len(sample) == 1 else 'objects'}: {', '.join(parts)}"


def _drawn(objects: ObjectSet, index: int, size: int) -> Drawn:
    sample = objects.truth(index)
    picture, reason = None, ""
    try:
        picture = draw_objects(objects.read(index), sample, objects.classes, keypoints=objects.keypoints, size=size)
    except PictureError as error:
        reason = error.reason
    words = told_objects(sample, objects.classes)
    return Drawn(name=objects.names[index], picture=picture, reason=reason, sample=sample, words=words)

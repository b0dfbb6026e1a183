"""What every writer needs: names under which pictures are stored anywhere, and the pictures themselves."""

import re
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convatlas.data.detection.object_set import FileTruths, ObjectSet, SelectedTruths, Truths
from convatlas.data.detection.records import ObjectRecord
from convatlas.data.picture_set import FileReader, Reader, SelectionReader
from convatlas.data.pictures import PICTURE_SUFFIXES, SUFFIXES_OF_FORMAT, channels, examine, measure
from convatlas.errors import DataError
from convatlas.types import SPLITS, Sample, Split
from convatlas.types.polygons import Polygon

_UNSAFE = re.compile(r'[<>:"|?*/\\\x00-\x1f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # by Windows

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Export:
    """A set on its way into a folder.

    stems: the name of each picture there, without suffix; all distinct. progress: told after each picture how many are
    stored, and of how many. stored: their indices, in the order in which they were stored. lost: what the writer could
    not keep of so many objects, in words.
    """

    objects: ObjectSet
    stems: tuple[str, ...]
    folder: Path
    progress: Progress | None = None
    stored: list[int] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def parts(self) -> tuple[Split | None, ...]:
        """The parts that occur, train first; (None,) where there are none."""
        found = [split for split in SPLITS if split in self.objects.splits]
        return (*found, None) if None in self.objects.splits else tuple(found)

    def of_part(self, part: Split | None) -> list[int]:
        """The indices of the part's pictures."""
        return [index for index, split in enumerate(self.objects.splits) if split == part]

    def sample(self, index: int) -> Sample:
        """The objects of a picture."""
        return self.objects.truth(index)

    def polygons(self, index: int, row: int) -> tuple[Polygon, ...]:
        """Those that an object's mask was filled from, as its file has them; () where it has none, or is not known."""
        records = _records_of(self.objects.truth, index)
        outline = records[row].outline if records else None
        return outline if isinstance(outline, tuple) else ()

    def channels(self, index: int) -> int:
        """1 for a grey picture, else 3."""
        path = _file_of(self.objects.read, index)
        return channels(path, self.objects.names[index]) if path is not None else self.objects.read(index).shape[2]

    def put_picture(self, index: int, sample: Sample, folder: Path) -> str:
        """Store a picture in `folder`, a file as it is and other pixels as PNG; gives the name with its suffix.

        sample: its objects. Raises DataError for a picture that cannot be read, or that has not the size of the
        sample: a format that states parts of the picture would put its objects elsewhere.
        """
        folder.mkdir(parents=True, exist_ok=True)
        picture = self.objects.names[index]
        path = _file_of(self.objects.read, index)
        if path is not None:
            _check_size(picture, measure(path, picture), sample)
            name = self.stems[index] + _suffix(path, picture)
            shutil.copyfile(path, folder / name)
        else:
            name = self.stems[index] + ".png"
            pixels = self.objects.read(index)
            _check_size(picture, (pixels.shape[1], pixels.shape[0]), sample)
            image = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels))
            image.save(folder / name, "PNG")
        self.stored.append(index)
        if self.progress is not None:
            self.progress(len(self.stored), len(self.objects))
        return name


def plain_stems(names: Sequence[str]) -> tuple[str, ...]:
    """Names without folders and suffixes, safe on every system; where two would be equal, all keep their folders."""
    for form in (_last_part, _whole, _numbered):
        stems = tuple(form(name, index) for index, name in enumerate(names))
        if len({stem.lower() for stem in stems}) == len(stems):
            return stems
    raise AssertionError("numbered names are distinct")


def decimals(values: NDArray[np.float32]) -> list[Decimal]:
    """Numbers as their files wrote them: of all decimals that float32 holds as these, the shortest.

    What is reckoned with them has no digits of float32's own: 42.5 - 12.3 is 30.2, not 30.200000762939453.
    """
    return [Decimal(str(value)) for value in np.asarray(values, np.float32).ravel()]


def number(value: float | Decimal) -> float | int:
    """A number as JSON and XML should show it: whole where it is whole."""
    value = float(value)
    return int(value) if value.is_integer() else value


def _last_part(name: str, _: int) -> str:
    return _safe(PurePosixPath(name).stem)


def _whole(name: str, _: int) -> str:
    path = PurePosixPath(name).with_suffix("")
    return _safe("_".join(path.relative_to(path.anchor).parts))


def _numbered(name: str, index: int) -> str:
    return f"{index:06}_{_last_part(name, index)}"


def _safe(stem: str) -> str:
    plain = _UNSAFE.sub("_", stem).strip(". ") or "picture"
    return f"_{plain}" if _RESERVED.fullmatch(plain) else plain


def _suffix(path: Path, name: str) -> str:
    """How the stored file's name ends: as the picture's own, or where that is no picture's, as its content says."""
    suffix = path.suffix.lower()
    return suffix if suffix in PICTURE_SUFFIXES else SUFFIXES_OF_FORMAT[examine(path, name)[1].format][0]


def _check_size(name: str, size: tuple[int, int], sample: Sample) -> None:
    if size != (sample.width, sample.height):
        stated = f"{sample.width} x {sample.height}"
        raise DataError(f"{name}: has {size[0]} x {size[1]} pixels, but its annotations state {stated}")


def _records_of(truth: Truths, index: int) -> tuple[ObjectRecord, ...]:
    """The records behind a picture's objects, if files state them."""
    match truth:
        case SelectedTruths(truths, indices):
            return _records_of(truths, indices[index])
        case FileTruths(pictures):
            return pictures[index].objects
    return ()


def _file_of(read: Reader, index: int) -> Path | None:
    """The file behind a picture, if it is one."""
    match read:
        case SelectionReader(reader, indices):
            return _file_of(reader, int(indices[index]))
        case FileReader():
            return read.path(index)
    return None

"""IDX, the file format of MNIST: http://yann.lecun.com/exdb/mnist/ ("The IDX file format"), gzipped or not.

Two zero bytes, a type byte (8: unsigned bytes, the only one used for pictures), the number of dimensions, each
dimension as a big-endian 32-bit integer, then the values, the last dimension fastest.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from convatlas.data.picture_set import ArrayReader, PictureSet
from convatlas.data.pictures import printable
from convatlas.errors import DataError
from convatlas.types import Split

_UNSIGNED_BYTES = 0x08
_MAX_DIMENSIONS = 4
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_BEST = 1040  # deflate makes nothing smaller than a 1032nd part; a header that promises more is false
_PARTS: dict[Split, str] = {"train": "train", "test": "t10k"}


def has_idx_files(folder: Path) -> bool:
    """Whether a folder holds pictures under the names that MNIST gave them."""
    return any(_find(folder, f"{stem}-images", 3) is not None for stem in _PARTS.values())


def read_idx_folder(folder: Path) -> tuple[PictureSet, tuple[Split, ...]]:
    """The pictures of `train-images-idx3-ubyte` and, where there, `t10k-images-idx3-ubyte`, and the part of each.

    A `.` may stand before `idx`, `.gz` may follow, as in all copies of MNIST, Fashion-MNIST and KMNIST. The labels that
    train holds, in ascending order, are the classes. Raises DataError that names the file and what is wrong with it.
    """
    images: list[NDArray[np.uint8]] = []
    labels: list[NDArray[np.uint8]] = []
    names: list[str] = []
    given: list[Split] = []
    for split, stem in _PARTS.items():
        image_file, label_file = _find(folder, f"{stem}-images", 3), _find(folder, f"{stem}-labels", 1)
        if image_file is None and label_file is None and split == "test":
            continue
        if image_file is None or label_file is None:
            kind = f"{stem}-images-idx3-ubyte" if image_file is None else f"{stem}-labels-idx1-ubyte"
            raise DataError(f"{printable(folder)}: the file {kind} (or {kind}.gz) is missing")
        pictures, numbers = _read_pair(image_file, label_file)
        if images and images[0].shape[1:] != pictures.shape[1:]:
            sizes = f"{images[0].shape[1:]} and {pictures.shape[1:]}"
            raise DataError(f"{printable(image_file)}: train and test pictures differ in size: {sizes}")
        _check_known(numbers, labels, label_file)
        images.append(pictures)
        labels.append(numbers)
        names += [f"{stem}[{index}]" for index in range(len(pictures))]
        given += [split] * len(pictures)
    classes, targets = np.unique(np.concatenate(labels), return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"{printable(folder)}: all labels are {classes[0]}; two or more classes are needed")
    pictures_of_all = PictureSet(
        origin=printable(folder),
        classes=tuple(str(number) for number in classes),
        names=tuple(names),
        targets=targets.astype(np.int64),
        read=ArrayReader(np.concatenate(images)),
    )
    return pictures_of_all, tuple(given)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of one IDX file of unsigned bytes. The size that its header claims is checked before memory is spent.

    Raises DataError for a file that is missing, of another format or type, truncated, or longer than it should be.
    """
    name = printable(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            zipped = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if not zipped:
                return _read_values(file, name, room=size)
            with gzip.GzipFile(fileobj=file) as unzipped:
                return _read_values(unzipped, name, room=size * _GZIP_BEST)
    except EOFError:
        raise DataError(f"{name}: is truncated (the gzip stream does not end)") from None
    except (OSError, zlib.error) as error:  # gzip's own BadGzipFile is an OSError
        raise DataError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _read_values(file: "BinaryIO | gzip.GzipFile", name: str, *, room: int) -> NDArray[np.uint8]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or not 1 <= magic[3] <= _MAX_DIMENSIONS:
        raise DataError(f"{name}: is not an IDX file (expected two zero bytes, a type and a number of dimensions)")
    if magic[2] != _UNSIGNED_BYTES:
        raise DataError(f"{name}: holds values of IDX type 0x{magic[2]:02x}; only unsigned bytes (0x08) are read")
    dimensions = file.read(4 * magic[3])
    if len(dimensions) < 4 * magic[3]:
        raise DataError(f"{name}: is truncated within its header")
    shape = struct.unpack(f">{magic[3]}I", dimensions)
    count = math.prod(shape)
    promise = f"its header promises {' x '.join(map(str, shape))} = {count:,} bytes"
    if count > room:
        raise DataError(f"{name}: is truncated: {promise}, the file cannot hold them")
    values = file.read(count + 1)
    if len(values) != count:
        state = "is truncated" if len(values) < count else "is too long"
        raise DataError(f"{name}: {state}: {promise}, it holds {'more' if len(values) > count else f'{len(values):,}'}")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _read_pair(image_file: Path, label_file: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    pictures, labels = read_idx(image_file), read_idx(label_file)
    if pictures.ndim != 3 or 0 in pictures.shape:
        shape = " x ".join(map(str, pictures.shape))
        raise DataError(f"{printable(image_file)}: expected pictures x height x width, none of them 0, got {shape}")
    if labels.ndim != 1:
        raise DataError(f"{printable(label_file)}: expected one dimension of labels, got {labels.ndim}")
    if len(pictures) != len(labels):
        raise DataError(
            f"{printable(label_file)}: holds {len(labels):,} labels, but {image_file.name} {len(pictures):,} pictures"
        )
    return pictures, labels


def _check_known(numbers: NDArray[np.uint8], earlier: list[NDArray[np.uint8]], label_file: Path) -> None:
    if not earlier:
        return
    unknown = np.flatnonzero(~np.isin(numbers, earlier[0]))
    if unknown.size:
        first = unknown[0]
        raise DataError(
            f"{printable(label_file)}: label {numbers[first]} at position {first} is not among the training labels"
        )


def _find(folder: Path, stem: str, dimensions: int) -> Path | None:
    for ending in (f"-idx{dimensions}-ubyte", f".idx{dimensions}-ubyte"):
        for suffix in ("", ".gz"):
            path = folder / f"{stem}{ending}{suffix}"
            if path.is_file():
                return path
    return None

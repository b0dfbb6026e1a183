"""Labelled pictures, read one at a time: what every source of data becomes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convatlas.data.pictures import decode
from convatlas.types import Pixels, Split


class Reader(Protocol):
    """Gives the pixels of the picture at an index. It is pickled to worker processes, so it holds plain data."""

    def __call__(self, index: int) -> Pixels:
        """Pixels (H, W, 1 or 3) uint8; raises PictureError for a picture that cannot be decoded."""
        ...


@dataclass(frozen=True)
class FileReader:
    """Decodes the file at an index.

    files: what follows `prefix` in the path of each; text, which is a fifth of what a million `Path` hold.
    """

    files: tuple[str, ...]
    prefix: str = ""

    def __call__(self, index: int) -> Pixels:
        """Pixels (H, W, 1 or 3) uint8; raises PictureError."""
        return decode(self.path(index))

    def path(self, index: int) -> Path:
        """Where the picture at an index lies."""
        return Path(self.prefix + self.files[index])


@dataclass(frozen=True, eq=False)
class ArrayReader:
    """Pictures that lie in memory: (N, H, W), (N, H, W, 1) or (N, H, W, 3) uint8."""

    array: NDArray[np.uint8]

    def __post_init__(self) -> None:
        shape = self.array.shape
        if self.array.dtype != np.uint8 or not (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))):
            raise ValueError(f"expected uint8 (N, H, W) or (N, H, W, 1 or 3), got {self.array.dtype} {shape}")

    def __call__(self, index: int) -> Pixels:
        """Pixels (H, W, 1 or 3) uint8, a view into the array."""
        picture: Pixels = self.array[index]
        return picture[:, :, None] if picture.ndim == 2 else picture


@dataclass(frozen=True, eq=False)
class SelectionReader:
    """Some pictures of another reader, in an order of their own."""

    reader: Reader
    indices: NDArray[np.int64]

    def __call__(self, index: int) -> Pixels:
        """Pixels (H, W, 1 or 3) uint8; raises what the other reader raises."""
        return self.reader(int(self.indices[index]))


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureSet:
    """N named, labelled pictures of K classes.

    origin: what the user named: a path, or "digits".
    classes: K names; a target is an index into them.
    names: N distinct names, stable from run to run: POSIX paths relative to the origin, or "digits[17]".
    targets: (N,) int64 class indices, or, when a picture has any number of classes, (N, K) uint8 of 0 and 1.
    read: gives the pixels of picture 0 .. N-1.

    Raises ValueError when these do not fit together.
    """

    origin: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    targets: NDArray[Any]
    read: Reader

    def __post_init__(self) -> None:
        count, shape = len(self.names), self.targets.shape
        if len(set(self.classes)) != len(self.classes) or not self.classes:
            raise ValueError(f"{self.origin}: expected distinct class names, at least one, got {self.classes}")
        if len(set(self.names)) != count:
            raise ValueError(f"{self.origin}: a picture is named twice")
        if self.multilabel:
            if self.targets.dtype != np.uint8 or shape != (count, len(self.classes)):
                expected = f"uint8 ({count}, {len(self.classes)})"
                raise ValueError(f"{self.origin}: expected targets {expected}, got {self.targets.dtype} {shape}")
            limit = 1
        else:
            if self.targets.dtype != np.int64 or shape != (count,):
                raise ValueError(f"{self.origin}: expected targets int64 ({count},), got {self.targets.dtype} {shape}")
            limit = len(self.classes) - 1
        if self.targets.size and not 0 <= self.targets.min() <= self.targets.max() <= limit:
            raise ValueError(f"{self.origin}: targets lie outside of 0..{limit}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def multilabel(self) -> bool:
        """Whether a picture may have several classes, or none."""
        return self.targets.ndim == 2

    def take(self, indices: "Sequence[int] | NDArray[np.int64]") -> "PictureSet":
        """The pictures at these indices (0 .. N-1), in this order; the reader is shared, not copied."""
        chosen = np.asarray(indices)
        if chosen.size == 0:
            chosen = chosen.astype(np.int64)
        if chosen.ndim != 1 or not np.issubdtype(chosen.dtype, np.integer):
            raise ValueError(f"expected a sequence of indices, got {chosen.dtype} {chosen.shape}")
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(self):
            raise IndexError(f"expected indices 0..{len(self) - 1}, got {chosen.min()}..{chosen.max()}")
        chosen = chosen.astype(np.int64)
        if isinstance(self.read, SelectionReader):
            read = SelectionReader(self.read.reader, self.read.indices[chosen])
        else:
            read = SelectionReader(self.read, chosen)
        return PictureSet(
            origin=self.origin,
            classes=self.classes,
            names=tuple([self.names[i] for i in chosen.tolist()]),
            targets=self.targets[chosen],
            read=read,
        )

    def labels(self, index: int) -> tuple[str, ...]:
        """The class names of a picture: one, or, multi-label, any number in the order of the classes."""
        if self.multilabel:
            return tuple(self.classes[label] for label in np.flatnonzero(self.targets[index]))
        return (self.classes[int(self.targets[index])],)

    def first_class(self, index: int) -> int:
        """The class that a picture counts under where only one can: its first; K for one without any (multi-label)."""
        if not self.multilabel:
            return int(self.targets[index])
        labels = np.flatnonzero(self.targets[index])
        return int(labels[0]) if labels.size else len(self.classes)

    def counts(self) -> NDArray[np.int64]:
        """(K,): how many pictures each class has."""
        if self.multilabel:
            return np.asarray(self.targets.sum(axis=0, dtype=np.int64))
        return np.bincount(self.targets, minlength=len(self.classes)).astype(np.int64)


@dataclass(frozen=True, kw_only=True)
class DataSplits:
    """One data set in its parts, and one sentence that says how they were made. All parts have the same classes.

    given: the parts that the source itself gives; the others were split off by seed. warnings: what makes a score on
    these parts doubtful, in words for the user.
    """

    train: PictureSet
    val: PictureSet
    test: PictureSet | None
    how: str
    given: tuple[Split, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if any(part is not None and part.classes != self.train.classes for part in (self.val, self.test)):
            raise ValueError("the parts of a data set must have the same classes, in the same order")

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, which targets index."""
        return self.train.classes

"""Pictures with their objects, read one at a time: what every source of annotations becomes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from convatlas.data.detection.records import Format, KeypointPlan, PictureRecord, sample_of
from convatlas.data.picture_set import FileReader, PictureSet, Reader, SelectionReader
from convatlas.types import Sample, Split


class Truths(Protocol):
    """Gives the objects of the picture at an index. It is pickled to worker processes, so it holds plain data."""

    def __call__(self, index: int) -> Sample:
        """The objects, in pixels of the picture as it is read."""
        ...


class Captions(Protocol):
    """Gives what the picture at an index shows, in words; pickled as `Truths` is."""

    def __call__(self, index: int) -> tuple[str, ...]:
        """The captions, each a sentence."""
        ...


@dataclass(frozen=True)
class FileTruths:
    """The objects that files state, polygons filled when they are asked for."""

    pictures: tuple[PictureRecord, ...]
    points: int

    def __call__(self, index: int) -> Sample:
        """The objects of picture 0 .. N-1."""
        return sample_of(self.pictures[index], self.points)


@dataclass(frozen=True)
class SelectedTruths:
    """Some pictures' objects of another source, in an order of their own."""

    truths: Truths
    indices: tuple[int, ...]

    def __call__(self, index: int) -> Sample:
        """The objects of picture 0 .. N-1 of the selection."""
        return self.truths(self.indices[index])


@dataclass(frozen=True)
class SelectedCaptions:
    """Some pictures' captions of another source, in an order of their own."""

    captions: Captions
    indices: tuple[int, ...]

    def __call__(self, index: int) -> tuple[str, ...]:
        """The captions of picture 0 .. N-1 of the selection."""
        return self.captions(self.indices[index])


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectSet:
    """N named pictures with objects of K classes.

    origin: what the user named. format: what it is written in. classes: K names, which `Sample.classes` index.
    names: N distinct names, stable from run to run. splits: the part of each picture, None where the source has none.
    read: gives the pixels of picture 0 .. N-1. truth: gives its objects, a `Sample` of the same name.
    keypoints: what an object's P points are. warnings: what was passed over or mended in reading, in words for the
    user. captions: gives what picture 0 .. N-1 shows, in words, where the source says it.

    Raises ValueError when these do not fit together.
    """

    origin: str
    format: Format
    classes: tuple[str, ...]
    names: tuple[str, ...]
    splits: tuple[Split | None, ...]
    read: Reader
    truth: Truths
    keypoints: KeypointPlan = field(default_factory=KeypointPlan)
    warnings: tuple[str, ...] = ()
    captions: Captions | None = None

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"{self.origin}: expected distinct class names, at least one, got {self.classes}")
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"{self.origin}: a picture is named twice")
        if len(self.splits) != len(self.names):
            raise ValueError(f"{self.origin}: expected the part of each of {len(self.names)} pictures")

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Sequence[int]) -> "ObjectSet":
        """The pictures at these indices (0 .. N-1), in this order; what reads them is shared, not copied."""
        chosen = tuple(int(index) for index in indices)
        if chosen and not 0 <= min(chosen) <= max(chosen) < len(self):
            raise IndexError(f"expected indices 0..{len(self) - 1}, got {min(chosen)}..{max(chosen)}")
        return ObjectSet(
            origin=self.origin,
            format=self.format,
            classes=self.classes,
            names=tuple(self.names[index] for index in chosen),
            splits=tuple(self.splits[index] for index in chosen),
            read=SelectionReader(self.read, np.array(chosen, np.int64)),
            truth=SelectedTruths(self.truth, chosen),
            keypoints=self.keypoints,
            warnings=self.warnings,
            captions=SelectedCaptions(self.captions, chosen) if self.captions is not None else None,
        )

    def part(self, split: Split) -> "ObjectSet":
        """The pictures of one part; empty where the source has no such part."""
        return self.take([index for index, each in enumerate(self.splits) if each == split])


def object_set(
    *,
    origin: str,
    format: Format,  # noqa: A002  # the command line's and the user's word
    classes: tuple[str, ...],
    pictures: tuple[PictureRecord, ...],
    keypoints: KeypointPlan,
    warnings: tuple[str, ...] = (),
) -> ObjectSet:
    """The set of pictures that files state."""
    return ObjectSet(
        origin=origin,
        format=format,
        classes=classes,
        names=tuple(picture.name for picture in pictures),
        splits=tuple(picture.split for picture in pictures),
        read=FileReader(tuple(str(picture.path) for picture in pictures)),
        truth=FileTruths(pictures, len(keypoints.names)),
        keypoints=keypoints,
        warnings=warnings,
    )


def picture_set(pictures: Sequence[PictureRecord], origin: str) -> PictureSet:
    """The pictures alone, all of one class: for what looks at files and pixels only."""
    return PictureSet(
        origin=origin,
        classes=("picture",),
        names=tuple(picture.name for picture in pictures),
        targets=np.zeros(len(pictures), np.int64),
        read=FileReader(tuple(str(picture.path) for picture in pictures)),
    )

"""What passes between rooms: frozen records, checked when they are made. NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convatlas.types.detections import Detections
from convatlas.types.rle import Rle
from convatlas.types.sample import Boxes, Sample

__all__ = [
    "SPLITS",
    "Boxes",
    "Classification",
    "Detections",
    "EpochRow",
    "Failure",
    "Pixels",
    "Rle",
    "Sample",
    "Scored",
    "Split",
    "best_epoch",
    "check_pixels",
    "last_gain",
]

Pixels = NDArray[np.uint8]  # one picture, H x W x C, C = 1 (grey) or 3 (RGB), values 0..255
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A class and how probable it is, 0..1."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True, kw_only=True)
class Classification:
    """What a classifier says of one picture: its best classes, the most probable first.

    `labels` is empty only for a multi-label answer in which no class reached the threshold. `certain` is False when
    the threshold was not reached, so that a caller can send the picture to a person: with one label a picture, when the
    best class stays below it (without a threshold it is always True); multi-label, when no class reaches it.
    """

    source: str
    labels: tuple[Scored, ...]
    certain: bool = True

    @property
    def top(self) -> Scored | None:
        """The most probable class; None when there is no label."""
        return self.labels[0] if self.labels else None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A picture that could not be answered, and why; the others of its batch were."""

    source: str
    reason: str

    @property
    def top(self) -> None:
        """None, so that answers and failures can be asked alike: `answer.top` is the best class where there is one."""
        return None


@dataclass(frozen=True, kw_only=True)
class EpochRow:
    """What one epoch gave. Losses are means over the pictures; val_score is 0..1; seconds count training alone.

    val_loss_error: the standard error of val_loss, which is a mean over the validation pictures.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    val_loss: float
    val_loss_error: float
    val_score: float
    seconds: float
    images_per_second: float


def best_epoch(history: Sequence[EpochRow]) -> EpochRow:
    """The epoch whose weights are kept: the last one whose validation loss is the smallest so far, or larger by no more
    than the standard error of that.

    On a few hundred pictures loss and score go up and down by chance, and the smallest loss is as often as not luck.
    """
    kept = smallest = history[0]
    for row in history[1:]:
        if row.val_loss < smallest.val_loss:
            smallest = row
        if row.val_loss <= smallest.val_loss + smallest.val_loss_error:
            kept = row
    return kept


def last_gain(history: Sequence[EpochRow]) -> EpochRow:
    """The epoch that first had the highest validation score: since then nothing was gained."""
    return max(history, key=lambda row: row.val_score)


def check_pixels(picture: Pixels, name: str = "picture") -> Pixels:
    """The picture itself, H x W x 1 or H x W x 3 uint8; a grey H x W array gains its channel axis.

    Raises TypeError or ValueError that names what came instead.
    """
    if picture.dtype != np.uint8:
        raise TypeError(f"{name}: expected uint8 values 0..255, got {picture.dtype}")
    if picture.ndim == 2:
        picture = picture[:, :, None]
    if picture.ndim != 3 or picture.shape[2] not in (1, 3) or 0 in picture.shape:
        raise ValueError(f"{name}: expected height x width x (1 or 3), got {' x '.join(map(str, picture.shape))}")
    return picture

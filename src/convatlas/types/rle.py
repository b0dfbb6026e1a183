"""Masks as run lengths, the way COCO writes them: runs of pixels down the columns, outside and inside in turn.

Format: https://cocodataset.org/#format-data, 1. Object Detection ("counts", "size"); the compressed string is defined
by the comments of the COCO API, https://github.com/cocodataset/cocoapi (`common/maskApi.h`, `rleToString`): each run
from the fourth on is written as its difference to the run two before it, as a signed number in groups of five bits,
lowest first, a sixth bit saying that more follow, each group a character from "0" on.
Shapes: H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError
from convatlas.types.arrays import read_only

_FIRST_CHARACTER = 48  # "0"
_MORE, _SIGN, _BITS = 32, 16, 5
_LONGEST = 7  # groups of a number: 35 bits, beyond any picture


@dataclass(frozen=True, kw_only=True, eq=False)
class Rle:
    """A mask of H x W pixels.

    counts: (R,) int64, runs of pixels down column 0, then column 1, and so on; the first run is outside (0 long when
    the first pixel is inside), the next inside, in turn. They add up to H * W.

    Raises UsageError that says what does not fit.
    """

    height: int
    width: int
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise UsageError(f"size: expected 1 x 1 pixels or more, got {self.height} x {self.width}")
        counts = self.counts
        if counts.ndim != 1 or counts.dtype != np.int64:
            raise UsageError(f"counts: expected one row of int64, got {counts.dtype} {counts.shape}")
        if counts.size and counts.min() < 0:
            raise UsageError(f"counts: run {int(np.argmin(counts))} is negative ({int(counts.min())})")
        expected = self.height * self.width
        if counts.size and counts.max() > expected:  # looked at apart, for sums of such runs may wrap around
            raise UsageError(f"counts: run {int(np.argmax(counts))} is longer than the {expected:,} pixels of the mask")
        total = int(counts.sum())
        if total != expected:
            raise UsageError(
                f"counts: add up to {total:,} pixels; {self.height} x {self.width} are {expected:,} (height x width)"
            )
        object.__setattr__(self, "counts", read_only(counts))

    @property
    def area(self) -> int:
        """How many pixels lie inside."""
        return int(self.counts[1::2].sum())

    def bounds(self) -> tuple[int, int, int, int] | None:
        """The smallest box (x1, y1, x2, y2) around the pixels inside, x2 and y2 exclusive; None when there are none."""
        starts, ends = self.runs()
        if not starts.size:
            return None
        first_columns, last_columns = starts // self.height, (ends - 1) // self.height
        tops, bottoms = starts % self.height, (ends - 1) % self.height
        over_columns = first_columns != last_columns  # such a run reaches the bottom of one and the top of another
        top = 0 if over_columns.any() else int(tops.min())
        bottom = self.height if over_columns.any() else int(bottoms.max()) + 1
        return int(first_columns.min()), top, int(last_columns.max()) + 1, bottom

    def runs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The runs inside: the pixel (counted down the columns) at which each starts, and the one at which it ends.

        Two arrays (R',) int64 in ascending order, ends exclusive; runs that are 0 long are left out.
        """
        edges = np.cumsum(self.counts)
        inside = self.counts[1::2] > 0
        ends = edges[1::2][inside]
        return ends - self.counts[1::2][inside], ends

    def to_mask(self) -> NDArray[np.bool_]:
        """(H, W) bool, True inside."""
        inside = np.arange(self.counts.size) % 2 == 1
        return np.repeat(inside, self.counts).reshape((self.height, self.width), order="F")

    def to_string(self) -> str:
        """COCO's compressed string, ASCII."""
        values = self.counts.copy()
        values[3:] -= self.counts[1:-2]
        # n groups hold the numbers from -2^(5n-1) to 2^(5n-1) - 1.
        magnitude = np.where(values < 0, ~values, values)
        limits = np.int64(1) << (_BITS * np.arange(1, _LONGEST) - 1)
        lengths = 1 + (magnitude[:, None] >= limits).sum(axis=1)
        place, owner = _places(lengths)
        groups = (values[owner] >> (_BITS * place)) & (_MORE - 1)
        groups[place < lengths[owner] - 1] |= _MORE
        return (groups + _FIRST_CHARACTER).astype(np.uint8).tobytes().decode("ascii")

    @classmethod
    def from_mask(cls, mask: ArrayLike) -> "Rle":
        """The runs of a mask (H, W): bool, or numbers of which those that are not 0 lie inside."""
        array = np.asarray(mask)
        if array.ndim != 2 or array.size == 0:
            raise UsageError(f"mask: expected height x width, got {array.shape}")
        flat = array.ravel(order="F") != 0
        changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        if flat[0]:
            changes = np.concatenate([[0], changes])
        return from_changes(changes, array.shape[0], array.shape[1])

    @classmethod
    def from_counts(cls, counts: Sequence[int], height: int, width: int) -> "Rle":
        """COCO's uncompressed list of whole numbers; raises UsageError for anything else."""
        try:
            array = np.asarray(counts)
        except ValueError:  # lists among the numbers
            raise UsageError("counts: expected a list of whole numbers") from None
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise UsageError("counts: expected a list of whole numbers")
        return cls(height=height, width=width, counts=array.astype(np.int64))

    @classmethod
    def from_string(cls, text: str | bytes, height: int, width: int) -> "Rle":
        """COCO's compressed string; raises UsageError that names what is wrong with it."""
        try:
            raw = text.encode("ascii") if isinstance(text, str) else text
        except UnicodeEncodeError as error:
            raise UsageError(f"counts: character {error.start} is no part of a run length") from None
        groups = np.frombuffer(raw, np.uint8).astype(np.int64) - _FIRST_CHARACTER
        wrong = np.flatnonzero((groups < 0) | (groups > 63))
        if wrong.size:
            raise UsageError(f"counts: character {int(wrong[0])} is no part of a run length")
        ends = np.flatnonzero((groups & _MORE) == 0)
        if groups.size and (not ends.size or ends[-1] != groups.size - 1):
            raise UsageError("counts: the string breaks off within a number")
        lengths = np.diff(ends, prepend=-1)
        if lengths.size and lengths.max() > _LONGEST:
            raise UsageError("counts: holds a number that is larger than any picture")
        place, _ = _places(lengths)
        values = np.zeros(0, np.int64)
        if groups.size:
            values = np.add.reduceat((groups & (_MORE - 1)) << (_BITS * place), ends - lengths + 1)
            values -= np.where(groups[ends] & _SIGN, np.int64(1) << (_BITS * lengths), 0)
        counts = values.copy()
        counts[1::2] = np.cumsum(values[1::2])
        counts[2::2] = np.cumsum(values[2::2])
        return cls(height=height, width=width, counts=counts)


def from_changes(changes: NDArray[np.int64], height: int, width: int) -> Rle:
    """The mask whose pixels, counted down the columns, change sides at `changes`: ascending, distinct, 0 .. H*W-1."""
    edges = np.concatenate([[0], changes, [height * width]])
    return Rle(height=height, width=width, counts=np.diff(edges).astype(np.int64))


def union(masks: Sequence[Rle]) -> Rle:
    """The pixels that lie in any of the masks, which are of one size; at least one mask."""
    if not masks:
        raise UsageError("masks: expected at least one")
    height, width = masks[0].height, masks[0].width
    if any((mask.height, mask.width) != (height, width) for mask in masks):
        raise UsageError("masks: expected masks of one size")
    if len(masks) == 1:
        return masks[0]
    runs = [mask.runs() for mask in masks]
    starts = np.concatenate([start for start, _ in runs])
    ends = np.concatenate([end for _, end in runs])
    positions, where = np.unique(np.concatenate([starts, ends]), return_inverse=True)
    steps = np.repeat(np.array([1, -1]), [starts.size, ends.size])
    inside = np.cumsum(np.bincount(where, weights=steps, minlength=positions.size)) > 0
    changed = np.diff(inside, prepend=False)
    changes = positions[changed]
    return from_changes(changes[changes < height * width], height, width)


def _places(lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For numbers of so many groups one after another: the place of each group in its number, and whose it is."""
    owner = np.repeat(np.arange(lengths.size), lengths)
    first = np.cumsum(lengths) - lengths
    return np.arange(owner.size) - first[owner], owner

"""One field of many pictures, checked and laid end to end; an error names the picture, the field and the row.

The check of a value runs once over all pictures, that of a shape once a picture.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError
from convatlas.metrics.run_lengths import Runs, pack

_Value = TypeVar("_Value")
_TYPES = {"iu": "whole numbers", "biu": "true or false", "fiu": "numbers"}


class Columns:
    """The fields of the records of one argument; `rows` of a picture are as many as it has classes."""

    def __init__(self, argument: str, pictures: Sequence[object], classes: Sequence[ArrayLike]) -> None:
        self._argument = argument
        self._pictures = pictures
        given = [np.asarray(each) for each in classes]
        self._counts = [each.size for each in given]
        # N values, one an object, from here on
        self.owner = np.repeat(np.arange(len(pictures)), self._counts)  # which record, (N,)
        self.row = np.arange(len(self.owner)) - np.repeat(np.cumsum([0, *self._counts])[:-1], self._counts)  # (N,)
        self._classes = self._lay("classes", given, (), "iu")

    def classes(self, num_classes: int) -> NDArray[np.int64]:
        """Class indices (N,), each 0..num_classes-1."""
        unknown = (self._classes < 0) | (self._classes >= num_classes)
        self._refuse("classes", unknown, self._classes, f"a class index 0..{num_classes - 1}")
        return self._classes.astype(np.int64)

    def boxes(self, values: Sequence[ArrayLike]) -> NDArray[np.float64]:
        """Boxes (N, 4) xyxy, finite, x1 <= x2 and y1 <= y2."""
        boxes = self._numbers("boxes", values, (4,))
        reversed_ = (boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1])
        self._refuse("boxes", reversed_, boxes, "x1 <= x2 and y1 <= y2 (xyxy, not width and height)")
        return boxes

    def scores(self, values: Sequence[ArrayLike]) -> NDArray[np.float64]:
        """One finite number an object (N,)."""
        return self._numbers("scores", values, ())

    def flags(self, field: str, values: Sequence[ArrayLike | None]) -> NDArray[np.bool_]:
        """One truth value an object (N,), given as bool, 0 or 1; False for a picture whose field is None."""
        filled = [
            np.zeros(count, np.bool_) if each is None else each
            for each, count in zip(values, self._counts, strict=True)
        ]
        flags = self._lay(field, filled, (), "biu")
        self._refuse(field, (flags != 0) & (flags != 1), flags, "0 or 1")
        return flags.astype(np.bool_)

    def areas(self, values: Sequence[ArrayLike | None]) -> NDArray[np.float64]:
        """Areas (N,) >= 0 in pixels; NaN for a picture whose field is None."""
        areas = np.full(len(self.owner), np.nan)
        given = np.array([each is not None for each in values], np.bool_)
        if given.any():
            filled = [
                np.zeros(count) if each is None else each for each, count in zip(values, self._counts, strict=True)
            ]
            stated = self._numbers("areas", filled, ())
            self._refuse("areas", stated < 0, stated, "0 or more pixels")
            areas = np.where(given[self.owner], stated, areas)
        return areas

    def keypoints(self, values: Sequence[ArrayLike | None], depths: tuple[int, ...]) -> NDArray[np.float64]:
        """Keypoints (N, J, depth), all with the same J >= 1; `depths` are the lengths allowed, of which the first is
        kept: 3 for x, y, v, and 2 for x, y.
        """
        arrays = [
            np.asarray(self._present("keypoints", each, index)) if self._counts[index] else np.zeros(0)
            for index, each in enumerate(values)
        ]
        shapes = {array.shape[1:] for array, count in zip(arrays, self._counts, strict=True) if count}
        shape = min(shapes, default=(1, depths[0]))
        if len(shape) != 2 or shape[0] < 1 or shape[1] not in depths:
            raise UsageError(
                f"{self._argument}: keypoints: expected objects x keypoints x {' or '.join(map(str, depths))}, "
                f"got rows of {' x '.join(map(str, shape)) or 'single values'}"
            )
        keypoints = self._numbers("keypoints", arrays, shape)[:, :, : depths[0]]
        if depths[0] == 3:
            known = np.isin(keypoints[:, :, 2], (0, 1, 2))
            self._refuse("keypoints", np.any(~known, axis=1), keypoints[:, :, 2], "a visibility v of 0, 1 or 2")
        return keypoints

    def masks(self, values: Sequence[tuple[Sequence[ArrayLike] | None, tuple[int, int] | None]]) -> Runs:
        """Run lengths, one mask an object, of the size of its picture."""
        counts: list[ArrayLike] = []
        sizes: list[tuple[int, int]] = []
        for index, (masks, size) in enumerate(values):
            given = [] if masks is None and not self._counts[index] else self._present("masks", masks, index)
            if len(given) != self._counts[index]:
                raise UsageError(
                    f"{self._place(index)}: masks: expected {self._counts[index]}, one a class index, got {len(given)}"
                )
            if len(given):
                sides = self._present("size", size, index)
                if len(sides) != 2 or not all(isinstance(side, int | np.integer) for side in sides):
                    raise UsageError(
                        f"{self._place(index)}: size: expected (height, width) in whole pixels, got {sides!r}"
                    )
                counts.extend(given)
                sizes.extend([(int(sides[0]), int(sides[1]))] * len(given))
        return pack(counts, np.array(sizes) if sizes else (1, 1), lambda row: self._name("masks", row))

    def _numbers(self, field: str, values: Sequence[ArrayLike], tail: tuple[int, ...]) -> NDArray[np.float64]:
        array = self._lay(field, values, tail, "fiu").astype(np.float64)
        infinite = ~np.isfinite(array.reshape(len(array), int(np.prod(tail))))
        self._refuse(field, np.any(infinite, axis=1), array, "finite numbers")
        return array

    def _lay(self, field: str, values: Sequence[ArrayLike], tail: tuple[int, ...], kinds: str) -> NDArray[Any]:
        arrays = []
        for index, (value, count) in enumerate(zip(values, self._counts, strict=True)):
            array = np.asarray(value)
            if not count and not array.size:
                continue  # an empty list has neither the shape nor the type of anything
            if array.shape != (count, *tail):
                raise UsageError(
                    f"{self._place(index)}: {field}: expected {' x '.join(map(str, (count, *tail)))} values, as many "
                    f"rows as classes, got {' x '.join(map(str, array.shape)) or 'a single value'}"
                )
            if array.dtype.kind not in kinds:
                raise UsageError(f"{self._place(index)}: {field}: expected {_TYPES[kinds]}, got {array.dtype}")
            arrays.append(array)
        return np.concatenate(arrays) if arrays else np.zeros((0, *tail), np.int64)

    def _present(self, field: str, value: _Value | None, index: int) -> _Value:
        if value is None:
            raise UsageError(f"{self._place(index)}: {field}: expected them for each object, got none")
        return value

    def _refuse(self, field: str, wrong: NDArray[np.bool_], values: NDArray[Any], expected: str) -> None:
        if wrong.any():
            row = int(wrong.argmax())
            raise UsageError(f"{self._name(field, row)}: expected {expected}, got {values[row].tolist()}")

    def _name(self, field: str, row: int) -> str:
        return f"{self._place(int(self.owner[row]))}: {field}[{self.row[row]}]"

    def _place(self, index: int) -> str:
        return f"{self._argument}: picture {self._pictures[index]!r}"

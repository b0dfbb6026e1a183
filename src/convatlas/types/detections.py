"""One picture's detections: what a detector answers, and what its measures take."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.types.arrays import check_rows, checked
from convatlas.types.rle import Rle
from convatlas.types.sample import Boxes


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """The N objects that a detector found in one picture of H x W pixels, in any order.

    name, height, width: the picture's, as its `Sample` has them.
    boxes: (N, 4) float32 xyxy, continuous pixel edges of that picture, x2 and y2 exclusive; a box may reach outside of
        it or be empty (x1 = x2), but not reversed.
    classes: (N,) int64, each 0 .. K-1 of the data set's classes.
    scores: (N,) float32, finite, the higher the surer.
    masks: N masks of H x W pixels, or none at all.
    keypoints: (N, P, 3) float32: x, y (the middle of a pixel is at .5) and how sure it is; P is 0 where there are none.

    All arrays are read-only. Raises UsageError that names the picture, the detection and the field.
    """

    name: str
    height: int
    width: int
    boxes: Boxes
    classes: NDArray[np.int64]
    scores: NDArray[np.float32]
    masks: tuple[Rle, ...] = ()
    keypoints: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 3), np.float32))

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise self._wrong("size", f"expected 1 x 1 pixels or more, got {self.height} x {self.width}")
        count = len(self.boxes) if np.ndim(self.boxes) else 0
        points = np.shape(self.keypoints)[1] if np.ndim(self.keypoints) == 3 else 1
        if not points:
            object.__setattr__(self, "keypoints", np.zeros((count, 0, 3), np.float32))
        self._check_array("boxes", np.float32, (count, 4))
        self._check_array("classes", np.int64, (count,))
        self._check_array("scores", np.float32, (count,))
        self._check_array("keypoints", np.float32, (count, points, 3))
        boxes = self.boxes
        self._check_rows("boxes", np.isfinite(boxes).all(axis=1), "expected finite numbers")
        ordered = (boxes[:, 2] >= boxes[:, 0]) & (boxes[:, 3] >= boxes[:, 1])
        self._check_rows("boxes", ordered, "expected x1 <= x2 and y1 <= y2 (xyxy, not width and height)")
        self._check_rows("classes", self.classes >= 0, "expected 0 or more")
        self._check_rows("scores", np.isfinite(self.scores), "expected a finite number")
        self._check_rows("keypoints", np.isfinite(self.keypoints).all(axis=(1, 2)), "expected finite numbers")
        self._check_masks(count)

    def __len__(self) -> int:
        return len(self.boxes)

    def _check_array(self, name: str, kind: type[np.generic], shape: tuple[int, ...]) -> None:
        object.__setattr__(self, name, checked(getattr(self, name), kind, shape, f"{self.name}: {name}"))

    def _check_rows(self, name: str, right: "NDArray[np.bool_] | np.bool_", expected: str) -> None:
        check_rows(getattr(self, name), right, expected, f"{self.name}: {name}")

    def _check_masks(self, count: int) -> None:
        if len(self.masks) not in (0, count):
            raise self._wrong("masks", f"expected {count}, one a detection, or none; got {len(self.masks)}")
        for row, mask in enumerate(self.masks):
            if (mask.height, mask.width) != (self.height, self.width):
                raise self._wrong(
                    f"masks[{row}]", f"expected {self.height} x {self.width} pixels, got {mask.height} x {mask.width}"
                )

    def _wrong(self, place: str, reason: str) -> UsageError:
        return UsageError(f"{self.name}: {place}: {reason}")

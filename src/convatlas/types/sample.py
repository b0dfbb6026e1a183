"""One picture's objects: what detection, segmentation and keypoints learn from and are measured against."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.types.arrays import check_rows, checked
from convatlas.types.rle import Rle

Boxes = NDArray[np.float32]  # (N, 4) xyxy: pixel edges from the picture's top left, x2 and y2 exclusive


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """The N objects of one picture of H x W pixels, upright, as it was before any resizing.

    name: the picture's, as messages call it. height, width: H and W.
    boxes: (N, 4) float32 xyxy, continuous pixel edges, x2 and y2 exclusive; inside the picture, of some area.
    classes: (N,) int64, each 0 .. K-1 of the data set's classes.
    masks: N masks of H x W pixels, None for an object that has none; without an argument none has one.
    keypoints: (N, P, 3) float32: x, y (the middle of a pixel is at .5) and 0 not labelled, 1 labelled but hidden,
        2 visible; P is 0 where the data set has none.
    iscrowd: (N,) bool, a region of many objects, which COCO's measures neither reward nor punish.
    difficult: (N,) bool, as VOC marks them; its measure leaves them out.
    areas: (N,) float64 pixels, as the data set states them (COCO's area of the mask); without an argument the mask's,
        or the box's where there is no mask.

    All arrays are read-only. Raises UsageError that names the sample, the object and the field.
    """

    name: str
    height: int
    width: int
    boxes: Boxes
    classes: NDArray[np.int64]
    masks: tuple[Rle | None, ...] = ()
    keypoints: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 3), np.float32))
    iscrowd: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    difficult: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    areas: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0, np.float64))

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise self._wrong("size", f"expected 1 x 1 pixels or more, got {self.height} x {self.width}")
        for name in ("boxes", "classes", "keypoints", "iscrowd", "difficult", "areas"):
            if not isinstance(getattr(self, name), np.ndarray):
                raise self._wrong(name, f"expected an array, got {type(getattr(self, name)).__name__}")
        count = len(self.boxes)
        self._fill_in(count)
        self._check_array("boxes", np.float32, (count, 4))
        self._check_array("classes", np.int64, (count,))
        self._check_array("iscrowd", np.bool_, (count,))
        self._check_array("difficult", np.bool_, (count,))
        self._check_array("areas", np.float64, (count,))
        self._check_array("keypoints", np.float32, (count, self.keypoints.shape[1], 3))
        self._check_boxes()
        self._check_rows("classes", self.classes >= 0, "expected 0 or more")
        self._check_rows("areas", np.isfinite(self.areas) & (self.areas >= 0), "expected 0 or more")
        self._check_keypoints()
        self._check_masks(count)

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def has_masks(self) -> bool:
        """Whether every object has a mask; False when there is no object."""
        return bool(self.masks) and all(mask is not None for mask in self.masks)

    def _fill_in(self, count: int) -> None:
        """Give what was left out the length that N asks for."""
        if not count:
            return
        if not self.masks:
            object.__setattr__(self, "masks", (None,) * count)
        if not self.keypoints.size and self.keypoints.ndim == 3:
            object.__setattr__(self, "keypoints", np.zeros((count, self.keypoints.shape[1], 3), np.float32))
        for name in ("iscrowd", "difficult"):
            if not getattr(self, name).size:
                object.__setattr__(self, name, np.zeros(count, np.bool_))
        if not self.areas.size and self.boxes.shape == (count, 4) and len(self.masks) == count:
            wide = self.boxes.astype(np.float64)
            areas = (wide[:, 2] - wide[:, 0]) * (wide[:, 3] - wide[:, 1])
            for row, mask in enumerate(self.masks):
                if mask is not None:
                    areas[row] = mask.area
            object.__setattr__(self, "areas", areas)

    def _check_array(self, name: str, kind: type[np.generic], shape: tuple[int, ...]) -> None:
        object.__setattr__(self, name, checked(getattr(self, name), kind, shape, f"{self.name}: {name}"))

    def _check_boxes(self) -> None:
        boxes = self.boxes
        self._check_rows("boxes", np.isfinite(boxes).all(axis=1), "expected finite numbers")
        self._check_rows(
            "boxes", (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]), "expected x1 < x2 and y1 < y2"
        )
        inside = (boxes[:, :2] >= 0).all(axis=1) & (boxes[:, 2] <= self.width) & (boxes[:, 3] <= self.height)
        self._check_rows("boxes", inside, f"expected it inside of {self.width} x {self.height} pixels")

    def _check_keypoints(self) -> None:
        points = self.keypoints
        if not points.size:
            return
        self._check_rows("keypoints", np.isfinite(points).all(axis=(1, 2)), "expected finite numbers")
        self._check_rows(
            "keypoints", np.isin(points[:, :, 2], (0, 1, 2)).all(axis=1), "expected a visibility of 0, 1 or 2"
        )

    def _check_masks(self, count: int) -> None:
        if len(self.masks) != count:
            raise self._wrong("masks", f"expected {count}, one an object (None where there is none)")
        for row, mask in enumerate(self.masks):
            if mask is not None and (mask.height, mask.width) != (self.height, self.width):
                raise self._wrong(
                    f"masks[{row}]", f"expected {self.height} x {self.width} pixels, got {mask.height} x {mask.width}"
                )

    def _check_rows(self, name: str, right: "NDArray[np.bool_] | np.bool_", expected: str) -> None:
        check_rows(getattr(self, name), right, expected, f"{self.name}: {name}")

    def _wrong(self, place: str, reason: str) -> UsageError:
        return UsageError(f"{self.name}: {place}: {reason}")

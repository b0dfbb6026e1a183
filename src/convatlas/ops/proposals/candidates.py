"""What every proposal method gives: boxes that may hold an object, the most promising first."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError


@dataclass(frozen=True, kw_only=True, eq=False)
class Proposals:
    """Boxes and how promising each is.

    boxes (N, 4) float32, absolute xyxy with x2 and y2 exclusive, each of an area above 0; scores (N,) float32, not
    increasing. A score has no unit: it ranks the boxes of one picture by one method, whose docstring says how. Raises
    UsageError that names the field for anything else.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.boxes.dtype != np.float32 or self.boxes.ndim != 2 or self.boxes.shape[1] != 4:
            raise UsageError(f"Proposals.boxes: expected float32 (N, 4), got {self.boxes.dtype} {self.boxes.shape}")
        if self.scores.dtype != np.float32 or self.scores.shape != self.boxes.shape[:1]:
            raise UsageError(
                f"Proposals.scores: expected float32 ({len(self.boxes)},), got {self.scores.dtype} {self.scores.shape}"
            )
        if not (np.isfinite(self.boxes).all() and np.isfinite(self.scores).all()):
            raise UsageError("Proposals: expected finite boxes and scores")
        if not (self.boxes[:, 2:] > self.boxes[:, :2]).all():
            raise UsageError("Proposals.boxes: expected x1 < x2 and y1 < y2 in every row")
        if (np.diff(self.scores) > 0).any():
            raise UsageError("Proposals.scores: expected the most promising box first")

    def __len__(self) -> int:
        return len(self.boxes)

    def first(self, count: int) -> "Proposals":
        """The `count` most promising, or all when there are fewer."""
        if count < 0:
            raise UsageError(f"count must be at least 0, not {count}")
        return Proposals(boxes=self.boxes[:count], scores=self.scores[:count])


def ranked(boxes: NDArray[np.floating], scores: NDArray[np.floating]) -> Proposals:
    """Boxes (N, 4) by falling score (N,); of equal boxes only the one with the highest score stays.

    Boxes of equal score keep their order.
    """
    order = np.argsort(-scores, kind="stable")
    boxes = boxes[order].astype(np.float32)
    _, first = np.unique(boxes, axis=0, return_index=True)
    kept = np.sort(first)
    return Proposals(boxes=boxes[kept], scores=scores[order][kept].astype(np.float32))

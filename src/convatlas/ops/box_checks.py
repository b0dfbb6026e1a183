"""Whether boxes, scores and labels can be what they are said to be. NumPy: both tensors and arrays are checked here."""

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def check_box_array(boxes: NDArray[np.floating], name: str = "boxes", *, outside: bool = True) -> None:
    """Raise UsageError that names the first wrong box; (N, 4) float32 or float64 xyxy, N may be 0.

    Each value is finite, x1 <= x2, y1 <= y2, and the sides are finite too; a box without area is allowed. Without
    `outside` no value is below 0, as of objects in a picture; anchors and raw predictions may reach outside.
    """
    _check_array(boxes, name)
    if boxes.dtype not in FLOATS:
        raise UsageError(f"{name}: expected float32 or float64, got {boxes.dtype}")
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UsageError(f"{name}: expected N x 4 values x1, y1, x2, y2, got {_shape(boxes)}")
    if not len(boxes):
        return
    with np.errstate(all="ignore"):
        corners = np.ascontiguousarray(boxes.T)  # of rows of two numbers a difference takes long
        sides = corners[2:] - corners[:2]
        fine = sides.min() >= 0 and sides.max() < np.inf  # false for nan and inf, wherever they stand
    if not fine:
        _refuse(boxes, name, np.isfinite(boxes).all(axis=1), "expected finite numbers")
        _refuse(boxes, name, (sides >= 0).all(axis=0), "expected x1 <= x2 and y1 <= y2")
        _refuse(boxes, name, np.isfinite(sides).all(axis=0), f"expected sides that {boxes.dtype} can hold")
    if not outside and boxes.min() < 0:
        _refuse(boxes, name, (boxes >= 0).all(axis=1), "expected no value below 0")


def check_score_array(scores: NDArray[np.floating], count: int, name: str = "scores") -> None:
    """Raise UsageError unless there is one finite float32 or float64 score for each of `count` boxes."""
    _check_array(scores, name)
    if scores.dtype not in FLOATS:
        raise UsageError(f"{name}: expected float32 or float64, got {scores.dtype}")
    if scores.shape != (count,):
        raise UsageError(f"{name}: expected {count}, one a box, got {_shape(scores)}")
    _refuse(scores, name, np.isfinite(scores), "expected a finite number")


def check_label_array(labels: NDArray[np.generic], count: int, name: str = "labels") -> None:
    """Raise UsageError unless there is one whole number for each of `count` boxes."""
    _check_array(labels, name)
    if labels.dtype.kind not in "iu":
        raise UsageError(f"{name}: expected whole numbers, got {labels.dtype}")
    if labels.shape != (count,):
        raise UsageError(f"{name}: expected {count}, one a box, got {_shape(labels)}")


def check_fraction(value: float, name: str) -> None:
    """Raise UsageError unless 0 <= value <= 1."""
    try:
        right = bool(0 <= value <= 1)
    except (TypeError, ValueError):  # None, a text, numbers
        right = False
    if not right:
        raise UsageError(f"{name}: expected 0..1, got {value!r}")


def _check_array(values: object, name: str) -> None:
    if not isinstance(values, np.ndarray):
        raise UsageError(f"{name}: expected a NumPy array, got {type(values).__name__}")


def _refuse(values: NDArray[np.generic], name: str, right: NDArray[np.bool_] | np.bool_, expected: str) -> None:
    if not right.all():
        row = int(np.argmin(right))
        raise UsageError(f"{name}[{row}]: {expected}, got {values[row].tolist()}")


def _shape(array: NDArray[np.generic]) -> str:
    return "a single value" if array.ndim == 0 else f"an array of {' x '.join(map(str, array.shape))}"

"""What every measure asks of the arrays it is given, said once: shapes, ranges, and no value that is not a number."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError


def check_scores(scores: ArrayLike, name: str = "scores") -> NDArray[np.float64]:
    """One row a picture, one column a class, as float64 (N, K); any finite value.

    Raises UsageError when it is empty, has another number of axes, or holds a value that is not finite.
    """
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 2:
        raise UsageError(f"{name}: expected pictures x classes, got {_shape(array)}")
    if array.size == 0:
        raise UsageError(f"{name}: expected at least one picture and one class, got {_shape(array)}")
    if not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array).all(axis=1)))
        raise UsageError(f"{name}: row {row} holds a value that is not a finite number")
    return array


def check_probabilities(probabilities: ArrayLike, name: str = "probabilities") -> NDArray[np.float64]:
    """Like `check_scores`, and each value lies in 0..1."""
    array = check_scores(probabilities, name)
    if array.min() < 0 or array.max() > 1:
        raise UsageError(f"{name}: expected values in 0..1, got {array.min():.4g}..{array.max():.4g}")
    return array


def check_targets(targets: ArrayLike, num_classes: int, name: str = "targets") -> NDArray[np.int64]:
    """One class index 0..num_classes-1 a picture, as int64 (N,); raises UsageError for anything else."""
    array = np.asarray(targets)
    if array.ndim != 1 or array.size == 0:
        raise UsageError(f"{name}: expected one class index a picture, got {_shape(array)}")
    if not np.issubdtype(array.dtype, np.integer):
        raise UsageError(f"{name}: expected whole numbers, got {array.dtype}")
    if array.min() < 0 or array.max() >= num_classes:
        raise UsageError(f"{name}: expected class indices 0..{num_classes - 1}, got {array.min()}..{array.max()}")
    return array.astype(np.int64)


def check_truths(truths: ArrayLike, shape: tuple[int, ...], name: str = "truths") -> NDArray[np.bool_]:
    """Which labels hold, 0 or 1 (or bool), as bool of the given shape; raises UsageError for anything else."""
    array = np.asarray(truths)
    if array.shape != shape:
        raise UsageError(f"{name}: expected {' x '.join(map(str, shape))} values, got {_shape(array)}")
    if not np.isin(array, (0, 1)).all():
        raise UsageError(f"{name}: expected only 0 and 1")
    return array.astype(np.bool_)


def check_count(values: int, expected: int, name: str, of_what: str) -> None:
    """Raise UsageError unless there are as many values as pictures (or classes)."""
    if values != expected:
        raise UsageError(f"{name}: expected {expected}, one a {of_what}, got {values}")


def _shape(array: NDArray[np.generic]) -> str:
    return "a single value" if array.ndim == 0 else f"an array of {' x '.join(map(str, array.shape))}"

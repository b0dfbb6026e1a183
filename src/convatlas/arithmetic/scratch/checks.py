"""What the functions of this room may be given: arrays of real numbers. For whole numbers there is `axes`."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError

Array = NDArray[np.floating[Any]]


def floats(field: str, values: ArrayLike, *, axes: int | None = None, at_least: int = 0) -> Array:
    """The values as an array of floats: float32 and float64 stay, whole numbers become float64.

    Raises UsageError, which names the field, for anything but real numbers, and unless the array has `axes` axes, or
    `at_least` so many where `axes` is None.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise UsageError(f"{field} must be an array of numbers: its rows differ in length") from error
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{field} must hold real numbers, not {array.dtype}")
    if axes is not None and array.ndim != axes:
        raise UsageError(f"{field} must have {axes} axes, not the shape {array.shape}")
    if array.ndim < at_least:
        raise UsageError(f"{field} must have {at_least} axes or more, not the shape {array.shape}")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def shaped(field: str, values: ArrayLike, shape: tuple[int, ...]) -> Array:
    """The values as floats of this very shape; raises UsageError that names the field and both shapes."""
    array = floats(field, values)
    if array.shape != shape:
        raise UsageError(f"{field} must have the shape {shape}, not {array.shape}")
    return array

"""What the functions of this room may be given: arrays of real numbers, and a whole number or one for each axis."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError

Array = NDArray[np.floating[Any]]
PerAxis = int | Sequence[int]


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


def whole(field: str, value: object, *, least: int) -> int:
    """A whole number of at least `least`; raises UsageError that names the field."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]  # what is no whole number is refused below
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise UsageError(f"{field} must be a whole number of at least {least}, not {value!r}")
    return number


def per_axis(field: str, value: PerAxis, axes: int, *, least: int) -> tuple[int, ...]:
    """One whole number for all axes, or one for each: always a tuple of `axes`. Raises UsageError naming the field."""
    if not isinstance(value, Sequence | np.ndarray):
        return (whole(field, value, least=least),) * axes
    if len(value) != axes:
        raise UsageError(f"{field} must be one whole number or {axes} of them, one for each axis, not {value!r}")
    return tuple(whole(field, one, least=least) for one in value)

"""What every record checks of its arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError


def checked(array: object, kind: type[np.generic], shape: tuple[int, ...], place: str) -> NDArray[Any]:
    """The array, so that it cannot be written through what is given back.

    Raises UsageError, which begins with `place`, unless it is an array of that type and shape.
    """
    expected = f"{place}: expected {np.dtype(kind).name} {' x '.join(map(str, shape))}"
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{expected}, got {type(array).__name__}")
    if array.dtype != kind or array.shape != shape:
        raise UsageError(f"{expected}, got {array.dtype} {' x '.join(map(str, array.shape))}")
    return read_only(array)


def check_rows(array: NDArray[Any], right: "NDArray[np.bool_] | np.bool_", expected: str, place: str) -> None:
    """Raise UsageError that names the first row of the array which is not right: `place[row]: expected, got ...`."""
    if not right.all():
        row = int(np.argmin(right))
        raise UsageError(f"{place}[{row}]: {expected}, got {array[row].tolist()}")


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The same values, which cannot be written through what is given back."""
    view = array.view()
    view.flags.writeable = False
    return view

"""One number for every axis, or one for each: how this package reads sizes, kernels, strides and paddings.

A size given as an int has one axis and is answered with an int; (H, W) has two and is answered with a tuple. A number
beside it counts for every axis.
"""

import operator
from collections.abc import Sequence
from typing import Any, TypeVar

from convatlas.errors import UsageError

PerAxis = int | Sequence[int]  # one number for every axis, or one for each
Pair = tuple[int, int]  # of padding: before the first pixel, after the last
Padding = int | Sequence[int | Pair]  # one number for every side, or one or a pair for each axis; see `pairs`
Size = TypeVar("Size", int, tuple[int, ...])


def whole(field: str, value: object, least: int) -> int:
    """The value as an int. Raises UsageError naming the field unless it is a whole number of at least `least`."""
    number = _index(value)
    if number is None or number < least:
        raise UsageError(f"{field} must be a whole number of at least {least}, not {value!r}")
    return number


def axes_of(field: str, value: PerAxis, least: int = 1) -> tuple[int, ...]:
    """The numbers of each axis, of an int one. Raises UsageError naming the field unless all are at least `least`."""
    if _index(value) is not None:
        return (whole(field, value, least),)
    numbers = tuple(map(_index, value)) if isinstance(value, list | tuple) else ()
    if not numbers or any(number is None or number < least for number in numbers):
        raise UsageError(
            f"{field} must be a whole number of at least {least}, or one for each axis as in (3, 3), not {value!r}"
        )
    return tuple(number for number in numbers if number is not None)


def per_axis(field: str, value: PerAxis, axes: int, least: int = 1) -> tuple[int, ...]:
    """The number of each of `axes` axes; a single one counts for all of them."""
    numbers = axes_of(field, value, least)
    if _index(value) is not None:
        return numbers * axes
    _check_count(field, len(numbers), axes, value)
    return numbers


def pairs(field: str, value: Padding, axes: int) -> tuple[Pair, ...]:
    """The padding (before, after) of each axis, each at least 0.

    An int pads every side alike. For one axis, (before, after); for more, one entry an axis: an int for both its sides
    or a pair, as in (1, 1) or ((0, 1), (0, 1)).
    """
    number = _index(value)
    if number is not None:
        return ((whole(field, value, 0),) * 2,) * axes
    entries = list(value) if isinstance(value, list | tuple) else []
    if axes == 1 and len(entries) == 2 and all(_index(entry) is not None for entry in entries):
        entries = [entries]
    both = [(entry, entry) if _index(entry) is not None else entry for entry in entries]
    if not both or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in both):
        raise UsageError(
            f"{field} must be a whole number of at least 0, or one for each axis, each a number or a pair (before, "
            f"after), not {value!r}"
        )
    _check_count(field, len(both), axes, value)
    return tuple((whole(field, before, 0), whole(field, after, 0)) for before, after in both)


def like(size: Size, numbers: Sequence[int]) -> Size:
    """The numbers in the form of `size`: the one number for an int, a tuple for a tuple."""
    return numbers[0] if _index(size) is not None else tuple(numbers)  # type: ignore[return-value]  # by the test


def axis_name(axis: int, axes: int) -> str:
    """` along axis 1`, to end a message with; nothing where there is one axis."""
    return f" along axis {axis}" if axes > 1 else ""


def _check_count(field: str, given: int, axes: int, value: object) -> None:
    if given != axes:
        raise UsageError(f"{field} must be one number for all axes, or {axes}, one for each, not {value!r}")


def _index(value: Any) -> int | None:
    """The value as an int, NumPy's integers too; None for anything else, True and False among it."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None

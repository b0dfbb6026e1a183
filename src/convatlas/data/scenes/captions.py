"""What a person might write below a scene: which digits there are, and how the two largest lie."""

from collections import Counter
from collections.abc import Sequence

from convatlas.data.detection.records import Box

_NUMBERS = ("", "", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def captions(classes: Sequence[str], boxes: Sequence[Box], height: int, width: int) -> tuple[str, ...]:
    """Three captions: of the two largest objects ("a 3 above a 7"), the same from the other's side, and of all.

    Of a single object: where its middle is in thirds of the scene ("a 3 at the top left"), the same in another order,
    and the object. classes: the digits, one an object, at least one. boxes: xyxy, inside of height x width pixels.

    Two objects lie to the left and right of each other where their boxes' middles are farther apart across than down,
    else above and below.
    """
    largest = sorted(range(len(boxes)), key=lambda each: (-_area(boxes[each]), each))[:2]
    inventory = _inventory(classes)
    if len(largest) == 1:
        place = _place(boxes[0], height, width)
        return f"{with_article(classes[0])} {place}", f"{place} there is {with_article(classes[0])}", inventory
    one, other = largest
    here, there = with_article(classes[one]), with_article(classes[other])
    relation, inverse = _relation(boxes[one], boxes[other])
    return f"{here} {relation} {there}", f"{there} {inverse} {here}", inventory


def with_article(digit: str) -> str:
    """`a 3`, `an 8`."""
    return f"{'an' if digit == '8' else 'a'} {digit}"


def _relation(first: Box, second: Box) -> tuple[str, str]:
    """How the first lies to the second, and the second to the first, by their middles."""
    across = first[0] + first[2] - second[0] - second[2]
    down = first[1] + first[3] - second[1] - second[3]
    if abs(across) > abs(down):
        words = ("to the right of", "to the left of")
        return words if across > 0 else words[::-1]
    if down == 0:
        return "in the same place as", "in the same place as"
    words = ("below", "above")
    return words if down > 0 else words[::-1]


def _place(box: Box, height: int, width: int) -> str:
    row = int(3 * (box[1] + box[3]) / 2 / height)
    column = int(3 * (box[0] + box[2]) / 2 / width)
    if (row, column) == (1, 1):
        return "in the middle"
    words = [("top", "", "bottom")[row], ("left", "", "right")[column]]
    return "at the " + " ".join(word for word in words if word)


def _inventory(classes: Sequence[str]) -> str:
    """`a 1, two 4s and a 7`."""
    parts = [
        with_article(digit) if count == 1 else f"{_number(count)} {digit}s"
        for digit, count in sorted(Counter(classes).items())
    ]
    return parts[-1] if len(parts) < 2 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])

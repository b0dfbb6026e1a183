"""One line of YOLO's text: a class, then a box, an outline, or a box with keypoints, in parts of the picture (0..1)."""

import math
from collections.abc import Sequence

import numpy as np

from convatlas.data.detection.checks import number_of, settled_box, shown
from convatlas.data.detection.faults import FaultLog, Place
from convatlas.data.detection.records import ObjectRecord, Outline
from convatlas.data.detection.yolo_yaml import YoloPlan
from convatlas.errors import UsageError
from convatlas.types.polygons import check_polygon, check_reach

_BOX = 4  # values of a box
_NO_PART = 2.0  # a value beyond is no part of a picture, however far a box reaches out


def read_line(
    words: Sequence[str], size: tuple[int, int], plan: YoloPlan, place: Place, log: FaultLog
) -> ObjectRecord | None:
    """The object of a line's words in a picture of `size` (width, height); None, with a fault in the log, if none."""
    if not (words[0].isascii() and words[0].isdigit() and len(words[0]) < 10):
        log.add("malformed", place, "", f"expected the number of a class first, got {shown(words[0])}")
        return None
    numbers = []
    for word in words[1:]:
        try:
            numbers.append(number_of(word))
        except ValueError:
            log.add("malformed", place, "", f"expected numbers only, got {shown(word)}")
            return None
    wrong = _miscounted(len(numbers), plan) or _out_of_range(numbers, plan)
    if wrong:
        log.add("malformed", place, "", wrong)
        return None
    width, height = size
    outline: Outline | None = None
    keypoints: tuple[tuple[float, float, int], ...] = ()
    if len(numbers) == _BOX or plan.points:
        x, y, wide, high = numbers[:_BOX]
        box = (x - wide / 2) * width, (y - high / 2) * height, (x + wide / 2) * width, (y + high / 2) * height
        keypoints = _keypoints(numbers[_BOX:], plan, width, height)
    else:
        try:
            polygon = check_polygon(numbers) * np.array([width, height], np.float64)
            check_reach(polygon, height, width)
        except UsageError as error:
            log.add("malformed mask", place, "", str(error))
            return None
        outline = (polygon,)
        (x1, y1), (x2, y2) = polygon.min(axis=0).tolist(), polygon.max(axis=0).tolist()
        box = x1, y1, x2, y2
    settled = settled_box(box, width, height, place, "", log)
    if settled is None:
        return None
    return ObjectRecord(where=place.annotation, label=int(words[0]), box=settled, outline=outline, keypoints=keypoints)


def _miscounted(count: int, plan: YoloPlan) -> str:
    """Why a line cannot have so many numbers after its class; empty if it can."""
    if count == _BOX:
        return ""
    if plan.points:
        expected = _BOX + plan.points * plan.point_values
        if count == expected:
            return ""
        return f"expected {_BOX} numbers after the class, or {expected} with the keypoints of data.yaml, got {count}"
    if count >= 6 and count % 2 == 0:
        return ""
    if count == _BOX + 1:
        return "has a number too many after the box; a score, as of predictions, is no part of labels"
    return f"expected 4 numbers after the class, or x y of three corners or more, got {count}"


def _out_of_range(numbers: Sequence[float], plan: YoloPlan) -> str:
    """What number is no part of a picture; empty if all are. Visibilities are looked at apart."""
    for place, number in enumerate(numbers):
        if plan.points and place >= _BOX and plan.point_values == 3 and (place - _BOX) % 3 == 2:
            if number not in (0, 1, 2):
                return f"expected a visibility of 0, 1 or 2, got {number:g}"
        elif not math.isfinite(number) or abs(number) > _NO_PART:
            return f"expected parts of the picture's width and height, 0 to 1 (not pixels), got {number:g}"
    return ""


def _keypoints(
    numbers: Sequence[float], plan: YoloPlan, width: int, height: int
) -> tuple[tuple[float, float, int], ...]:
    """Points in pixels; where no visibility is written, one at 0, 0 is not labelled and all others are visible."""
    points = []
    for start in range(0, len(numbers), plan.point_values or 1):
        x, y, *rest = numbers[start : start + plan.point_values]
        seen = int(rest[0]) if rest else 2 * (x != 0 or y != 0)
        points.append((x * width, y * height, seen) if seen else (0.0, 0.0, 0))
    return tuple(points)

"""One entry of COCO's `annotations`: https://cocodataset.org/#format-data."""

from collections.abc import Mapping
from dataclasses import dataclass

from convatlas.data.detection.checks import as_float, is_number, settled_box, shown
from convatlas.data.detection.faults import FaultLog, Place
from convatlas.data.detection.records import Box, ObjectRecord, Outline
from convatlas.errors import UsageError
from convatlas.types.polygons import check_polygon, check_reach
from convatlas.types.rle import Rle

# COCO's boxes and masks are measured from the picture's edge, but its keypoints are numbers of pixels: their middles
# lie half a pixel farther.
MIDDLE = 0.5


@dataclass(frozen=True, kw_only=True)
class Category:
    """A class, and the keypoints of its objects, with pairs of them (from 0) to join."""

    name: str
    keypoints: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()


def read_object(
    entry: Mapping[str, object],
    label: int,
    category: Category,
    *,
    width: int,
    height: int,
    place: Place,
    log: FaultLog,
) -> ObjectRecord | None:
    """The object of an entry in a picture of width x height pixels; None, with a fault in the log, if it has no box.

    A mask, keypoints or area that are not as they must be are a fault too, and missing in the object.
    """
    outline = _outline(entry.get("segmentation"), width, height, place, log)
    box = _box(entry.get("bbox"), outline, place, log)
    if box is None:
        return None
    settled = settled_box(box, width, height, place, "bbox", log)
    if settled is None:
        return None
    return ObjectRecord(
        where=place.annotation,
        label=label,
        box=settled,
        outline=outline,
        keypoints=_keypoints(entry.get("keypoints"), category, place, log),
        iscrowd=_flag(entry.get("iscrowd"), "iscrowd", place, log),
        difficult=_flag(entry.get("ignore"), "ignore", place, log),  # as converters from VOC write it
        area=_area(entry.get("area"), place, log),
    )


def _box(value: object, outline: Outline | None, place: Place, log: FaultLog) -> Box | None:
    """x1, y1, x2, y2 of x, y, width, height; without a bbox those of the mask."""
    if value is None and outline is not None:
        return _bounds(outline, place, log)
    if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)):
        reason = "is missing" if value is None else f"expected x, y, width, height, got {shown(value)}"
        log.add("malformed", place, "bbox", reason)
        return None
    x, y, width, height = map(as_float, value)
    return x, y, x + width, y + height


def _bounds(outline: Outline, place: Place, log: FaultLog) -> Box | None:
    if isinstance(outline, Rle):
        bounds = outline.bounds()
        if bounds is None:
            log.add("zero area", place, "segmentation", "is an empty mask")
            return None
        x1, y1, x2, y2 = map(float, bounds)
        return x1, y1, x2, y2
    lows = [polygon.min(axis=0).tolist() for polygon in outline]
    highs = [polygon.max(axis=0).tolist() for polygon in outline]
    return (
        min(x for x, _ in lows),
        min(y for _, y in lows),
        max(x for x, _ in highs),
        max(y for _, y in highs),
    )


def _outline(value: object, width: int, height: int, place: Place, log: FaultLog) -> Outline | None:
    """Polygons, or run lengths as a list or as COCO's compressed string; None where there is no mask."""
    if value is None or value == []:
        return None
    try:
        if isinstance(value, list):
            polygons = tuple(check_polygon(each, f"polygon {index}") for index, each in enumerate(value))
            for polygon in polygons:
                check_reach(polygon, height, width)
            return polygons
        return _runs(value, width, height)
    except UsageError as error:
        log.add("malformed mask", place, "segmentation", str(error))
        return None


def _runs(value: object, width: int, height: int) -> Rle:
    if not isinstance(value, dict):
        raise UsageError(f"expected polygons, or size and counts, got {shown(value)}")
    counts = value.get("counts")
    if value.get("size") != [height, width]:
        raise UsageError(
            f"size: expected [{height}, {width}], the picture's height and width, got {shown(value.get('size'))}"
        )
    if isinstance(counts, list):
        return Rle.from_counts(counts, height, width)
    if isinstance(counts, str):
        return Rle.from_string(counts, height, width)
    raise UsageError(f"counts: expected a list or a string, got {shown(counts)}")


def _keypoints(value: object, category: Category, place: Place, log: FaultLog) -> tuple[tuple[float, float, int], ...]:
    if value is None or value == []:
        return ()
    count = len(category.keypoints)
    if not isinstance(value, list) or len(value) != 3 * count or not all(map(is_number, value)):
        reason = f'expected x, y, visibility of the {count} keypoints of "{category.name}", got {shown(value)}'
        log.add("malformed", place, "keypoints", reason)
        return ()
    points = []
    for x, y, seen in zip(value[::3], value[1::3], value[2::3], strict=True):
        if seen not in (0, 1, 2) or not (abs(x) < 1e9 and abs(y) < 1e9):
            reason = f"expected finite x and y and a visibility of 0, 1 or 2, got {shown([x, y, seen])}"
            log.add("malformed", place, "keypoints", reason)
            return ()
        points.append((x + MIDDLE, y + MIDDLE, int(seen)) if seen else (0.0, 0.0, 0))
    return tuple(points)


def _flag(value: object, field: str, place: Place, log: FaultLog) -> bool:
    if value in (None, 0, 1):
        return bool(value)
    log.add("malformed", place, field, f"expected 0 or 1, got {shown(value)}")
    return False


def _area(value: object, place: Place, log: FaultLog) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e18:
        return float(value)
    log.add("malformed", place, "area", f"expected a number of pixels, 0 or more, got {shown(value)}")
    return None

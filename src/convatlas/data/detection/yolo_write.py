"""Writing YOLO's text: `images/<part>`, `labels/<part>` and a data.yaml.

A line of labels holds a box, a box with keypoints, or an outline; with an outline readers make the box of it.
"""

from collections.abc import Iterator

import numpy as np

from convatlas.data.detection.export import Export, decimals
from convatlas.data.detection.mask_outline import outline_of_mask
from convatlas.data.detection.yolo_yaml import yaml_text
from convatlas.errors import UsageError
from convatlas.files import write_text
from convatlas.types import Rle, Sample
from convatlas.types.polygons import Polygon, check_polygon, rle_of_polygons

BESIDE_KEYPOINTS = "masks beside keypoints (their boxes are written)"
NO_OUTLINE = "masks that one outline cannot be: several parts, holes (their boxes are written)"
OTHER_BOXES = "boxes more than a pixel off their masks (the outlines are written)"
_ONLY_PART = "train"  # what pictures without parts become: data.yaml names parts
_THIN = 1.0  # pixels: a polygon with a shorter side may not be read as an object
_OFF = 1.0  # pixels between the sides of a box and of its mask that are not said


def write_yolo(export: Export) -> None:
    """Write pictures, labels and data.yaml; what `export.lost` names afterwards could not be written.

    With keypoints all objects are boxes. Else a mask is an outline if one polygon can be it: the file's own where it
    gives the same pixels, or one along the edges of the pixels. Crowd regions are left out.
    """
    parts = []
    for part in export.parts:
        name = part or _ONLY_PART
        parts.append(name)
        for index in export.of_part(part):
            sample = export.sample(index)
            export.put_picture(index, sample, export.folder / "images" / name)
            lines = "".join(f"{line}\n" for line in _lines(export, index, sample))
            write_text(export.folder / "labels" / name / f"{export.stems[index]}.txt", lines)
    objects = export.objects
    text = yaml_text(objects.classes, list(dict.fromkeys(parts)), len(objects.keypoints.names))
    write_text(export.folder / "data.yaml", text)


def _lines(export: Export, index: int, sample: Sample) -> Iterator[str]:
    for row in range(len(sample)):
        if not sample.iscrowd[row]:
            words = _outline(export, index, sample, row) or _box(sample, row)
            yield " ".join([str(int(sample.classes[row])), *words])


def _box(sample: Sample, row: int) -> list[str]:
    width, height = sample.width, sample.height
    x1, y1, x2, y2 = decimals(sample.boxes[row])
    values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
    words = [_word(float(value)) for value in values]
    for point in sample.keypoints[row]:
        x, y, seen = decimals(point)
        words += [_word(float(x / width)), _word(float(y / height)), str(int(seen))]
    return words


def _outline(export: Export, index: int, sample: Sample, row: int) -> list[str]:
    """The corners of an object's mask; none where it has no mask or its box must be written, which is noted."""
    mask = sample.masks[row]
    if mask is None:
        return []
    if export.objects.keypoints.names:
        export.lost[BESIDE_KEYPOINTS] += 1
        return []
    words: list[str] = []
    given = export.polygons(index, row)
    if len(given) == 1:
        words = _same(given[0], mask)
    if not words:
        traced = outline_of_mask(mask)
        words = [] if traced is None else _same(traced, mask)
    if not words:
        export.lost[NO_OUTLINE] += 1
        return []
    bounds = mask.bounds()
    if bounds is not None and np.abs(sample.boxes[row] - bounds).max() > _OFF:
        export.lost[OTHER_BOXES] += 1
    return words


def _same(polygon: Polygon, mask: Rle) -> list[str]:
    """The polygon's words; none if a reader of them would not get the mask, or not within the picture."""
    size = np.array([mask.width, mask.height], np.float64)
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    if (low < 0).any() or (high > size).any() or (high - low < _THIN).any():
        return []
    words = [_word(value) for value in (polygon / size).ravel().tolist()]
    try:
        read = rle_of_polygons([check_polygon([float(word) for word in words]) * size], mask.height, mask.width)
    except UsageError:  # an outline longer than any drawing's
        return []
    return words if np.array_equal(read.counts, mask.counts) else []


def _word(value: float) -> str:
    return f"{value:.10g}"

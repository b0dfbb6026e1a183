"""What a file says of its pictures and objects, as it stands there, once it has been found sound."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from convatlas.data.detection.faults import Fault
from convatlas.types import Rle, Sample, Split
from convatlas.types.polygons import Polygon, rle_of_polygons

Format = Literal["coco", "voc", "labelimg", "yolo", "createml", "label-studio", "scenes"]
Box = tuple[float, float, float, float]  # x1, y1, x2, y2: pixel edges, x2 and y2 exclusive
Outline = Rle | tuple[Polygon, ...]  # a mask as its file has it; polygons cost time to fill, so that is put off


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectRecord:
    """One object. where: what its file calls it ("annotation 17"). keypoints: P points x, y, visibility.

    area: pixels, where the file states it.
    """

    where: str
    label: int
    box: Box
    outline: Outline | None = None
    keypoints: tuple[tuple[float, float, int], ...] = ()
    iscrowd: bool = False
    difficult: bool = False
    area: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureRecord:
    """One picture of width x height pixels and its objects. file: the file of annotations that names it."""

    name: str
    path: Path
    width: int
    height: int
    file: str
    split: Split | None = None
    objects: tuple[ObjectRecord, ...] = ()


@dataclass(frozen=True, kw_only=True)
class KeypointPlan:
    """The P keypoints of an object: their names, and pairs of them (from 0) that are joined when they are drawn.

    classes: those whose objects have them, 0 .. K-1; None for all classes.
    """

    names: tuple[str, ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    classes: frozenset[int] | None = None

    def belong_to(self, label: int) -> bool:
        """Whether the objects of a class have them."""
        return bool(self.names) and (self.classes is None or label in self.classes)


@dataclass(frozen=True, kw_only=True)
class ObjectListing:
    """All pictures and objects of a source, with what is wrong with it."""

    origin: str
    format: Format
    classes: tuple[str, ...]
    pictures: tuple[PictureRecord, ...]
    faults: tuple[Fault, ...]
    keypoints: KeypointPlan = KeypointPlan()


def sample_of(picture: PictureRecord, points: int = 0) -> Sample:
    """The picture's objects as arrays, polygons filled; an object without keypoints gets `points` that are unlabelled.

    Raises UsageError for a record that no reader gives.
    """
    objects = picture.objects
    masks = tuple(_mask(each.outline, picture) for each in objects)
    keypoints = np.zeros((len(objects), points, 3), np.float32)
    for row, each in enumerate(objects):
        if each.keypoints:
            keypoints[row, : len(each.keypoints)] = each.keypoints
    boxes = np.array([each.box for each in objects], np.float32).reshape(-1, 4)
    areas = (boxes[:, 2] - boxes[:, 0]).astype(np.float64) * (boxes[:, 3] - boxes[:, 1])
    for row, (each, mask) in enumerate(zip(objects, masks, strict=True)):
        if each.area is not None:
            areas[row] = each.area
        elif mask is not None:
            areas[row] = mask.area
    return Sample(
        name=picture.name,
        height=picture.height,
        width=picture.width,
        boxes=boxes,
        classes=np.array([each.label for each in objects], np.int64),
        masks=masks,
        keypoints=keypoints,
        iscrowd=np.array([each.iscrowd for each in objects], np.bool_),
        difficult=np.array([each.difficult for each in objects], np.bool_),
        areas=areas,
    )


def _mask(outline: Outline | None, picture: PictureRecord) -> Rle | None:
    if isinstance(outline, tuple):
        return rle_of_polygons(outline, picture.height, picture.width)
    return outline

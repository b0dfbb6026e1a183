"""Pictures whose objects are rectangles of one colour each, so that their pixels say where an object is."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convatlas.data.detection.augment.annotated import Annotated
from convatlas.types import Rle, Sample

COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 0, 255], [0, 255, 255]], np.uint8)


def coloured(
    size: tuple[int, int],
    boxes: Sequence[tuple[int, int, int, int]],
    *,
    classes: Sequence[int] | None = None,
    masks: bool = True,
    name: str = "coloured",
) -> Annotated:
    """Rectangles on black; object i has COLOURS[class i] and the keypoints left, right: the middles of its end columns.

    The pixel at each keypoint is a shade darker, by 40 left and by 60 right, so that it can be found again.
    """
    labels = list(range(len(boxes))) if classes is None else list(classes)
    pixels = np.zeros((*size, 3), np.uint8)
    rles, points = [], []
    for (x1, y1, x2, y2), label in zip(boxes, labels, strict=True):
        pixels[y1:y2, x1:x2] = COLOURS[label]
        middle = (y1 + y2) // 2
        for column, shade in ((x1, 40), (x2 - 1, 60)):
            pixels[middle, column] = np.maximum(COLOURS[label], shade) - shade
        mask = np.zeros(size, np.bool_)
        mask[y1:y2, x1:x2] = True
        rles.append(Rle.from_mask(mask) if masks else None)
        points.append([(x1 + 0.5, middle + 0.5, 2), (x2 - 0.5, middle + 0.5, 1)])
    sample = Sample(
        name=name,
        height=size[0],
        width=size[1],
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        classes=np.array(labels, np.int64),
        masks=tuple(rles),
        keypoints=np.array(points, np.float32).reshape(-1, 2, 3),
        difficult=np.array([label % 2 == 1 for label in labels], np.bool_),
        iscrowd=np.array([label % 3 == 2 for label in labels], np.bool_),
    )
    return Annotated(pixels=pixels, sample=sample)


def where(pixels: NDArray[np.uint8], label: int) -> NDArray[np.bool_]:
    """(H, W): the pixels that are nearer to the object's colour than to black and the other colours."""
    high = pixels.astype(np.int64) > 127
    return (high == (COLOURS[label] > 127)).all(axis=2)


def tight(mask: NDArray[np.bool_]) -> list[int]:
    """The box around the pixels inside, [] without one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1] if rows.size else []

"""What is truly on pictures and what a detector answered: the input of every measure of detection.

A caller gives one record a picture; `lay_truths` and `lay_detections` check them all and lay them end to end, so that
the measures work on whole arrays. An error names the picture and the row.
Boxes are absolute xyxy in pixels, x2 and y2 exclusive, of any float type; all is computed in float64. Classes are
indices from 0.
Shapes: G true objects or D detections of one picture (or, laid out, of all), J keypoints, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.errors import UsageError, did_you_mean
from convatlas.metrics.columns import Columns
from convatlas.metrics.run_lengths import Runs

PictureId = int | str
Kind = Literal["box", "mask", "keypoint"]  # what is compared
KINDS: tuple[Kind, ...] = ("box", "mask", "keypoint")


@dataclass(frozen=True, kw_only=True, eq=False)  # eq: arrays have no single truth value
class PictureTruths:
    """What is truly on one picture. A picture without objects has empty arrays, and is given all the same."""

    picture: PictureId  # a file name, or a number as in COCO; all of one set are of one type
    boxes: ArrayLike  # (G, 4)
    classes: ArrayLike  # (G,) whole numbers
    crowd: ArrayLike | None = None  # (G,) COCO's iscrowd: one region of many objects
    difficult: ArrayLike | None = None  # (G,) VOC's flag; the COCO measures do not know it
    areas: ArrayLike | None = None  # (G,) pixels, as COCO's annotations state it; else of the mask, else of the box
    masks: Sequence[ArrayLike] | None = None  # G arrays of run lengths, see `metrics.run_lengths`
    size: tuple[int, int] | None = None  # height, width; masks need it
    keypoints: ArrayLike | None = None  # (G, J, 3) x, y, v; v: 0 not labelled, 1 hidden, 2 visible


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureDetections:
    """What a detector answered for one picture, in any order. Equal scores keep the order in which they are given."""

    picture: PictureId
    boxes: ArrayLike  # (D, 4)
    classes: ArrayLike  # (D,) whole numbers
    scores: ArrayLike  # (D,) any finite value, higher is surer
    areas: ArrayLike | None = None  # (D,) pixels; else of what is compared: the mask, the keypoints' extent, or the box
    masks: Sequence[ArrayLike] | None = None  # D arrays of run lengths
    size: tuple[int, int] | None = None  # height, width; masks need it
    keypoints: ArrayLike | None = None  # (D, J, 2) x, y or (D, J, 3), of which the third is not read


@dataclass(frozen=True, kw_only=True, eq=False)
class Truths:
    """The objects of all pictures, end to end, the pictures in the order of their ids."""

    pictures: tuple[PictureId, ...]
    picture: NDArray[np.int64]  # (G,) place in `pictures`
    row: NDArray[np.int64]  # (G,) place in the picture's own arrays
    boxes: NDArray[np.float64]  # (G, 4)
    classes: NDArray[np.int64]  # (G,)
    crowd: NDArray[np.bool_]  # (G,)
    difficult: NDArray[np.bool_]  # (G,)
    areas: NDArray[np.float64]  # (G,)
    masks: Runs | None
    keypoints: NDArray[np.float64] | None  # (G, J, 3)

    def ignored(self, *, difficult: bool = True) -> NDArray[np.bool_]:
        """The objects (G,) that are not counted: crowds, those without a labelled keypoint, and difficult ones."""
        ignored = self.crowd | self.difficult if difficult else self.crowd
        if self.keypoints is not None:
            ignored = ignored | ~np.any(self.keypoints[:, :, 2] > 0, axis=1)
        return ignored


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """The detections of all pictures, end to end, the pictures in the order of `Truths.pictures`."""

    picture: NDArray[np.int64]  # (D,) place in `Truths.pictures`
    row: NDArray[np.int64]  # (D,) place in the picture's own arrays
    boxes: NDArray[np.float64]  # (D, 4)
    classes: NDArray[np.int64]  # (D,)
    scores: NDArray[np.float64]  # (D,)
    areas: NDArray[np.float64]  # (D,)
    masks: Runs | None
    keypoints: NDArray[np.float64] | None  # (D, J, 2)


def lay_truths(truths: Sequence[PictureTruths], num_classes: int, kind: Kind = "box") -> Truths:
    """Every object of every picture, checked. Raises UsageError that names the picture and the field.

    A mask or keypoints are laid out only for their kind, and must then be given.
    """
    check_kind(kind)
    if not truths:
        raise UsageError("truths: expected one picture or more")
    pictures = _in_order(truths, "truths")
    columns = Columns("truths", [each.picture for each in pictures], [each.classes for each in pictures])
    boxes = columns.boxes([each.boxes for each in pictures])
    masks = columns.masks([(each.masks, each.size) for each in pictures]) if kind == "mask" else None
    keypoints = columns.keypoints([each.keypoints for each in pictures], (3,)) if kind == "keypoint" else None
    stated = columns.areas([each.areas for each in pictures])
    default = box_areas(boxes) if masks is None else masks.areas.astype(np.float64)
    return Truths(
        pictures=tuple(each.picture for each in pictures),
        picture=columns.owner,
        row=columns.row,
        boxes=boxes,
        classes=columns.classes(num_classes),
        crowd=columns.flags("crowd", [each.crowd for each in pictures]),
        difficult=columns.flags("difficult", [each.difficult for each in pictures]),
        areas=np.where(np.isnan(stated), default, stated),
        masks=masks,
        keypoints=keypoints,
    )


def lay_detections(
    detections: Sequence[PictureDetections],
    truths: Truths,
    num_classes: int,
    kind: Kind = "box",
    argument: str = "detections",
) -> Detections:
    """Every detection of every picture, checked; a picture of `truths` without detections may be left out.

    Raises UsageError that names the picture and the field, also for a picture that the truths do not have, or whose
    masks are of another size there. `argument` is what the caller calls the detections.
    """
    check_kind(kind)
    answered = _in_order(detections, argument)
    place = {picture: index for index, picture in enumerate(truths.pictures)}
    for each in answered:
        if each.picture not in place:
            hint = did_you_mean(str(each.picture), map(str, truths.pictures))
            raise UsageError(f"{argument}: picture {each.picture!r} is not among the {len(place)} of truths.{hint}")
    columns = Columns(argument, [each.picture for each in answered], [each.classes for each in answered])
    boxes = columns.boxes([each.boxes for each in answered])
    masks = columns.masks([(each.masks, each.size) for each in answered]) if kind == "mask" else None
    keypoints = columns.keypoints([each.keypoints for each in answered], (2, 3)) if kind == "keypoint" else None
    picture = np.array([place[each.picture] for each in answered], np.int64)[columns.owner]
    if masks is not None:
        _check_sizes(masks, picture, truths)
        default = masks.areas.astype(np.float64)
    elif keypoints is not None:
        default = np.prod(keypoints.max(axis=1) - keypoints.min(axis=1), axis=1)
    else:
        default = box_areas(boxes)
    stated = columns.areas([each.areas for each in answered])
    return Detections(
        picture=picture,
        row=columns.row,
        boxes=boxes,
        classes=columns.classes(num_classes),
        scores=columns.scores([each.scores for each in answered]),
        areas=np.where(np.isnan(stated), default, stated),
        masks=masks,
        keypoints=keypoints,
    )


def box_areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Width times height of boxes (N, 4) xyxy: (N,) square pixels."""
    areas: NDArray[np.float64] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas


def check_kind(kind: str) -> None:
    """Raise UsageError unless it is one of KINDS."""
    if kind not in KINDS:
        raise UsageError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}.{did_you_mean(str(kind), KINDS)}")


def check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """The names of the classes; raises UsageError when there is none, or two are equal."""
    names = tuple(classes)
    if not names or len(set(names)) < len(names):
        raise UsageError(f"classes: expected one name or more, each once, got {', '.join(map(str, names)) or 'none'}")
    return names


def _check_sizes(masks: Runs, picture: NDArray[np.int64], truths: Truths) -> None:
    assert truths.masks is not None
    sizes = np.zeros((len(truths.pictures), 2), np.int64)
    sizes[truths.picture] = truths.masks.sizes
    known = sizes[picture]
    other = np.flatnonzero(np.any(known != masks.sizes, axis=1) & (known[:, 0] > 0))
    if other.size:
        at = other[0]
        raise UsageError(
            f"detections: picture {truths.pictures[picture[at]]!r}: size: expected {known[at].tolist()} as in truths, "
            f"got {masks.sizes[at].tolist()}"
        )


_Record = TypeVar("_Record", PictureTruths, PictureDetections)


def _in_order(given: Sequence[_Record], name: str) -> list[_Record]:
    # By id, as pycocotools takes them: equal scores of two pictures are then ranked alike in any order of reading.
    seen: dict[PictureId, None] = {}
    for each in given:
        if not isinstance(each.picture, int | str | np.integer) or isinstance(each.picture, bool):
            raise UsageError(f"{name}: expected a picture's id as int or str, got {each.picture!r}")
        if each.picture in seen:
            raise UsageError(f"{name}: picture {each.picture!r} is there twice; give all of a picture in one record")
        seen[each.picture] = None
    if len({isinstance(picture, str) for picture in seen}) > 1:
        raise UsageError(f"{name}: expected the pictures' ids all as int or all as str, got both")
    return sorted(given, key=lambda each: each.picture)

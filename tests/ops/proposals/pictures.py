"""Pictures with known objects, and what the tests of proposals measure on them."""

import numpy as np

from convatlas.data.scenes.scene import Scene, SceneConfig, compose
from convatlas.metrics.overlaps import box_iou

FEW_LARGE = SceneConfig(height=96, width=96, count=(1, 3), scale=(0.3, 0.7))


def scenes(count: int) -> list[Scene]:
    return [compose(number, config=FEW_LARGE) for number in range(count)]


def noise(seed: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def random_boxes(size: tuple[int, int], count: int, seed: int = 0) -> np.ndarray:
    """The baseline: corners drawn uniformly."""
    height, width = size
    corners = np.random.default_rng(seed).random((count, 2, 2)) * [width, height]
    return np.sort(corners, axis=1).reshape(count, 4)


def mean_best_overlap(boxes: list[np.ndarray], pictures: list[Scene]) -> float:
    """Of every object the overlap of the box nearest to it, averaged over the objects."""
    best = [
        box_iou(each.astype(np.float64), scene.sample.boxes.astype(np.float64)).max(axis=0)
        for each, scene in zip(boxes, pictures, strict=True)
    ]
    return float(np.concatenate(best).mean())


def better_than_random(boxes: list[np.ndarray], pictures: list[Scene], count: int) -> tuple[float, float]:
    """The mean best overlap of the first `count` boxes of each picture, and of as many random boxes."""
    first = [each[:count] for each in boxes]
    chance = [
        random_boxes(scene.pixels.shape[:2], len(each), seed)
        for seed, (each, scene) in enumerate(zip(first, pictures, strict=True))
    ]
    return mean_best_overlap(first, pictures), mean_best_overlap(chance, pictures)

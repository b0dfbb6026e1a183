"""COCO's average precision of 5,000 pictures, ours beside pycocotools, boxes, masks and keypoints, in turn.

The pictures are made by seed, as many objects and as large as COCO's on the average. Timed is what follows once both
have their checked and indexed records in memory: for ours `Sample` and `Detections`, for pycocotools two `COCO` with
their indices and the masks as its compressed strings. Both then evaluate, accumulate and summarise. What it takes to
make those records is given apart.
"""

import contextlib
import io
import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convatlas.metrics.coco import COCO_BOXES, COCO_KEYPOINTS, COCO_MASKS, CocoResult, CocoSettings, evaluate_coco
from convatlas.types import Detections, Rle, Sample

PICTURES = 5_000
ROUNDS = 3
HEIGHT, WIDTH = 480, 640


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a picture holds on the average."""

    settings: CocoSettings
    classes: int
    objects: float
    detections: int  # at most


LOADS = {
    "box": Load(settings=COCO_BOXES, classes=80, objects=7.3, detections=100),
    "mask": Load(settings=COCO_MASKS, classes=80, objects=7.3, detections=50),
    "keypoint": Load(settings=COCO_KEYPOINTS, classes=1, objects=2.2, detections=20),
}


def measure() -> dict[str, Any]:
    return {name: _one(load) for name, load in LOADS.items()}


def lines(measured: dict[str, Any]) -> list[str]:
    found = []
    for name, each in measured.items():
        seconds, theirs = each["seconds"], each["pycocotools_seconds"]
        ratios = [slow / fast for fast, slow in zip(seconds, theirs, strict=True)]
        found.append(
            f"COCO AP of {each['pictures']:,} pictures, {name}, {each['detections']:,} detections: median "
            f"{statistics.median(seconds):.2f} s, pycocotools {statistics.median(theirs):.1f} s: "
            f"{statistics.median(ratios):.1f} times as long ({min(ratios):.1f} to {max(ratios):.1f}); greatest "
            f"difference {each['difference']:.1g}; {each['records_seconds']:.2f} s to make and check the records"
        )
    return found


def _one(load: Load) -> dict[str, Any]:
    truths, detections = _pictures(load)
    classes = [str(k) for k in range(load.classes)]
    evaluation = _prepare(truths, detections, load)
    ours, theirs = [], []
    for _ in range(ROUNDS):  # in turn, so that a busy moment of the machine meets both alike
        started = time.perf_counter()
        result = evaluate_coco(truths, detections, classes, load.settings)
        summary = result.summary()
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        theirs.append(time.perf_counter() - started)
    started = time.perf_counter()
    for each in (*truths, *detections):
        replace(each)  # makes and checks it anew
    making = time.perf_counter() - started
    return {
        "pictures": len(truths),
        "objects": int(result.objects[:, 0].sum()),
        "detections": sum(map(len, detections)),
        "seconds": [round(each, 3) for each in ours],
        "pycocotools_seconds": [round(each, 3) for each in theirs],
        "records_seconds": round(making, 3),
        "summary": summary,
        "difference": _difference(result, evaluation),
    }


def _difference(result: CocoResult, evaluation: Any) -> float:
    pairs = ((result.precision, evaluation.eval["precision"]), (result.recall, evaluation.eval["recall"]))
    return max(float(np.abs(np.nan_to_num(ours, nan=-1) - theirs).max()) for ours, theirs in pairs)


def _pictures(load: Load) -> tuple[list[Sample], list[Detections]]:
    random = np.random.default_rng(0)
    common = random.dirichlet(np.full(load.classes, 0.5))  # some classes are common, most are rare
    masks, points = load.settings.kind == "mask", load.settings.kind == "keypoint"
    truths, detections = [], []
    for picture in range(PICTURES):
        count = int(random.poisson(load.objects))
        boxes = _boxes(random, count)
        classes = random.choice(load.classes, count, p=common)
        near = np.repeat(np.arange(count), random.integers(0, 5, count))[: load.detections]
        others = load.detections - len(near)
        side = np.tile(boxes[near, 2:] - boxes[near, :2], 2)
        moved = boxes[near] + random.normal(0, 0.12, side.shape) * side
        moved = np.concatenate([np.minimum(moved[:, :2], moved[:, 2:]), np.maximum(moved[:, :2], moved[:, 2:])], axis=1)
        found = np.concatenate([moved, _boxes(random, others)])
        true_points, found_points = _keypoints(random, boxes), _keypoints(random, found)
        shift = random.normal(0, 0.03, (len(near), 17, 2)) * side[:, None, :2]
        found_points[: len(near), :, :2] = true_points[near, :, :2] + shift
        truths.append(
            Sample(
                name=f"{picture:06}",
                height=HEIGHT,
                width=WIDTH,
                boxes=boxes.astype(np.float32),
                classes=classes,
                iscrowd=random.random(count) < 0.01,
                areas=0.6 * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
                masks=tuple(map(_ellipse, boxes)) if masks else (),
                keypoints=(true_points if points else true_points[:, :0]).astype(np.float32),
            )
        )
        detections.append(
            Detections(
                name=f"{picture:06}",
                height=HEIGHT,
                width=WIDTH,
                boxes=found.astype(np.float32),
                classes=np.concatenate([classes[near], random.choice(load.classes, others, p=common)]),
                scores=np.concatenate([random.beta(3, 2, len(near)), random.beta(1, 6, others)]).astype(np.float32),
                masks=tuple(map(_ellipse, found)) if masks else (),
                keypoints=(found_points if points else found_points[:, :0]).astype(np.float32),
            )
        )
    return truths, detections


def _boxes(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """A third small, a third medium, a third large, as in COCO; whole hundredths of a pixel, as its files have them."""
    picture = np.array([WIDTH, HEIGHT])
    side = np.exp(random.uniform(np.log(8), np.log(350), (count, 1))) * random.uniform(0.7, 1.4, (count, 2))
    side = np.minimum(side, picture)
    corner = random.random((count, 2)) * (picture - side)
    return np.round(np.concatenate([corner, corner + side], axis=1), 2)


def _keypoints(random: np.random.Generator, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    places = boxes[:, None, :2] + random.random((len(boxes), 17, 2)) * (boxes[:, 2:] - boxes[:, :2])[:, None]
    visible = random.choice(3, (len(boxes), 17, 1), p=(0.4, 0.1, 0.5))
    return np.concatenate([places, visible], axis=2)


def _ellipse(box: NDArray[np.float64]) -> Rle:
    """The mask of the ellipse in a box, column by column."""
    x1, y1, x2, y2 = np.clip(box, 0, (WIDTH, HEIGHT, WIDTH, HEIGHT))
    x = np.arange(int(x1), min(int(np.ceil(x2)), WIDTH))
    half = np.sqrt(np.clip(1 - ((x + 0.5 - (x1 + x2) / 2) / max((x2 - x1) / 2, 0.5)) ** 2, 0, 1)) * (y2 - y1) / 2
    top = np.clip(np.round((y1 + y2) / 2 - half), 0, HEIGHT).astype(np.int64) + x * HEIGHT
    bottom = np.clip(np.round((y1 + y2) / 2 + half), 0, HEIGHT).astype(np.int64) + x * HEIGHT
    edges = np.stack([top, bottom], axis=1)[bottom > top].ravel()
    # A column that is full goes on in the next one. Split there, with an empty run between, pycocotools stops early
    # and gives too small an intersection.
    edges = edges[(np.diff(edges, prepend=-1) > 0) & (np.diff(edges, append=HEIGHT * WIDTH + 1) > 0)]
    counts = np.diff(np.concatenate([[0], edges, [HEIGHT * WIDTH]]))
    return Rle(height=HEIGHT, width=WIDTH, counts=counts)


def _prepare(truths: list[Sample], detections: list[Detections], load: Load) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images = [{"id": number, "height": HEIGHT, "width": WIDTH} for number in range(1, len(truths) + 1)]
    categories = [{"id": k, "name": str(k)} for k in range(load.classes)]
    sides = []
    for records in (truths, detections):
        annotations: list[dict[str, Any]] = []
        for number, each in enumerate(records, start=1):
            annotations.extend(_annotations(each, number, len(annotations) + 1))
        side = COCO()
        side.dataset = {"images": images, "categories": categories, "annotations": annotations}
        with contextlib.redirect_stdout(io.StringIO()):
            side.createIndex()
        sides.append(side)
    kind = {"box": "bbox", "mask": "segm", "keypoint": "keypoints"}[load.settings.kind]
    return COCOeval(*sides, kind)


def _annotations(each: Sample | Detections, picture: int, first: int) -> list[dict[str, Any]]:
    from pycocotools import mask

    found = []
    for i, (x1, y1, x2, y2) in enumerate(each.boxes.tolist()):
        annotation: dict[str, Any] = {
            "id": first + i,
            "image_id": picture,
            "category_id": int(each.classes[i]),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
        }
        outline = each.masks[i] if each.masks else None
        if outline is not None:
            runs = {"size": [HEIGHT, WIDTH], "counts": outline.counts.tolist()}
            annotation["segmentation"] = mask.frPyObjects(runs, HEIGHT, WIDTH)
            annotation["area"] = float(outline.area)
        if each.keypoints.size:
            points = each.keypoints[i].astype(np.float64)
            annotation["keypoints"] = points.ravel().tolist()
            annotation["num_keypoints"] = int((points[:, 2] > 0).sum())
            annotation["area"] = float(np.prod(np.ptp(points[:, :2], axis=0)))
        if isinstance(each, Sample):
            annotation["iscrowd"] = int(each.iscrowd[i])
            annotation["area"] = float(each.areas[i])
        else:
            annotation["score"] = float(each.scores[i])
        found.append(annotation)
    return found

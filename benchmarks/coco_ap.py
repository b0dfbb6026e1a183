"""COCO's average precision of 5,000 pictures, ours beside pycocotools, boxes, masks and keypoints, in turn.

The pictures are made by seed, as many objects and as large as COCO's on the average. Timed is what follows once both
have their records in memory: ours checks and evaluates, pycocotools evaluates and accumulates.
"""

import contextlib
import io
import statistics
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convatlas.metrics.coco import BOXES, KEYPOINTS, MASKS, CocoResult, CocoSettings, evaluate_coco
from convatlas.metrics.objects import PictureDetections, PictureTruths

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
    "box": Load(settings=BOXES, classes=80, objects=7.3, detections=100),
    "mask": Load(settings=MASKS, classes=80, objects=7.3, detections=50),
    "keypoint": Load(settings=KEYPOINTS, classes=1, objects=2.2, detections=20),
}


def measure() -> dict[str, Any]:
    return {name: _one(load) for name, load in LOADS.items()}


def lines(measured: dict[str, Any]) -> list[str]:
    found = []
    for name, each in measured.items():
        ratios = [theirs / ours for ours, theirs in zip(each["seconds"], each["pycocotools_seconds"], strict=True)]
        found.append(
            f"COCO AP of {each['pictures']:,} pictures, {name}, {each['detections']:,} detections: median "
            f"{statistics.median(each['seconds']):.2f} s, pycocotools {statistics.median(each['pycocotools_seconds']):.1f} "
            f"s: {statistics.median(ratios):.1f} times as long ({min(ratios):.1f} to {max(ratios):.1f}); greatest "
            f"difference {each['difference']:.1g}"
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
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.evaluate()
            evaluation.accumulate()
        theirs.append(time.perf_counter() - started)
    return {
        "pictures": len(truths),
        "objects": int(result.objects[:, 0].sum()),
        "detections": sum(len(each.scores) for each in detections),
        "seconds": [round(each, 3) for each in ours],
        "pycocotools_seconds": [round(each, 3) for each in theirs],
        "average_precision": result.average_precision(),
        "difference": _difference(result, evaluation),
    }


def _difference(result: CocoResult, evaluation: Any) -> float:
    pairs = ((result.precision, evaluation.eval["precision"]), (result.recall, evaluation.eval["recall"]))
    return max(float(np.abs(np.nan_to_num(ours, nan=-1) - theirs).max()) for ours, theirs in pairs)


def _pictures(load: Load) -> tuple[list[PictureTruths], list[PictureDetections]]:
    random = np.random.default_rng(0)
    common = random.dirichlet(np.full(load.classes, 0.5))  # some classes are common, most are rare
    truths, detections = [], []
    for picture in range(1, PICTURES + 1):
        count = int(random.poisson(load.objects))
        boxes = _boxes(random, count)
        classes = random.choice(load.classes, count, p=common)
        near = np.repeat(np.arange(count), random.integers(0, 5, count))[: load.detections]
        others = load.detections - len(near)
        side = np.tile(boxes[near, 2:] - boxes[near, :2], 2)
        moved = boxes[near] + random.normal(0, 0.12, side.shape) * side
        moved = np.concatenate([np.minimum(moved[:, :2], moved[:, 2:]), np.maximum(moved[:, :2], moved[:, 2:])], axis=1)
        found = np.concatenate([moved, _boxes(random, others)])
        found_classes = np.concatenate([classes[near], random.choice(load.classes, others, p=common)])
        scores = np.concatenate([random.beta(3, 2, len(near)), random.beta(1, 6, others)])
        crowd = random.random(count) < 0.01
        masks = load.settings.kind == "mask"
        keypoints = load.settings.kind == "keypoint"
        true_points, points = _keypoints(random, boxes), _keypoints(random, found)[:, :, :2]
        points[: len(near)] = true_points[near, :, :2] + random.normal(0, 0.03, (len(near), 17, 2)) * side[:, None, :2]
        truths.append(
            PictureTruths(
                picture=picture,
                boxes=boxes,
                classes=classes,
                crowd=crowd,
                areas=0.6 * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1),
                masks=[_ellipse(box) for box in boxes] if masks else None,
                size=(HEIGHT, WIDTH),
                keypoints=true_points if keypoints else None,
            )
        )
        detections.append(
            PictureDetections(
                picture=picture,
                boxes=found,
                classes=found_classes,
                scores=scores,
                masks=[_ellipse(box) for box in found] if masks else None,
                size=(HEIGHT, WIDTH),
                keypoints=points if keypoints else None,
            )
        )
    return truths, detections


def _boxes(random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """A third small, a third medium, a third large, as in COCO; in whole hundredths of a pixel, as its files have it."""
    side = np.exp(random.uniform(np.log(8), np.log(350), (count, 1))) * random.uniform(0.7, 1.4, (count, 2))
    corner = random.random((count, 2)) * np.maximum(1, np.array([WIDTH, HEIGHT]) - side)
    return np.round(np.concatenate([corner, corner + side], axis=1), 2)


def _keypoints(random: np.random.Generator, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    places = boxes[:, None, :2] + random.random((len(boxes), 17, 2)) * (boxes[:, 2:] - boxes[:, :2])[:, None]
    visible = random.choice(3, (len(boxes), 17, 1), p=(0.4, 0.1, 0.5))
    return np.concatenate([places, visible], axis=2)


def _ellipse(box: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Run lengths of the ellipse in a box, column by column."""
    x1, y1, x2, y2 = np.clip(box, 0, (WIDTH, HEIGHT, WIDTH, HEIGHT))
    x = np.arange(int(x1), min(int(np.ceil(x2)), WIDTH))
    half = np.sqrt(np.clip(1 - ((x + 0.5 - (x1 + x2) / 2) / max((x2 - x1) / 2, 0.5)) ** 2, 0, 1)) * (y2 - y1) / 2
    top = np.clip(np.round((y1 + y2) / 2 - half), 0, HEIGHT).astype(np.int64) + x * HEIGHT
    bottom = np.clip(np.round((y1 + y2) / 2 + half), 0, HEIGHT).astype(np.int64) + x * HEIGHT
    edges = np.stack([top, bottom], axis=1)[bottom > top].ravel()
    return np.diff(np.concatenate([[0], edges, [HEIGHT * WIDTH]])).astype(np.uint32)


def _prepare(truths: list[PictureTruths], detections: list[PictureDetections], load: Load) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images = [{"id": each.picture, "height": HEIGHT, "width": WIDTH} for each in truths]
    categories = [{"id": k, "name": str(k)} for k in range(load.classes)]
    sides = []
    for records in (truths, detections):
        annotations: list[dict[str, Any]] = []
        for each in records:
            annotations.extend(_annotations(each, len(annotations) + 1))
        side = COCO()
        side.dataset = {"images": images, "categories": categories, "annotations": annotations}
        with contextlib.redirect_stdout(io.StringIO()):
            side.createIndex()
        sides.append(side)
    kind = {"box": "bbox", "mask": "segm", "keypoint": "keypoints"}[load.settings.kind]
    return COCOeval(*sides, kind)


def _annotations(each: PictureTruths | PictureDetections, first: int) -> list[dict[str, Any]]:
    from pycocotools import mask

    boxes = np.asarray(each.boxes)
    found = []
    for i, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        annotation: dict[str, Any] = {
            "id": first + i,
            "image_id": each.picture,
            "category_id": int(np.asarray(each.classes)[i]),
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": 0,
        }
        if each.masks is not None:
            counts = np.asarray(each.masks[i]).tolist()
            annotation["segmentation"] = mask.frPyObjects({"size": [HEIGHT, WIDTH], "counts": counts}, HEIGHT, WIDTH)
            annotation["area"] = float(mask.area(annotation["segmentation"]))
        if each.keypoints is not None:
            points = np.asarray(each.keypoints)[i]
            annotation["num_keypoints"] = int((points[:, 2:] > 0).sum())
            if points.shape[1] == 2:
                annotation["area"] = float(np.prod(points.max(axis=0) - points.min(axis=0)))
                points = np.concatenate([points, np.ones((len(points), 1))], axis=1)
            annotation["keypoints"] = points.ravel().tolist()
        if isinstance(each, PictureTruths):
            annotation["iscrowd"] = int(np.asarray(each.crowd)[i])
            annotation["area"] = float(np.asarray(each.areas)[i])
        else:
            annotation["score"] = float(np.asarray(each.scores)[i])
        found.append(annotation)
    return found

"""Pictures, objects and detections made by seed, in our records and as pycocotools takes them, and its answer."""

import contextlib
import io

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from convatlas.metrics.coco import CocoSettings
from convatlas.types import Detections, Rle, Sample

CLASSES = ("cat", "dog", "owl")
MASK_SIZE = (110, 130)


def sample(name, boxes, classes, *, size=(400, 400), **fields):
    """A picture's truths from lists."""
    types = {"iscrowd": np.bool_, "difficult": np.bool_, "areas": np.float64, "keypoints": np.float32}
    return Sample(
        name=name,
        height=size[0],
        width=size[1],
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        classes=np.array(classes, np.int64),
        **{field: np.array(value, types[field]) if field in types else value for field, value in fields.items()},
    )


def found(name, boxes, classes, scores, *, size=(400, 400), masks=(), keypoints=None):
    """A picture's detections from lists."""
    return Detections(
        name=name,
        height=size[0],
        width=size[1],
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        classes=np.array(classes, np.int64),
        scores=np.array(scores, np.float32),
        masks=tuple(masks),
        **({} if keypoints is None else {"keypoints": np.array(keypoints, np.float32)}),
    )


def boxes_case(seed, *, pictures=9, scale=1, most=6, grid=True):
    """Boxes on a coarse grid, so that overlaps, scores and areas meet thresholds and each other; or anywhere."""
    random = np.random.default_rng(seed)
    truths, detections = [], []
    for picture in random.permutation(40)[:pictures].tolist():
        true = _boxes(random, int(random.integers(0, most)), scale, grid, smallest=1)
        answers = np.concatenate(
            [
                true[random.random(len(true)) < 0.7],
                _moved(random, true, scale, grid),
                _boxes(random, int(random.integers(0, most)), scale, grid),
            ]
        )
        count = len(answers)
        areas = (true[:, 2:] - true[:, :2]).prod(axis=1) * random.choice([0.5, 1.0], len(true))
        classes = random.integers(0, 2, len(true))  # of the third class there is no object
        crowd = random.random(len(true)) < 0.2
        truths.append(sample(f"{picture:02}", true, classes, iscrowd=crowd, areas=areas))
        scores = random.integers(1, 8, count) / 8 if grid else random.random(count)
        detections.append(found(f"{picture:02}", answers, random.integers(0, 3, count), scores))
    return truths, detections


def masks_case(seed, *, pictures=6):
    """Rectangles and speckles cut from each other; some masks are empty."""
    random = np.random.default_rng(seed)
    truths, detections = [], []
    for picture in range(pictures):
        true = [_mask(random) for _ in range(random.integers(0, 5))]
        answers = [np.roll(each, random.integers(-9, 9), axis=random.integers(0, 2)) for each in true]
        answers += [_mask(random) for _ in range(random.integers(0, 4))]
        boxes = np.tile([0, 0, MASK_SIZE[1], MASK_SIZE[0]], (len(true), 1))
        truths.append(
            sample(
                f"{picture:02}",
                boxes,
                random.integers(0, 2, len(true)),
                size=MASK_SIZE,
                iscrowd=random.random(len(true)) < 0.2,
                masks=tuple(map(Rle.from_mask, true)),
            )
        )
        detections.append(
            found(
                f"{picture:02}",
                np.zeros((len(answers), 4)),
                random.integers(0, 2, len(answers)),
                random.integers(1, 6, len(answers)) / 6,
                size=MASK_SIZE,
                masks=map(Rle.from_mask, answers),
            )
        )
    return truths, detections


def keypoints_case(seed, *, pictures=6, points=17):
    """Skeletons marked well and badly; some objects have no labelled keypoint, some no area."""
    random = np.random.default_rng(seed)
    truths, detections = [], []
    for picture in range(pictures):
        count = int(random.integers(0, 5))
        corner = random.random((count, 2)) * 60
        side = random.choice([10.0, 40.0, 120.0], (count, 1)) * (0.5 + random.random((count, 2)))
        places = corner[:, None] + random.random((count, points, 2)) * side[:, None]
        visible = random.integers(0, 3, (count, points)) * (random.random((count, 1)) < 0.8)
        noise = random.normal(0, 0.02, (count, points, 2)) * side[:, None] * random.integers(0, 4, (count, 1, 1))
        answers = np.concatenate([places + noise, places + noise * 3, random.random((2, points, 2)) * 100])
        truths.append(
            sample(
                f"{picture:02}",
                np.concatenate([corner, corner + side], axis=1),
                random.integers(0, 2, count),
                iscrowd=random.random(count) < 0.2,
                areas=side.prod(axis=1) * random.choice([0, 0.6, 0.6, 0.6], count),
                keypoints=np.concatenate([places, visible[:, :, None]], axis=2),
            )
        )
        detections.append(
            found(
                f"{picture:02}",
                np.zeros((len(answers), 4)),
                random.integers(0, 2, len(answers)),
                random.integers(1, 6, len(answers)) / 6,
                keypoints=np.concatenate([answers, np.ones((len(answers), points, 1))], axis=2),
            )
        )
    return truths, detections


def pycocotools(truths, detections, settings: CocoSettings, outlines=None):
    """COCOeval after accumulate; the pictures are numbered in the order of their names.

    outlines: by a picture's name, the polygons of each of its true objects, in place of their masks.
    """
    kind = settings.kind
    numbers = {name: index for index, name in enumerate(sorted(each.name for each in truths), start=1)}
    images = [{"id": numbers[each.name], "height": each.height, "width": each.width} for each in truths]
    categories = [{"id": k, "name": name} for k, name in enumerate(CLASSES)]
    annotations = []
    for each in truths:
        for i in range(len(each)):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": numbers[each.name],
                    "category_id": int(each.classes[i]),
                    "iscrowd": int(each.iscrowd[i]),
                    "bbox": _xywh(each.boxes[i]),
                    "area": float(each.areas[i]),
                    **_shape(each, i, kind),
                }
            )
            if outlines is not None:
                annotations[-1]["segmentation"] = [polygon.ravel().tolist() for polygon in outlines[each.name][i]]
            if kind == "keypoint":
                annotations[-1]["num_keypoints"] = int((each.keypoints[i, :, 2] > 0).sum())
    results = [
        {
            "image_id": numbers[each.name],
            "category_id": int(each.classes[i]),
            "score": float(each.scores[i]),
            **(_shape(each, i, kind) if kind != "box" else {"bbox": _xywh(each.boxes[i])}),
        }
        for each in detections
        for i in range(len(each))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "categories": categories, "annotations": annotations}
        truth.createIndex()
        answer = truth.loadRes(results) if results else COCO()
        evaluation = COCOeval(truth, answer, {"box": "bbox", "mask": "segm", "keypoint": "keypoints"}[kind])
        evaluation.params.iouThrs = np.array(settings.thresholds)
        evaluation.params.areaRng = [[each.low, each.high] for each in settings.areas]
        evaluation.params.areaRngLbl = [each.name for each in settings.areas]
        evaluation.params.maxDets = list(settings.max_detections)
        if settings.sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.array(settings.sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def _shape(each, i, kind):
    if kind == "mask":
        mask = each.masks[i]
        size = (mask.height, mask.width)
        return {"segmentation": coco_mask.frPyObjects({"size": size, "counts": mask.counts.tolist()}, *size)}
    if kind == "keypoint":  # COCO's are numbers of pixels, half a pixel before their middles
        return {"keypoints": (each.keypoints[i].astype(np.float64) - [0.5, 0.5, 0]).ravel().tolist()}
    return {}


def _xywh(box):
    x1, y1, x2, y2 = box.tolist()
    return [x1, y1, x2 - x1, y2 - y1]


def _boxes(random, count, scale, grid, smallest=0):
    corner, side = random.integers(0, 5, (count, 2)), random.integers(smallest, 7, (count, 2))
    if not grid:
        corner, side = corner + random.random((count, 2)), side + random.random((count, 2))
    return (np.concatenate([corner, corner + side], axis=1) * scale).astype(np.float32)


def _moved(random, boxes, scale, grid):
    shift = random.integers(-1, 2, (len(boxes), 4)) if grid else random.normal(0, 0.3, (len(boxes), 4))
    moved = boxes + shift * scale
    return np.concatenate([moved[:, :2], np.maximum(moved[:, :2], moved[:, 2:])], axis=1)


def _mask(random):
    mask = np.zeros(MASK_SIZE, np.bool_)
    for _ in range(random.integers(0, 3)):
        y, x = random.integers(0, 80, 2)
        height, width = random.integers(1, 100, 2)
        mask[y : y + height, x : x + width] ^= True
    if random.random() < 0.3:
        mask ^= random.random(MASK_SIZE) < 0.1
    return mask

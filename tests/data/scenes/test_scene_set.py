"""Scenes as a data set: the same whoever asks and when, and written as COCO and VOC they are read back as they were."""

import pickle
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from convatlas.data.detection.convert import write_objects
from convatlas.data.detection.export import Export, number, plain_stems
from convatlas.data.detection.object_set import ObjectSet
from convatlas.data.detection.source import open_objects
from convatlas.data.scenes.scene import POINTS, SKELETON, SceneConfig, compose
from convatlas.data.scenes.scene_set import embedded_scenes, scene_set
from convatlas.errors import UsageError

pytestmark = pytest.mark.row("C-10")

CONFIG = SceneConfig(height=48, width=64, count=(1, 6), overlap=0.6)


@pytest.fixture(scope="module")
def some() -> ObjectSet:
    return scene_set(train=4, val=2, test=1, seed=5, config=CONFIG)


def test_pixels_and_objects_are_those_of_the_scenes(some: ObjectSet) -> None:
    assert some.names == (
        *(f"train/{number:05}.png" for number in range(4)),
        "val/00000.png",
        "val/00001.png",
        "test/00000.png",
    )
    assert some.splits == ("train",) * 4 + ("val",) * 2 + ("test",)
    assert (some.keypoints.names, some.keypoints.skeleton) == (POINTS, SKELETON)
    for index in (6, 0, 5, 0, 3):  # in any order, again and again
        part, place = some.splits[index], [0, 1, 2, 3, 0, 1, 0][index]
        assert part is not None
        scene = compose(place, seed=5, part=part, config=CONFIG)
        assert (some.read(index) == scene.pixels).all()
        assert (some.truth(index).boxes == scene.sample.boxes).all()
        assert some.truth(index).name == some.names[index]


def test_a_set_goes_to_worker_processes_small(some: ObjectSet) -> None:
    words = pickle.dumps((some.read, some.truth))
    assert len(words) < 2000
    read, truth = pickle.loads(words)
    assert (read(2) == some.read(2)).all() and (truth(2).boxes == some.truth(2).boxes).all()


def test_what_is_read_cannot_be_changed_for_the_next_reader(some: ObjectSet) -> None:
    with pytest.raises(ValueError, match="read-only"):
        some.read(0)[0, 0] = 0


def test_the_embedded_set() -> None:
    embedded = embedded_scenes()
    assert [embedded.splits.count(part) for part in ("train", "val", "test")] == [700, 150, 150]
    assert (embedded.read(700) == compose(0, part="val").pixels).all()
    assert open_objects("scenes").names == embedded.names


@pytest.mark.parametrize("counts", [{}, {"train": 0}])
def test_a_set_without_scenes_is_refused(counts: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="train, val, test: expected how many"):
        scene_set(**counts)
    with pytest.raises(UsageError, match="seed: expected a whole number, 0 to"):
        scene_set(train=1, seed=-1)


@pytest.mark.parametrize("count", [-1, 1.5, "2", True])
def test_what_is_no_number_of_scenes_is_named(count: int) -> None:
    with pytest.raises(UsageError, match="val: expected a whole number, 0 to 4294967295, got "):
        scene_set(train=3, val=count)


# --- Written and read again


# pycocotools' masks convert themselves to arrays as NumPy 1 asked for it
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_as_coco_they_are_what_pycocotools_reads(some: ObjectSet, tmp_path: Path) -> None:
    written = write_objects(some, tmp_path / "coco", to="coco")
    assert (written.pictures, written.lost) == (7, {})
    place = 0
    for part in ("train", "val", "test"):
        coco = COCO(tmp_path / "coco" / "annotations" / f"instances_{part}.json")
        for image in coco.loadImgs(coco.getImgIds()):
            sample = some.truth(place)
            picture = Image.open(tmp_path / "coco" / "images" / part / image["file_name"])
            assert (np.asarray(picture) == some.read(place)).all()
            annotations = coco.loadAnns(coco.getAnnIds(image["id"]))
            assert len(annotations) == len(sample)
            for row, entry in enumerate(annotations):
                x, y, width, height = entry["bbox"]
                mask = sample.masks[row]
                assert mask is not None
                assert [x, y, x + width, y + height] == sample.boxes[row].tolist()
                assert (coco.annToMask(entry) == mask.to_mask()).all()
                assert entry["area"] == mask.area
                assert coco.loadCats(entry["category_id"])[0]["name"] == str(sample.classes[row])
                points = np.array(entry["keypoints"], np.float32).reshape(-1, 3)
                assert (points + np.array([0.5, 0.5, 0]) == sample.keypoints[row]).all()
            place += 1
    assert place == 7


def test_as_voc_boxes_count_from_one_and_masks_are_pictures(some: ObjectSet, tmp_path: Path) -> None:
    written = write_objects(some, tmp_path / "voc", to="voc")
    objects = sum(len(some.truth(index)) for index in range(7))
    assert some.captions is not None
    captions = sum(len(some.captions(index)) for index in range(7))
    assert (written.objects, written.lost) == (objects, {"keypoints": objects, "captions": captions})
    for index, stem in enumerate([*(f"train_{each:05}" for each in range(4)), "val_00000", "val_00001", "test_00000"]):
        sample = some.truth(index)
        root = ElementTree.parse(tmp_path / "voc" / "Annotations" / f"{stem}.xml").getroot()
        boxes = [
            [int(root_box.findtext(tag) or "") for tag in ("xmin", "ymin", "xmax", "ymax")]
            for root_box in root.iter("bndbox")
        ]
        assert (np.array(boxes) - (1, 1, 0, 0)).tolist() == sample.boxes.tolist()
        assert [each.findtext("name") for each in root.iter("object")] == [str(label) for label in sample.classes]
        scene = compose(int(stem[-5:]), seed=5, part=some.splits[index] or "train", config=CONFIG)
        masks = {
            kind: np.asarray(Image.open(tmp_path / "voc" / kind / f"{stem}.png"))
            for kind in ("SegmentationObject", "SegmentationClass")
        }
        assert (masks["SegmentationObject"] == scene.instances).all()
        assert (masks["SegmentationClass"] == scene.semantic).all()
    lists = {part: (tmp_path / "voc/ImageSets/Main" / f"{part}.txt").read_text().split() for part in ("train", "val")}
    assert lists["val"] == ["val_00000", "val_00001"] and len(lists["train"]) == 4


@pytest.mark.parametrize("form", ["coco", "voc", "yolo"])
def test_read_again_they_are_as_they_were(form: str, some: ObjectSet, tmp_path: Path) -> None:
    write_objects(some, tmp_path / form, to=form)
    again = open_objects(tmp_path / form)
    assert again.classes == some.classes
    places = {Path(name).stem: index for index, name in enumerate(again.names)}
    stems = plain_stems(some.names)
    assert len(places) == len(some)
    for index, stem in enumerate(stems):
        place = places[stem]
        ours, theirs = some.truth(index), again.truth(place)
        assert again.splits[place] == some.splits[index]
        assert theirs.name == again.names[place]
        assert (again.read(place) == some.read(index)).all()
        assert theirs.classes.tolist() == ours.classes.tolist()
        np.testing.assert_allclose(theirs.boxes, ours.boxes, atol=0 if form != "yolo" else 1e-3)
        if form == "coco":  # the masks of VOC are read by no one here; they are held against the scenes above
            for one, other in zip(ours.masks, theirs.masks, strict=True):
                assert one is not None and other is not None
                assert one.to_string() == other.to_string()
            assert (theirs.keypoints == ours.keypoints).all()


# --- What every writer needs


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["train/a.jpg", "val/b.png"], ["a", "b"]),
        (["train/a.jpg", "val/a.png"], ["train_a", "val_a"]),
        (["a.jpg", "A.png"], ["000000_a", "000001_A"]),  # one file on Windows and macOS
        (["con.png", "x/nul.jpg"], ["_con", "_nul"]),
        (["a:b?.png", " .png"], ["a_b_", "picture"]),
        (["/data/x/a.jpg", "/data/y/a.jpg"], ["data_x_a", "data_y_a"]),
    ],
)
def test_names_are_distinct_and_can_be_stored_anywhere(names: list[str], stems: list[str]) -> None:
    assert list(plain_stems(names)) == stems


def test_numbers_are_whole_where_they_can_be() -> None:
    assert repr([number(3.0), number(np.float32(0.5)), number(-2)]) == "[3, 0.5, -2]"


def test_progress_counts_up_whatever_the_order(some: ObjectSet, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    tell: Callable[[int, int], None] = lambda done, of: told.append((done, of))  # noqa: E731
    mixed = some.take([6, 0, 4, 1])  # writers go part by part, not in this order
    write_objects(mixed, tmp_path / "coco", to="coco", progress=tell)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert Export(objects=mixed, stems=("a", "b", "c", "d"), folder=tmp_path).parts == ("train", "val", "test")

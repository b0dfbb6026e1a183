"""COCO's JSON, with the keys and the folders of https://cocodataset.org/#format-data and of its download page."""

import copy
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from convatlas.data.detection.coco import list_coco
from convatlas.data.detection.source import open_objects
from convatlas.errors import DataError
from tests.data.detection.files import put_json, put_picture, told

pytestmark = pytest.mark.row("C-10")

# As instances_val2017.json has them: ids out of order and with gaps, boxes in hundredths of a pixel, a crowd in runs.
IMAGE = {
    "license": 4,
    "file_name": "000000397133.jpg",
    "coco_url": "http://images.cocodataset.org/val2017/000000397133.jpg",
    "height": 80,
    "width": 100,
    "date_captured": "2013-11-14 17:02:52",
    "flickr_url": "http://farm7.staticflickr.com/6116/6255196340_da26cf2c9e_z.jpg",
    "id": 397133,
}
PERSON = {
    "supercategory": "person",
    "id": 1,
    "name": "person",
    "keypoints": ["nose", "left_eye", "right_eye"],
    "skeleton": [[1, 2], [1, 3]],
}
DOG = {"supercategory": "animal", "id": 18, "name": "dog"}
ANNOTATION = {
    "segmentation": [[10.5, 20.25, 40.5, 20.25, 40.5, 60.25, 10.5, 60.25]],
    "area": 1200.0,
    "iscrowd": 0,
    "image_id": 397133,
    "bbox": [10.5, 20.25, 30.0, 40.0],
    "category_id": 18,
    "id": 82445,
}
CROWD = {
    "segmentation": {"counts": [0, 160, 7840], "size": [80, 100]},
    "area": 160,
    "iscrowd": 1,
    "image_id": 397133,
    "bbox": [0, 0, 2, 80],
    "category_id": 1,
    "id": 900100397133,
}
POSED = {
    "num_keypoints": 2,
    "keypoints": [50, 30, 2, 52, 28, 1, 0, 0, 0],
    "area": 35.5,
    "iscrowd": 0,
    "image_id": 397133,
    "bbox": [45, 25, 10, 20],
    "category_id": 1,
    "id": 200887,
}


def document(**changes: Any) -> dict[str, Any]:
    whole = {
        "info": {"description": "COCO 2017 Dataset", "url": "http://cocodataset.org", "version": "1.0", "year": 2017},
        "licenses": [{"url": "http://creativecommons.org/licenses/by/2.0/", "id": 4, "name": "Attribution License"}],
        "images": [IMAGE],
        "annotations": [ANNOTATION, CROWD, POSED],
        "categories": [DOG, PERSON],
    }
    return copy.deepcopy(whole | changes)


def faults(tmp_path: Path, whole: dict[str, Any]) -> list[tuple[str, str]]:
    return told(list_coco(put_json(tmp_path / "a.json", whole)).faults)


def faulty(tmp_path: Path, **changes: Any) -> list[tuple[str, str]]:
    """What is said of one annotation that differs from a sound one by these fields (None: taken out)."""
    put_picture(tmp_path / "000000397133.jpg")
    entry = {key: value for key, value in (ANNOTATION | changes).items() if value is not None}
    return faults(tmp_path, document(annotations=[entry]))


def test_the_layout_of_coco_2017(tmp_path: Path) -> None:
    for part, name in (("train2017", "000000000009.jpg"), ("val2017", "000000397133.jpg")):
        put_picture(tmp_path / part / name)
        of_part = IMAGE | {"file_name": name}
        put_json(tmp_path / "annotations" / f"instances_{part}.json", document(images=[of_part]))
        put_json(tmp_path / "annotations" / f"captions_{part}.json", {"images": [of_part], "annotations": []})
    objects = open_objects(tmp_path)
    assert (objects.format, objects.classes) == ("coco", ("person", "dog"))  # by their ids
    assert objects.names == ("train2017/000000000009.jpg", "val2017/000000397133.jpg")
    assert objects.splits == ("train", "val")
    assert objects.keypoints.names == ("nose", "left_eye", "right_eye")
    assert objects.keypoints.skeleton == ((0, 1), (0, 2))
    assert objects.warnings == ()
    sample = objects.truth(1)
    assert sample.boxes.tolist() == [[10.5, 20.25, 40.5, 60.25], [0, 0, 2, 80], [45, 25, 55, 45]]
    assert sample.classes.tolist() == [1, 0, 0]
    assert sample.iscrowd.tolist() == [False, True, False]
    assert sample.areas.tolist() == [1200, 160, 35.5]
    # COCO's keypoints are numbers of pixels, whose middles are half a pixel farther; what is not labelled is 0.
    assert sample.keypoints[2].tolist() == [[50.5, 30.5, 2], [52.5, 28.5, 1], [0, 0, 0]]
    assert not sample.keypoints[:2].any()
    assert objects.read(1).shape == (80, 100, 3)
    assert len(objects.part("val")) == 1


def test_masks_are_the_pixels_that_pycocotools_makes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_picture(tmp_path / "000000397133.jpg")
    chance = np.random.default_rng(0)
    entries = []
    for number in range(40):
        corners = chance.uniform(0, 1, (int(chance.integers(3, 9)), 2)) * [100, 80]
        entries.append(
            ANNOTATION | {"id": number, "bbox": [0, 0, 100, 80], "segmentation": [corners.round(2).ravel().tolist()]}
        )
    path = put_json(tmp_path / "instances.json", document(annotations=[*entries, CROWD]))
    theirs = COCO(path)
    capsys.readouterr()  # what pycocotools prints
    sample = open_objects(path).truth(0)
    for mask, entry in zip(sample.masks, [*entries, CROWD], strict=True):
        assert mask is not None
        assert mask.to_string().encode() == theirs.annToRLE(entry)["counts"]


HAND = {"id": 2, "name": "hand", "keypoints": ["wrist", "thumb", "index", "little"], "skeleton": [[1, 2]]}


def test_keypoints_that_differ_from_class_to_class_are_not_read(tmp_path: Path) -> None:
    """One class's names would be given to the other's points."""
    put_picture(tmp_path / "000000397133.jpg")
    hand = POSED | {"id": 7, "category_id": 2, "keypoints": [50, 30, 2] * 4}
    whole = document(categories=[DOG, PERSON, HAND], annotations=[ANNOTATION, POSED, hand])
    path = put_json(tmp_path / "a.json", whole)
    ((kind, words),) = told(list_coco(path).faults)
    assert kind == "not read"
    assert words.startswith("a.json, keypoints: \"person\" has ['nose',")
    assert "\"hand\" ['wrist'," in words
    assert "no keypoints are read" in words
    objects = open_objects(path)
    assert objects.keypoints.names == ()
    assert objects.truth(0).keypoints.shape == (3, 0, 3)
    assert len(objects.warnings) == 1


def test_which_classes_have_keypoints_is_kept(tmp_path: Path) -> None:
    put_picture(tmp_path / "000000397133.jpg")
    plan = open_objects(put_json(tmp_path / "a.json", document())).keypoints
    assert (plan.classes, [plan.belong_to(label) for label in (0, 1)]) == (frozenset({0}), [True, False])
    of_all = document(categories=[PERSON, DOG | {"keypoints": PERSON["keypoints"]}])
    assert open_objects(put_json(tmp_path / "a.json", of_all)).keypoints.classes is None


def test_keypoints_that_differ_from_file_to_file_are_a_fault(tmp_path: Path) -> None:
    for part, names in (("train", ["nose", "left_eye", "right_eye"]), ("val", ["nose", "right_eye", "left_eye"])):
        put_picture(tmp_path / part / f"{part}.jpg")
        image = IMAGE | {"file_name": f"{part}.jpg"}
        whole = document(images=[image], categories=[DOG, PERSON | {"keypoints": names}])
        put_json(tmp_path / "annotations" / f"instances_{part}.json", whole)
    ((kind, words),) = told(list_coco(tmp_path).faults)
    assert kind == "no class"
    assert "keypoints: \"person\" has ['nose', 'right_eye'" in words


def test_pictures_are_found_where_people_put_them(tmp_path: Path) -> None:
    for place in ("images", "images/val2017", "val2017", "annotations"):
        root = tmp_path / place.replace("/", "_")
        put_picture(root / place / "000000397133.jpg")
        path = put_json(root / "annotations" / "instances_val2017.json", document())
        assert list_coco(path).faults == (), place
    elsewhere = put_picture(tmp_path / "far" / "away" / "000000397133.jpg").parent
    path = put_json(tmp_path / "lonely" / "a.json", document())
    ((kind, words),) = told(list_coco(path).faults)
    assert kind == "no file"
    assert "name their folder with --images" in words
    (picture,) = list_coco(path, images=elsewhere).pictures
    assert picture.name == "000000397133.jpg"


def test_the_same_names_in_two_folders_elsewhere_are_two_pictures(tmp_path: Path) -> None:
    for part in ("train", "val"):
        put_picture(tmp_path / "far" / part / "000000397133.jpg")
        put_json(tmp_path / "data" / "annotations" / f"instances_{part}.json", document())
    listing = list_coco(tmp_path / "data", images=tmp_path / "far")
    assert [picture.name for picture in listing.pictures] == ["train/000000397133.jpg", "val/000000397133.jpg"]
    assert listing.faults == ()


def test_a_size_that_is_left_out_is_the_picture_s(tmp_path: Path) -> None:
    put_picture(tmp_path / "000000397133.jpg")
    short = {key: IMAGE[key] for key in ("id", "file_name")}
    listing = list_coco(put_json(tmp_path / "a.json", document(images=[short])))
    assert (listing.pictures[0].width, listing.pictures[0].height) == (100, 80)
    assert listing.faults == ()


def test_a_mask_without_a_box_has_the_mask_s(tmp_path: Path) -> None:
    put_picture(tmp_path / "000000397133.jpg")
    bare = [{key: value for key, value in each.items() if key != "bbox"} for each in (ANNOTATION, CROWD)]
    listing = list_coco(put_json(tmp_path / "a.json", document(annotations=bare)))
    assert [each.box for each in listing.pictures[0].objects] == [(10.5, 20.25, 40.5, 60.25), (0, 0, 2, 80)]


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"bbox": [90, 20, 30, 40]}, "outside", "bbox: x 90 to 120, y 20 to 60 in a picture of 100 x 80"),
        ({"bbox": [-9, 20, 30, 40]}, "outside", "bbox: x -9 to 21"),
        ({"bbox": [100, 20, 30, 40]}, "away", "bbox: x 100 to 130"),
        ({"bbox": [10, 20, 0, 40]}, "zero area", "bbox: x 10 to 10"),
        ({"bbox": [10, 20, -30, 40]}, "reversed", "bbox: x 10 to -20"),
        ({"bbox": [10, float("nan"), 30, 40]}, "malformed", "bbox: holds a number that is not finite"),
        ({"bbox": [10, 20, float("inf"), 40]}, "malformed", "bbox: holds a number that is not finite"),
        ({"bbox": [10, 20, 10**400, 40]}, "malformed", "bbox: holds a number that is not finite or absurdly large"),
        ({"bbox": [10, 20, 30]}, "malformed", "bbox: expected x, y, width, height, got [10, 20, 30]"),
        ({"bbox": ["10", 20, 30, 40]}, "malformed", "bbox: expected x, y, width, height, got ['10', 20, 30, 40]"),
        ({"bbox": [True, 20, 30, 40]}, "malformed", "bbox: expected"),
        ({"bbox": None, "segmentation": None}, "malformed", "bbox: is missing"),
        ({"category_id": 7}, "unknown class", "category_id: there is no category 7"),
        ({"category_id": "18"}, "unknown class", "category_id: there is no category '18'"),
        ({"image_id": 12}, "malformed", "image_id: there is no picture 12"),
        ({"iscrowd": 2}, "malformed", "iscrowd: expected 0 or 1, got 2"),
        ({"area": -1}, "malformed", "area: expected a number of pixels"),
        ({"area": float("nan")}, "malformed", "area: expected a number of pixels"),
        ({"segmentation": [[1, 2, 3, 4]]}, "malformed mask", "segmentation: polygon 0: expected x, y of three corners"),
        ({"segmentation": [[1, 2, 3, 4, 5]]}, "malformed mask", "got 5"),
        ({"segmentation": [[1, 2, 3, 4, 5, float("nan")]]}, "malformed mask", "polygon 0: number 5 is not finite"),
        ({"segmentation": [[0, 0, 1e7, 0, 0, 9]]}, "malformed mask", "lies far outside"),
        ({"segmentation": [5]}, "malformed mask", "polygon 0"),
        ({"segmentation": [[1, 2, [3], 4, 5, 6]]}, "malformed mask", "polygon 0: expected numbers only"),
        ({"segmentation": [[[1, 2], [3, 4], [5, 9]]]}, "malformed mask", "polygon 0: expected numbers only"),
        ({"segmentation": {"size": [80, 100], "counts": [1, [2]]}}, "malformed mask", "a list of whole numbers"),
        ({"segmentation": "no"}, "malformed mask", "expected polygons, or size and counts"),
        ({"segmentation": {"size": [100, 80], "counts": [8000]}}, "malformed mask", "size: expected [80, 100]"),
        ({"segmentation": {"size": [80, 100], "counts": [7999]}}, "malformed mask", "counts: add up to 7,999 pixels"),
        ({"segmentation": {"size": [80, 100], "counts": [8001, -1]}}, "malformed mask", "counts: run 1 is negative"),
        ({"segmentation": {"size": [80, 100], "counts": [2**63 - 1] * 2}}, "malformed mask", "run 0 is longer than"),
        ({"segmentation": {"size": [80, 100], "counts": [2**70]}}, "malformed mask", "a list of whole numbers"),
        ({"segmentation": {"size": [80, 100], "counts": "0P"}}, "malformed mask", "counts: the string breaks off"),
        ({"segmentation": {"size": [80, 100]}}, "malformed mask", "counts: expected a list or a string, got None"),
        ({"keypoints": [1, 2, 2]}, "malformed", 'keypoints: expected x, y, visibility of the 0 keypoints of "dog"'),
        ({"category_id": 1, "keypoints": [1, 2, 3] * 3}, "malformed", "keypoints: expected finite x and y and a visib"),
        ({"id": "a"}, "malformed", "annotation #0, id: expected a whole number, got 'a'"),
    ],
)
def test_a_fault_names_picture_annotation_and_field(
    tmp_path: Path, changes: dict[str, Any], kind: str, words: str
) -> None:
    ((found, said),) = faulty(tmp_path, **changes)
    assert found == kind
    assert words in said
    assert said.startswith("a.json, ")
    if "image_id" not in changes:
        assert "000000397133.jpg, annotation" in said


def test_a_box_out_by_rounding_is_cut_without_a_word(tmp_path: Path) -> None:
    assert faulty(tmp_path, bbox=[-0.4, 0, 100.9, 80.5]) == []


def test_all_faults_are_found_in_one_pass(tmp_path: Path) -> None:
    put_picture(tmp_path / "000000397133.jpg")
    whole = document(
        images=[
            IMAGE,
            IMAGE | {"id": 2, "file_name": "gone.jpg"},
            IMAGE | {"id": 8, "file_name": "a" * 300 + ".jpg"},
            IMAGE | {"file_name": "other.jpg"},
            IMAGE | {"id": 3},
            IMAGE | {"id": 4, "file_name": "../up.jpg"},
            IMAGE | {"id": 5, "file_name": "C:\\pictures\\a.jpg"},
            {"id": "6"},
            IMAGE | {"id": 7, "width": "100"},
            7,
        ],
        categories=[
            DOG,
            DOG,
            PERSON | {"id": 2, "name": "dog"},
            {"id": 3, "name": "\ud800"},
            PERSON | {"skeleton": [[1, 9]]},
        ],
        annotations=[
            ANNOTATION,
            ANNOTATION,
            ANNOTATION | {"id": 1, "segmentation": [[1, 1]]},
            ANNOTATION | {"id": 2, "image_id": 2, "bbox": [0, 0, 0, 0]},
            None,
        ],
    )
    said = faults(tmp_path, whole)
    assert [kind for kind, _ in said] == [
        "duplicate id",  # category 18 twice
        "duplicate id",  # two categories called dog
        "no class",  # a category whose name is half a character
        "no class",  # a line between keypoints that are not there
        "missing picture",
        "missing picture",  # of a name longer than any system has
        "duplicate id",  # two pictures 397133
        "bad picture",  # leads out of the folder
        "bad picture",  # the same, as Windows writes it
        "bad picture",  # an id that is a word
        "bad picture",  # a width that is a word
        "bad picture",  # a number
        "duplicate id",  # two annotations 82445
        "malformed mask",
        "zero area",  # also of a picture that is not there
        "malformed",  # null
        "duplicate",  # the same box again
        "duplicate",
        "duplicate id",  # the same file under another id
        "duplicate id",
    ]
    assert said[0][1] == "a.json, category #1, id: 18 stands more than once among the categories"
    assert said[4][1] == f"a.json, gone.jpg, file_name: there is no {tmp_path / 'gone.jpg'}"
    assert said[6][1] == "a.json, other.jpg, id: 397133 has another picture"
    assert said[16][1] == "a.json, 000000397133.jpg, annotation 82445: is annotation 82445 once more"


def test_the_same_picture_in_two_parts(tmp_path: Path) -> None:
    put_picture(tmp_path / "images" / "000000397133.jpg")
    for part in ("train", "val"):
        put_json(tmp_path / f"instances_{part}.json", document())
    ((kind, words),) = told(list_coco(tmp_path).faults)
    assert kind == "two parts"
    assert words == "instances_val.json, images/000000397133.jpg, file_name: is in train already"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"images": [', "is not JSON (line 1, column 13"),
        ('{"images": [1], "x": 1' + "0" * 5000 + "}", "holds a number of more digits than can be read$"),
        ('{"images": ' + "[" * 200_000, "nested too deep|is not JSON"),
        ("[]", "expected COCO's object with images"),
        ('[{"image_id": 1, "category_id": 18, "bbox": [1, 2, 3, 4], "score": 0.5}]', "holds results"),
        ("\udcff", "is not JSON"),
    ],
)
def test_what_is_no_coco_file(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=words.replace("(", r"\(")) as caught:
        list_coco(path)
    assert str(caught.value).startswith(str(path))


def test_lists_that_are_missing_are_said(tmp_path: Path) -> None:
    said = told(list_coco(put_json(tmp_path / "a.json", {"images": {}, "annotations": []})).faults)
    assert [kind for kind, _ in said] == ["bad file", "bad file", "no class"]
    assert said[0][1] == "a.json, images: expected a list, got {}"
    assert said[1][1] == "a.json, categories: is missing"


def test_opening_raises_the_first_error_and_counts_the_others(tmp_path: Path) -> None:
    put_picture(tmp_path / "000000397133.jpg")
    path = tmp_path / "a.json"
    wrong = [ANNOTATION | {"id": number, "category_id": 3} for number in range(3)]
    path.write_text(json.dumps(document(annotations=wrong)), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        open_objects(path)
    assert str(caught.value) == (
        f"{path}: a.json, 000000397133.jpg, annotation 0, category_id: there is no category 3 (2 more: "
        f"`convatlas data check {path}` lists all)"
    )


def test_many_categories_are_read_in_a_moment(tmp_path: Path) -> None:
    """Comparing each with all before it takes minutes."""
    categories = [{"id": number, "name": f"class {number}"} for number in range(1, 20_001)]
    put_picture(tmp_path / "a.png")
    images = [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}]
    path = put_json(tmp_path / "a.json", {"images": images, "categories": categories, "annotations": []})
    started = time.process_time()
    listing = list_coco(path)
    assert time.process_time() - started < 4
    assert (len(listing.classes), listing.faults) == (20_000, ())


def test_captions_are_called_that(tmp_path: Path) -> None:
    put_picture(tmp_path / "a.png")
    images = [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}]
    sentences = [{"id": number, "image_id": 1, "caption": "a dog"} for number in (1, 2)]
    path = put_json(tmp_path / "captions_val.json", {"images": images, "annotations": sentences})
    with pytest.raises(DataError, match=r"captions_val\.json: holds captions, which are not read; name a file of obj"):
        list_coco(path)
    described = [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "caption": "a dog"}]
    put_json(path, {"images": images, "annotations": described, "categories": [{"id": 1, "name": "dog"}]})
    assert len(list_coco(path).pictures[0].objects) == 1

"""YOLO's text: darknet's and labelImg's lines, outlines, keypoints, and data.yaml as its exporters write it."""

import time
from pathlib import Path

import pytest

from convatlas.data.detection.names_file import read_names
from convatlas.data.detection.source import open_objects, recognise_format
from convatlas.data.detection.yolo import list_yolo
from convatlas.errors import DataError, UsageError
from tests.data.detection.files import put_picture, put_text, told

pytestmark = pytest.mark.row("C-10")

DATA_YAML = """path: ../datasets/coco8 # where it lay when it was written
train: images/train
val: images/val
test: # none

names:
  0: person
  1: traffic light
download: https://example.org/coco8.zip
"""
# labelImg writes six decimals: x, y of the middle, width, height.
LINES = "1 0.500000 0.500000 0.200000 0.500000\n0 0.050000 0.125000 0.100000 0.250000\n"


def one(tmp_path: Path, lines: str, yaml: str = "") -> list[tuple[str, str]]:
    """What is said of the lines of one picture of 100 x 80 pixels."""
    put_picture(tmp_path / "a.png")
    put_text(tmp_path / "a.txt", lines)
    if yaml:
        put_text(tmp_path / "data.yaml", yaml)
    else:
        put_text(tmp_path / "classes.txt", "person\ntraffic light\n")
    return told(list_yolo(tmp_path).faults)


def test_labelimg_s_folder(tmp_path: Path) -> None:
    put_picture(tmp_path / "a.png")
    put_picture(tmp_path / "b.jpg")  # not labelled: shows none of the classes
    put_text(tmp_path / "a.txt", LINES)
    put_text(tmp_path / "classes.txt", "person\ntraffic light\n\n")
    objects = open_objects(tmp_path)
    assert (objects.format, objects.classes) == ("yolo", ("person", "traffic light"))
    assert objects.names == ("a.png", "b.jpg")
    assert objects.splits == (None, None)
    sample = objects.truth(0)
    assert sample.boxes.tolist() == [[40, 20, 60, 60], [0, 0, 10, 20]]
    assert sample.classes.tolist() == [1, 0]
    assert len(objects.truth(1)) == 0
    assert objects.warnings == ()


def test_the_layout_of_a_data_yaml(tmp_path: Path) -> None:
    for part in ("train", "val"):
        put_picture(tmp_path / "images" / part / "a.png")
        put_text(tmp_path / "labels" / part / "a.txt", LINES)
    put_text(tmp_path / "coco8.yaml", DATA_YAML)
    assert recognise_format(tmp_path) == recognise_format(tmp_path / "coco8.yaml") == "yolo"
    for source in (tmp_path, tmp_path / "coco8.yaml"):
        objects = open_objects(source)
        assert objects.classes == ("person", "traffic light")
        assert objects.names == ("images/train/a.png", "images/val/a.png")
        assert objects.splits == ("train", "val")


def test_an_exporter_s_data_yaml(tmp_path: Path) -> None:
    """../train/images for a folder beside the file, a list of names, their number, `valid`."""
    for part in ("train", "valid"):
        put_picture(tmp_path / part / "images" / f"{part}.jpg")
        put_text(tmp_path / part / "labels" / f"{part}.txt", LINES)
    put_text(
        tmp_path / "data.yaml", "train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['person', 'car']\n"
    )
    objects = open_objects(tmp_path)
    assert objects.names == ("train/images/train.jpg", "valid/images/valid.jpg")
    assert objects.splits == ("train", "val")
    assert len(objects.truth(1)) == 2


def test_a_list_of_pictures(tmp_path: Path) -> None:
    put_picture(tmp_path / "images" / "a.png")
    put_text(tmp_path / "labels" / "a.txt", LINES)
    put_text(tmp_path / "train.txt", "./images/a.png\n./images/gone.png\n")
    put_text(tmp_path / "data.yaml", "train: train.txt\nnames: [person, car]\n")
    listing = list_yolo(tmp_path)
    assert [picture.name for picture in listing.pictures] == ["images/a.png"]
    ((kind, said),) = told(listing.faults)
    assert (kind, "images/gone.png: there is no such file" in said) == ("missing picture", True)


def test_parts_without_a_data_yaml(tmp_path: Path) -> None:
    for part in ("train", "val"):
        put_picture(tmp_path / "images" / part / "a.png")
        put_text(tmp_path / "labels" / part / "a.txt", LINES)
    objects = open_objects(tmp_path)
    assert objects.splits == ("train", "val")
    assert objects.classes == ("0", "1")
    assert objects.warnings == (
        f"something that is not read here is passed over: {tmp_path}: no classes.txt or data.yaml names the classes; "
        "their numbers do",
    )


def test_labels_and_pictures_in_folders_of_any_name(tmp_path: Path) -> None:
    put_picture(tmp_path / "photos" / "deep" / "a.png")
    put_text(tmp_path / "boxes" / "deep" / "a.txt", LINES)
    put_text(tmp_path / "boxes" / "lonely.txt", LINES)
    put_text(tmp_path / "boxes" / "classes.txt", "person\ncar\n")
    listing = list_yolo(tmp_path / "boxes", images=tmp_path / "photos")
    (picture,) = listing.pictures
    assert picture.name == "deep/a.png"
    assert len(picture.objects) == 2
    assert told(listing.faults) == [("missing picture", "lonely.txt: these labels have no picture")]


def test_the_same_names_in_two_folders_elsewhere(tmp_path: Path) -> None:
    for part in ("train", "val"):
        put_picture(tmp_path / "far" / part / "a.png")
        put_text(tmp_path / "far" / part / "a.txt", LINES)
    yaml = f"path: {(tmp_path / 'far').as_posix()}\ntrain: train\nval: val\nnames: [person, car]\n"
    put_text(tmp_path / "here" / "data.yaml", yaml)
    objects = open_objects(tmp_path / "here" / "data.yaml")
    assert len(set(objects.names)) == 2


def test_outlines(tmp_path: Path) -> None:
    assert one(tmp_path, "0 0.1 0.25 0.5 0.25 0.5 0.75 0.1 0.75\n") == []
    sample = open_objects(tmp_path).truth(0)
    assert sample.boxes.tolist() == [[10, 20, 50, 60]]
    (mask,) = sample.masks
    assert mask is not None
    assert (mask.area, mask.bounds()) == (1600, (10, 20, 50, 60))


@pytest.mark.parametrize(
    ("shape", "line", "points"),
    [
        ("[2, 3]", "0 0.5 0.5 0.2 0.5 0.45 0.375 2 0 0 0", [[45, 30, 2], [0, 0, 0]]),
        ("[2, 3]", "0 0.5 0.5 0.2 0.5 0.45 0.375 1 0.5 0.5 2", [[45, 30, 1], [50, 40, 2]]),
        ("[2, 2]", "0 0.5 0.5 0.2 0.5 0.45 0.375 0 0", [[45, 30, 2], [0, 0, 0]]),
    ],
)
def test_keypoints(tmp_path: Path, shape: str, line: str, points: list[list[float]]) -> None:
    assert one(tmp_path, line, f"train: .\nnames: [person]\nkpt_shape: {shape}\n") == []
    objects = open_objects(tmp_path)
    assert objects.keypoints.names == ("point 1", "point 2")
    assert objects.truth(0).keypoints[0].tolist() == points


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("2 0.5 0.5 0.2 0.2", "unknown class", "class 2; there are 2, from 0"),
        ("-1 0.5 0.5 0.2 0.2", "malformed", "expected the number of a class first, got '-1'"),
        ("1.0 0.5 0.5 0.2 0.2", "malformed", "expected the number of a class first, got '1.0'"),
        ("person 0.5 0.5 0.2 0.2", "malformed", "expected the number of a class first, got 'person'"),
        ("0 0.5 0.5 0.2", "malformed", "expected 4 numbers after the class, or x y of three corners or more, got 3"),
        ("0 0.5 0.5 0.2 0.2 0.9", "malformed", "has a number too many after the box; a score"),
        ("0 0.5 0.5 0.2 0.2 # a dog", "malformed", "expected numbers only, got '#'"),
        ("0 0.5 0.5 0.2 0.2;", "malformed", "expected numbers only, got '0.2;'"),
        ("0 0.5 0.5 0.2 0_2", "malformed", "expected numbers only, got '0_2'"),
        ("0 0,5 0,5 0,2 0,2", "malformed", "expected numbers only, got '0,5'"),
        ("0 50 40 20 20", "malformed", "0 to 1 (not pixels), got 50"),
        ("0 nan 0.5 0.2 0.2", "malformed", "got nan"),
        ("0 0.5 0.5 inf 0.2", "malformed", "got inf"),
        ("0 0.5 0.5 0 0.2", "zero area", "x 50 to 50"),
        ("0 0.5 0.5 -0.2 0.2", "reversed", "x 60 to 40"),
        ("0 1.5 0.5 0.2 0.2", "away", "x 140 to 160"),
        ("0 0.95 0.5 0.2 0.2", "outside", "x 85 to 105, y 32 to 48 in a picture of 100 x 80"),
        ("0 0.1 0.1 0.2 0.1 0.3 0.1", "zero area", "y 8 to 8"),
    ],
)
def test_a_fault_names_file_picture_and_line(tmp_path: Path, line: str, kind: str, words: str) -> None:
    ((found, said),) = one(tmp_path, f"{LINES}\n{line}\n")
    assert found == kind
    assert words in said
    assert said.startswith("a.txt, a.png, line 4")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.2 0.5 0.45 0.375 3", "expected a visibility of 0, 1 or 2, got 3"),
        (
            "0 0.5 0.5 0.2 0.5 0.45 0.375",
            "expected 4 numbers after the class, or 7 with the keypoints of data.yaml, got 6",
        ),
    ],
)
def test_wrong_keypoints(tmp_path: Path, line: str, words: str) -> None:
    ((kind, said),) = one(tmp_path, line, "train: .\nnames: [person]\nkpt_shape: [1, 3]\n")
    assert kind == "malformed"
    assert words in said


def test_all_faults_are_found_in_one_pass(tmp_path: Path) -> None:
    put_picture(tmp_path / "c.png")
    (tmp_path / "c.txt").write_bytes(b"0 0.5 0.5 0.2 0.2 \xff\n")
    (tmp_path / "d.png").write_bytes(b"no picture")
    put_text(tmp_path / "lonely.txt", LINES)
    said = one(tmp_path, LINES + "9 0.5 0.5 0.1 0.1\n" + LINES.splitlines()[0] + "\n")
    assert said == [
        ("unknown class", "a.txt, a.png, line 3: class 9; there are 2, from 0"),
        ("duplicate", "a.txt, a.png, line 4: is line 1 once more"),
        ("bad file", "c.txt, c.png: is not UTF-8 text (byte 18)"),
        (
            "missing picture",
            "d.txt, d.png: is not a picture, or damaged at its start (expected one of JPEG, PNG, WEBP, TIFF, GIF, BMP)",
        ),
        ("missing picture", "lonely.txt: these labels have no picture"),
    ]


def test_the_same_picture_in_two_parts(tmp_path: Path) -> None:
    put_text(tmp_path / "train.txt", "./a.png\n")
    said = one(tmp_path, LINES, "train: train.txt\nval: .\nnames: [person, car]\n")
    assert said == [("two parts", "a.txt, a.png: is in train already")]


def test_a_part_that_is_said_to_be_another_is_read_once(tmp_path: Path) -> None:
    said = one(tmp_path, LINES, "train: .\nval: .\nnames: [person, car]\n")
    assert said == [("not read", "data.yaml, val: names the same as train, which its pictures belong to")]
    assert open_objects(tmp_path).splits == ("train",)


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("train: .\nnames: [a, a]\n", "a class stands twice"),
        ("train: .\nnames: {0: a, 2: b}\n", "expected the numbers 0, 1"),
        ("train: .\nnames: [a]\nnc: 2\n", "nc is 2, but there are 1 names"),
        (
            f"train: .\nnames: [a]\nnc: !!int 0x{'f' * 5000}\n",
            "nc is a number of too many digits, but there are 1 names",
        ),
        (f"train: .\nnames: [!!int 0x{'f' * 5000}]\n", "expected the name of a class, got a number of too many digits"),
        (f"train: .\nnames: [{'9' * 5000}]\n", "is not YAML"),
        ("train: .\nnames: [!!bool yes]\n", "expected the name of a class, got True"),
        ("train: .\nnames: []\n", "expected the names of the classes"),
        ("train: .\nnames: [a\n", "is not YAML"),
        ("names: [a]\n", "names no part"),
        ("- a\n", "expected keys train, val and names"),
        ("train: .\nnames: !!python/object/apply:os.getcwd []\n", "is not YAML"),
        ('train: .\nnames: [a]\nnc: !!int ""\n', "is not YAML"),
        ("train: .\nnames: [a]\nnc: !!bool maybe\n", "is not YAML"),
        ("train: .\nnames: [a]\nnc: !!timestamp soon\n", "is not YAML"),
        ("train: .\nnames: [a, [b]]\n", r"expected the name of a class, got \['b'\]"),
        ('train: .\nnames: ["\\uD800"]\n', "expected the name of a class"),
        ("a: &a [x, x]\nb: &b [*a, *a]\ntrain: .\nnames: *b\n", "has aliases"),
    ],
)
def test_what_is_no_data_yaml(tmp_path: Path, yaml: str, words: str) -> None:
    put_picture(tmp_path / "a.png")
    path = put_text(tmp_path / "data.yaml", yaml)
    with pytest.raises(DataError, match=words) as caught:
        list_yolo(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_of_labels_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.txt: is no data\.yaml; name one, or the folder"):
        list_yolo(put_text(tmp_path / "a.txt", LINES))


def test_names_that_no_system_has(tmp_path: Path) -> None:
    long = "a" * 300
    put_text(tmp_path / "val.txt", f"{long}.png\n/\n./a.png\n")
    yaml = f"path: {long}\ntrain: {long}\nval: val.txt\nnames: [person, car]\n"
    said = one(tmp_path, LINES, yaml)
    assert [kind for kind, _ in said] == ["no file", "missing picture"]


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    said = one(tmp_path, LINES, "train: .\nval: nowhere\ntest: 7\nnames: [person, car]\nkpt_shape: [1]\n")
    assert said == [
        ("no file", f"data.yaml, val: there is no {tmp_path / 'nowhere'}"),
        ("no file", "data.yaml, test: expected a folder or a list of pictures, got 7"),
        ("no class", "data.yaml, kpt_shape: expected [number of keypoints, 2 or 3], got [1]"),
    ]


@pytest.mark.parametrize(
    ("names", "words"), [("a\n\nb\n", "line 2: is empty"), ("a\nb\na\n", 'line 3: "a" stands twice'), ("", "no class")]
)
def test_a_wrong_list_of_classes(tmp_path: Path, names: str, words: str) -> None:
    put_picture(tmp_path / "a.png")
    put_text(tmp_path / "classes.txt", names)
    with pytest.raises(DataError, match=words):
        list_yolo(tmp_path)


def test_many_classes_are_read_in_a_moment(tmp_path: Path) -> None:
    """Comparing each with all before it takes minutes."""
    names = [f"class {number}" for number in range(60_000)]
    path = put_text(tmp_path / "classes.txt", "\n".join(names))
    started = time.process_time()
    assert read_names(path) == tuple(names)
    assert time.process_time() - started < 2


def test_names_are_what_is_written(tmp_path: Path) -> None:
    """Not true, false, 8, a date and 1000, which YAML 1.1 makes of them."""
    words = ["yes", "no", "off", "010", "2024-01-02", "1_000", "1.50", "0x10", "7", "-3"]
    put_picture(tmp_path / "a.png")
    put_text(tmp_path / "data.yaml", f"train: .\nnames: [{', '.join(words)}]\nnc: {len(words)}\n")
    assert list_yolo(tmp_path).classes == tuple(words)
    put_text(tmp_path / "data.yaml", "train: .\nnames:\n  0: yes\n  1: no\n")
    assert list_yolo(tmp_path).classes == ("yes", "no")


def test_a_name_that_is_nothing(tmp_path: Path) -> None:
    path = put_text(tmp_path / "data.yaml", "train: .\nnames: [cat, ~]\n")
    put_picture(tmp_path / "a.png")
    with pytest.raises(DataError, match="expected the name of a class, got None"):
        list_yolo(path)


def test_a_folder_of_pictures_beside_a_data_yaml_is_refused(tmp_path: Path) -> None:
    """The file says where they lie: two answers would be one too many."""
    put_picture(tmp_path / "a.png")
    path = put_text(tmp_path / "data.yaml", "train: .\nnames: [cat]\n")
    (tmp_path / "photos").mkdir()
    for source in (tmp_path, path):
        with pytest.raises(UsageError, match=r"^images: .*data\.yaml says where the pictures lie; leave it out"):
            open_objects(source, images=tmp_path / "photos")

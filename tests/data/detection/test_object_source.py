"""What a user names becomes a set of pictures with objects, its format recognised or stated."""

import json
import os
from pathlib import Path

import pytest

from convatlas.data.detection import createml
from convatlas.data.detection import source as source_module
from convatlas.data.detection.convert import WRITERS, write_objects
from convatlas.data.detection.json_file import load_json
from convatlas.data.detection.source import FORMATS, has_objects, list_objects, open_objects, recognise_format
from convatlas.data.scenes.scene_set import scene_set
from convatlas.errors import DataError, UsageError
from tests.data.detection.files import put_json, put_picture, put_text

pytestmark = pytest.mark.row("C-10")


@pytest.mark.parametrize("to", WRITERS)
def test_what_is_written_is_recognised(tmp_path: Path, to: str) -> None:
    write_objects(scene_set(train=2, val=1), tmp_path / "out", to=to)
    assert recognise_format(tmp_path / "out") == to
    assert has_objects(tmp_path / "out")
    assert open_objects(tmp_path / "out").format == to


def test_pictures_labelled_as_a_whole_have_no_objects(tmp_path: Path) -> None:
    for label in ("cat", "dog"):
        put_picture(tmp_path / "photos" / label / "1.png")
        put_text(tmp_path / "photos" / label / "notes.txt", "nothing")
    put_text(tmp_path / "photos" / "readme.txt", "Photos of cats and dogs.")
    put_json(tmp_path / "photos" / "package.json", {"name": "photos"})
    put_json(tmp_path / "photos" / "list.json", ["cat", "dog"])
    assert recognise_format(tmp_path / "photos") is None
    for source in (tmp_path / "photos", str(tmp_path / "photos"), "digits", "", tmp_path / "gone", "gone.json"):
        assert not has_objects(source), source
    put_text(tmp_path / "list.csv", "file,label\n")
    assert not has_objects(tmp_path / "list.csv")
    assert has_objects(tmp_path / "photos", "yolo")
    assert not has_objects(tmp_path / "photos", "folder")
    assert has_objects("scenes")
    assert not has_objects(Path("scenes"))  # a folder of this name, which is not there


@pytest.mark.parametrize("document", [{"name": "no annotations"}, [], ["cat"], 7])
def test_a_file_of_none_of_the_formats(tmp_path: Path, document: object) -> None:
    path = put_json(tmp_path / "a.json", document)
    for ask in (has_objects, list_objects):
        with pytest.raises(DataError, match="is not recognised as annotations of objects"):
            ask(path)
    with pytest.raises(DataError, match="is not recognised"):
        has_objects(put_text(tmp_path / "a.dat", ""))


def test_detectors_answers_are_called_that(tmp_path: Path) -> None:
    answer = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "score": 0.5}
    path = put_json(tmp_path / "a.json", [answer, answer])
    with pytest.raises(DataError, match=r"a\.json: holds results \(detections with scores\), not annotations"):
        list_objects(path)


def test_the_embedded_pictures_without_objects() -> None:
    with pytest.raises(DataError, match="digits: the embedded pictures of this name are labelled as a whole"):
        open_objects("digits")


@pytest.mark.parametrize("form", [None, "coco", "yolo"])
def test_what_is_neither_a_file_nor_a_folder(form: str | None) -> None:
    """Were it a pipe, opening it would wait for ever."""
    with pytest.raises(DataError, match="is neither a regular file nor a folder"):
        open_objects(Path(os.devnull), format=form)


def test_a_broken_json_is_called_that(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.json: is not JSON \(line 1, column 3"):
        has_objects(put_text(tmp_path / "a.json", "[1"))
    with pytest.raises(DataError, match=r"a\.json: is empty \(0 bytes\)"):
        has_objects(put_text(tmp_path / "a.json", ""))


@pytest.mark.parametrize("part", ["train", "valid"])
def test_a_stray_xml_is_no_annotation(tmp_path: Path, part: str) -> None:
    put_picture(tmp_path / part / "cat" / "1.png")
    put_text(tmp_path / "pom.xml", "<project><annotation/></project>")
    put_text(tmp_path / part / "notes.xml", "<?xml version='1.0'?>\n<notes/>")
    put_text(tmp_path / part / "cat" / "1.xml", "<annotation/>")  # deep among pictures of a class
    assert recognise_format(tmp_path) is None
    put_text(tmp_path / part / "Annotations" / "1.xml", "<!-- made by hand -->\n<annotation/>")
    assert recognise_format(tmp_path) == "voc"


def test_a_list_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_picture(tmp_path / "a.png")
    box = {"label": "cat", "coordinates": {"x": 50, "y": 40, "width": 20, "height": 40}}
    path = put_json(tmp_path / "a.json", [{"image": "a.png", "annotations": [box]}])
    parsed: list[Path] = []

    def count(path: Path) -> object:
        parsed.append(path)
        return load_json(path)

    for module in (source_module, createml):
        monkeypatch.setattr(module, "load_json", count)
    assert has_objects(path)
    assert len(open_objects(path)) == 1
    assert parsed == [path]


def test_an_unknown_format(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"format: expected one of coco, .*got 'yollo'\. Did you mean \"yolo\"\?"):
        has_objects(tmp_path, "yollo")
    with pytest.raises(UsageError, match="format: expected one of coco"):
        list_objects(tmp_path, format="scenes")
    assert "scenes" in FORMATS


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file or folder"):
        open_objects(tmp_path / "gone")
    with pytest.raises(DataError, match="there is no such folder of pictures"):
        open_objects(tmp_path, images=tmp_path / "gone")
    with pytest.raises(UsageError, match="images: the scenes are made"):
        open_objects("scenes", images=tmp_path)


@pytest.mark.parametrize("form", ["coco", "voc", "labelimg", "yolo", "createml", "label-studio"])
def test_a_stated_format_that_it_is_not(tmp_path: Path, form: str) -> None:
    """Never a traceback, whatever is called what."""
    put_text(tmp_path / "a.txt", "once upon a time")
    put_picture(tmp_path / "b.png")
    for source in (tmp_path, tmp_path / "a.txt", tmp_path / "b.png"):
        with pytest.raises(DataError):
            open_objects(source, format=form)


def test_the_scenes_and_a_folder_of_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(open_objects("scenes")) == 1000
    write_objects(scene_set(train=2), tmp_path / "scenes", to="yolo")
    assert len(open_objects("scenes")) == 1000
    assert len(open_objects("./scenes")) == len(open_objects(Path("scenes"))) == 2


def test_a_set_without_a_picture_that_can_be_used(tmp_path: Path) -> None:
    put_json(tmp_path / "a.json", {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]})
    with pytest.raises(DataError, match="holds no picture that can be used"):
        open_objects(tmp_path / "a.json")


def test_warnings_say_how_often_and_where_first(tmp_path: Path) -> None:
    put_picture(tmp_path / "a.png")
    boxes = [{"id": n, "image_id": 1, "category_id": 1, "bbox": [n, 0, 0, 5]} for n in range(3)]
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}],
        "annotations": [*boxes, {"id": 9, "image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(document).encode())  # with the mark that Windows' editors put first
    objects = open_objects(path)
    assert objects.warnings == (
        "an object without area; it is left out: a.json, a.png, annotation 0, bbox: x 0 to 0, y 0 to 5 in a picture of "
        "100 x 80 and 2 more",
    )
    assert len(objects.truth(0)) == 1

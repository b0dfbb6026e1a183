"""A pipe inside of a folder is passed over or said, never opened: that would wait for ever."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from convatlas.data.detection.json_file import first_entry, load_json
from convatlas.data.detection.source import list_objects, recognise_format
from convatlas.data.detection.xml_file import load_xml
from convatlas.errors import DataError
from tests.data.detection.files import put_json, put_picture, put_text, told

pytestmark = pytest.mark.row("C-10")

XML = "<annotation><filename>a.png</filename></annotation>"


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    """Waiting for a pipe ends as a failure."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def late(*_: object) -> None:
        raise TimeoutError("a pipe was opened")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 60)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def put_pipe(path: Path) -> Path:
    """A pipe, or a folder where there are no pipes: no regular file either."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)
    else:
        path.mkdir()
    return path


@pytest.mark.parametrize("name", ["x.json", "a.xml", "train/a.xml", "data.yaml", "annotations/instances_train.json"])
def test_it_is_no_sign_of_a_format(tmp_path: Path, name: str) -> None:
    put_pipe(tmp_path / name)
    assert recognise_format(tmp_path) is None


def test_it_is_no_document(tmp_path: Path) -> None:
    pipe = put_pipe(tmp_path / "x.json")
    assert first_entry(pipe) is None
    with pytest.raises(DataError, match=r"x\.json: (is neither a regular file nor a folder|cannot be read)"):
        load_json(pipe)
    with pytest.raises(DataError, match=r"^that: (is neither a regular file nor a folder|cannot be read)"):
        load_xml(pipe, "that")


def test_beside_coco_s_file_it_is_passed_over(tmp_path: Path) -> None:
    put_picture(tmp_path / "a.png")
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}],
        "annotations": [],
        "categories": [{"id": 1, "name": "cat"}],
    }
    put_json(tmp_path / "a.json", document)
    put_pipe(tmp_path / "x.json")
    assert [picture.name for picture in list_objects(tmp_path).pictures] == ["a.png"]


def test_among_voc_s_files_it_is_a_bad_one(tmp_path: Path) -> None:
    put_picture(tmp_path / "JPEGImages" / "a.png")
    put_text(tmp_path / "Annotations" / "a.xml", XML)
    put_pipe(tmp_path / "Annotations" / "b.xml")
    said = told(list_objects(tmp_path).faults)
    assert [kind for kind, words in said if "b.xml" in words] == ["bad file"]


def test_among_yolo_s_labels_it_is_a_bad_one(tmp_path: Path) -> None:
    put_picture(tmp_path / "images" / "a.png")
    put_text(tmp_path / "classes.txt", "cat\n")
    put_pipe(tmp_path / "labels" / "a.txt")
    assert ("bad file", "labels/a.txt, images/a.png: is no regular file") in told(list_objects(tmp_path).faults)

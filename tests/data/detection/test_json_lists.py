"""CreateML's JSON as labelImg writes it, and Label Studio's export."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convatlas.data.detection.createml import list_createml
from convatlas.data.detection.label_studio import list_label_studio
from convatlas.data.detection.source import open_objects, recognise_format
from convatlas.errors import DataError
from tests.data.detection.files import put_json, put_picture, told

pytestmark = pytest.mark.row("C-10")


# --- CreateML: labelImg 1.8, `CreateMLWriter`


def entry(*annotations: Any, image: Any = "a.png") -> dict[str, Any]:
    return {"image": image, "verified": False, "annotations": list(annotations)}


def box(label: Any = "cat", x: Any = 50.0, y: Any = 40.0, width: Any = 20, height: Any = 40) -> dict[str, Any]:
    return {"label": label, "coordinates": {"x": x, "y": y, "width": width, "height": height}}


def test_labelimg_s_createml(tmp_path: Path) -> None:
    put_picture(tmp_path / "a.png")
    put_picture(tmp_path / "b.png")
    path = put_json(tmp_path / "a.json", [entry(box(), box("ant", 5, 10, 10, 20)), entry(image="b.png")])
    assert recognise_format(path) == recognise_format(tmp_path) == "createml"
    for source in (path, tmp_path):
        objects = open_objects(source)
        assert objects.classes == ("ant", "cat")
        assert objects.names == ("a.png", "b.png")
        assert objects.truth(0).boxes.tolist() == [[40, 20, 60, 60], [0, 0, 10, 20]]
        assert objects.truth(0).classes.tolist() == [1, 0]
        assert len(objects.truth(1)) == 0


def test_createml_of_parts(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        put_picture(tmp_path / part / "a.png")
        put_json(tmp_path / part / "_annotations.createml.json", [entry(box())])
    objects = open_objects(tmp_path)
    assert objects.names == ("train/a.png", "valid/a.png")
    assert objects.splits == ("train", "val")


@pytest.mark.parametrize(
    ("annotation", "kind", "words"),
    [
        (box(""), "unknown class", "label: expected the name of a class, got ''"),
        (box("\ud800"), "unknown class", "label: expected the name of a class, got '\\ud800'"),
        (box(None), "unknown class", "label: expected the name of a class, got None"),
        (7, "unknown class", "label: expected the name of a class"),
        (box(x="5"), "malformed", "coordinates: expected x, y, width, height, got {'x': '5'"),
        (box(x=True), "malformed", "coordinates: expected x, y, width, height"),
        ({"label": "cat"}, "malformed", "coordinates: expected x, y, width, height, got None"),
        (box(x=float("nan")), "malformed", "coordinates: holds a number that is not finite"),
        (box(width=0), "zero area", "coordinates: x 50 to 50"),
        (box(width=-8), "reversed", "coordinates: x 54 to 46"),
        (box(x=95), "outside", "coordinates: x 85 to 105"),
        (box(x=200), "away", "coordinates: x 190 to 210"),
        (box(), "duplicate", "is annotation #0 once more"),
    ],
)
def test_createml_s_faults(tmp_path: Path, annotation: Any, kind: str, words: str) -> None:
    put_picture(tmp_path / "a.png")
    ((found, said),) = told(list_createml(put_json(tmp_path / "a.json", [entry(box(), annotation)])).faults)
    assert found == kind
    assert words in said
    assert said.startswith("a.json, a.png, annotation #1")


def test_all_of_createml_s_faults_in_one_pass(tmp_path: Path) -> None:
    put_picture(tmp_path / "a.png")
    document = [
        entry(box()),
        entry(image="gone.png"),
        entry(image="../a.png"),
        entry(image=7),
        {"image": "a.png", "annotations": "none"},
        7,
    ]
    said = told(list_createml(put_json(tmp_path / "a.json", document)).faults)
    assert [kind for kind, _ in said] == [
        "missing picture",
        "bad picture",
        "bad picture",
        "malformed",
        "bad picture",
        "duplicate id",
    ]
    assert said[1][1].startswith("a.json, picture #2, image: ")
    assert "leads out of the folder" in said[1][1]
    with pytest.raises(DataError, match="expected CreateML's list"):
        list_createml(put_json(tmp_path / "b.json", {}))


# --- Label Studio: https://labelstud.io/guide/export#Label-Studio-JSON-format-of-annotated-tasks


def task(*regions: Any, **changes: Any) -> dict[str, Any]:
    annotation = {
        "id": 1001,
        "completed_by": 1,
        "result": list(regions),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2021-03-09T22:16:08.728353Z",
        "lead_time": 4.288,
        "result_count": 1,
        "task": 1,
    }
    whole = {
        "id": 1,
        "annotations": [annotation],
        "file_upload": "1a2b3c4d-a.png",
        "predictions": [],
        "data": {"note": "first of all", "image": "/data/upload/1/1a2b3c4d-a.png"},
        "project": 1,
    }
    return whole | changes


def rectangle(label: str = "cat", **value: Any) -> dict[str, Any]:
    return {
        "original_width": 100,
        "original_height": 80,
        "image_rotation": 0,
        "value": {"x": 40, "y": 25, "width": 20, "height": 50, "rotation": 0, "rectanglelabels": [label]} | value,
        "id": "Dx_aB91ISN",
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "origin": "manual",
    }


def polygon(points: Any) -> dict[str, Any]:
    value = {"points": points, "closed": True, "polygonlabels": ["dog"]}
    return rectangle() | {"type": "polygonlabels", "id": "poly", "value": value}


@pytest.mark.parametrize("name", ["a.png", "1a2b3c4d-a.png", "images/a.png", "upload/1a2b3c4d-a.png"])
def test_label_studio_s_export(tmp_path: Path, name: str) -> None:
    put_picture(tmp_path / name)
    regions = rectangle(), polygon([[10, 25], [50, 25], [50, 75], [10, 75]])
    path = put_json(tmp_path / "project-1-at-2021-03-09.json", [task(*regions)])
    assert recognise_format(path) == recognise_format(tmp_path) == "label-studio"
    assert open_objects(tmp_path).names == (name,)
    objects = open_objects(path)
    assert (objects.classes, objects.names) == (("cat", "dog"), (name,))
    sample = objects.truth(0)
    assert sample.boxes.tolist() == [[40, 20, 60, 60], [10, 20, 50, 60]]
    assert sample.classes.tolist() == [0, 1]
    assert sample.masks[0] is None
    assert sample.masks[1] is not None
    assert sample.masks[1].area == 1600


def test_a_folder_with_one_export_of_label_studio(tmp_path: Path) -> None:
    put_json(tmp_path / "other.json", {"name": "no export"})
    with pytest.raises(DataError, match=r"expected one export of Label Studio's in it, found none"):
        list_label_studio(tmp_path)
    for name in ("b.json", "a.json"):
        put_json(tmp_path / name, [task(rectangle())])
    with pytest.raises(DataError, match=r"expected one export of Label Studio's in it, found a\.json, b\.json"):
        list_label_studio(tmp_path)


def test_a_turned_rectangle_is_an_outline(tmp_path: Path) -> None:
    """Turned by 90 degrees clockwise about its first corner (50, 40), 20 x 40 pixels lie to the left of it."""
    put_picture(tmp_path / "a.png")
    region = rectangle(x=50, y=50, width=20, height=50, rotation=90)
    sample = open_objects(put_json(tmp_path / "export.json", [task(region)])).truth(0)
    assert np.allclose(sample.boxes, [[10, 40, 50, 60]], atol=1e-4)
    assert sample.masks[0] is not None
    assert sample.masks[0].area == 800


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/pictures/a.png?token=abc",
        "s3://bucket/a.png",
        "/data/local-files/?d=photos/a.png",
        "photos%2Fa.png",
        "file:///mnt/pictures/a.png",
        "/data/local-files/?d=C:\\photos\\a.png",
        "C:\\photos\\a.png",
        "/data/local-files/?d=..%5C..%5Ca.png",  # leads out of the folder on Windows
        "C:a.png",
        "http://[photos/a.png",  # no address at all
    ],
)
def test_addresses_of_pictures(tmp_path: Path, address: str) -> None:
    put_picture(tmp_path / "far" / "a.png")
    data = {"text": "see http://[here", "photo": address}
    path = put_json(tmp_path / "export.json", [task(rectangle(), data=data)])
    assert open_objects(path, images=tmp_path / "far").names == ("a.png",)


def test_the_annotation_that_counts(tmp_path: Path) -> None:
    put_picture(tmp_path / "a.png")
    annotations = [
        {"id": 1, "was_cancelled": True, "result": [rectangle("skipped")]},
        {"id": 2, "result": [rectangle("first")]},
        {"id": 3, "ground_truth": True, "result": [rectangle("true")]},
    ]
    listing = list_label_studio(put_json(tmp_path / "export.json", [task(annotations=annotations)]))
    assert listing.classes == ("true",)
    assert told(listing.faults) == [("not read", "export.json, a.png, annotations: 2 annotations; 3 is taken")]


@pytest.mark.parametrize(
    ("region", "kind", "words"),
    [
        (rectangle(x=90), "outside", "region Dx_aB91ISN, value: x 90 to 110"),
        (rectangle(x=101), "away", "region Dx_aB91ISN, value: x 101 to 121"),
        (rectangle(width=0), "zero area", "value: x 40 to 40"),
        (rectangle(width=-20), "reversed", "value: x 40 to 20"),
        (rectangle(x=float("nan")), "malformed", "value/x: expected hundredths of the picture, got nan"),
        (rectangle(x=4000), "malformed", "value/x: expected hundredths of the picture, got 4000"),
        (rectangle(y=None), "malformed", "value/y: expected hundredths of the picture, got None"),
        (rectangle(rectanglelabels=[]), "unknown class", "rectanglelabels: expected one label, got []"),
        (rectangle(rectanglelabels=["a", "b"]), "unknown class", "expected one label, got ['a', 'b']"),
        (rectangle() | {"original_width": 50}, "size", "original_width, original_height: (50, 80), but the picture"),
        (rectangle() | {"image_rotation": 90}, "not read", "image_rotation: the picture was turned by 90 degrees"),
        (rectangle() | {"type": "brushlabels"}, "not read", "'brushlabels' is neither"),
        ({"from_id": "a", "to_id": "b", "type": "relation"}, "not read", "region #1, type: 'relation' is neither"),
        (rectangle() | {"value": 7}, "malformed", "value: expected a region"),
        (rectangle("\ud800"), "unknown class", "expected one label"),
        (rectangle(x=290, rotation=9), "malformed mask", "value: polygon: a corner lies far outside"),
        (polygon([[1, 2], [3, 4], [290, 6]]), "malformed mask", "value/points: polygon: a corner lies far outside"),
        (polygon([[1, 2], [3, 4]]), "malformed mask", "value/points: polygon: expected x, y of three corners"),
        (polygon([[1, 2], [3, 4], [5]]), "malformed mask", "value/points: expected pairs x, y"),
        (polygon([[1, 2], [3, 4], [5, "6"]]), "malformed mask", "value/points: polygon: expected numbers only"),
        (polygon([[1, 2], [3, 4], [5, 1e6]]), "malformed mask", "value/points: expected hundredths of the picture"),
        (rectangle(), "duplicate", "region Dx_aB91ISN: is region Dx_aB91ISN once more"),
        (7, "malformed", "region #1, value: expected a region, got 7"),
    ],
)
def test_label_studio_s_faults(tmp_path: Path, region: Any, kind: str, words: str) -> None:
    put_picture(tmp_path / "a.png")
    path = put_json(tmp_path / "export.json", [task(rectangle(), region)])
    ((found, said),) = told(list_label_studio(path).faults)
    assert found == kind
    assert words in said
    assert said.startswith("export.json, a.png, region")


def test_all_of_label_studio_s_faults_in_one_pass(tmp_path: Path) -> None:
    put_picture(tmp_path / "a.png")
    document = [
        task(rectangle()),
        task(rectangle()),
        task(id=3, data={"image": "gone.png"}),
        task(id=4, data={"text": "words only"}),
        7,
    ]
    said = told(list_label_studio(put_json(tmp_path / "export.json", document)).faults)
    assert [kind for kind, _ in said] == ["duplicate id", "missing picture", "bad picture", "bad picture"]
    assert said[0][1] == "export.json, task 1, data: a.png is in task 1 already"
    assert said[2][1].startswith("export.json, task 4, data: expected the address of a picture")


def test_a_task_that_nobody_annotated(tmp_path: Path) -> None:
    put_picture(tmp_path / "a.png")
    put_picture(tmp_path / "b.png")
    document = [task(rectangle()), task(id=2, annotations=[], data={"image": "b.png"})]
    listing = list_label_studio(put_json(tmp_path / "export.json", document))
    assert told(listing.faults) == [
        ("no annotation", "export.json, b.png, annotations: the task has not been annotated")
    ]
    assert [picture.name for picture in listing.pictures] == ["a.png"]

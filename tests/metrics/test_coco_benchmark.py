"""The measurement of COCO's average precision, on few pictures: both sides answer alike, and both are timed."""

import pytest
from benchmarks import coco_ap

pytestmark = pytest.mark.row("C-09")


def test_both_sides_give_one_answer(monkeypatch):
    monkeypatch.setattr(coco_ap, "PICTURES", 12)
    monkeypatch.setattr(coco_ap, "ROUNDS", 1)
    measured = coco_ap.measure()
    assert list(measured) == ["box", "mask", "keypoint"]
    for each in measured.values():
        assert each["difference"] <= 1e-9
        assert 0.1 < each["summary"]["AP"] < 0.9, "neither all right nor all wrong"
        assert min(each["seconds"] + each["pycocotools_seconds"]) > 0
    assert all("greatest difference" in line for line in coco_ap.lines(measured))

"""The catalog's history: detectors with their sources, the novelties of a timeline, latencies from the benchmark."""

import json
from pathlib import Path

import pytest
from benchmarks.latency import LATENCY, ZOO, latency_of, written

from convatlas.catalog import list_cards, list_models
from convatlas.catalog.detection import BENCHMARKS, COCO, VOC, detection_history, read_detection_history
from convatlas.catalog.latency import measured_latency
from convatlas.catalog.milestones import milestones, read_milestones
from convatlas.errors import DataError

ENTRY = """\
[[figure]]
detector = "One"
year = 2015
stages = 1
on = "VOC 2007 test"
value = 63.4
source = "paper, Table 1"
"""
SPEED = 'fps = 45.0\nhardware = "Titan X"\nspeed_source = "paper, Table 1"\n'


@pytest.mark.row("I-05")
def test_every_figure_has_a_source_and_every_speed_its_hardware() -> None:
    figures = detection_history()
    assert len(figures) >= 60
    assert [each.year for each in figures] == sorted(each.year for each in figures)
    for each in figures:
        assert "http" in each.source or "README" in each.source, each.detector
        assert (each.rate is None) == (not each.hardware) == (not each.speed_source)
    assert {each.on for each in figures} == set(BENCHMARKS)


@pytest.mark.row("I-05")
@pytest.mark.parametrize(
    ("label", "on", "value", "rate"),
    [
        ("DPM v5", VOC, 33.7, None),
        ("R-CNN VGG-16", VOC, 66.0, 1 / 47),
        ("Fast R-CNN", VOC, 66.9, 1 / 0.32),
        ("Faster R-CNN", VOC, 73.2, 1 / 0.198),
        ("YOLO", VOC, 63.4, 45),
        ("YOLOv2", VOC, 78.6, 40),
        ("FPN", COCO[0], 36.2, 1 / 0.172),
        ("Mask R-CNN", COCO[0], 38.2, 1 / 0.195),
        ("YOLOv3", COCO[0], 33.0, 1 / 0.051),
        ("RetinaNet", COCO[0], 39.1, None),
        ("Mask Scoring R-CNN", COCO[1], 40.1, None),
        ("YOLOv4", COCO[0], 43.5, 62),
        ("YOLOv7", COCO[0], 51.4, 161),
        ("YOLOv8m", COCO[1], 50.2, 1 / 0.00183),
    ],
)
def test_the_published_figures(label: str, on: str, value: float, rate: float | None) -> None:
    (each,) = [each for each in detection_history() if each.label == label and each.on == on]
    assert each.value == value
    assert each.rate == (None if rate is None else pytest.approx(rate))


@pytest.mark.row("I-05")
def test_what_a_speed_leaves_out_is_said() -> None:
    without = {each.label for each in detection_history() if each.excludes == "proposals"}
    assert without == {"R-CNN VGG-16", "SPP-net VGG-16", "Fast R-CNN"}


def test_a_file_is_read_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "h.toml").write_text(ENTRY + SPEED, encoding="utf-8")
    (one,) = read_detection_history(tmp_path / "h.toml")
    assert (one.label, one.rate, one.lead) == ("One", 45.0, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no"),
        (ENTRY.replace('source = "paper, Table 1"\n', ""), r"figure 1 \(One\): lacks source"),
        (ENTRY.replace('"paper, Table 1"', '" "'), "source must say something"),
        (ENTRY.replace("detector", "detecter"), "Did you mean"),
        (ENTRY.replace("VOC 2007 test", "VOC 2008"), "on: expected one of"),
        (ENTRY.replace("63.4", "163.4"), "expected percent"),
        (ENTRY.replace("63.4", "63"), "value: expected float"),
        (ENTRY.replace("2015", '"2015"'), "year: expected int"),
        (ENTRY.replace("stages = 1", "stages = 3"), "stages cannot be"),
        (ENTRY + "fps = 45.0\n", "a speed needs hardware"),
        (ENTRY + 'hardware = "K40"\nspeed_source = "x"\n', "a speed needs hardware"),
        (ENTRY + SPEED + "milliseconds = 22.0\n", "not both"),
        (ENTRY + SPEED.replace("45.0", "-1.0"), "above zero"),
        (ENTRY + 'excludes = "proposals"\n', "only a speed can exclude"),
        (ENTRY + ENTRY, "One has two figures on VOC 2007 test"),
    ],
)
def test_a_wrong_file_is_told(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "h.toml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_detection_history(tmp_path / "h.toml")


@pytest.mark.row("I-01")
def test_every_family_has_a_milestone_in_the_year_of_its_paper() -> None:
    found = milestones()
    assert [(each.year, each.family.lower()) for each in found] == sorted((m.year, m.family.lower()) for m in found)
    assert (found[0].network, found[0].year) == ("lenet5", 1998)
    assert found[-1].network == "efficientnet_v2_s"
    first: dict[str, int] = {}
    for card in list_cards():
        first.setdefault(card.family, card.year)
    assert {each.family: each.year for each in reversed(found)} == first
    assert sum(each.landmark for each in found) == 12


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('vgg16 = "nothing', 'vgg99 = "nothing', "is named 'vgg"),
        ('  "vgg16",\n', '  "vgg19",\n', "is named 'vgg19'"),
        (", up to 19 layers", "n" * 41, "vgg16: expected 1 to 40"),
        ('vit_b_16 = "a picture', 'vit_l_16 = "twice"\nvit_b_16 = "a picture', "same family and year"),
        ('xception = "depthwise separable, to the end"\n', "", "lacks a novelty of Xception in 2016"),
        ('alexnet = "AlexNet, one column"\n', "", "2 entries are called AlexNet"),
        ('alexnet = "AlexNet, one column"', 'alexnetz = "AlexNet"', "is named 'alexnetz'"),
    ],
)
def test_a_wrong_list_of_novelties_is_told(old: str, new: str, words: str, tmp_path: Path) -> None:
    text = (LATENCY.parent / "novelties.toml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (tmp_path / "n.toml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_milestones(tmp_path / "n.toml", list_cards())


@pytest.mark.row("I-02")
def test_the_latencies_are_those_of_the_benchmark() -> None:
    measured = json.loads(ZOO.read_text(encoding="utf-8"))
    assert LATENCY.read_text(encoding="utf-8") == written(measured), "python -m benchmarks.latency takes them anew"
    assert latency_of(measured)["seconds"] == dict(measured_latency().seconds)
    assert set(measured_latency().seconds) == set(list_models())
    assert all(seconds > 0 for seconds in measured_latency().seconds.values())

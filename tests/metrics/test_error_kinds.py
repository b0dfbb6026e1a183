"""The kinds of mistakes: one of each by hand, and against a plain transcript of the paper's definitions."""

import json
from dataclasses import replace

import numpy as np
import pytest

from convatlas.metrics.coco import COCO_BOXES, CocoSettings, evaluate_coco
from convatlas.metrics.error_kinds import ERROR_KINDS, error_kinds
from convatlas.metrics.outcomes import picture_outcomes
from convatlas.metrics.overlaps import box_iou
from tests.metrics.coco_cases import CLASSES, boxes_case, found, masks_case, sample

pytestmark = pytest.mark.row("C-09")


def one_of_each():
    boxes = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10], [80, 0, 90, 10]]
    truths = [sample("a.png", boxes, [0, 0, 0, 0, 1])]
    rows = [
        ([0, 0, 10, 10], 0, 0.95),  # right
        ([0, 0, 10, 9], 0, 0.90),  # duplicate of the first
        ([20, 0, 30, 10], 1, 0.85),  # class
        ([40, 0, 50, 4], 0, 0.80),  # place
        ([60, 0, 70, 3], 1, 0.75),  # both
        ([200, 0, 210, 9], 0, 0.70),  # background; the fourth object and the only dog are missed
    ]
    boxes, classes, scores = (list(each) for each in zip(*rows, strict=True))
    return truths, [found("a.png", boxes, classes, scores)]


def test_one_of_each_by_hand():
    result = error_kinds(*one_of_each(), ["cat", "dog"])
    named = [(each.kind, each.detection, each.truth, each.overlap) for each in result.errors]
    assert named == [
        ("duplicate", 1, 0, pytest.approx(0.9)),
        ("class", 2, 1, 1.0),
        ("place", 3, 2, pytest.approx(0.4)),
        ("both", 4, 3, pytest.approx(0.3)),
        ("background", 5, None, 0.0),
        ("missed", None, 3, 0.0),
        ("missed", None, 4, 0.0),
    ]
    assert result.counts == {"class": 1, "place": 1, "both": 1, "duplicate": 1, "background": 1, "missed": 2}
    # cats ranked: right, duplicate, place, background of 4 objects; dogs: two wrong of 1 object
    base = 26 / 101 / 2
    assert result.average_precision == pytest.approx(base)
    gains = {kind: result.gains[kind] + base for kind in ERROR_KINDS}
    assert gains["duplicate"] == gains["background"] == gains["both"] == pytest.approx(base)
    # right, duplicate, [class, now a cat], place: precision 1 up to recall 1/4, then 2/3 up to 1/2
    assert gains["class"] == pytest.approx((26 + 25 * 2 / 3) / 101 / 2)
    assert gains["place"] == pytest.approx((26 + 25 * 2 / 3) / 101 / 2)
    # three cats are left to find (0.3333 lies between recalls 0.33 and 0.34), and no dog
    assert gains["missed"] == pytest.approx(34 / 101 / 2)
    assert result.gain_without_misses + base == pytest.approx(1 / 2)
    assert result.gain_without_false_positives == pytest.approx(0)


@pytest.mark.parametrize(
    ("answer", "label", "kind"),
    [
        ([0, 0, 10, 1], 0, "place"),  # a tenth of the cat
        ([0, 0, 10, 0.9], 0, "background"),
        ([20, 0, 30, 5], 0, "class"),  # half of the dog
        ([20, 0, 30, 4.9], 0, "both"),
        ([20, 0, 30, 1], 0, "both"),
        ([20, 0, 30, 0.9], 0, "background"),
        ([50, 0, 60, 10], 0, "background"),  # a crowd of dogs is nothing to be mistaken for
        ([0, 0, 10, 5], 0, "duplicate"),
    ],
)
def test_on_either_side_of_the_bounds(answer, label, kind):
    truths = [sample("a", [[0, 0, 10, 10], [20, 0, 30, 10], [50, 0, 60, 10]], [0, 1, 1], iscrowd=[0, 0, 1])]
    detections = [found("a", [[0, 0, 10, 10], answer], [0, label], [0.9, 0.8])]
    assert error_kinds(truths, detections, ["cat", "dog"]).errors[0].kind == kind


def test_of_a_class_in_a_picture_only_the_surest_count():
    truths, detections = one_of_each()
    result = error_kinds(truths, detections, ["cat", "dog"], max_detections=2)
    assert [each.kind for each in result.errors if each.detection is not None] == ["duplicate", "class", "both"]
    assert result.average_precision == pytest.approx(26 / 101 / 2)


def test_badly_placed_goes_before_the_wrong_class():
    # 0.4 of the cat and 0.6 of the dog
    truths = [sample("a", [[0, 0, 4, 10], [4, 0, 10, 10]], [0, 1])]
    result = error_kinds(truths, [found("a", [[0, 0, 10, 10]], [0], [0.9])], ["cat", "dog"])
    assert [(each.kind, each.truth) for each in result.errors] == [("place", 0), ("missed", 1)]


def by_definition(truths, detections, foreground, background):
    """Kind of each wrong detection, and the missed objects, pair by pair."""
    outcome = {
        each.picture: each for each in picture_outcomes(truths, detections, CLASSES, threshold=foreground).pictures
    }
    answers = {each.name: each for each in detections}
    kinds, missed = {}, set()
    for true in truths:
        answer, fate = answers[true.name], outcome[true.name]
        overlaps = box_iou(answer.boxes, true.boxes)
        lost = set(fate.missed)
        counted = [t for t in range(len(true.classes)) if not true.iscrowd[t]]
        for d in fate.wrong:
            same = {t: overlaps[d, t] for t in counted if true.classes[t] == answer.classes[d]}
            other = {t: overlaps[d, t] for t in counted if true.classes[t] != answer.classes[d]}
            s, o = max(same.values(), default=0), max(other.values(), default=0)
            if background <= s < foreground:
                kind = "place"
                lost.discard(max(same, key=same.get))
            elif o >= foreground:
                kind = "class"
                lost.discard(max(other, key=other.get))
            elif s >= foreground:
                kind = "duplicate"
            else:
                kind = "background" if max(s, o) < background else "both"
            kinds[true.name, d] = kind
        missed |= {(true.name, t) for t in lost}
    return kinds, missed


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_the_definition(seed):
    truths, detections = boxes_case(seed, most=9, grid=seed % 2 == 0)
    foreground, background = ((0.5, 0.1), (0.7, 0.3))[seed % 2]
    result = error_kinds(truths, detections, CLASSES, foreground=foreground, background=background)
    kinds, missed = by_definition(truths, detections, foreground, background)
    assert {(each.picture, each.detection): each.kind for each in result.errors if each.kind != "missed"} == kinds
    assert {(each.picture, each.truth) for each in result.of_kind("missed")} == missed
    assert sum(result.counts.values()) == len(result.errors)


@pytest.mark.parametrize("seed", range(8))
def test_the_average_precision_is_cocos(seed):
    truths, detections = boxes_case(seed, pictures=20)
    coco = evaluate_coco(truths, detections, CLASSES, COCO_BOXES).average_precision(threshold=0.5)
    assert error_kinds(truths, detections, CLASSES).average_precision == pytest.approx(coco, abs=1e-12)
    truths, detections = masks_case(seed)
    coco = evaluate_coco(truths, detections, CLASSES, CocoSettings(kind="mask")).average_precision(threshold=0.5)
    result = error_kinds(truths, detections, CLASSES, kind="mask")
    assert result.average_precision == pytest.approx(coco, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["both", "duplicate", "background"])
def test_mending_is_what_leaving_the_detections_out_gives(seed, kind):
    truths, detections = boxes_case(seed, most=9)
    result = error_kinds(truths, detections, CLASSES)
    out = {(each.picture, each.detection) for each in result.of_kind(kind)}
    kept = []
    for each in detections:
        rows = [i for i in range(len(each)) if (each.name, i) not in out]
        kept.append(replace(each, boxes=each.boxes[rows], classes=each.classes[rows], scores=each.scores[rows]))
    without = evaluate_coco(truths, kept, CLASSES).average_precision(threshold=0.5)
    assert result.average_precision + result.gains[kind] == pytest.approx(without, abs=1e-12)
    assert result.gains[kind] >= 0


def test_of_two_that_mean_one_object_only_the_surest_is_mended():
    truths = [sample("a", [[0, 0, 10, 10], [50, 0, 60, 10]], [0, 0])]

    def detected(*scores):
        boxes = [[0, 0, 10, 10], [0, 0, 10, 4], [0, 0, 10, 3], [80, 0, 90, 10]]  # right, two badly placed, nothing
        return [found("a", boxes, [0, 0, 0, 0], scores)]

    # The right one is the surest: both others are suppressed, nothing is gained.
    result = error_kinds(truths, detected(0.9, 0.8, 0.7, 0.85), ["cat"])
    assert result.counts["place"] == 2
    assert result.gains["place"] == pytest.approx(0)
    # A badly placed one is surer than the right one: mended, it takes its object, and the right one is suppressed.
    result = error_kinds(truths, detected(0.7, 0.9, 0.8, 0.75), ["cat"])
    assert result.average_precision == pytest.approx(51 / 4 / 101)
    assert result.average_precision + result.gains["place"] == pytest.approx(51 / 101)


def test_without_objects_there_is_no_gain():
    truths = [sample("a", [], [])]
    detections = [found("a", [[0, 0, 4, 4]], [0], [0.5])]
    result = error_kinds(truths, detections, ["cat"])
    assert result.average_precision is None
    assert set(result.gains.values()) == {None}
    assert result.counts["background"] == 1
    assert error_kinds(truths, [], ["cat"]).errors == ()


def test_json_can_hold_it_and_a_person_can_read_it():
    result = error_kinds(*one_of_each(), ["cat", "dog"])
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record["counts"]["missed"] == 2
    assert record["errors"][0]["kind"] == "duplicate"
    lines = str(result).splitlines()
    assert lines[0] == "AP 0.129 at IoU 0.5, box, 1 pictures; background below 0.1"
    assert [line.split()[0] for line in lines[2:8]] == list(ERROR_KINDS)
    assert np.isclose(float(lines[2].split()[-1]), result.gains["class"], atol=5e-4)


def test_without_detections_the_gains_of_misses_are_explained():
    truths, detections = one_of_each()
    nothing = error_kinds(truths, [], CLASSES)
    assert (nothing.detections, nothing.average_precision, nothing.gain_without_misses) == (0, 0.0, 0.0)
    assert "There is no detection: with nothing found, mending the misses has no precision to go by" in str(nothing)
    some = error_kinds(truths, detections, CLASSES)
    assert some.detections == 6 and "There is no detection" not in str(some)

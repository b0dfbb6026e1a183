"""VOC's average precision against a plain transcript of the definition, and by hand."""

import json

import numpy as np
import pytest

from convatlas.metrics.voc import METHODS, area_precision, eleven_point_precision, evaluate_voc
from tests.metrics.coco_cases import CLASSES, boxes_case, found, sample

pytestmark = pytest.mark.row("C-09")


def by_definition(truths, detections, k, method, threshold):
    """One class: the detections in falling order of their scores, each against all objects of its picture."""
    objects = {}
    for each in truths:
        mine = np.flatnonzero(each.classes == k)
        objects[each.name] = [[each.boxes[i].tolist(), each.iscrowd[i] or each.difficult[i], False] for i in mine]
    answers = [
        (-score, each.name, row)
        for each in detections
        for row, (score, label) in enumerate(zip(each.scores, each.classes, strict=True))
        if label == k
    ]
    boxes = {each.name: each.boxes.tolist() for each in detections}
    count = sum(not hard for each in objects.values() for _, hard, _ in each)
    if not count:
        return None
    right = wrong = 0
    recall, precision = [], []
    for _, picture, row in sorted(answers):
        best, meant = -np.inf, None
        for candidate in objects[picture]:
            a, b = boxes[picture][row], candidate[0]
            width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
            if width > 0 and height > 0:
                union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
                if width * height / union > best:
                    best, meant = width * height / union, candidate
        if best >= threshold:
            if not meant[1]:
                right, wrong = right + (not meant[2]), wrong + meant[2]
                meant[2] = True
        else:
            wrong += 1
        recall.append(right)
        precision.append(right / (right + wrong) if right + wrong else 0)
    if method == "eleven_point":
        points = [[p for p, r in zip(precision, recall, strict=True) if 10 * r >= t * count] for t in range(11)]
        return sum(max(each, default=0) for each in points) / 11
    steps = [0, *recall, count]
    envelope = [max([*precision[i:], 0]) for i in range(len(precision) + 1)]
    return sum((steps[i + 1] - steps[i]) / count * envelope[i] for i in range(len(envelope)))


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("method", METHODS)
def test_equal_to_the_definition(seed, method):
    truths, detections = boxes_case(seed, most=9, grid=seed % 2 == 0)
    threshold = (0.3, 0.5, 0.7)[seed % 3]
    result = evaluate_voc(truths, detections, CLASSES, method=method, threshold=threshold)
    expected = [by_definition(truths, detections, k, method, threshold) for k in range(3)]
    assert [each.average_precision for each in result.per_class] == pytest.approx(expected, abs=1e-12)
    assert expected[2] is None
    assert result.mean_ap == pytest.approx(np.mean(expected[:2]))


def test_the_two_ways_by_hand():
    # right, wrong, right of 3 objects: recall 1/3 at precision 1, then 2/3 at 2/3; the third is never found
    right = np.array([True, False, True])
    assert area_precision(right, 3) == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    assert eleven_point_precision(right, 3) == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)
    assert eleven_point_precision(np.zeros(0, bool), 3) == area_precision(np.zeros(0, bool), 3) == 0


def test_three_of_ten_objects_reach_a_recall_of_three_tenths():
    assert 3 * 0.1 > 3 / 10, "what floating point makes of it"
    assert eleven_point_precision(np.ones(3, bool), 10) == pytest.approx(4 / 11)


def scene(boxes, answers, scores, **fields):
    return [sample("a", boxes, [0] * len(boxes), **fields)], [found("a", answers, [0] * len(answers), scores)]


def test_a_detection_means_what_it_overlaps_most_even_if_that_is_taken():
    # COCO would give the second detection the second object.
    truths, detections = scene([[0, 0, 10, 4], [0, 0, 10, 6]], [[0, 0, 10, 4], [0, 0, 10, 4]], [0.9, 0.8])
    result = evaluate_voc(truths, detections, ["cat"])
    assert result.per_class[0].recall.tolist() == [0.5, 0.5]
    assert result.per_class[0].precision.tolist() == [1, 0.5]


def test_difficult_objects_are_neither_counted_nor_held_against_anyone():
    boxes = [[0, 0, 4, 4], [10, 0, 14, 4]]
    truths, detections = scene(boxes, [boxes[1], boxes[1], boxes[0]], [0.9, 0.8, 0.7], difficult=[False, True])
    result = evaluate_voc(truths, detections, ["cat"])
    assert (result.mean_ap, result.per_class[0].objects) == (1, 1)
    assert result.per_class[0].scores.tolist() == pytest.approx([0.7])


def test_an_overlap_of_exactly_the_threshold_suffices():
    truths, detections = scene([[0, 0, 4, 4]], [[0, 0, 4, 2]], [0.9])
    assert evaluate_voc(truths, detections, ["cat"], threshold=0.5).mean_ap == 1
    assert evaluate_voc(truths, detections, ["cat"], threshold=0.501).mean_ap == 0


def test_without_objects_there_is_no_value():
    truths, detections = scene([], [[0, 0, 4, 2]], [0.9])
    result = evaluate_voc(truths, detections, ["cat"])
    assert (result.mean_ap, result.per_class[0].average_precision) == (None, None)
    assert evaluate_voc(truths, [], ["cat"]).mean_ap is None


def test_json_can_hold_it_and_a_person_can_read_it():
    truths, detections = boxes_case(1)
    result = evaluate_voc(truths, detections, CLASSES, method="eleven_point")
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record["mean_ap"] == result.mean_ap
    assert record["per_class"][0]["precision"] == result.per_class[0].precision.tolist()
    lines = str(result).splitlines()
    assert lines[0] == "VOC, eleven-point, IoU 0.5, 9 pictures"
    assert lines[-2].split() == ["owl", "0", "-"]
    assert lines[-1].split()[::2] == ["mean", f"{result.mean_ap:.3f}"]

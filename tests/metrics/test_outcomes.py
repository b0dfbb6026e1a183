"""Each picture's true positives, false positives and misses: by hand, and against pycocotools' own matching."""

import json

import numpy as np
import pytest

from convatlas.metrics.coco import CocoSettings
from convatlas.metrics.outcomes import Found, picture_outcomes
from tests.metrics.coco_cases import CLASSES, boxes_case, found, keypoints_case, masks_case, pycocotools, sample

pytestmark = pytest.mark.row("C-09")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("kind", "case"), [("box", boxes_case), ("mask", masks_case), ("keypoint", keypoints_case)])
def test_counts_are_those_of_pycocotools(seed, kind, case):
    truths, detections = case(seed)
    settings = CocoSettings(kind=kind, thresholds=(0.5,), max_detections=(1000,))
    theirs = pycocotools(truths, detections, settings)
    ours = picture_outcomes(truths, detections, CLASSES, kind=kind)
    names = sorted(each.name for each in truths)
    expected = {name: [0, 0, 0, 0] for name in names}
    for each in theirs.evalImgs:
        if each is not None and each["aRng"] == theirs.params.areaRng[0]:
            took, ignored = each["dtMatches"][0] > 0, each["dtIgnore"][0].astype(bool)
            lost = (each["gtMatches"][0] == 0) & (each["gtIgnore"] == 0)
            counts = [(took & ~ignored).sum(), (~took & ~ignored).sum(), lost.sum(), ignored.sum()]
            name = names[each["image_id"] - 1]
            expected[name] = [a + int(b) for a, b in zip(expected[name], counts, strict=True)]
    for each in ours.pictures:
        counts = [len(each.found), len(each.wrong), len(each.missed), len(each.ignored)]
        assert counts == expected[each.picture], each.picture
    assert kind == "mask" or ours.totals().recall > 0


def case_by_hand():
    boxes = [[0, 0, 4, 4], [10, 0, 14, 4], [20, 0, 24, 4], [30, 0, 34, 4]]
    truths = [
        sample("a.png", boxes, [0, 1, 0, 1], difficult=[False, False, False, True]),
        sample("b.png", [], []),
        sample("c.png", [[0, 0, 4, 4]], [1]),
    ]
    boxes = [[10, 0, 14, 4], [0, 0, 4, 4], [30, 0, 34, 4], [0, 0, 4, 3], [20, 0, 24, 4]]
    detections = [
        found("a.png", boxes, [0, 0, 1, 0, 0], [0.9, 0.3, 0.8, 0.7, 0.1]),
        found("b.png", [[0, 0, 1, 1]], [0], [0.5]),
    ]
    return truths, detections


def test_by_hand():
    result = picture_outcomes(*case_by_hand(), ["cat", "dog"], min_score=0.2)
    a, b, c = result.pictures
    # the surer of the two takes the first object; the last detection is below 0.2
    assert a.found == (Found(detection=3, truth=0, overlap=0.75),)
    assert (a.wrong, a.missed, a.ignored, a.mistakes) == ((0, 1), (1, 2), (2,), 4)
    assert (b.found, b.wrong, b.missed) == ((), (0,), ())
    assert (c.found, c.wrong, c.missed) == ((), (), (0,))
    assert [each.picture for each in result.worst()] == ["a.png", "b.png", "c.png"]
    assert [each.picture for each in result.worst(1)] == ["a.png"]
    cat, dog = result.per_class
    assert (cat.support, cat.precision, cat.recall) == (2, 0.25, 0.5)
    assert (dog.support, dog.precision, dog.recall) == (2, None, 0)
    assert result.totals().f1 == pytest.approx(2 / (4 + 4))


def test_an_object_without_a_labelled_keypoint_is_not_missed():
    truths = [sample("a", [[0, 0, 4, 4]], [0], keypoints=np.zeros((1, 17, 3)))]
    assert picture_outcomes(truths, [], ["cat"], kind="keypoint").pictures[0].missed == ()


def test_json_can_hold_it_and_a_person_can_read_it():
    result = picture_outcomes(*case_by_hand(), ["cat", "dog"])
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record["pictures"][0]["found"][0] == {"detection": 3, "truth": 0, "overlap": 0.75}
    assert record["totals"]["support"] == 4
    lines = [line.split() for line in str(result).splitlines()]
    assert lines[0] == ["box,", "IoU", "0.5,", "3", "pictures"]
    assert ["a.png", "2", "2", "1"] in lines
    perfect = picture_outcomes(case_by_hand()[0][1:2], [], ["cat"])
    assert str(perfect).endswith("No mistake in any picture.")


def test_a_score_of_exactly_the_least_stays():
    truths, detections = case_by_hand()
    assert picture_outcomes(truths, detections, ["cat", "dog"], min_score=0.5).pictures[1].wrong == (0,)
    assert picture_outcomes(truths, detections, ["cat", "dog"], min_score=0.51).pictures[1].wrong == ()
    assert float(np.float32(0.7)) < 0.7, "but the user who asks for 0.7 means the score that was given as 0.7"
    assert picture_outcomes(truths, detections, ["cat", "dog"], min_score=0.7).pictures[0].found[0].detection == 3


def test_every_detection_and_object_has_one_fate():
    truths, detections = boxes_case(7, most=20)
    result = picture_outcomes(truths, detections, CLASSES)
    assert [each.picture for each in result.pictures] == [each.name for each in truths]
    answers = {each.name: each for each in detections}
    for true, each in zip(truths, result.pictures, strict=True):
        fates = [*each.wrong, *each.ignored, *(hit.detection for hit in each.found)]
        assert sorted(fates) == list(range(len(answers[true.name])))
        counted = np.flatnonzero(~true.iscrowd)
        assert sorted([*each.missed, *(hit.truth for hit in each.found)]) == counted.tolist()

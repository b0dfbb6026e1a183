"""Each picture's true positives, false positives and misses: by hand, and against pycocotools' own matching."""

import json

import numpy as np
import pytest

from convatlas.metrics.coco import CocoSettings
from convatlas.metrics.objects import PictureDetections, PictureTruths
from convatlas.metrics.outcomes import Found, picture_outcomes
from tests.metrics.coco_cases import CLASSES, boxes_case, keypoints_case, masks_case, pycocotools

pytestmark = pytest.mark.row("C-09")


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("kind", "case"), [("box", boxes_case), ("mask", masks_case), ("keypoint", keypoints_case)])
def test_counts_are_those_of_pycocotools(seed, kind, case):
    truths, detections = case(seed)
    settings = CocoSettings(kind=kind, thresholds=(0.5,), max_detections=(1000,))
    theirs = pycocotools(truths, detections, settings)
    ours = picture_outcomes(truths, detections, CLASSES, kind=kind)
    expected = {each.picture: [0, 0, 0, 0] for each in truths}
    for each in theirs.evalImgs:
        if each is not None and each["aRng"] == theirs.params.areaRng[0]:
            took, ignored = each["dtMatches"][0] > 0, each["dtIgnore"][0].astype(bool)
            lost = (each["gtMatches"][0] == 0) & (each["gtIgnore"] == 0)
            counts = [(took & ~ignored).sum(), (~took & ~ignored).sum(), lost.sum(), ignored.sum()]
            expected[each["image_id"]] = [a + int(b) for a, b in zip(expected[each["image_id"]], counts, strict=True)]
    for each in ours.pictures:
        counts = [len(each.found), len(each.wrong), len(each.missed), len(each.ignored)]
        assert counts == expected[each.picture], each.picture
    assert kind == "mask" or ours.totals().recall > 0


def case_by_hand():
    truths = [
        PictureTruths(
            picture="a.png",
            boxes=[[0, 0, 4, 4], [10, 0, 14, 4], [20, 0, 24, 4], [30, 0, 34, 4]],
            classes=[0, 1, 0, 1],
            difficult=[False, False, False, True],
        ),
        PictureTruths(picture="b.png", boxes=[], classes=[]),
        PictureTruths(picture="c.png", boxes=[[0, 0, 4, 4]], classes=[1]),
    ]
    detections = [
        PictureDetections(
            picture="a.png",
            boxes=[[10, 0, 14, 4], [0, 0, 4, 4], [30, 0, 34, 4], [0, 0, 4, 3], [20, 0, 24, 4]],
            classes=[0, 0, 1, 0, 0],
            scores=[0.9, 0.3, 0.8, 0.7, 0.1],
        ),
        PictureDetections(picture="b.png", boxes=[[0, 0, 1, 1]], classes=[0], scores=[0.5]),
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
    truths = [PictureTruths(picture=1, boxes=[[0, 0, 4, 4]], classes=[0], keypoints=np.zeros((1, 17, 3)))]
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
    assert len(picture_outcomes(truths, detections, ["cat", "dog"], min_score=0.1).pictures[0].found) == 2


def test_every_detection_and_object_has_one_fate():
    truths, detections = boxes_case(7, most=20)
    result = picture_outcomes(truths, detections, CLASSES)
    found = {each.picture: each for each in detections}
    true = {each.picture: each for each in truths}
    assert [each.picture for each in result.pictures] == sorted(true)
    for each in result.pictures:
        fates = [*each.wrong, *each.ignored, *(hit.detection for hit in each.found)]
        assert sorted(fates) == list(range(len(found[each.picture].scores)))
        counted = np.flatnonzero(~true[each.picture].crowd)
        assert sorted([*each.missed, *(hit.truth for hit in each.found)]) == counted.tolist()

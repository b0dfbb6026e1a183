"""COCO's average precision and recall against pycocotools, value by value, and by hand."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.metrics.coco import BOXES, KEYPOINTS, MASKS, AreaRange, CocoSettings, evaluate_coco
from convatlas.metrics.objects import PictureDetections, PictureTruths
from tests.metrics.coco_cases import CLASSES, boxes_case, keypoints_case, masks_case, pycocotools

pytestmark = pytest.mark.row("C-09")


def assert_equal_to_pycocotools(truths, detections, settings):
    ours = evaluate_coco(truths, detections, CLASSES, settings)
    theirs = pycocotools(truths, detections, settings)
    for name, mine in (("precision", ours.precision), ("recall", ours.recall), ("scores", ours.scores)):
        np.testing.assert_allclose(np.nan_to_num(mine, nan=-1), theirs.eval[name], rtol=0, atol=1e-9, err_msg=name)
    return ours, theirs


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("scale", [1, 16])  # 16: areas on both sides of 32^2 and 96^2, and exactly there
def test_boxes_on_a_grid(seed, scale):
    truths, detections = boxes_case(seed, scale=scale)
    assert_equal_to_pycocotools(truths, detections, BOXES)


@pytest.mark.parametrize("seed", range(5))
def test_boxes_anywhere(seed):
    truths, detections = boxes_case(seed, pictures=30, scale=12.3, grid=False)
    assert_equal_to_pycocotools(truths, detections, BOXES)


@pytest.mark.parametrize("seed", range(8))
def test_few_detections_allowed_other_thresholds_and_areas(seed):
    settings = CocoSettings(
        thresholds=(0.25, 0.5, 1.0),
        areas=(AreaRange(name="any", low=0, high=1e10), AreaRange(name="nine", low=9, high=9)),
        max_detections=(2, 3),
    )
    assert_equal_to_pycocotools(*boxes_case(seed, most=12), settings)


@pytest.mark.parametrize("seed", range(12))
def test_masks(seed):
    assert_equal_to_pycocotools(*masks_case(seed), MASKS)


@pytest.mark.parametrize("seed", range(12))
def test_keypoints(seed):
    assert_equal_to_pycocotools(*keypoints_case(seed), KEYPOINTS)


def test_keypoints_of_another_skeleton():
    settings = dataclasses.replace(KEYPOINTS, sigmas=(0.1, 0.05, 0.2, 0.1, 0.03))
    ours, _ = assert_equal_to_pycocotools(*keypoints_case(3, points=5), settings)
    assert ours.average_precision() is not None


def test_the_summary_is_that_of_pycocotools():
    truths, detections = boxes_case(4, pictures=20, scale=16)
    ours, theirs = assert_equal_to_pycocotools(truths, detections, BOXES)
    theirs.summarize()
    names = "AP AP50 AP75 AP_small AP_medium AP_large AR_1 AR_10 AR_100 AR_small AR_medium AR_large"
    assert " ".join(ours.summary()) == names
    np.testing.assert_allclose([-1 if v is None else v for v in ours.summary().values()], theirs.stats, atol=1e-9)

    truths, detections = keypoints_case(4, pictures=20)
    ours, theirs = assert_equal_to_pycocotools(truths, detections, KEYPOINTS)
    theirs.summarize()
    assert " ".join(ours.summary()) == "AP AP50 AP75 AP_medium AP_large AR AR50 AR75 AR_medium AR_large"
    np.testing.assert_allclose([-1 if v is None else v for v in ours.summary().values()], theirs.stats, atol=1e-9)


def scene(true, found, scores, *, classes=None, found_classes=None, **fields):
    return (
        [PictureTruths(picture="a.png", boxes=true, classes=[0] * len(true) if classes is None else classes, **fields)],
        [
            PictureDetections(
                picture="a.png",
                boxes=found,
                classes=[0] * len(found) if found_classes is None else found_classes,
                scores=scores,
            )
        ],
    )


def test_by_hand():
    # right, wrong, right: precision 1 up to recall 1/2, then 2/3; 51 of the 101 recalls are at most 1/2
    truths, detections = scene(
        [[0, 0, 4, 4], [10, 0, 14, 4]], [[0, 0, 4, 4], [50, 0, 54, 4], [10, 0, 14, 4]], [0.9, 0.8, 0.7]
    )
    result = evaluate_coco(truths, detections, ["cat"])
    assert result.average_precision() == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert result.average_recall() == 1
    assert result.average_recall(max_detections=1) == 0.5
    assert result.average_precision(area="large") is None
    assert result.objects.tolist() == [[2, 2, 0, 0]]


@pytest.mark.parametrize(("last", "recall"), [([2, 0, 8, 4], 1.0), ([0, 0, 6, 4], 0.5)])
def test_of_two_equal_overlaps_the_later_object_is_taken(last, recall):
    # The first detection overlaps both by 0.714; the second is one of them, and misses 0.7 with the other.
    first = [0, 0, 6, 4] if last[0] else [2, 0, 8, 4]
    truths, detections = scene([first, last], [[1, 0, 7, 4], [0, 0, 6, 4]], [0.9, 0.8])
    assert evaluate_coco(truths, detections, ["cat"]).average_recall(threshold=0.7) == recall


def test_a_crowd_takes_many_and_counts_for_nothing():
    truths, detections = scene(
        [[0, 0, 100, 100], [200, 0, 204, 4]],
        [[0, 0, 10, 10], [20, 20, 30, 30], [200, 0, 204, 4]],
        [0.9, 0.8, 0.7],
        crowd=[True, False],
    )
    assert evaluate_coco(truths, detections, ["cat"]).average_precision() == pytest.approx(1)
    truths[0] = dataclasses.replace(truths[0], crowd=None)
    assert evaluate_coco(truths, detections, ["cat"]).average_precision() == pytest.approx(51 * (1 / 3) / 101)


def test_difficult_objects_are_like_others():
    truths, detections = scene([[0, 0, 4, 4]], [], [], difficult=[True])
    assert evaluate_coco(truths, detections, ["cat"]).average_precision() == 0


def test_float32_boxes_and_grey_zones():
    truths, detections = scene(
        np.array([[0, 0, 4, 4]], np.float32), np.array([[0, 0, 4, 2]], np.float32), np.array([0.5], np.float32)
    )
    result = evaluate_coco(truths, detections, ["cat"])
    assert result.average_precision(threshold=0.5) == pytest.approx(1), "an overlap of exactly the threshold suffices"
    assert result.average_precision(threshold=0.55) == 0


def test_nothing_found_and_nothing_to_find():
    truths, _ = scene([[0, 0, 4, 4]], [], [])
    result = evaluate_coco(truths, [], ["cat", "dog"])
    assert (result.average_precision(), result.average_precision(label="dog")) == (0, None)
    nothing = [PictureTruths(picture=1, boxes=[], classes=[])]
    assert set(evaluate_coco(nothing, [], ["cat"]).summary().values()) == {None}


def test_the_order_of_the_pictures_does_not_matter():
    truths, detections = boxes_case(11, pictures=20)
    forward = evaluate_coco(truths, detections, CLASSES)
    backward = evaluate_coco(truths[::-1], detections[::-1], CLASSES)
    np.testing.assert_array_equal(forward.precision, backward.precision)


def test_many_objects_on_one_spot_in_small_steps(monkeypatch):
    truths, detections = boxes_case(5, pictures=4, most=40)
    whole = evaluate_coco(truths, detections, CLASSES)
    monkeypatch.setattr("convatlas.metrics.matching._BLOCK", 3)
    np.testing.assert_array_equal(whole.precision, evaluate_coco(truths, detections, CLASSES).precision)


def test_json_can_hold_it_and_a_person_can_read_it():
    truths, detections = boxes_case(4, pictures=20, scale=16)
    result = evaluate_coco(truths, detections, CLASSES)
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record["summary"]["AP"] == result.average_precision()
    assert [each["label"] for each in record["per_class"]] == list(CLASSES)
    assert record["per_class"][2] == {"label": "owl", "objects": 0, "ap": None, "ar": None}
    lines = str(result).splitlines()
    assert lines[0] == "COCO, box, 20 pictures"
    assert lines[1].split() == ["AP", f"{result.average_precision():.3f}"]
    assert lines[-1].split() == ["owl", "0", "-", "-"]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        ({"threshold": 0.51}, "threshold: expected one of 0.5, 0.55"),
        ({"area": "smal"}, 'area: expected one of all, small, .*"small"'),
        ({"label": "cta"}, 'label: .*Did you mean "cat"'),
        ({"max_detections": 5}, "max_detections: expected one of 1, 10, 100"),
    ],
)
def test_what_was_not_measured_is_said(ask, says):
    truths, detections = scene([[0, 0, 4, 4]], [], [])
    with pytest.raises(UsageError, match=says):
        evaluate_coco(truths, detections, ["cat"]).average_precision(**ask)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kind": "boxes"}, "kind: expected one of box, mask, keypoint"),
        ({"thresholds": ()}, "threshold"),
        ({"thresholds": (0.0, 0.5)}, "threshold"),
        ({"areas": ()}, "areas:"),
        ({"areas": (AreaRange(name="x", low=2, high=1),)}, "areas:"),
        ({"max_detections": (10, 1)}, "max_detections:"),
        ({"max_detections": (0,)}, "max_detections:"),
    ],
)
def test_settings_are_checked(settings, says):
    with pytest.raises(UsageError, match=says):
        CocoSettings(**settings)


def test_torch_is_not_needed():
    code = (
        "import convatlas.metrics.coco, convatlas.metrics.voc, convatlas.metrics.outcomes, "
        "convatlas.metrics.error_kinds, convatlas.metrics.proposals, sys; print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "scipy", "pycocotools"} & set(run.stdout.split())

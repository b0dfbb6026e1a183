"""Truths and detections that do not fit each other: each error names the argument, the picture and the field."""

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.metrics.coco import COCO_KEYPOINTS, COCO_MASKS, evaluate_coco
from convatlas.metrics.error_kinds import error_kinds
from convatlas.metrics.outcomes import picture_outcomes
from convatlas.metrics.overlaps import box_iou
from convatlas.metrics.proposals import evaluate_proposals
from convatlas.metrics.voc import evaluate_voc
from convatlas.types import Rle
from tests.metrics.coco_cases import found, sample

pytestmark = pytest.mark.row("C-09")

BOX = [0.0, 0.0, 4.0, 4.0]
MASK = Rle.from_counts([0, 16], 4, 4)
EMPTY = sample("b.png", [], [])


def truth(**changes):
    return sample(**{"name": "a.png", "boxes": [BOX, BOX], "classes": [0, 1], **changes})


def answer(**changes):
    return found(**{"name": "a.png", "boxes": [BOX, BOX], "classes": [0, 1], "scores": [0.5, 0.4], **changes})


@pytest.mark.parametrize("measure", [evaluate_coco, evaluate_voc, picture_outcomes, error_kinds])
@pytest.mark.parametrize(
    ("truths", "detections", "classes", "says"),
    [
        ([truth(classes=[0, 2])], [], ["a", "b"], r"^truths: picture 'a.png': classes\[1\]: .* 0..1, got 2"),
        ([truth()], [answer(classes=[2, 0])], ["a", "b"], r"^detections: picture 'a.png': classes\[0\]: .* got 2"),
        ([EMPTY, truth()], [answer(name="A.png")], ["a", "b"], "'A.png' is not among the 2 of truths. Did you mean"),
        ([truth()], [answer(size=(400, 300))], ["a", "b"], "'a.png': size: expected 400 x 400 as in truths, got 400 x"),
        ([EMPTY, truth(), EMPTY], [], ["a", "b"], "truths: picture 'b.png' is there twice"),
        ([truth()], [answer(), answer()], ["a", "b"], "detections: picture 'a.png' is there twice"),
        ([EMPTY, {"boxes": []}], [], ["a"], r"truths\[1\]: expected Sample, got dict"),
        ([truth()], [truth()], ["a", "b"], r"detections\[0\]: expected Detections, got Sample"),
        ([], [], ["a"], "truths: expected one picture or more"),
        ([truth()], [], ["a", "a"], "classes: expected one name or more, each once, got a, a"),
        ([truth()], [], [], "classes: expected one name or more, each once, got none"),
    ],
)
def test_what_does_not_fit_is_named(measure, truths, detections, classes, says):
    with pytest.raises(UsageError, match=says):
        measure(truths, detections, classes)


@pytest.mark.parametrize(
    ("truths", "detections", "says"),
    [
        (truth(), answer(), "truths: picture 'a.png': masks: expected one for each of 2 objects, got 0"),
        (truth(size=(4, 4), masks=(MASK, None)), answer(size=(4, 4)), "truths: .*expected one for each of 2 .* got 1"),
        (truth(size=(4, 4), masks=(MASK, MASK)), answer(size=(4, 4)), "detections: picture 'a.png': masks: expected"),
    ],
)
def test_missing_masks_are_named(truths, detections, says):
    with pytest.raises(UsageError, match=says):
        evaluate_coco([truths], [detections], ["cat", "dog"], COCO_MASKS)


@pytest.mark.parametrize(
    ("true", "given", "says"),
    [
        (0, 17, "truths: picture 'a.png': keypoints: expected 1 or more for each object, got 0"),
        (17, 0, "detections: picture 'a.png': keypoints: expected 1 or more for each object, got 0"),
        (17, 5, "sigmas: expected one a keypoint, got 17 for 5 keypoints"),
        (5, 5, "sigmas: expected one a keypoint, got 17 for 5 keypoints"),
    ],
)
def test_missing_keypoints_are_named(true, given, says):
    truths, detections = truth(keypoints=np.ones((2, true, 3))), answer(keypoints=np.ones((2, given, 3)))
    with pytest.raises(UsageError, match=says):
        evaluate_coco([truths], [detections], ["cat", "dog"], COCO_KEYPOINTS)


def test_all_pictures_have_as_many_keypoints():
    truths = [truth(keypoints=np.ones((2, 17, 3))), sample("b", [BOX], [0], keypoints=np.ones((1, 5, 3)))]
    with pytest.raises(UsageError, match="truths: picture 'b': keypoints: expected 17 for each object, got 5"):
        evaluate_coco(truths, [], ["cat", "dog"], COCO_KEYPOINTS)


def proposed(*boxes, name="a.png", kind=np.float32):
    return evaluate_proposals([truth()], {name: np.array(boxes, kind)}, ["a", "b"])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t, d: evaluate_voc(t, d, ["a", "b"], method="11"), "method: expected one of eleven_point, area"),
        (lambda t, d: evaluate_voc(t, d, ["a", "b"], threshold=0), "threshold: expected overlaps above 0"),
        (lambda t, d: picture_outcomes(t, d, ["a", "b"], threshold=1.5), "threshold: expected overlaps above 0"),
        (lambda t, d: picture_outcomes(t, d, ["a", "b"], min_score=np.nan), "min_score:"),
        (lambda t, d: picture_outcomes(t, d, ["a", "b"], kind="bbox"), 'kind: .*Did you mean "box"'),
        (lambda t, d: picture_outcomes(t, d, ["a", "b"]).worst(-1), "count: expected 0 or more"),
        (lambda t, d: error_kinds(t, d, ["a", "b"], kind="keypoint"), "kind: expected box or mask"),
        (lambda t, d: error_kinds(t, d, ["a", "b"], background=0.6), "background, foreground:"),
        (lambda t, d: error_kinds(t, d, ["a", "b"], max_detections=0), "max_detections:"),
        (lambda t, d: error_kinds(t, d, ["a", "b"]).of_kind("clas"), "kind: expected one of class"),
        (lambda t, d: evaluate_proposals(t, {}, ["a", "b"], counts=(5, 5)), "counts:"),
        (lambda t, d: evaluate_proposals(t, {}, ["a", "b"], overlaps=(0.5, 1.1)), "overlaps:"),
        (lambda t, d: evaluate_proposals(t, {}, ["a", "b"], overlaps=(0.7, 0.5)), "overlaps: expected ascending"),
        (lambda t, d: evaluate_proposals(t, {}, ["a", "b"]).recall_at(7), "count: expected one of 10"),
        (lambda t, d: evaluate_proposals(t, {}, ["a", "b"]).recall_at(10, 0.51), "overlap: expected one of 0.5"),
        (lambda t, d: proposed(BOX, name="a.jpg"), "proposals: picture 'a.jpg' is not among the 1 .*Did you mean"),
        (lambda t, d: proposed(BOX, [4, 0, 0, 4]), r"proposals: picture 'a.png': boxes\[1\]: expected finite numbers,"),
        (lambda t, d: proposed([0, 0, np.inf, 4]), r"proposals: picture 'a.png': boxes\[0\]: expected finite numbers,"),
        (lambda t, d: proposed(BOX[:3]), r"proposals: picture 'a.png': boxes: expected float32 N x 4, got float32"),
        (lambda t, d: proposed(BOX, kind=np.int64), "proposals: picture 'a.png': boxes: expected .* got int64"),
    ],
)
def test_bad_options_are_named(call, says):
    with pytest.raises(UsageError, match=says):
        call([truth()], [answer()])


def test_box_iou_by_hand():
    boxes = [[0, 0, 4, 4], [2, 2, 6, 6], [4, 0, 8, 4], [3, 3, 3, 3]]
    expected = [[1, 4 / 28, 0, 0], [4 / 28, 1, 4 / 28, 0], [0, 4 / 28, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(box_iou(boxes, boxes), expected, rtol=0, atol=1e-15)
    assert box_iou(boxes[:1], boxes[1:2], crowd=[True]).tolist() == [[4 / 16]]
    assert box_iou([], boxes).shape == (0, 4)

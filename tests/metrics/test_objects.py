"""Bad truths and detections: each error names the argument, the picture, the field and the row."""

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.metrics.coco import KEYPOINTS, MASKS, evaluate_coco
from convatlas.metrics.error_kinds import error_kinds
from convatlas.metrics.objects import PictureDetections, PictureTruths
from convatlas.metrics.outcomes import picture_outcomes
from convatlas.metrics.overlaps import box_iou
from convatlas.metrics.proposals import PictureProposals, evaluate_proposals
from convatlas.metrics.voc import evaluate_voc

pytestmark = pytest.mark.row("C-09")

BOX = [0.0, 0.0, 4.0, 4.0]
EMPTY = PictureTruths(picture="b.png", boxes=[], classes=[])


def truth(**changes):
    return PictureTruths(**{"picture": "a.png", "boxes": [BOX, BOX], "classes": [0, 1], **changes})


def found(**changes):
    return PictureDetections(
        **{"picture": "a.png", "boxes": [BOX, BOX], "classes": [0, 1], "scores": [0.5, 0.4], **changes}
    )


MEASURES = [evaluate_coco, evaluate_voc, picture_outcomes, error_kinds]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("truths", "detections", "says"),
    [
        ({"boxes": [BOX, [0, 0, np.nan, 4]]}, {}, r"truths: picture 'a.png': boxes\[1\]: expected finite numbers"),
        ({}, {"boxes": [[0, -np.inf, 4, 4], BOX]}, r"detections: picture 'a.png': boxes\[0\]: expected finite"),
        ({}, {"boxes": [BOX, [4, 0, 0, 4]]}, r"boxes\[1\]: expected x1 <= x2 .*got \[4.0, 0.0, 0.0, 4.0\]"),
        ({"boxes": [[0, 4, 4, 0], BOX]}, {}, r"boxes\[0\]: expected x1 <= x2"),
        ({"boxes": [BOX]}, {}, "boxes: expected 2 x 4 values, as many rows as classes, got 1 x 4"),
        ({}, {"boxes": [[0, 0, 4], [0, 0, 4]]}, "boxes: expected 2 x 4 values.*got 2 x 3"),
        ({}, {"boxes": [["0", "0", "4", "4"]] * 2}, "boxes: expected numbers, got <U"),
        ({}, {"boxes": np.zeros((2, 4), complex)}, "boxes: expected numbers, got complex"),
        ({"classes": [0, 2]}, {}, r"truths: picture 'a.png': classes\[1\]: expected a class index 0..1, got 2"),
        ({}, {"classes": [-1, 0]}, r"detections: picture 'a.png': classes\[0\]: expected a class index 0..1, got -1"),
        ({}, {"classes": [0.0, 1.0]}, "classes: expected whole numbers, got float64"),
        ({}, {"scores": [0.5, np.nan]}, r"scores\[1\]: expected finite numbers, got nan"),
        ({}, {"scores": [0.5]}, "scores: expected 2 values"),
        ({}, {"scores": [True, False]}, "scores: expected numbers, got bool"),
        ({"crowd": [0, 2]}, {}, r"crowd\[1\]: expected 0 or 1, got 2"),
        ({"difficult": [0.0, 1.0]}, {}, "difficult: expected true or false, got float64"),
        ({"areas": [1.0, -1.0]}, {}, r"areas\[1\]: expected 0 or more pixels"),
        ({"areas": [1.0, np.inf]}, {}, r"areas\[1\]: expected finite numbers"),
        ({}, {"picture": "A.png"}, "picture 'A.png' is not among the 2 of truths. Did you mean"),
        ({}, {"picture": 7}, "detections: picture 7 is not among"),
        ({"picture": 1.5}, {}, "truths: expected a picture's id as int or str, got 1.5"),
        ({"picture": 3}, {}, "truths: expected the pictures' ids all as int or all as str"),
        ({"picture": "b.png"}, {}, "truths: picture 'b.png' is there twice"),
    ],
)
def test_bad_values_are_named(measure, truths, detections, says):
    with pytest.raises(UsageError, match=says):
        measure([EMPTY, truth(**truths)], [found(**detections)], ["cat", "dog"])


@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_wrong_beside_the_values(measure):
    with pytest.raises(UsageError, match=r"detections: picture 'a.png' is there twice"):
        measure([truth()], [found(), found()], ["cat", "dog"])
    with pytest.raises(UsageError, match="truths: expected one picture or more"):
        measure([], [], ["cat"])
    with pytest.raises(UsageError, match="classes: expected one name or more, each once, got cat, cat"):
        measure([truth()], [], ["cat", "cat"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "masks: expected them for each object, got none"),
        ({"masks": [[16], [16]]}, "size: expected them for each object, got none"),
        ({"masks": [[16]], "size": (4, 4)}, "masks: expected 2, one a class index, got 1"),
        (
            {"masks": [[16], [15]], "size": (4, 4)},
            r"picture 'a.png': masks\[1\]: .*add up to 4 x 4 = 16 pixels, got 15",
        ),
        ({"masks": [[16], [16]], "size": (4, 4.0)}, r"size: expected \(height, width\)"),
        ({"masks": [[16], [16]], "size": (4, 4, 1)}, r"size: expected \(height, width\)"),
    ],
)
def test_bad_masks_are_named(changes, says):
    with pytest.raises(UsageError, match=says):
        evaluate_coco([truth(**changes)], [], ["cat", "dog"], MASKS)


def test_masks_of_one_picture_have_one_size():
    truths, detections = truth(masks=[[0, 16]] * 2, size=(4, 4)), found(masks=[[0, 16]] * 2, size=(2, 8))
    with pytest.raises(
        UsageError, match=r"detections: picture 'a.png': size: expected \[4, 4\] as in truths, got \[2, 8\]"
    ):
        evaluate_coco([truths], [detections], ["cat", "dog"], MASKS)


@pytest.mark.parametrize(
    ("true", "given", "says"),
    [
        (None, np.zeros((2, 17, 2)), "truths: picture 'a.png': keypoints: expected them for each object"),
        (np.zeros((2, 17, 2)), np.zeros((2, 17, 2)), "keypoints: expected objects x keypoints x 3, got rows of 17 x 2"),
        (np.full((2, 17, 3), 3), np.zeros((2, 17, 2)), r"keypoints\[0\]: expected a visibility v of 0, 1 or 2"),
        (np.ones((2, 17, 3)), np.full((2, 17, 2), np.nan), r"keypoints\[0\]: expected finite numbers"),
        (np.ones((2, 17, 3)), np.ones((2, 5, 2)), "sigmas: expected one a keypoint, got 17 for 5 keypoints"),
        (np.ones((2, 5, 3)), np.ones((2, 5, 2)), "sigmas: expected one a keypoint, got 17 for 5 keypoints"),
    ],
)
def test_bad_keypoints_are_named(true, given, says):
    with pytest.raises(UsageError, match=says):
        evaluate_coco([truth(keypoints=true)], [found(keypoints=given)], ["cat", "dog"], KEYPOINTS)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda t, d: evaluate_voc(t, d, ["a", "b"], method="11"), "method: expected one of eleven_point, area"),
        (lambda t, d: evaluate_voc(t, d, ["a", "b"], threshold=0), "threshold:"),
        (lambda t, d: picture_outcomes(t, d, ["a", "b"], threshold=1.5), "threshold:"),
        (lambda t, d: picture_outcomes(t, d, ["a", "b"], min_score=np.nan), "min_score:"),
        (lambda t, d: picture_outcomes(t, d, ["a", "b"], kind="bbox"), 'kind: .*Did you mean "box"'),
        (lambda t, d: error_kinds(t, d, ["a", "b"], kind="keypoint"), "kind: expected box or mask"),
        (lambda t, d: error_kinds(t, d, ["a", "b"], background=0.6), "background, foreground:"),
        (lambda t, d: error_kinds(t, d, ["a", "b"], max_detections=0), "max_detections:"),
        (lambda t, d: error_kinds(t, d, ["a", "b"]).of_kind("clas"), "kind: expected one of class"),
        (lambda t, d: evaluate_proposals(t, [], ["a", "b"], counts=(5, 5)), "counts:"),
        (lambda t, d: evaluate_proposals(t, [], ["a", "b"], overlaps=(0.5, 1.1)), "overlaps:"),
        (
            lambda t, d: evaluate_proposals(t, [PictureProposals(picture="a.png", boxes=[[4, 0, 0, 4]])], ["a", "b"]),
            r"proposals: picture 'a.png': boxes\[0\]: expected x1 <= x2",
        ),
        (lambda t, d: evaluate_proposals(t, [], ["a", "b"]).recall_at(7), "count: expected one of 10"),
        (lambda t, d: evaluate_proposals(t, [], ["a", "b"]).recall_at(10, 0.51), "overlap: expected one of 0.5"),
    ],
)
def test_bad_options_are_named(call, says):
    with pytest.raises(UsageError, match=says):
        call([truth()], [found()])


def test_box_iou_by_hand():
    boxes = [[0, 0, 4, 4], [2, 2, 6, 6], [4, 0, 8, 4], [3, 3, 3, 3]]
    expected = [[1, 4 / 28, 0, 0], [4 / 28, 1, 4 / 28, 0], [0, 4 / 28, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(box_iou(boxes, boxes), expected, rtol=0, atol=1e-15)
    assert box_iou(boxes[:1], boxes[1:2], crowd=[True]).tolist() == [[4 / 16]]
    assert box_iou([], boxes).shape == (0, 4)

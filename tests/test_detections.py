"""Detections refuse what no detector answers, and say which detection and field it is."""

from dataclasses import replace

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.types import Detections, Rle

pytestmark = pytest.mark.row("C-09")

BOXES = np.array([[0, 0, 30, 20], [-1.5, 2, 33, 2]], np.float32)  # the second is empty, and reaches outside


@pytest.fixture
def detections():
    return Detections(
        name="a.jpg", height=20, width=30, boxes=BOXES, classes=np.array([2, 0]), scores=np.array([0.5, 7], np.float32)
    )


def test_what_is_left_out_is_filled_in(detections):
    assert len(detections) == 2
    assert detections.masks == ()
    assert detections.keypoints.shape == (2, 0, 3)
    with pytest.raises(ValueError, match="read-only"):
        detections.boxes[0] = 1
    nothing = replace(detections, boxes=BOXES[:0], classes=np.zeros(0, np.int64), scores=np.zeros(0, np.float32))
    assert len(replace(nothing, keypoints=np.zeros((0, 5, 3), np.float32))) == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"height": 0}, "a.jpg: size: expected 1 x 1 pixels or more, got 0 x 30"),
        ({"boxes": BOXES.astype(np.float64)}, "a.jpg: boxes: expected float32 2 x 4, got float64 2 x 4"),
        ({"boxes": BOXES.tolist()}, "a.jpg: boxes: expected float32 2 x 4, got list"),
        ({"boxes": BOXES[:, :3]}, "boxes: expected float32 2 x 4, got float32 2 x 3"),
        ({"boxes": np.float32(1)}, "boxes: expected float32 0 x 4"),
        ({"boxes": np.array([[0, 0, 1, np.nan], [0, 0, 1, 1]], np.float32)}, r"boxes\[0\]: expected finite numbers"),
        ({"boxes": np.array([[0, 0, 1, 1], [-np.inf, 0, 1, 1]], np.float32)}, r"boxes\[1\]: expected finite numbers"),
        ({"boxes": BOXES[:, [2, 1, 0, 3]]}, r"boxes\[0\]: expected x1 <= x2 .*got \[30.0, 0.0, 0.0, 20.0\]"),
        ({"boxes": BOXES[:, [0, 3, 2, 1]]}, r"boxes\[0\]: expected x1 <= x2"),
        ({"classes": np.array([1])}, "classes: expected int64 2, got int64 1"),
        ({"classes": np.array([1.0, 2.0])}, "classes: expected int64 2, got float64 2"),
        ({"classes": np.array([1, -1])}, r"classes\[1\]: expected 0 or more, got -1"),
        ({"scores": np.array([0.5, np.nan], np.float32)}, r"scores\[1\]: expected a finite number, got nan"),
        ({"scores": np.array([0.5, 0.5])}, "scores: expected float32 2, got float64 2"),
        ({"masks": (Rle.from_mask(np.eye(20, 30)),)}, "masks: expected 2, one a detection, or none; got 1"),
        ({"masks": (Rle.from_mask(np.eye(20, 30)), Rle.from_mask(np.eye(9)))}, r"masks\[1\]: expected 20 x 30 pixels"),
        (
            {"keypoints": np.zeros((2, 5, 2), np.float32)},
            "keypoints: expected float32 2 x 5 x 3, got float32 2 x 5 x 2",
        ),
        ({"keypoints": np.zeros((1, 5, 3), np.float32)}, "keypoints: expected float32 2 x 5 x 3"),
        ({"keypoints": np.zeros((2, 15), np.float32)}, "keypoints: expected float32 2 x 1 x 3, got float32 2 x 15"),
        ({"keypoints": np.full((2, 5, 3), np.inf, np.float32)}, r"keypoints\[0\]: expected finite numbers"),
    ],
)
def test_bad_values_are_named(detections, changes, says):
    with pytest.raises(UsageError, match=says):
        replace(detections, **changes)

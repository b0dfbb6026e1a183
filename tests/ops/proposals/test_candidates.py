"""What a method may give as proposals, and how they are ranked."""

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.ops.proposals.candidates import Proposals, ranked

pytestmark = pytest.mark.row("C-06")

BOXES = np.array([[0, 0, 2, 2], [1, 1, 4, 3]], np.float32)
SCORES = np.array([2, 1], np.float32)


def test_ranked_sorts_and_keeps_the_best_of_equal_boxes():
    boxes = np.array([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 3, 3], [0, 0, 4, 4]], np.float64)
    found = ranked(boxes, np.array([0.1, 0.5, 0.9, 0.5, 0.2]))
    assert found.boxes[:, 2].tolist() == [1, 2, 3, 4]  # equal scores: as they came
    assert found.scores.tolist() == pytest.approx([0.9, 0.5, 0.5, 0.2])
    assert found.boxes.dtype == found.scores.dtype == np.float32


def test_first():
    found = Proposals(boxes=BOXES, scores=SCORES)
    assert found.first(1).boxes.tolist() == BOXES[:1].tolist()
    assert len(found.first(9)) == len(found) == 2
    assert len(found.first(0)) == 0
    with pytest.raises(UsageError, match="count must be at least 0, not -1"):
        found.first(-1)


@pytest.mark.parametrize(
    ("boxes", "scores", "message"),
    [
        (BOXES.astype(np.float64), SCORES, "boxes: expected float32"),
        (BOXES[:, :3], SCORES, r"boxes: expected float32 \(N, 4\)"),
        (BOXES, SCORES[:1], r"scores: expected float32 \(2,\)"),
        (BOXES, SCORES.astype(np.float64), "scores: expected float32"),
        (BOXES * np.float32(np.nan), SCORES, "finite"),
        (BOXES, np.array([1, -np.inf], np.float32), "finite"),
        (BOXES[:, [2, 1, 0, 3]], SCORES, "x1 < x2"),
        (BOXES[:, [0, 1, 2, 1]], SCORES, "y1 < y2"),
        (BOXES, SCORES[::-1], "most promising box first"),
    ],
)
def test_nothing_else_is_a_proposal(boxes, scores, message):
    with pytest.raises(UsageError, match=message):
        Proposals(boxes=boxes, scores=scores)

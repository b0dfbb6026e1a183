"""Recall, average recall, ABO and MABO of proposals: by hand, by definition, and by numerical integration."""

import json

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.metrics.overlaps import box_iou
from convatlas.metrics.proposals import evaluate_proposals
from tests.metrics.coco_cases import CLASSES, boxes_case, sample

pytestmark = pytest.mark.row("C-09")


def case(seed):
    truths, detections = boxes_case(seed, pictures=12, most=8, grid=False)
    return truths, {each.name: each.boxes for each in detections}


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_the_definition(seed):
    truths, proposals = case(seed)
    counts = (1, 3, 100)
    proposals.pop(truths[0].name)
    result = evaluate_proposals(truths, proposals, CLASSES, counts=counts)
    for c, count in enumerate(counts):
        best, labels = [], []
        for each in truths:
            boxes = proposals.get(each.name, np.zeros((0, 4)))[:count]
            for i in np.flatnonzero(~each.iscrowd):
                best.append(max(box_iou(boxes, each.boxes[i]).ravel(), default=0))
                labels.append(each.classes[i])
        best, labels = np.array(best), np.array(labels)
        assert result.objects.sum() == len(best)
        abo = [best[labels == k].mean() for k in range(2)]
        np.testing.assert_allclose(result.abo[c], [*abo, np.nan])
        assert result.mabo[c] == pytest.approx(np.mean(abo))
        np.testing.assert_allclose(result.recall[c], [(best >= o).mean() for o in result.overlaps])
        assert result.recall_at(count, 0.5) == pytest.approx((best >= 0.5).mean())
        fine = np.linspace(0.5, 1, 5_001)
        area = np.trapezoid([(best >= o).mean() for o in fine], fine)
        assert result.average_recall[c] == pytest.approx(2 * area, abs=2e-3)
        assert sorted(result.best_overlaps[c]) == pytest.approx(sorted(best))


def test_by_hand():
    truths = [
        sample("a", [[0, 0, 4, 4], [10, 0, 14, 4], [0, 0, 9, 9]], [0, 1, 0], difficult=[0, 0, 1]),
        sample("b", [[0, 0, 2, 2]], [0]),
    ]
    proposals = {"a": np.array([[0, 0, 4, 3], [10, 0, 14, 4], [0, 0, 4, 4]], np.float32)}
    result = evaluate_proposals(truths, proposals, ["cat", "dog"], counts=(1, 2, 3))
    assert result.objects.tolist() == [2, 1]
    assert result.abo.tolist() == [[0.375, 0], [0.375, 1], [0.5, 1]]
    assert result.mabo.tolist() == [0.1875, 0.6875, 0.75]
    assert result.average_recall.tolist() == pytest.approx([0.5 / 3, 1.5 / 3, 2 / 3])
    assert [result.recall_at(count, 0.75) for count in (1, 2, 3)] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert result.mean_proposals.tolist() == [0.5, 1, 1.5]


def test_more_proposals_are_never_worse():
    result = evaluate_proposals(*case(3), CLASSES, counts=(1, 2, 5, 10))
    for values in (result.mabo, result.average_recall, *result.recall.T):
        assert (np.diff(values) >= 0).all()


def test_without_objects_there_is_no_value():
    truths = [sample("a", [], [])]
    result = evaluate_proposals(truths, {"a": np.array([[0, 0, 1, 1]], np.float32)}, ["cat"], counts=(5,))
    assert result.recall_at(5) is None
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record["counts"][0]["mabo"] is None
    assert str(result).splitlines()[-1].split() == ["5", "1", "-", "-", "-", "-", "-"]


def test_json_can_hold_it_and_a_person_can_read_it():
    result = evaluate_proposals(*case(1), CLASSES, counts=(1, 10))
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert [each["count"] for each in record["counts"]] == [1, 10]
    assert record["counts"][1]["abo"] == {"cat": result.abo[1, 0], "dog": result.abo[1, 1], "owl": None}
    lines = str(result).splitlines()
    assert lines[0] == f"{result.objects.sum()} objects, 12 pictures"
    assert " ".join(lines[1].split()) == "proposals a picture recall 0.5 recall 0.7 recall 0.9 AR MABO"
    assert lines[-1].split()[-1] == f"{result.mabo[1]:.3f}"


@pytest.mark.parametrize("proposals", [[np.zeros((1, 4), np.float32)], None])
def test_proposals_without_names_are_refused(proposals):
    truths = [sample("a", [[0, 0, 5, 5]], [0])]
    with pytest.raises(UsageError, match=r"^proposals: expected the boxes of each picture by its name, a dict"):
        evaluate_proposals(truths, proposals, ["cat"])

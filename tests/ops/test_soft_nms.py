"""Soft-NMS against the paper's Figure 2 in plain Python, hand cases, and its limits, which are ordinary suppression."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.errors import UsageError
from convatlas.ops import nms as tensors
from convatlas.ops.soft_nms_numpy import soft_nms_gaussian, soft_nms_linear
from tests.ops.test_nms import ROW, by_definition, clustered

pytestmark = pytest.mark.row("C-02")


def figure_2(boxes, scores, decay, smallest, labels=None):
    left = {i: float(score) for i, score in enumerate(scores)}
    taken, lowered = [], []
    while left:
        best = max(left, key=lambda i: (left[i], -i))
        score = left.pop(best)
        if score < smallest:
            break
        taken.append(best)
        lowered.append(score)
        for i in left:
            if labels is None or labels[i] == labels[best]:
                left[i] *= decay(plain_iou(boxes[best], boxes[i]))
    return taken, lowered


def plain_iou(a, b):
    a, b = a.tolist(), b.tolist()
    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    united = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / united if shared else 0.0


@settings(derandomize=True, max_examples=200)
@given(st.lists(ROW, max_size=25), st.sampled_from([0.0, 0.3, 0.5]), st.sampled_from([0.0, 0.001, 0.2]), st.booleans())
def test_both_forms_are_the_paper_s_loop(rows, threshold, smallest, per_class):
    boxes = np.array([row[0] for row in rows], np.float32).reshape(-1, 4)
    scores = np.array([row[1] for row in rows], np.float64)
    labels = np.array([row[2] for row in rows], np.int64) if per_class else None

    ours = soft_nms_linear(boxes, scores, labels=labels, threshold=threshold, smallest_score=smallest)
    expected = figure_2(boxes, scores, lambda iou: 1 - iou if iou >= threshold else 1.0, smallest, labels)
    assert ours[0].tolist() == expected[0]
    assert ours[1].tolist() == pytest.approx(expected[1])

    ours = soft_nms_gaussian(boxes, scores, labels=labels, sigma=0.5, smallest_score=smallest)
    expected = figure_2(boxes, scores, lambda iou: math.exp(-(iou**2) / 0.5), smallest, labels)
    assert ours[0].tolist() == expected[0]
    assert ours[1].tolist() == pytest.approx(expected[1])


def test_by_hand():
    boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 2, 1], [5, 5, 6, 6]])
    scores = torch.tensor([0.9, 0.8, 0.3])
    taken, lowered = tensors.soft_nms_linear(boxes, scores)
    assert taken.tolist() == [0, 1, 2]
    assert lowered.tolist() == pytest.approx([0.9, 0.4, 0.3])
    assert lowered.dtype == torch.float32
    taken, lowered = tensors.soft_nms_gaussian(boxes, scores, smallest_score=0.31)
    assert taken.tolist() == [0, 1]
    assert lowered.tolist() == pytest.approx([0.9, 0.8 * math.exp(-0.25 / 0.5)])
    taken, lowered = tensors.soft_nms_linear(boxes, scores, labels=torch.tensor([0, 1, 0]))
    assert lowered.tolist() == pytest.approx(scores.tolist())


def test_a_narrow_gaussian_is_hard_suppression_at_any_overlap():
    boxes, scores = clustered(120, 1)
    taken, lowered = soft_nms_gaussian(boxes, scores, sigma=1e-12, smallest_score=1e-6)
    assert taken.tolist() == by_definition(boxes, scores, 1e-5)
    assert lowered == pytest.approx(scores[taken])


def test_equal_scores_and_boxes_are_taken_in_their_order():
    boxes = np.tile(np.array([[0, 0, 4, 4]], np.float32), (4, 1))
    taken, lowered = soft_nms_gaussian(boxes, np.full(4, 0.5), sigma=0.5)
    assert taken.tolist() == [0, 1, 2, 3]
    assert lowered == pytest.approx([0.5 * math.exp(-2 * i) for i in range(4)])


def test_no_boxes_and_a_gradient():
    taken, lowered = tensors.soft_nms_linear(torch.zeros(0, 4), torch.zeros(0))
    assert taken.shape == lowered.shape == (0,)
    boxes, scores = torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([0.5], requires_grad=True)
    assert not tensors.soft_nms_linear(boxes, scores)[1].requires_grad


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"scores": np.array([0.5, -0.1])}, r"scores\[1\]: expected 0 or more, got -0\.1"),
        ({"scores": np.array([0.5, np.nan])}, r"scores\[1\]: expected a finite"),
        ({"boxes": np.array([[0, 0, 1, 1], [2.0, 0, 1, 1]])}, r"boxes\[1\]: expected x1 <= x2"),
        ({"labels": np.array([0.0, 1.0])}, "labels: expected whole numbers"),
    ],
)
def test_wrong_input_is_named(arguments, said):
    given = {"boxes": np.array([[0.0, 0, 1, 1], [0, 0, 2, 2]]), "scores": np.array([0.5, 0.6])} | arguments
    for function in (soft_nms_linear, soft_nms_gaussian):
        with pytest.raises(UsageError, match=said):
            function(**given)


def test_wrong_parameters_are_named():
    boxes, scores = np.zeros((1, 4)), np.ones(1)
    with pytest.raises(UsageError, match="sigma"):
        soft_nms_gaussian(boxes, scores, sigma=0)
    with pytest.raises(UsageError, match="threshold"):
        soft_nms_linear(boxes, scores, threshold=2)
    for smallest in (-0.1, math.nan):
        with pytest.raises(UsageError, match="smallest_score"):
            soft_nms_linear(boxes, scores, smallest_score=smallest)


def test_a_box_whose_area_overflows_is_kept_as_it_is():
    boxes = np.array([[0, 0, 1e200, 1e200], [0, 0, 1e200, 9e199], [0, 0, 2, 2], [0, 0, 2, 1]])
    taken, lowered = soft_nms_linear(boxes, np.array([0.9, 0.8, 0.7, 0.6]))
    assert taken.tolist() == [0, 1, 2, 3]
    assert lowered == pytest.approx([0.9, 0.8, 0.7, 0.3])

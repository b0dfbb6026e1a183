"""Soft-NMS: Bodla et al., "Soft-NMS -- Improving Object Detection With One Line of Code", ICCV 2017.

https://arxiv.org/abs/1704.04503 -- Figure 2: the best box is taken, and instead of dropping the boxes that overlap it
their scores are lowered, before the next best is taken. Each box is compared with every box taken: quadratic.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.ops.box_checks import check_box_array, check_fraction, check_label_array, check_score_array

Taken = tuple[NDArray[np.int64], NDArray[np.float64]]


def soft_nms_linear(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    *,
    labels: NDArray[np.integer] | None = None,
    threshold: float = 0.3,
    smallest_score: float = 0.001,
) -> Taken:
    """Equation 2: a score is multiplied by 1 - IoU with each box taken that overlaps it by `threshold` or more.

    boxes (N, 4) xyxy; scores (N,), 0 or more; with labels (N,) only boxes of one label lower each other's scores.
    Returns the indices (K,) in the order in which they were taken and their lowered scores (K,), those of
    `smallest_score` or more. Of equal scores the lower index goes first. Raises UsageError for anything else.
    """
    check_fraction(threshold, "threshold")
    return _soft_nms(boxes, scores, labels, smallest_score, lambda iou: np.where(iou >= threshold, 1 - iou, 1.0))


def soft_nms_gaussian(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    *,
    labels: NDArray[np.integer] | None = None,
    sigma: float = 0.5,
    smallest_score: float = 0.001,
) -> Taken:
    """Equation 3: a score is multiplied by exp(-IoU^2 / sigma) with each box taken; otherwise as `soft_nms_linear`."""
    if not 0 < sigma < np.inf:
        raise UsageError(f"sigma: expected a number above 0, got {sigma}")
    return _soft_nms(boxes, scores, labels, smallest_score, lambda iou: np.exp(-(iou**2) / sigma))


def _soft_nms(
    boxes: NDArray[np.floating],
    scores: NDArray[np.floating],
    labels: NDArray[np.integer] | None,
    smallest_score: float,
    decay: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Taken:
    check_box_array(boxes)
    check_score_array(scores, len(boxes))
    if labels is not None:
        check_label_array(labels, len(boxes))
    if len(scores) and scores.min() < 0:
        raise UsageError(f"scores[{int(scores.argmin())}]: expected 0 or more, got {scores.min()}")
    if not smallest_score >= 0:
        raise UsageError(f"smallest_score: expected 0 or more, got {smallest_score}")
    left = np.flatnonzero(scores >= smallest_score)  # whose scores may still matter, ascending
    values = scores[left].astype(np.float64)
    corners = boxes[left].astype(np.float64)
    taken, lowered = [], []
    while len(left):
        best = int(values.argmax())  # the first of equal ones
        taken.append(left[best])
        lowered.append(values[best])
        factors = decay(_iou_with(corners[best], corners))
        if labels is not None:
            factors = np.where(labels[left] == labels[left[best]], factors, 1.0)
        values = values * factors
        values[best] = -1.0
        stay = values >= smallest_score
        left, values, corners = left[stay], values[stay], corners[stay]
    return np.array(taken, np.int64), np.array(lowered, np.float64)


def _iou_with(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of one box (4,) with each of (N, 4); 0 with a box without area, or with one whose area float64 cannot hold."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        shared = np.maximum(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0).prod(axis=1)
        united = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared
        iou: NDArray[np.float64] = np.where((shared > 0) & (united < np.inf), shared / united, 0.0)
    return iou

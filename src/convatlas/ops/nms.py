"""Non-maximum suppression of tensors: plain, per class, and soft.

R-CNN, https://arxiv.org/abs/1311.2524, Section 2.2; Soft-NMS, https://arxiv.org/abs/1704.04503. The ordinary route is
torchvision's kernel. On a processor it compares each kept box with every later one, which a dense detector early in
training feels: where many boxes will be kept they go the way of `nms_numpy`, whose answers are the same.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torchvision  # noqa: F401  # it registers torch.ops.torchvision
from numpy.typing import NDArray
from torch import Tensor

from convatlas.errors import UsageError
from convatlas.ops import nms_numpy, soft_nms_numpy
from convatlas.ops.box_checks import check_box_array, check_fraction, check_score_array
from convatlas.ops.boxes import FLOATS, check_form, check_tensor

# torchvision.ops.nms ends here too, after a microsecond or two in which forms can be checked.
_KERNEL = torch.ops.torchvision.nms.default

WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)

MANY = 2000  # more boxes than this may go by position
SAMPLE = 500  # of so many, evenly drawn from them,
FEW_KEPT = 100  # no more than these are kept when the kernel is to be the quicker one,
MOST_PAIRS = 10**8  # nor, if the rest keeps its share, are so many pairs to be compared: a tenth of a second


def nms(boxes: Tensor, scores: Tensor, threshold: float, *, check: bool = True) -> Tensor:
    """Indices (K,) int64 of the boxes that no kept box of a higher score overlaps by more than `threshold`, best first.

    boxes (N, 4) xyxy, scores (N,), both float32 or both float64; threshold 0..1. Of equal scores the lower index goes
    first. A box without area neither suppresses nor is suppressed. An IoU of just the threshold may fall on either side
    of it by rounding, and on a GPU on another than on the processor: its kernel rounds the threshold to float32.
    Raises UsageError for another dtype or shape, and names the first box or score that is not finite, or reversed; it
    waits for the device to look.
    check: without it values are not looked at, and a box with a nan is kept, as by torchvision, whose time it takes
    then; with it some 15 microseconds more, which of a hundred boxes are half of the kernel's own. Where more than
    2,000 boxes go by position, on a processor, that way cannot do without and looks in any case.
    In a graph that is exported nothing is checked; what torch.export itself gives back raises where fewer than two
    boxes are kept, which torchvision's description of the kernel denies.
    """
    if torch.compiler.is_compiling():
        return _kernel(boxes, scores, threshold)
    _check_forms(boxes, scores, threshold)
    if check:
        _check_values(boxes, scores)
    if len(boxes) > MANY and boxes.device.type == "cpu":
        step = -(-len(boxes) // SAMPLE)
        kept = len(_kernel(boxes[::step], scores[::step], threshold))
        if kept > FEW_KEPT or kept * step * len(boxes) > MOST_PAIRS:
            return torch.from_numpy(nms_numpy.nms(_array(boxes), _array(scores), threshold))
    return _kernel(boxes, scores, threshold)


def nms_per_class(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """`nms` in which only boxes of one label, (N,) whole numbers, suppress each other; best first, whatever the label.

    On a GPU the boxes of each label are moved to a place of their own, in float64; where float64 cannot hold the places
    of huge and small boxes together, the processor answers. Values are always looked at.
    In a graph that is exported they are moved too, by the label times the largest extent, in the dtype that they have:
    labels should be 0 ... K - 1, and in float32 corners are rounded. With 1,203 labels on a picture of 1,333 pixels
    they move by up to 1.6 million, where float32 has steps of 0.125 pixels: such a graph wants float64 or fewer labels.
    """
    if torch.compiler.is_compiling():
        return _kernel(boxes + _offsets(boxes, labels), scores, threshold)
    _check_forms(boxes, scores, threshold)
    check_tensor(labels, "labels")
    if labels.dtype not in WHOLE:
        raise UsageError(f"labels: expected whole numbers, as torch.int64, got {labels.dtype}")
    if labels.shape != scores.shape:
        raise UsageError(f"labels: expected {len(boxes)}, one a box, got shape {tuple(labels.shape)}")
    if boxes.device.type == "cuda":
        _check_values(boxes, scores)
        apart = _moved_apart(boxes, labels)
        if apart is not None:
            return _kernel(apart, scores.double(), threshold)
    kept = torch.from_numpy(nms_numpy.nms_per_class(_array(boxes), _array(scores), _array(labels), threshold))
    return kept if boxes.is_cpu else kept.to(boxes.device)


def soft_nms_linear(
    boxes: Tensor,
    scores: Tensor,
    *,
    labels: Tensor | None = None,
    threshold: float = 0.3,
    smallest_score: float = 0.001,
) -> tuple[Tensor, Tensor]:
    """Equation 2 of Soft-NMS: a score is multiplied by 1 - IoU with each box taken that overlaps it by `threshold`.

    boxes (N, 4) xyxy; scores (N,), 0 or more; with labels (N,) only boxes of one label lower each other's scores.
    Returns the indices (K,) in the order in which they were taken and their lowered scores (K,) of the dtype of
    `scores`, those of `smallest_score` or more; both without a gradient. Of equal scores the lower index goes first.
    It runs on the processor. Raises UsageError as `nms` does.
    """
    return _soft(
        lambda b, s, c: soft_nms_numpy.soft_nms_linear(
            b, s, labels=c, threshold=threshold, smallest_score=smallest_score
        ),
        boxes,
        scores,
        labels,
    )


def soft_nms_gaussian(
    boxes: Tensor,
    scores: Tensor,
    *,
    labels: Tensor | None = None,
    sigma: float = 0.5,
    smallest_score: float = 0.001,
) -> tuple[Tensor, Tensor]:
    """Equation 3 of Soft-NMS: a score is multiplied by exp(-IoU^2 / sigma) with each box taken.

    Otherwise as `soft_nms_linear`.
    """
    return _soft(
        lambda b, s, c: soft_nms_numpy.soft_nms_gaussian(b, s, labels=c, sigma=sigma, smallest_score=smallest_score),
        boxes,
        scores,
        labels,
    )


def _soft(
    run: Callable[[NDArray[Any], NDArray[Any], NDArray[Any] | None], soft_nms_numpy.Taken],
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor | None,
) -> tuple[Tensor, Tensor]:
    check_form(boxes, "boxes")
    for name, each in (("scores", scores), ("labels", labels)):
        if each is not None:
            check_tensor(each, name)
    if boxes.dtype != scores.dtype:
        raise UsageError(f"boxes, scores: expected one dtype, got {boxes.dtype} and {scores.dtype}")
    taken, lowered = run(_array(boxes), _array(scores), None if labels is None else _array(labels))
    return torch.from_numpy(taken).to(boxes.device), torch.from_numpy(lowered).to(scores)


def _kernel(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    kept: Tensor = _KERNEL(boxes, scores, threshold)
    return kept


def _check_forms(boxes: Tensor, scores: Tensor, threshold: float) -> None:
    check_fraction(threshold, "threshold")
    for name, each in (("boxes", boxes), ("scores", scores)):
        check_tensor(each, name)
    if boxes.dtype not in FLOATS or boxes.dim() != 2 or boxes.shape[1] != 4:
        raise UsageError(f"boxes: expected (N, 4) float32 or float64, got {tuple(boxes.shape)} {boxes.dtype}")
    if boxes.dtype != scores.dtype:
        raise UsageError(f"boxes, scores: expected one dtype, got {boxes.dtype} and {scores.dtype}")
    if scores.shape != boxes.shape[:1]:
        raise UsageError(f"scores: expected {len(boxes)}, one a box, got shape {tuple(scores.shape)}")


def _check_values(boxes: Tensor, scores: Tensor) -> None:
    """In few steps, and where the tensors are, if all is right; what is wrong is found and named on the processor."""
    if not len(boxes):
        return
    low, high = boxes.chunk(2, dim=1)
    smallest, largest = torch.aminmax(high - low)  # nan where there is one, or inf - inf
    if smallest.item() >= 0 and largest.item() < math.inf and torch.dot(scores, scores).item() < math.inf:
        return
    check_box_array(_array(boxes))  # nothing may be wrong: squares of huge scores are inf too
    check_score_array(_array(scores), len(boxes))


def _moved_apart(boxes: Tensor, labels: Tensor) -> Tensor | None:
    """Each label's boxes in a place of their own, float64; None if that moves a corner by a billionth of a side."""
    exact = boxes.double()
    ranks: Tensor = torch.unique(labels, return_inverse=True)[1]
    offsets = _offsets(exact, ranks)
    moved = exact + offsets
    if not len(exact):
        return moved
    error = (moved - offsets - exact).abs().amax(dim=1)
    side = (exact[:, 2:] - exact[:, :2]).amin(dim=1)
    held = (error <= 1e-9 * side) | (side == 0)
    return moved if bool(held.all()) else None


def _offsets(boxes: Tensor, labels: Tensor) -> Tensor:
    """(N, 1): how far to move boxes so that no two of different labels 0, 1, ... touch."""
    some = torch.cat((boxes, boxes.new_zeros(1, 4)))  # there may be no box
    step = some.max() - some.min() + 1
    return (labels.to(boxes) * step)[:, None]


def _array(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.numpy(force=True)
    return array

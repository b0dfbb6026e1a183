"""How much two boxes overlap: intersection over union, and the forms of it that also learn from boxes apart.

IoU: Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", IJCV 2010, Section 4.2.
GIoU: Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019, https://arxiv.org/abs/1902.09630, Alg. 1.
DIoU, CIoU: Zheng et al., "Distance-IoU Loss", AAAI 2020, https://arxiv.org/abs/1911.08287, Equations 7, 8 to 11.
The papers' losses are 1 minus these.

Every function takes float32 or float64 boxes (..., 4) and (..., 4) whose leading axes broadcast, and gives (...); each
`pairwise_` one takes (N, 4) and (M, 4) and gives (N, M). Wrong dtypes and shapes raise UsageError; values are not
looked at (`boxes.check_boxes` does that once, where they come from outside).
- A box without area, a reversed one too, has IoU 0 with any box. 0 / 0 counts as 0, and then its gradient is 0. A nan
  stays a nan.
- Where boxes just touch or have no width, the gradient is that of the side on which they overlap more.
- Sides up to the largest number of the dtype neither overflow nor lose the gradient: sides beyond the cube root of
  that number are first shrunk by a power of two, which is exact and which no ratio feels.
"""

import math

import torch
from torch import Tensor

from convatlas.errors import UsageError
from convatlas.ops.boxes import check_form, not_negative, sides


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union, 0..1."""
    _check_pair(first, second)
    width, height = sides(first)
    return _ratio(*_shared_and_united(first, second, _shrink(width), _shrink(height)))


def giou(first: Tensor, second: Tensor) -> Tensor:
    """IoU - (C - U) / C, -1..1: C is the area of the smallest box around both, U that of their union.

    Where C is 0, so that both boxes lie on one line, the second term counts as 0.
    """
    _check_pair(first, second)
    width, height = _around(first, second)
    shrink_x, shrink_y = _shrink(width), _shrink(height)
    shared, united = _shared_and_united(first, second, shrink_x, shrink_y)
    around = (width * shrink_x) * (height * shrink_y)
    return _ratio(shared, united) - _ratio(around - united, around)


def diou(first: Tensor, second: Tensor) -> Tensor:
    """IoU - d^2 / c^2, -1..1: d is the distance of the centres, c the diagonal of the smallest box around both."""
    return iou(first, second) - _centre_distance(first, second)


def ciou(first: Tensor, second: Tensor) -> Tensor:
    """DIoU - alpha v, -2..1: v measures how the aspect ratios differ, alpha = v / (1 - IoU + v).

    alpha is a constant to the gradient. Deviation: the paper leaves the factor 1 / (w^2 + h^2) out of the gradient of
    v, as it would be large for sides in 0..1; here sides are in pixels and it stays. A box with neither width nor
    height counts as a square.
    """
    overlap = iou(first, second)
    v = (4 / math.pi**2) * (_angle(second) - _angle(first)) ** 2
    with torch.no_grad():
        alpha = _ratio(v, (1 - overlap) + v)
    return overlap - _centre_distance(first, second) - alpha * v


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """`iou` of every box of (N, 4) with every box of (M, 4): (N, M)."""
    return iou(*_every_pair(first, second))


def pairwise_giou(first: Tensor, second: Tensor) -> Tensor:
    """`giou` of every box of (N, 4) with every box of (M, 4): (N, M)."""
    return giou(*_every_pair(first, second))


def pairwise_diou(first: Tensor, second: Tensor) -> Tensor:
    """`diou` of every box of (N, 4) with every box of (M, 4): (N, M)."""
    return diou(*_every_pair(first, second))


def pairwise_ciou(first: Tensor, second: Tensor) -> Tensor:
    """`ciou` of every box of (N, 4) with every box of (M, 4): (N, M)."""
    return ciou(*_every_pair(first, second))


def _check_pair(first: Tensor, second: Tensor) -> None:
    check_form(first, "first")
    check_form(second, "second")
    if first.dtype != second.dtype:
        raise UsageError(f"first, second: expected boxes of one dtype, got {first.dtype} and {second.dtype}")
    for a, b in zip(first.shape[-2::-1], second.shape[-2::-1], strict=False):
        if a != b and 1 not in (a, b):
            shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
            raise UsageError(f"first, second: expected as many boxes in both, got {shapes}; or mean the pairwise form")


def _every_pair(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    for name, boxes in (("first", first), ("second", second)):
        if boxes.dim() != 2:
            raise UsageError(f"{name}: expected boxes (N, 4), got shape {tuple(boxes.shape)}")
    return first[:, None], second[None]


def _shared_and_united(first: Tensor, second: Tensor, shrink_x: Tensor, shrink_y: Tensor) -> tuple[Tensor, Tensor]:
    """The areas of intersection and union, with x and y shrunk.

    If `first` fits the shrunk units and `second` does not, the union is infinite and the ratio 0, as it should be.
    """
    across = torch.minimum(first[..., 2], second[..., 2]) - torch.maximum(first[..., 0], second[..., 0])
    down = torch.minimum(first[..., 3], second[..., 3]) - torch.maximum(first[..., 1], second[..., 1])
    shared = (not_negative(across) * shrink_x) * (not_negative(down) * shrink_y)
    (width, height), (other_width, other_height) = sides(first), sides(second)
    area = (width * shrink_x) * (height * shrink_y)
    other_area = (other_width * shrink_x) * (other_height * shrink_y)
    return shared, area + other_area - shared


def _around(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Width and height of the smallest box around both."""
    width = torch.maximum(first[..., 2], second[..., 2]) - torch.minimum(first[..., 0], second[..., 0])
    height = torch.maximum(first[..., 3], second[..., 3]) - torch.minimum(first[..., 1], second[..., 1])
    return not_negative(width), not_negative(height)


def _centre_distance(first: Tensor, second: Tensor) -> Tensor:
    """d^2 / c^2, 0..1: the penalty of DIoU."""
    width, height = _around(first, second)
    shrink = _shrink(torch.maximum(width, height))
    # Halves are taken before the sums, so that the sum of two large corners cannot overflow.
    away = (second[..., :2] / 2 - first[..., :2] / 2) + (second[..., 2:] / 2 - first[..., 2:] / 2)
    distance = (away[..., 0] * shrink) ** 2 + (away[..., 1] * shrink) ** 2
    diagonal = (width * shrink) ** 2 + (height * shrink) ** 2
    return _ratio(distance, diagonal)


def _angle(boxes: Tensor) -> Tensor:
    """arctan(width / height) of Equation 9; pi / 4, a square's, where both sides are 0 or their squares would be."""
    width, height = sides(boxes)
    larger = torch.maximum(width, height)
    shrink = _shrink(larger)
    some = larger > math.sqrt(torch.finfo(boxes.dtype).tiny)
    return torch.atan2(torch.where(some, width * shrink, 1.0), torch.where(some, height * shrink, 1.0))


def _shrink(side: Tensor) -> Tensor:
    """1, or for a side beyond the cube root of the dtype's range 2^-84 (float64: 2^-682): products of two then fit."""
    third = 42 if side.dtype == torch.float32 else 341
    return torch.ones_like(side).masked_fill(side > 2.0**third, 2.0 ** (-2 * third))


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole; where whole is 0 the value is 0 and the gradient too."""
    none = whole == 0  # not `whole <= 0`: a nan stays one
    return torch.where(none, 0.0, part / torch.where(none, 1.0, whole))

"""What a network says of a box: offsets from an anchor, from a cell, or distances from a point, and the way back.

R-CNN: Girshick et al., CVPR 2014, https://arxiv.org/abs/1311.2524, Appendix C.
YOLO v1: Redmon et al., CVPR 2016, https://arxiv.org/abs/1506.02640, Section 2. v2: https://arxiv.org/abs/1612.08242,
Section 2, "Direct location prediction". v3: https://arxiv.org/abs/1804.02767, Section 2.1. v4:
https://arxiv.org/abs/2004.10934, Section 4.3, "Eliminate grid sensitivity", in the form of the authors' Darknet, where
the factor is `scale_x_y`. v5: Ultralytics' documentation, "YOLOv5 architecture description".
Distances: Tian et al., "FCOS", ICCV 2019, https://arxiv.org/abs/1904.01355, Section 3.1; as a distribution: Li et al.,
"Generalized Focal Loss", NeurIPS 2020, https://arxiv.org/abs/2006.04388, Equations 4 to 6.

Boxes are (..., 4) xyxy in pixels, float32 or float64; leading axes broadcast. Each `encode_` is the inverse of its
`decode_`. Sides of 0 have no logarithm: encoding them gives -inf, so leave such boxes out (`boxes.large_enough`).
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from convatlas.errors import UsageError
from convatlas.ops.boxes import check_form, check_tensor, from_cxcywh, to_cxcywh

LARGEST_LOG = math.log(1000 / 16)  # the largest t_w, t_h that is followed, in Detectron and torchvision: 62.5 times
_EDGE = 1e-6  # a centre this near a cell's border, in cells, is encoded as if it were so far inside

Weights = tuple[float, float, float, float]


def encode_rcnn(boxes: Tensor, anchors: Tensor, *, weights: Weights = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """R-CNN's t, Equations 6 to 9: ((x - x_a) / w_a, (y - y_a) / h_a, log(w / w_a), log(h / h_a)) times the weights.

    boxes, anchors (or proposals) (..., 4) -> (..., 4). weights: the heads of public weights have (10, 10, 5, 5), so
    that each t has a variance near 1.
    """
    _check_weights(weights)
    x, y, width, height = _centres(boxes, "boxes")
    anchor_x, anchor_y, anchor_width, anchor_height = _centres(anchors, "anchors")
    _check_together(boxes, "boxes", anchors, "anchors")
    return torch.stack(
        (
            weights[0] * (x - anchor_x) / anchor_width,
            weights[1] * (y - anchor_y) / anchor_height,
            weights[2] * (width / anchor_width).log(),
            weights[3] * (height / anchor_height).log(),
        ),
        dim=-1,
    )


def decode_rcnn(
    offsets: Tensor,
    anchors: Tensor,
    *,
    weights: Weights = (1.0, 1.0, 1.0, 1.0),
    largest_log: float = LARGEST_LOG,
) -> Tensor:
    """The boxes (..., 4) that R-CNN's t (..., 4) means; t_w and t_h above `largest_log` count as that.

    For one box a class: offsets (N, K, 4), anchors (N, 1, 4).
    """
    _check_weights(weights)
    check_form(offsets, "offsets")
    anchor_x, anchor_y, anchor_width, anchor_height = _centres(anchors, "anchors")
    _check_together(offsets, "offsets", anchors, "anchors")
    tx, ty, tw, th = (offsets[..., i] / weight for i, weight in enumerate(weights))
    width = tw.clamp(max=largest_log).exp() * anchor_width
    height = th.clamp(max=largest_log).exp() * anchor_height
    return from_cxcywh(
        torch.stack((tx * anchor_width + anchor_x, ty * anchor_height + anchor_y, width, height), dim=-1)
    )


def encode_yolo_v1(boxes: Tensor, cells: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """v1: the centre within its cell, 0..1, and the square roots of the sides as shares of the picture's, 0..1.

    boxes (..., 4); cells (..., 2): column and row; grid: (rows, columns); size: (H, W). -> (..., 4). The roots are what
    the paper's network predicts, so that its squared error weighs small boxes more.
    """
    x, y, width, height = _centres(boxes, "boxes")
    _check_pairs(cells, "cells")
    _check_together(boxes, "boxes", cells, "cells")
    (rows, columns), (picture_height, picture_width) = _pair(grid, "grid"), _pair(size, "size")
    return torch.stack(
        (
            x * (columns / picture_width) - cells[..., 0],
            y * (rows / picture_height) - cells[..., 1],
            (width / picture_width).sqrt(),
            (height / picture_height).sqrt(),
        ),
        dim=-1,
    )


def decode_yolo_v1(offsets: Tensor, cells: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The boxes (..., 4) that v1's output means; see `encode_yolo_v1`."""
    check_form(offsets, "offsets")
    _check_pairs(cells, "cells")
    _check_together(offsets, "offsets", cells, "cells")
    x, y, width_root, height_root = offsets.unbind(-1)
    (rows, columns), (picture_height, picture_width) = _pair(grid, "grid"), _pair(size, "size")
    return from_cxcywh(
        torch.stack(
            (
                (x + cells[..., 0]) * (picture_width / columns),
                (y + cells[..., 1]) * (picture_height / rows),
                width_root**2 * picture_width,
                height_root**2 * picture_height,
            ),
            dim=-1,
        )
    )


def encode_yolo_v3(boxes: Tensor, cells: Tensor, anchors: Tensor, stride: float, *, grid_scale: float = 1.0) -> Tensor:
    """v2 and v3: t with b_x = sigmoid(t_x) + c_x in cells and b_w = p_w exp(t_w); so too y and h.

    boxes (..., 4); cells (..., 2): column c_x and row c_y; anchors (..., 2): p_w and p_h in pixels; stride: pixels of
    the picture a cell. -> (..., 4). grid_scale: v4's factor s, above 1, by which the sigmoid reaches beyond its cell:
    s sigmoid(t) - (s - 1) / 2. A centre that the sigmoid cannot reach is encoded as if 1e-6 cells within its reach.
    """
    _check_pairs(anchors, "anchors")
    x, y = _sigmoids(boxes, cells, stride, grid_scale)
    _, _, width, height = _centres(boxes, "boxes")
    return torch.stack(
        (x.logit(), y.logit(), (width / anchors[..., 0]).log(), (height / anchors[..., 1]).log()), dim=-1
    )


def decode_yolo_v3(
    offsets: Tensor, cells: Tensor, anchors: Tensor, stride: float, *, grid_scale: float = 1.0
) -> Tensor:
    """The boxes (..., 4) that t of v2, v3 and (with grid_scale) v4 means; see `encode_yolo_v3`.

    Nothing limits exp(t_w) here: clip to the picture afterwards.
    """
    check_form(offsets, "offsets")
    _check_pairs(anchors, "anchors")
    centre = _yolo_centre(offsets, cells, stride, grid_scale)
    return from_cxcywh(torch.cat((centre, anchors * offsets[..., 2:].exp()), dim=-1))


def encode_yolo_v5(boxes: Tensor, cells: Tensor, anchors: Tensor, stride: float) -> Tensor:
    """v5: t with b_x = 2 sigmoid(t_x) - 0.5 + c_x in cells and b_w = p_w (2 sigmoid(t_w))^2; so too y and h.

    Arguments as in `encode_yolo_v3`. A side of 4 times the anchor's or more is encoded as just below that.
    """
    _check_pairs(anchors, "anchors")
    x, y = _sigmoids(boxes, cells, stride, 2.0)
    _, _, width, height = _centres(boxes, "boxes")
    roots = torch.stack((width / anchors[..., 0], height / anchors[..., 1]), dim=-1).sqrt() / 2
    return torch.cat((torch.stack((x.logit(), y.logit()), dim=-1), roots.clamp(max=1 - _EDGE).logit()), dim=-1)


def decode_yolo_v5(offsets: Tensor, cells: Tensor, anchors: Tensor, stride: float) -> Tensor:
    """The boxes (..., 4) that v5's t means: centres up to half a cell outside, sides up to 4 times the anchor's."""
    check_form(offsets, "offsets")
    _check_pairs(anchors, "anchors")
    centre = _yolo_centre(offsets, cells, stride, 2.0)
    return from_cxcywh(torch.cat((centre, anchors * (2 * offsets[..., 2:].sigmoid()) ** 2), dim=-1))


def encode_distances(boxes: Tensor, points: Tensor, *, stride: float = 1.0) -> Tensor:
    """FCOS, Equation 1: how far left, top, right and bottom lie from a point, in units of `stride` pixels.

    boxes (..., 4), points (..., 2) x, y -> (..., 4): all above 0 where the point lies inside of the box.
    """
    check_form(boxes, "boxes")
    _check_pairs(points, "points")
    _check_above_zero(stride, "stride")
    return torch.cat((points - boxes[..., :2], boxes[..., 2:] - points), dim=-1) / stride


def decode_distances(distances: Tensor, points: Tensor, *, stride: float = 1.0) -> Tensor:
    """The boxes (..., 4) at these distances (..., 4) of the points (..., 2); see `encode_distances`."""
    check_form(distances, "distances")
    _check_pairs(points, "points")
    _check_above_zero(stride, "stride")
    scaled = distances * stride
    return torch.cat((points - scaled[..., :2], points + scaled[..., 2:]), dim=-1)


def expected_distances(logits: Tensor) -> Tensor:
    """Generalized focal loss, Equation 5: the mean of each distance's distribution over 0, 1, ... n.

    logits (..., 4 * (n + 1)), those of left, then of top, right and bottom -> (..., 4) in units of the stride.
    """
    if logits.dim() == 0 or logits.shape[-1] % 4 or logits.shape[-1] < 8:
        raise UsageError(f"logits: expected (..., 4 * (n + 1)) values, n from 1, got shape {tuple(logits.shape)}")
    chances = logits.reshape(*logits.shape[:-1], 4, -1).softmax(dim=-1)
    places = torch.arange(chances.shape[-1], dtype=logits.dtype, device=logits.device)
    return chances @ places


def distance_places(distances: Tensor, last: int) -> tuple[Tensor, Tensor]:
    """Equation 6: the whole number below each distance and the share of the one above, of the places 0 ... last.

    distances (...) >= 0 -> int64 (...) of 0 ... last - 1, and (...) of 0..1. The loss is the cross entropy at both,
    weighed 1 - share and share. Distances beyond `last` count as `last`.
    """
    if last < 1:
        raise UsageError(f"last: expected 1 or more, got {last}")
    inside = distances.clamp(0, last)
    below = inside.floor().clamp(max=last - 1)
    return below.long(), inside - below


def _check_weights(weights: Weights) -> None:
    if len(weights) != 4 or not all(weight > 0 for weight in weights):
        raise UsageError(f"weights: expected four numbers above 0, got {tuple(weights)}")


def _check_together(first: Tensor, first_name: str, second: Tensor, second_name: str) -> None:
    """Raise UsageError unless their axes but the last broadcast."""
    for a, b in zip(first.shape[-2::-1], second.shape[-2::-1], strict=False):
        if a != b and 1 not in (a, b):
            shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
            raise UsageError(f"{first_name}, {second_name}: expected as many of both, got {shapes}")


def _pair(pair: tuple[int, int], name: str) -> tuple[int, int]:
    if not isinstance(pair, Sequence) or len(pair) != 2 or min(pair) < 1:
        raise UsageError(f"{name}: expected 1 x 1 or more, got {pair}")
    return pair[0], pair[1]


def _check_pairs(pairs: Tensor, name: str) -> None:
    check_tensor(pairs, name)
    if pairs.dim() == 0 or pairs.shape[-1] != 2:
        raise UsageError(f"{name}: expected (..., 2), got shape {tuple(pairs.shape)}")


def _check_cells(cells: Tensor, stride: float, grid_scale: float) -> None:
    _check_pairs(cells, "cells")
    _check_above_zero(stride, "stride")
    if not grid_scale >= 1:
        raise UsageError(f"grid_scale: expected 1 or more, got {grid_scale}")


def _check_above_zero(value: float, name: str) -> None:
    if not value > 0:
        raise UsageError(f"{name}: expected a number above 0, got {value}")


def _centres(boxes: Tensor, name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, y, width, height, each (...)."""
    check_form(boxes, name)
    x, y, width, height = to_cxcywh(boxes).unbind(-1)
    return x, y, width, height


def _sigmoids(boxes: Tensor, cells: Tensor, stride: float, grid_scale: float) -> tuple[Tensor, Tensor]:
    """Where a centre lies in the reach of its cell, inside of 0..1: what sigmoid(t_x) and sigmoid(t_y) are to be."""
    _check_cells(cells, stride, grid_scale)
    x, y, _, _ = _centres(boxes, "boxes")
    reach = [
        ((value / stride - cells[..., axis] + (grid_scale - 1) / 2) / grid_scale).clamp(_EDGE, 1 - _EDGE)
        for axis, value in enumerate((x, y))
    ]
    return reach[0], reach[1]


def _yolo_centre(offsets: Tensor, cells: Tensor, stride: float, grid_scale: float) -> Tensor:
    """(..., 2) in pixels."""
    _check_cells(cells, stride, grid_scale)
    return (offsets[..., :2].sigmoid() * grid_scale - (grid_scale - 1) / 2 + cells) * stride

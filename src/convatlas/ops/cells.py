"""Which cell and which anchor of YOLO an object belongs to.

v1: Redmon et al., CVPR 2016, https://arxiv.org/abs/1506.02640, Section 2: the cell into which an object's centre falls
is responsible for it. v2: "YOLO9000", CVPR 2017, https://arxiv.org/abs/1612.08242, Section 2, and v3:
https://arxiv.org/abs/1804.02767, Section 2.1: there the anchor whose shape overlaps the object most. v5: Ultralytics'
documentation, "YOLOv5 architecture description", build targets: every anchor of a similar shape, and cells beside.
Shapes: G objects, K anchors of a level, P places.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from convatlas.errors import UsageError
from convatlas.ops.boxes import check_form, sides


@dataclass(frozen=True, kw_only=True)
class Places:
    """P places of a network's output that are to find an object; each (P,) int64 but cells.

    objects: the index of the object; levels: of the feature map; anchors: within the level; cells (P, 2): column and
    row. Two objects may ask for one place: the paper leaves open which of them it learns.
    """

    objects: Tensor
    levels: Tensor
    anchors: Tensor
    cells: Tensor


def centre_cells(boxes: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Column and row of the cell in which each centre lies: (G, 4) -> (G, 2) int64.

    grid: (rows, columns); size: (H, W) of the picture that it covers. A centre on the far edge is in the last cell.
    """
    check_form(boxes, "boxes")
    if min(*grid, *size) < 1:
        raise UsageError(f"grid, size: expected 1 x 1 or more, got {grid} and {size}")
    rows, columns = grid
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    column = (centre[..., 0] * (columns / size[1])).floor().clamp(0, columns - 1)
    row = (centre[..., 1] * (rows / size[0])).floor().clamp(0, rows - 1)
    return torch.stack((column, row), dim=-1).to(torch.int64)


def shape_iou(shapes: Tensor, anchors: Tensor) -> Tensor:
    """IoU of boxes laid on one centre: widths and heights (G, 2) and (K, 2) -> (G, K); 0 for a shape without area."""
    for name, each in (("shapes", shapes), ("anchors", anchors)):
        if each.dim() != 2 or each.shape[1] != 2:
            raise UsageError(f"{name}: expected widths and heights (N, 2), got shape {tuple(each.shape)}")
    shared = torch.minimum(shapes[:, None], anchors[None]).clamp(min=0).prod(dim=-1)
    united = shapes.prod(dim=-1)[:, None] + anchors.prod(dim=-1)[None] - shared
    return torch.where(united > 0, shared / united, 0.0)


def assign_best_anchor(
    boxes: Tensor, anchors: Sequence[Tensor], grids: Sequence[tuple[int, int]], size: tuple[int, int]
) -> Places:
    """v2 (one level) and v3: for each object the one anchor, of all levels, whose shape overlaps it most.

    boxes (G, 4) xyxy in a picture of size (H, W); anchors: widths and heights (K, 2) in pixels, for each level; grids:
    (rows, columns) of each. Of equal ones the first. An object without area, which no code can express, has no place.
    """
    _check_objects(boxes, anchors, grids)
    shapes = torch.stack(sides(boxes), dim=1)
    overlap, best = shape_iou(shapes, torch.cat(list(anchors)).to(boxes)).max(dim=1)
    objects = torch.nonzero(overlap > 0).squeeze(1)
    best = best[objects]
    counts = torch.tensor([len(level) for level in anchors], device=boxes.device)
    ends = counts.cumsum(0)
    levels = torch.searchsorted(ends, best, right=True)
    cells = torch.stack([centre_cells(boxes, grid, size) for grid in grids])
    return Places(objects=objects, levels=levels, anchors=best - (ends - counts)[levels], cells=cells[levels, objects])


def assign_similar_anchors(
    boxes: Tensor,
    anchors: Sequence[Tensor],
    grids: Sequence[tuple[int, int]],
    size: tuple[int, int],
    *,
    largest_ratio: float = 4.0,
) -> Places:
    """v5: each object at every anchor that no side of it exceeds, or stays below, by `largest_ratio` or more.

    There it belongs to the cell of its centre, to the nearer cell beside that, left or right, and to the nearer one
    above or below, if the grid has them: the coding of v5 reaches half a cell beyond the own one. Arguments as in
    `assign_best_anchor`.
    """
    _check_objects(boxes, anchors, grids)
    if not largest_ratio > 1:
        raise UsageError(f"largest_ratio: expected a number above 1, got {largest_ratio}")
    shapes = torch.stack(sides(boxes), dim=1)
    found = []
    for level, (level_anchors, grid) in enumerate(zip(anchors, grids, strict=True)):
        ratio = shapes[:, None] / level_anchors.to(boxes)[None]
        similar = torch.maximum(ratio, 1 / ratio).amax(dim=2) < largest_ratio
        objects, anchor = torch.nonzero(similar, as_tuple=True)
        own, cells = _own_and_near_cells(boxes[objects], grid, size)
        found.append((objects[own], torch.full_like(own, level), anchor[own], cells))
    objects, levels, anchor, cells = (torch.cat(column) for column in zip(*found, strict=True))
    return Places(objects=objects, levels=levels, anchors=anchor, cells=cells)


def _own_and_near_cells(boxes: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Row numbers of the boxes, each up to three times, and a cell (column, row) for each."""
    limits = torch.tensor((grid[1], grid[0]), device=boxes.device)
    scale = torch.tensor((grid[1] / size[1], grid[0] / size[0]), dtype=boxes.dtype, device=boxes.device)
    own = centre_cells(boxes, grid, size)
    inside = (boxes[:, :2] + boxes[:, 2:]) / 2 * scale - own  # 0..1 in the own cell
    step = (inside > 0.5).long() - (inside < 0.5).long()  # none from the very middle
    rows, cells = [torch.arange(len(boxes), device=boxes.device)], [own]
    for axis in (0, 1):
        beside = own.clone()
        beside[:, axis] += step[:, axis]
        there = (step[:, axis] != 0) & (beside[:, axis] >= 0) & (beside[:, axis] < limits[axis])
        rows.append(rows[0][there])
        cells.append(beside[there])
    return torch.cat(rows), torch.cat(cells)


def _check_objects(boxes: Tensor, anchors: Sequence[Tensor], grids: Sequence[tuple[int, int]]) -> None:
    check_form(boxes, "boxes")
    if boxes.dim() != 2:
        raise UsageError(f"boxes: expected (G, 4), got shape {tuple(boxes.shape)}")
    if len(anchors) != len(grids) or not anchors:
        raise UsageError(f"anchors, grids: expected one a level, got {len(anchors)} and {len(grids)}")
    for level, shapes in enumerate(anchors):
        if shapes.dim() != 2 or shapes.shape[1] != 2 or not len(shapes):
            raise UsageError(f"anchors[{level}]: expected widths and heights (K, 2), got shape {tuple(shapes.shape)}")

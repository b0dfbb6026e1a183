"""YOLO's cells and anchors: plain loops over the papers' rules, the IoU of boxes, hand cases, and wrong arguments."""

import math

import pytest
import torch

from convatlas.errors import UsageError
from convatlas.ops.cells import assign_best_anchor, assign_similar_anchors, centre_cells, shape_iou
from convatlas.ops.iou import pairwise_iou

pytestmark = pytest.mark.row("C-03")

SIZE = (96, 128)
GRIDS = [(12, 16), (6, 8), (3, 4)]
ANCHORS = [
    torch.tensor([[6.0, 8], [10, 20], [20, 14]]),
    torch.tensor([[25.0, 40], [40, 30]]),
    torch.tensor([[60.0, 55], [80, 90], [120, 60]]),
]


def inside_boxes(count, seed=0, dtype=torch.float32):
    random = torch.Generator().manual_seed(seed)
    sides = torch.exp(torch.rand(count, 2, generator=random) * 3 + 1.2)
    limits = torch.tensor([SIZE[1], SIZE[0]])
    sides = torch.minimum(sides, limits)
    corner = torch.rand(count, 2, generator=random) * (limits - sides)
    return torch.cat((corner, corner + sides), dim=1).to(dtype)


def places_of(places):
    columns = (places.objects, places.levels, places.anchors, *places.cells.unbind(1))
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_the_cell_of_a_centre_by_hand():
    """v1: a grid of 7 x 7 on a picture of 448 x 448."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [60, 0, 68, 4], [60, 0, 67.9, 4], [440, 440, 448, 448], [448, 0, 448, 448]])
    assert centre_cells(boxes, (7, 7), (448, 448)).tolist() == [[0, 0], [1, 0], [0, 0], [6, 6], [6, 3]]
    assert centre_cells(torch.tensor([[0.0, 90, 0, 94]]), (2, 8), (100, 80)).tolist() == [[0, 1]]
    assert centre_cells(boxes[:0], (7, 7), (448, 448)).shape == (0, 2)


def test_shape_iou_is_that_of_boxes_on_one_centre():
    random = torch.Generator().manual_seed(2)
    shapes, anchors = (torch.rand(count, 2, generator=random) * 50 + 1 for count in (20, 7))
    laid = [torch.cat((-each / 2, each / 2), dim=1) for each in (shapes, anchors)]
    torch.testing.assert_close(shape_iou(shapes, anchors), pairwise_iou(*laid))
    assert shape_iou(torch.tensor([[0.0, 0], [3, 0]]), torch.tensor([[2.0, 2], [0, 0]])).tolist() == [[0, 0], [0, 0]]


def test_the_best_anchor_of_all_levels_as_a_loop_finds_it():
    boxes = inside_boxes(60)
    expected = []
    for number, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        best = (-1.0, 0, 0)
        for level, anchors in enumerate(ANCHORS):
            for anchor, (width, height) in enumerate(anchors.tolist()):
                shared = min(width, x2 - x1) * min(height, y2 - y1)
                overlap = shared / (width * height + (x2 - x1) * (y2 - y1) - shared)
                best = max(best, (overlap, -level, -anchor))
        level = -best[1]
        rows, columns = GRIDS[level]
        cell = math.floor((x1 + x2) / 2 * columns / SIZE[1]), math.floor((y1 + y2) / 2 * rows / SIZE[0])
        expected.append((number, level, -best[2], *cell))
    found = places_of(assign_best_anchor(boxes, ANCHORS, GRIDS, SIZE))
    assert found == expected
    assert {place[1] for place in found} == {0, 1, 2}


def test_similar_anchors_as_a_loop_finds_them():
    """v5's rule in words: all anchors of a similar shape; the own cell, and the nearer neighbour along each axis."""
    boxes = inside_boxes(60, 1)
    expected = set()
    for number, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        for level, anchors in enumerate(ANCHORS):
            rows, columns = GRIDS[level]
            x, y = (x1 + x2) / 2 * columns / SIZE[1], (y1 + y2) / 2 * rows / SIZE[0]
            column, row = math.floor(x), math.floor(y)
            cells = [(column, row)]
            beside = column - 1 if x - column < 0.5 else column + 1
            cells += [(beside, row)] if 0 <= beside < columns else []
            beside = row - 1 if y - row < 0.5 else row + 1
            cells += [(column, beside)] if 0 <= beside < rows else []
            for anchor, (width, height) in enumerate(anchors.tolist()):
                ratios = [(x2 - x1) / width, (y2 - y1) / height]
                if max(*ratios, *(1 / ratio for ratio in ratios)) < 4:
                    expected |= {(number, level, anchor, *cell) for cell in cells}
    found = places_of(assign_similar_anchors(boxes, ANCHORS, GRIDS, SIZE))
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_similar_anchors_by_hand():
    """A box in the middle of its cell has no nearer neighbour; one in a corner of the grid has none outside."""
    anchors, grids = [torch.tensor([[8.0, 8]])], [(4, 4)]

    def cells(*centre):
        x, y = centre
        places = assign_similar_anchors(torch.tensor([[x - 4.0, y - 4, x + 4, y + 4]]), anchors, grids, (32, 32))
        return {(place[3], place[4]) for place in places_of(places)}

    assert cells(12, 12) == {(1, 1)}
    assert cells(11, 14) == {(1, 1), (0, 1), (1, 2)}
    assert cells(1, 1) == {(0, 0)}
    assert cells(31, 17) == {(3, 2), (3, 1)}
    tall = torch.tensor([[0.0, 0, 8, 32], [0, 0, 8, 31]])  # 4 times as high is too high
    assert assign_similar_anchors(tall, anchors, grids, (32, 32)).objects.unique().tolist() == [1]


def test_no_objects_and_none_that_is_similar():
    for assign in (assign_best_anchor, assign_similar_anchors):
        places = assign(torch.zeros(0, 4), ANCHORS, GRIDS, SIZE)
        assert places.objects.shape == places.levels.shape == places.anchors.shape == (0,)
        assert places.cells.shape == (0, 2)
        assert places.cells.dtype == torch.int64


@pytest.mark.parametrize("assign", [assign_best_anchor, assign_similar_anchors])
def test_an_object_without_area_has_no_place(assign):
    """Its code would be log 0."""
    with_area = inside_boxes(3)
    without = torch.tensor([[3.0, 3, 3, 9], [0, 0, 0, 0]])
    assert len(assign(without, ANCHORS, GRIDS, SIZE).objects) == 0
    mixed = torch.cat((without[:1], with_area, without[1:]))
    expected = assign(with_area, ANCHORS, GRIDS, SIZE)
    found = assign(mixed, ANCHORS, GRIDS, SIZE)
    assert torch.equal(found.objects, expected.objects + 1)
    assert torch.equal(found.cells, expected.cells)
    assert torch.equal(found.anchors, expected.anchors)


@pytest.mark.parametrize("assign", [assign_best_anchor, assign_similar_anchors])
@pytest.mark.parametrize(
    ("boxes", "anchors", "grids", "said"),
    [
        (torch.zeros(2, 4).long(), ANCHORS, GRIDS, "boxes: expected float32 or float64"),
        (torch.zeros(4), ANCHORS, GRIDS, r"boxes: expected \(G, 4\)"),
        (torch.zeros(2, 4), ANCHORS[:2], GRIDS, "anchors, grids: expected one a level, got 2 and 3"),
        (torch.zeros(2, 4), [], [], "anchors, grids"),
        (torch.zeros(2, 4), [torch.zeros(3, 4)], GRIDS[:1], r"anchors\[0\]: expected widths and heights"),
        (torch.zeros(2, 4), [torch.zeros(0, 2)], GRIDS[:1], r"anchors\[0\]"),
        (torch.ones(2, 4), ANCHORS[:1], [(0, 4)], "grid, size"),
    ],
)
def test_wrong_arguments_are_named(assign, boxes, anchors, grids, said):
    with pytest.raises(UsageError, match=said):
        assign(boxes, anchors, grids, SIZE)


def test_other_wrong_arguments_are_named():
    with pytest.raises(UsageError, match="largest_ratio"):
        assign_similar_anchors(torch.zeros(1, 4), ANCHORS, GRIDS, SIZE, largest_ratio=1)
    with pytest.raises(UsageError, match="anchors: expected widths and heights"):
        shape_iou(torch.zeros(2, 2), torch.zeros(2, 3))
    with pytest.raises(UsageError, match="grid, size"):
        centre_cells(torch.zeros(1, 4), (7, 7), (0, 448))

"""Anchor grids: torchvision's generator, RetinaNet's and Faster R-CNN's own numbers, hand cases, wrong arguments."""

import math

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from convatlas.errors import UsageError
from convatlas.ops.anchors import anchor_grid, anchor_shapes, grid_points, octave_sizes

pytestmark = pytest.mark.row("C-03")

RATIOS = (0.5, 1.0, 2.0)


def test_a_pyramid_of_anchors_is_torchvision_s():
    sizes = [(32, 40.3, 50.8), (64, 80.6, 101.6)]
    picture, grids = torch.zeros(1, 3, 96, 128), [(12, 16), (6, 8)]
    generator = AnchorGenerator(tuple(sizes), (RATIOS,) * 2)
    theirs = generator(ImageList(picture, [(96, 128)]), [torch.zeros(1, 1, *grid) for grid in grids])[0]
    ours = [anchor_grid(anchor_shapes(s, RATIOS).round(), g, n) for s, g, n in zip(sizes, grids, (8, 16), strict=True)]
    assert torch.equal(torch.cat(ours), theirs)


def test_a_stride_of_its_own_for_each_axis_is_torchvision_s():
    theirs = AnchorGenerator(((16,),), ((1.0,),))
    theirs = theirs(ImageList(torch.zeros(1, 3, 40, 30), [(40, 30)]), [torch.zeros(1, 1, 5, 10)])[0]
    assert torch.equal(anchor_grid(anchor_shapes((16,), (1.0,)), (5, 10), (8, 3)), theirs)


def test_faster_rcnn_s_nine_shapes_have_its_areas_and_ratios():
    """Section 3.1.1: areas of 128^2, 256^2 and 512^2 pixels, ratios of 1:1, 1:2 and 2:1."""
    shapes = anchor_shapes((128, 256, 512), RATIOS).double()
    width, height = shapes[:, 2] - shapes[:, 0], shapes[:, 3] - shapes[:, 1]
    areas = torch.tensor([128.0**2, 256**2, 512**2] * 3, dtype=torch.float64)
    torch.testing.assert_close(width * height, areas, rtol=1e-6, atol=0)
    ratios = torch.tensor(RATIOS, dtype=torch.float64).repeat_interleave(3)
    torch.testing.assert_close(height / width, ratios, rtol=1e-6, atol=0)
    torch.testing.assert_close(shapes[:, :2], -shapes[:, 2:])  # about the origin


def test_retinanet_s_octaves():
    assert octave_sizes(32) == pytest.approx((32, 32 * 2 ** (1 / 3), 32 * 2 ** (2 / 3)))
    assert octave_sizes(64, 1) == (64,)


def test_by_hand():
    shapes = torch.tensor([[-2.0, -1, 2, 1], [-1, -1, 1, 1]])
    anchors = anchor_grid(shapes, (1, 2), 8)
    assert anchors.tolist() == [[-2, -1, 2, 1], [-1, -1, 1, 1], [6, -1, 10, 1], [7, -1, 9, 1]]
    middle = anchor_grid(shapes[:1], (2, 1), 8, place=0.5)
    assert middle.tolist() == [[2, 3, 6, 5], [2, 11, 6, 13]]


def test_points_go_row_by_row_and_lie_in_the_middle_of_cells():
    """FCOS, Section 3.1: (floor(s / 2) + x s, floor(s / 2) + y s)."""
    points = grid_points((2, 3), 8)
    assert points.tolist() == [[8 // 2 + x * 8, 8 // 2 + y * 8] for y in range(2) for x in range(3)]
    assert grid_points((1, 2), (4, 10), place=0).tolist() == [[0, 0], [10, 0]]
    assert grid_points((0, 3), 8).shape == (0, 2)


def test_the_order_is_that_of_a_head_s_maps():
    """(N, A * 4, rows, columns), read as detectors do, meets its anchors."""
    shapes = anchor_shapes((16, 32), (1.0,))
    anchors = anchor_grid(shapes, (3, 5), 8)
    maps = torch.zeros(1, 2 * 4, 3, 5)
    for a in range(2):
        for row in range(3):
            for column in range(5):
                maps[0, 4 * a : 4 * a + 4, row, column] = shapes[a] + torch.tensor([column, row, column, row]) * 8
    read = maps.reshape(1, 2, 4, 3, 5).permute(0, 3, 4, 1, 2).reshape(1, -1, 4)
    assert torch.equal(read[0], anchors)


class Grid(torch.nn.Module):
    def forward(self, maps):
        return grid_points(maps.shape[2:], 8, like=maps)


def test_the_grid_of_maps_of_any_size_can_be_exported():
    rows, columns = torch.export.Dim("rows", min=2, max=99), torch.export.Dim("columns", min=2, max=99)
    shapes = ({2: rows, 3: columns},)
    exported = torch.export.export(Grid(), (torch.zeros(1, 1, 3, 4),), dynamic_shapes=shapes).module()
    assert torch.equal(exported(torch.zeros(1, 1, 5, 7)), grid_points((5, 7), 8))


def test_the_shapes_dtype_is_kept():
    assert anchor_grid(torch.zeros(1, 4, dtype=torch.float64), (2, 2), 8).dtype == torch.float64


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: anchor_shapes((), RATIOS), "sizes"),
        (lambda: anchor_shapes((32, 0), RATIOS), r"sizes: .* got \(32, 0\)"),
        (lambda: anchor_shapes((32,), (1.0, math.nan)), "ratios"),
        (lambda: anchor_shapes((math.inf,), RATIOS), "sizes"),
        (lambda: octave_sizes(32, 0), "per_octave"),
        (lambda: grid_points((2, 2), 0), "stride"),
        (lambda: grid_points((2, 2), 8.0), "stride: expected two whole numbers, rows and columns, from 1, got 8.0"),
        (lambda: grid_points((2, 2), (8, 8, 8)), "stride"),
        (lambda: grid_points((-1, 2), 8), "grid"),
        (lambda: grid_points(2.0, 8), "grid"),
        (lambda: anchor_grid(torch.zeros(2, 4), (2,), 8), "grid"),
        (lambda: anchor_grid(torch.zeros(2, 4).long(), (2, 2), 8), "shapes: expected float32 or float64"),
        (lambda: anchor_grid(torch.zeros(4), (2, 2), 8), r"shapes: expected \(A, 4\)"),
        (lambda: anchor_grid(torch.zeros(2, 3), (2, 2), 8), "shapes"),
    ],
)
def test_wrong_arguments_are_named(call, said):
    with pytest.raises(UsageError, match=said):
        call()

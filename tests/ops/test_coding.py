"""Box coding: torchvision's coder, the papers' equations by hand, round trips, and what cannot be reached."""

import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.models.detection._utils import BoxCoder

from convatlas.errors import UsageError
from convatlas.ops.anchors import grid_points
from convatlas.ops.cells import assign_best_anchor, assign_similar_anchors
from convatlas.ops.coding import (
    LARGEST_LOG,
    decode_distances,
    decode_rcnn,
    decode_yolo_v1,
    decode_yolo_v3,
    decode_yolo_v5,
    distance_places,
    encode_distances,
    encode_rcnn,
    encode_yolo_v1,
    encode_yolo_v3,
    encode_yolo_v5,
    expected_distances,
)
from tests.ops.test_boxes import some_boxes
from tests.ops.test_cells import ANCHORS, GRIDS, SIZE, inside_boxes

pytestmark = pytest.mark.row("C-04")

PLAIN, TEN = (1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)


def sigmoid(t):
    return 1 / (1 + math.exp(-t))


@pytest.mark.parametrize("weights", [PLAIN, TEN])
def test_rcnn_s_t_is_torchvision_s(weights):
    boxes, anchors = some_boxes(200, 1), some_boxes(200, 2)
    coder = BoxCoder(weights)
    t = encode_rcnn(boxes, anchors, weights=weights)
    torch.testing.assert_close(t, coder.encode_single(boxes, anchors))
    raw = torch.randn(200, 4, generator=torch.Generator().manual_seed(3)) * 4
    torch.testing.assert_close(decode_rcnn(raw, anchors, weights=weights), coder.decode_single(raw, anchors))
    back = decode_rcnn(t, anchors, weights=weights, largest_log=math.inf)
    torch.testing.assert_close(back, boxes, atol=2e-4, rtol=0)


@pytest.mark.parametrize("weights", [PLAIN, TEN])
def test_one_box_a_class_is_torchvision_s(weights):
    anchors = some_boxes(30, 4)
    raw = torch.randn(30, 5, 4, generator=torch.Generator().manual_seed(5))
    theirs = BoxCoder(weights).decode_single(raw.reshape(30, 20), anchors).reshape(30, 5, 4)
    torch.testing.assert_close(decode_rcnn(raw, anchors[:, None], weights=weights), theirs)


def test_rcnn_s_equations_by_hand():
    """Appendix C, Equations 6 to 9: proposal centre (20, 30), 20 x 40; object centre (25, 20), 40 x 20."""
    proposal, box = torch.tensor([10.0, 10, 30, 50]), torch.tensor([5.0, 10, 45, 30])
    t = [5 / 20, -10 / 40, math.log(2), math.log(0.5)]
    assert encode_rcnn(box, proposal).tolist() == pytest.approx(t)
    ten = [a * b for a, b in zip(t, TEN, strict=True)]
    assert encode_rcnn(box, proposal, weights=TEN).tolist() == pytest.approx(ten)
    assert decode_rcnn(torch.tensor(ten), proposal, weights=TEN).tolist() == pytest.approx(box.tolist())


def test_a_wild_t_grows_a_box_no_further():
    anchor = torch.tensor([0.0, 0, 16, 16])
    wild = decode_rcnn(torch.tensor([0.0, 0, 80, 90]), anchor)
    assert float(wild[2] - wild[0]) == pytest.approx(1000)
    assert pytest.approx(math.log(62.5)) == LARGEST_LOG
    assert decode_rcnn(torch.tensor([0.0, 0, 5, 5]), anchor, largest_log=1.0)[2] == pytest.approx(8 + 8 * math.e)


def test_yolo_v1_by_hand_and_back():
    """Section 2: 7 x 7 cells on 448 x 448; a centre at (100, 200) is in cell (1, 3); sides 112 x 28."""
    box = torch.tensor([[44.0, 186, 156, 214]])
    coded = encode_yolo_v1(box, torch.tensor([[1, 3]]), (7, 7), (448, 448))
    assert coded[0].tolist() == pytest.approx([100 / 64 - 1, 200 / 64 - 3, 0.5, 0.25])
    boxes = inside_boxes(50, 2, torch.float64)
    places = assign_best_anchor(boxes, [torch.ones(1, 2)], [(6, 9)], SIZE)
    coded = encode_yolo_v1(boxes, places.cells, (6, 9), SIZE)
    assert ((coded >= 0) & (coded <= 1)).all()
    torch.testing.assert_close(decode_yolo_v1(coded, places.cells, (6, 9), SIZE), boxes)


@pytest.mark.parametrize("grid_scale", [1.0, 1.2])
def test_yolo_v3_by_hand(grid_scale):
    """v2, Section 2: b_x = sigmoid(t_x) + c_x, b_w = p_w exp(t_w); v4 scales the sigmoid about its middle."""
    t = (0.3, -1.2, 0.5, -0.4)
    box = decode_yolo_v3(
        torch.tensor(t, dtype=torch.float64), torch.tensor([5, 2]), torch.tensor([30.0, 20]), 16, grid_scale=grid_scale
    )
    x, y = ((cell + (sigmoid(value) - 0.5) * grid_scale + 0.5) * 16 for cell, value in zip((5, 2), t[:2], strict=True))
    width, height = 30 * math.exp(0.5), 20 * math.exp(-0.4)
    assert box.tolist() == pytest.approx([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


def test_yolo_v5_by_hand():
    t = (0.3, -1.2, 0.5, -0.4)
    box = decode_yolo_v5(torch.tensor(t, dtype=torch.float64), torch.tensor([5, 2]), torch.tensor([30.0, 20]), 16)
    x, y = ((2 * sigmoid(value) - 0.5 + cell) * 16 for cell, value in zip((5, 2), t[:2], strict=True))
    width, height = (side * (2 * sigmoid(value)) ** 2 for side, value in zip((30, 20), t[2:], strict=True))
    assert box.tolist() == pytest.approx([x - width / 2, y - height / 2, x + width / 2, y + height / 2])


def chosen(places):
    shapes = torch.stack([ANCHORS[k][a] for k, a in zip(places.levels.tolist(), places.anchors.tolist(), strict=True)])
    return places.cells, shapes.double(), [8.0 * 2**k for k in places.levels.tolist()]


@pytest.mark.parametrize("grid_scale", [1.0, 1.05, 2.0])
def test_yolo_v3_comes_back_wherever_an_object_is_assigned(grid_scale):
    boxes = inside_boxes(60, 3, torch.float64)
    cells, shapes, strides = chosen(assign_best_anchor(boxes, ANCHORS, GRIDS, SIZE))
    for i, stride in enumerate(strides):
        t = encode_yolo_v3(boxes[i], cells[i], shapes[i], stride, grid_scale=grid_scale)
        assert t.isfinite().all()
        back = decode_yolo_v3(t, cells[i], shapes[i], stride, grid_scale=grid_scale)
        torch.testing.assert_close(back, boxes[i])


def test_yolo_v5_comes_back_from_every_cell_it_is_assigned_to():
    """The cells beside reach the centre too, and sides below 4 times the anchor's: what the assignment asks for."""
    boxes = inside_boxes(60, 4, torch.float64)
    places = assign_similar_anchors(boxes, ANCHORS, GRIDS, SIZE)
    assert len(places.objects) > 120
    cells, shapes, strides = chosen(places)
    for i, stride in enumerate(strides):
        box = boxes[places.objects[i]]
        t = encode_yolo_v5(box, cells[i], shapes[i], stride)
        assert t.isfinite().all()
        torch.testing.assert_close(decode_yolo_v5(t, cells[i], shapes[i], stride), box)


def test_what_a_sigmoid_cannot_reach_is_coded_as_the_nearest_it_can():
    cell, anchor = torch.tensor([1, 1]), torch.tensor([8.0, 8])
    on_the_border = torch.tensor([4.0, 4, 12, 12])  # its centre, (8, 8), is the corner of the cell
    t = encode_yolo_v3(on_the_border, cell, anchor, 8)
    assert t.isfinite().all()
    torch.testing.assert_close(decode_yolo_v3(t, cell, anchor, 8), on_the_border, atol=1e-4, rtol=0)
    large = torch.tensor([-28.0, -20, 52, 44])  # 10 and 8 times the anchor
    back = decode_yolo_v5(encode_yolo_v5(large, cell, anchor, 8), cell, anchor, 8)
    assert back.tolist() == pytest.approx([-4, -4, 28, 28], abs=1e-3)


def test_distances_by_hand_and_back():
    """FCOS, Equation 1."""
    box, point = torch.tensor([10.0, 20, 50, 90]), torch.tensor([20.0, 40])
    assert encode_distances(box, point).tolist() == [10, 20, 30, 50]
    assert encode_distances(box, point, stride=8).tolist() == [10 / 8, 20 / 8, 30 / 8, 50 / 8]
    boxes, points = some_boxes(20, 5, torch.float64), grid_points((3, 4), 16).double()
    distances = encode_distances(boxes[:, None], points, stride=16)
    assert distances.shape == (20, 12, 4)
    torch.testing.assert_close(decode_distances(distances, points, stride=16), boxes[:, None].expand(-1, 12, -1))
    inside = (distances > 0).all(dim=2)
    x, y = points.unbind(1)
    by_corners = (x > boxes[:, None, 0]) & (x < boxes[:, None, 2]) & (y > boxes[:, None, 1]) & (y < boxes[:, None, 3])
    assert torch.equal(inside, by_corners)
    assert inside.any()


def test_the_mean_of_a_distribution_of_distances():
    """Generalized focal loss, Equation 5."""
    certain = torch.full((2, 4, 17), -1e4)
    for side, place in enumerate((0, 3, 16, 7)):
        certain[:, side, place] = 0
    assert expected_distances(certain.reshape(2, -1)).tolist() == [[0, 3, 16, 7]] * 2
    assert expected_distances(torch.zeros(1, 20)).tolist() == [[2, 2, 2, 2]]
    two = torch.log(torch.tensor([0.25, 0.75])).repeat(4)
    assert expected_distances(two).tolist() == pytest.approx([0.75] * 4)


def test_the_two_places_of_a_distance_mean_that_distance():
    """Equation 6: the loss is least where the chances are the shares."""
    distances = torch.tensor([0.0, 0.25, 1, 6.999, 7, 9.5])
    below, share = distance_places(distances, 7)
    assert below.tolist() == [0, 0, 1, 6, 6, 6]
    assert (below + share).tolist() == pytest.approx([0, 0.25, 1, 6.999, 7, 7])
    logits = torch.zeros(4, 8, requires_grad=True)
    below, share = distance_places(torch.tensor([0.25, 3.5, 6.9, 2.0]), 7)
    optimiser = torch.optim.LBFGS([logits], lr=1, max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        low = F.cross_entropy(logits, below, reduction="none") * (1 - share)
        value = (low + F.cross_entropy(logits, below + 1, reduction="none") * share).sum()
        value.backward()
        return value

    optimiser.step(loss)
    assert expected_distances(logits.detach().reshape(-1)).tolist() == pytest.approx([0.25, 3.5, 6.9, 2.0], abs=0.02)


def test_gradients_reach_what_a_network_says():
    raw = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(6)).requires_grad_()
    anchors, cells = some_boxes(6, 7, torch.float64), torch.tensor([[1, 2]])
    shapes = torch.tensor([[20.0, 30]], dtype=torch.float64)
    for decode in (
        lambda t: decode_rcnn(t, anchors, weights=TEN),
        lambda t: decode_yolo_v1(t, cells, (7, 7), (448, 448)),
        lambda t: decode_yolo_v3(t, cells, shapes, 16),
        lambda t: decode_yolo_v5(t, cells, shapes, 16),
        lambda t: decode_distances(t, cells.double(), stride=8),
        lambda t: expected_distances(t.reshape(3, 8)),
    ):
        assert torch.autograd.gradcheck(decode, (raw,))


def test_no_boxes():
    none, pairs = torch.zeros(0, 4), torch.zeros(0, 2)
    assert encode_rcnn(none, none).shape == decode_rcnn(none, none).shape == (0, 4)
    assert encode_yolo_v1(none, pairs, (7, 7), SIZE).shape == (0, 4)
    assert decode_yolo_v3(encode_yolo_v3(none, pairs, pairs, 8), pairs, pairs, 8).shape == (0, 4)
    assert decode_yolo_v5(encode_yolo_v5(none, pairs, pairs, 8), pairs, pairs, 8).shape == (0, 4)
    assert decode_distances(encode_distances(none, pairs), pairs).shape == (0, 4)


BOX, CELL, SHAPE = torch.ones(1, 4), torch.zeros(1, 2), torch.ones(1, 2)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: encode_rcnn(BOX.long(), BOX), "boxes: expected float32 or float64"),
        (lambda: encode_rcnn(BOX, BOX[:, :3]), "anchors: expected"),
        (lambda: decode_rcnn(torch.zeros(1, 8), BOX), "offsets: expected"),
        (lambda: encode_rcnn(BOX, BOX, weights=(10.0, 10.0, 5.0, 0.0)), "weights: expected four numbers above 0"),
        (lambda: decode_rcnn(BOX, BOX, weights=(10.0, 10.0, 5.0)), "weights"),
        (lambda: encode_yolo_v1(BOX, BOX, (7, 7), SIZE), r"cells: expected \(\.\.\., 2\)"),
        (lambda: decode_yolo_v1(BOX, BOX, (7, 7), SIZE), "cells"),
        (lambda: encode_yolo_v3(BOX, CELL, BOX, 8), "anchors"),
        (lambda: decode_yolo_v3(BOX, CELL, SHAPE, 0), "stride: expected a number above 0"),
        (lambda: encode_yolo_v3(BOX, CELL, SHAPE, 8, grid_scale=0.5), "grid_scale"),
        (lambda: encode_yolo_v5(BOX, BOX, SHAPE, 8), "cells"),
        (lambda: decode_yolo_v5(BOX, CELL, BOX, 8), "anchors"),
        (lambda: decode_yolo_v5(BOX[:, :3], CELL, SHAPE, 8), "offsets"),
        (lambda: encode_distances(BOX, BOX), "points"),
        (lambda: decode_distances(BOX, CELL, stride=-1), "stride"),
        (lambda: encode_rcnn(torch.ones(2, 4), torch.ones(3, 4)), r"boxes, anchors: .*\(2, 4\) and \(3, 4\)"),
        (lambda: decode_rcnn(torch.ones(2, 4), torch.ones(3, 4)), "offsets, anchors: expected as many of both"),
        (lambda: encode_yolo_v1(torch.ones(2, 4), torch.ones(3, 2), (7, 7), (64, 64)), "boxes, cells: expected as"),
        (lambda: decode_yolo_v1(torch.ones(2, 4), torch.ones(3, 2), (7, 7), (64, 64)), "offsets, cells: expected as"),
        (lambda: encode_yolo_v1(BOX, CELL, (0, 7), (64, 64)), r"grid: expected 1 x 1 or more, got \(0, 7\)"),
        (lambda: decode_yolo_v1(BOX, CELL, (7,), (64, 64)), "grid: expected 1 x 1 or more"),
        (lambda: encode_yolo_v1(BOX, CELL, (7, 7), (64, 0)), "size: expected 1 x 1 or more"),
        (lambda: encode_rcnn([[0, 0, 1, 1]], BOX), "boxes: expected a tensor, got list"),
        (lambda: decode_distances(BOX, [0, 0]), "points: expected a tensor, got list"),
        (lambda: expected_distances(torch.zeros(2, 6)), "logits: expected"),
        (lambda: expected_distances(torch.zeros(2, 4)), "logits: expected"),
        (lambda: distance_places(torch.zeros(2), 0), "last"),
    ],
)
def test_wrong_arguments_are_named(call, said):
    with pytest.raises(UsageError, match=said):
        call()

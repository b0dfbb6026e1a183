"""Non-maximum suppression: the definition in plain Python, torchvision, and the same answers by every route."""

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.errors import UsageError
from convatlas.ops import nms as tensors
from convatlas.ops import nms_numpy as arrays

pytestmark = pytest.mark.row("C-02")

THRESHOLDS = [0.0, 0.1, 0.3, 1 / 3, 0.5, 0.7, 1.0]


def by_definition(boxes, scores, threshold, labels=None):
    """Each box in turn, the best first, is kept unless a kept one of its label overlaps it by more."""
    kept = []
    with np.errstate(all="ignore"):
        for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
            rivals = [k for k in kept if labels is None or labels[k] == labels[i]]
            if not any(float(overlap(boxes[i], boxes[k])) > threshold for k in rivals):
                kept.append(i)
    return kept


def overlap(a, b):
    zero = a.dtype.type(0)
    shared = max(zero, min(a[2], b[2]) - max(a[0], b[0])) * max(zero, min(a[3], b[3]) - max(a[1], b[1]))
    area, other = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return shared / (area + other - shared)


def scattered(count, seed=0, *, side=30.0, picture=600.0, dtype=np.float32):
    random = np.random.default_rng(seed)
    corner = random.uniform(0, picture, (count, 2))
    boxes = np.concatenate([corner, corner + random.uniform(side / 3, side, (count, 2))], axis=1)
    return boxes.astype(dtype), random.random(count).astype(dtype)


def clustered(count, seed=0, *, objects=12, dtype=np.float32):
    """Boxes round a few objects of very different sizes, as a detector gives them."""
    random = np.random.default_rng(seed)
    centre, side = random.uniform(0, 800, (objects, 2)), np.exp(random.uniform(2, 6, (objects, 2)))
    which = random.integers(objects, size=count)
    middle = centre[which] + random.normal(0, 0.1, (count, 2)) * side[which]
    half = side[which] * np.exp(random.normal(0, 0.15, (count, 2))) / 2
    return np.concatenate([middle - half, middle + half], axis=1).astype(dtype), random.random(count).astype(dtype)


BOX = st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(0, 6)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
ROW = st.tuples(BOX, st.sampled_from([0.1, 0.25, 0.5, 0.9]), st.integers(-1, 2))  # few scores: many are equal


@settings(derandomize=True, max_examples=400)
@given(
    st.lists(ROW, max_size=40), st.booleans(), st.sampled_from(THRESHOLDS), st.sampled_from([np.float32, np.float64])
)
def test_every_route_gives_what_the_definition_gives(rows, grid, threshold, dtype):
    with pytest.MonkeyPatch.context() as patch:
        if grid:
            patch.setattr(arrays, "_FEW", 0)
        every_route(rows, threshold, dtype)


def every_route(rows, threshold, dtype):
    boxes = np.array([row[0] for row in rows], dtype).reshape(-1, 4)
    scores = np.array([row[1] for row in rows], dtype)
    labels = np.array([row[2] for row in rows], np.int64)
    expected = by_definition(boxes, scores, threshold)
    assert arrays.nms(boxes, scores, threshold).tolist() == expected
    assert tensors.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold).tolist() == expected
    expected = by_definition(boxes, scores, threshold, labels)
    assert arrays.nms_per_class(boxes, scores, labels, threshold).tolist() == expected
    tensor = [torch.from_numpy(each) for each in (boxes, scores, labels)]
    assert tensors.nms_per_class(*tensor, threshold).tolist() == expected


@pytest.mark.parametrize("threshold", [0.0, 0.05, 0.3, 0.5, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("make", [scattered, clustered])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_thousands_of_boxes_as_torchvision_has_them(make, threshold, dtype):
    boxes, scores = make(3000, 1, dtype=dtype)
    expected = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold).tolist()
    assert arrays.nms(boxes, scores, threshold).tolist() == expected
    assert tensors.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold).tolist() == expected


def test_many_boxes_go_by_position_if_many_are_kept(monkeypatch):
    by_position = []
    route = arrays.nms
    monkeypatch.setattr(arrays, "nms", lambda *given: by_position.append(len(given[0])) or route(*given))
    for boxes, scores in (
        scattered(2000),
        scattered(2001),
        clustered(2001, objects=3),
        scattered(9000),
        clustered(9000),
    ):
        tensor = torch.from_numpy(boxes), torch.from_numpy(scores)
        assert torch.equal(tensors.nms(*tensor, 0.5), torchvision.ops.nms(*tensor, 0.5))
    assert by_position == [2001, 9000]


@pytest.mark.parametrize("count", [arrays._FEW - 1, arrays._FEW, arrays._FEW + 1])
def test_few_boxes_are_compared_without_a_grid(monkeypatch, count):
    grids = []
    grid = arrays._grid
    monkeypatch.setattr(arrays, "_grid", lambda *given: grids.append(count) or grid(*given))
    boxes, scores = clustered(count, 2)
    labels = np.arange(count) % 3
    assert arrays.nms_per_class(boxes, scores, labels, 0.4).tolist() == by_definition(boxes, scores, 0.4, labels)
    assert bool(grids) == (count > arrays._FEW)


def test_without_a_look_at_values_the_answer_is_the_same_and_a_nan_stays():
    boxes, scores = (torch.from_numpy(each) for each in clustered(300, 2))
    assert torch.equal(tensors.nms(boxes, scores, 0.5, check=False), tensors.nms(boxes, scores, 0.5))
    boxes[7, 2] = float("nan")
    assert 7 in tensors.nms(boxes, scores, 0.5, check=False)
    with pytest.raises(UsageError, match="dtype"):
        tensors.nms(boxes, scores.double(), 0.5, check=False)


@pytest.mark.parametrize("step", [1, 7, 100])
def test_however_few_are_done_in_a_step(monkeypatch, step):
    boxes, scores = clustered(500, 3)
    expected = by_definition(boxes, scores, 0.4)
    monkeypatch.setattr(arrays, "_FIRST_PAIRS", step)
    monkeypatch.setattr(arrays, "_MOST_PAIRS", step)
    monkeypatch.setattr(arrays, "_MOST_BOXES", step)
    assert arrays.nms(boxes, scores, 0.4).tolist() == expected


def test_a_threshold_that_float32_cannot_hold_is_met_on_its_right_side():
    """3 / 10 in float32 is a little above 0.3, 7 / 10 a little below 0.7: torchvision compares with the exact 0.3."""
    for shared, threshold in ((3, 0.3), (7, 0.7), (1, 1 / 3)):
        total = 3 if shared == 1 else 10
        boxes = np.array([[0, 0, total, 1], [0, 0, shared, 1]], np.float32)
        scores = np.array([0.9, 0.8], np.float32)
        expected = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold).tolist()
        assert arrays.nms(boxes, scores, threshold).tolist() == expected == by_definition(boxes, scores, threshold)


def odd_sets():
    boxes, scores = scattered(600, 4)
    yield "all the same box", np.repeat(boxes[:1], 600, axis=0), scores
    yield "nothing has area", np.repeat(boxes[:, :2], 2, axis=1)[:, [0, 2, 1, 3]], scores
    yield "all scores are equal", boxes, np.full_like(scores, 0.5)
    strays = boxes.copy()
    strays[:5] *= 1e6
    strays[5:9] -= 1e7
    yield "strays", strays, scores
    huge = boxes.copy()
    huge[:50] *= 1e30  # areas overflow
    yield "huge", huge, scores
    yield "tiny", boxes * np.float32(1e-25), scores  # areas underflow
    lines = boxes.copy()
    lines[:, 3] = lines[:, 1] + np.float32(1e-3)
    yield "thin", lines, scores
    chain = np.arange(600, dtype=np.float32)[:, None] * 4 + np.array([0, 0, 10, 10], np.float32) * np.float32(1)
    chain[:, [1, 3]] = (0, 10)
    yield "a chain, each overlapping the next", chain, np.linspace(1, 0, 600, dtype=np.float32)
    yield "negative scores", boxes, -scores


@pytest.mark.parametrize(("boxes", "scores"), [pytest.param(b, s, id=name) for name, b, s in odd_sets()])
@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.8])
def test_odd_sets_agree_with_torchvision(boxes, scores, threshold):
    expected = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold).tolist()
    assert arrays.nms(boxes, scores, threshold).tolist() == expected


def test_per_class_is_the_definition_for_any_labels():
    boxes, scores = clustered(700, 5)
    labels = np.random.default_rng(6).choice(np.array([-5, 3, 10**12]), 700)
    expected = by_definition(boxes, scores, 0.5, labels)
    assert arrays.nms_per_class(boxes, scores, labels, 0.5).tolist() == expected
    own = np.arange(700)  # no two of one label
    assert len(arrays.nms_per_class(boxes, scores, own, 0.0)) == 700


def test_per_class_with_more_labels_than_cells():
    count = 70_000
    boxes = np.tile(np.array([[0, 0, 4, 4]], np.float32), (count, 1))
    labels = np.arange(count) // 2
    kept = arrays.nms_per_class(boxes, np.linspace(1, 0, count, dtype=np.float32), labels, 0.5)
    assert kept.tolist() == list(range(0, count, 2))


def test_boxes_moved_apart_are_the_same_answer():
    """What a GPU is given."""
    boxes, scores = (torch.from_numpy(each) for each in clustered(500, 7))
    labels = torch.from_numpy(np.random.default_rng(8).integers(0, 80, 500))
    moved = tensors._moved_apart(boxes.double() - 300, labels)
    assert torch.equal(
        torchvision.ops.nms(moved, scores.double(), 0.5), tensors.nms_per_class(boxes, scores, labels, 0.5)
    )
    assert tensors._moved_apart(boxes[:0], labels[:0]).shape == (0, 4)


def test_neighbours_alone_are_looked_at(monkeypatch):
    """Four times the boxes on four times the area: about four times the pairs, not sixteen."""
    looked = []
    neighbours = arrays._neighbours

    def counted(*given):
        done, first, second = neighbours(*given)
        looked[-1] += len(first)
        return done, first, second

    monkeypatch.setattr(arrays, "_neighbours", counted)
    for count, picture in ((2000, 600.0), (8000, 1200.0)):
        looked.append(0)
        arrays.nms(*scattered(count, 9, picture=picture), 0.5)
    assert 0 < looked[1] < 6 * looked[0]
    looked.append(0)
    boxes, scores = scattered(1, 9)
    arrays.nms(np.repeat(boxes, 8000, axis=0), np.repeat(scores, 8000), 0.5)
    assert looked[-1] < 8 * 8000, "of equal boxes few look for neighbours"


def test_no_boxes():
    none, labels = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)
    for kept in (tensors.nms(none, none[:, 0], 0.5), tensors.nms_per_class(none, none[:, 0], labels, 0.5)):
        assert kept.dtype == torch.int64
        assert kept.shape == (0,)
    assert arrays.nms(none.numpy(), none[:, 0].numpy(), 0.5).shape == (0,)


def test_boxes_with_a_gradient_and_in_strange_strides():
    boxes, scores = (torch.from_numpy(each) for each in scattered(50))
    wide = torch.cat((boxes, boxes), dim=1).requires_grad_()
    expected = tensors.nms(boxes, scores, 0.5)
    assert torch.equal(tensors.nms(wide[:, :4], scores, 0.5), expected)
    assert torch.equal(tensors.nms_per_class(wide[:, 4:], scores, torch.zeros(50).int(), 0.5), expected)


@pytest.mark.parametrize("rows", [3, 3000])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda b, s: b.__setitem__((2, 1), float("nan")), r"boxes\[2\]: expected finite"),
        (lambda b, s: b.__setitem__((1, 2), float("inf")), r"boxes\[1\]: expected finite"),
        (lambda b, s: b.__setitem__((0, 2), -1e6), r"boxes\[0\]: expected x1 <= x2"),
        (lambda b, s: s.__setitem__(1, float("nan")), r"scores\[1\]: expected a finite"),
        (lambda b, s: s.__setitem__(2, float("inf")), r"scores\[2\]: expected a finite"),
    ],
)
def test_wrong_values_are_named_by_every_route(rows, spoil, said):
    boxes, scores = scattered(rows)
    spoil(boxes, scores)
    with pytest.raises(UsageError, match=said):
        arrays.nms(boxes, scores, 0.5)
    with pytest.raises(UsageError, match=said):
        tensors.nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.5)


@pytest.mark.parametrize(
    ("boxes", "scores", "threshold", "said"),
    [
        (torch.zeros(2, 4).long(), torch.zeros(2), 0.5, r"boxes: expected \(N, 4\) float32 or float64"),
        (torch.zeros(2, 4).bfloat16(), torch.zeros(2).bfloat16(), 0.5, r"got \(2, 4\) torch.bfloat16"),
        (torch.zeros(2, 4), torch.zeros(2).double(), 0.5, "one dtype"),
        (torch.zeros(2, 5), torch.zeros(2), 0.5, "boxes: expected"),
        (torch.zeros(1, 2, 4), torch.zeros(2), 0.5, r"boxes: expected .* got \(1, 2, 4\)"),
        (torch.zeros(2, 4), torch.zeros(3), 0.5, r"scores: expected 2, one a box, got shape \(3,\)"),
        (torch.zeros(2, 4), torch.zeros(2), 1.5, r"threshold: expected 0\.\.1, got 1\.5"),
        (torch.zeros(2, 4), torch.zeros(2), float("nan"), "threshold"),
    ],
)
def test_wrong_arguments_are_named(boxes, scores, threshold, said):
    with pytest.raises(UsageError, match=said):
        tensors.nms(boxes, scores, threshold)


def test_wrong_labels_are_named():
    boxes, scores = (torch.from_numpy(each) for each in scattered(5))
    with pytest.raises(UsageError, match="labels: expected whole numbers"):
        tensors.nms_per_class(boxes, scores, scores, 0.5)
    with pytest.raises(UsageError, match="labels: expected 5"):
        tensors.nms_per_class(boxes, scores, torch.zeros(4, dtype=torch.int64), 0.5)


class Suppress(torch.nn.Module):
    def forward(self, boxes, scores, labels):
        return boxes[tensors.nms(boxes, scores, 0.5)], tensors.nms_per_class(boxes, scores, labels, 0.5)


@pytest.mark.filterwarnings("ignore:`create_unbacked_symint`:FutureWarning")  # of torchvision's own description of it
def test_it_can_be_exported():
    boxes, scores = (torch.from_numpy(each) for each in clustered(60, 10))
    labels = torch.arange(60) % 3
    exported = torch.export.export(Suppress(), (boxes, scores, labels)).module()
    kept, per_class = exported(boxes, scores, labels)
    assert torch.equal(kept, boxes[tensors.nms(boxes, scores, 0.5)])
    assert torch.equal(per_class, tensors.nms_per_class(boxes, scores, labels, 0.5))

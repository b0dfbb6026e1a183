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
            patch.setattr(arrays, "_FEW_PAIRS", -1)
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


@pytest.mark.parametrize("count", [99, 100, 101])
def test_few_boxes_are_compared_without_a_grid(monkeypatch, count):
    grids = []
    grid = arrays._grid
    monkeypatch.setattr(arrays, "_grid", lambda *given: grids.append(count) or grid(*given))
    boxes, scores = clustered(count, 2)
    monkeypatch.setattr(arrays, "_FEW_PAIRS", 100 * 99 // 2)
    assert arrays.nms(boxes, scores, 0.4).tolist() == by_definition(boxes, scores, 0.4)
    assert bool(grids) == (count > 100)
    labels = np.arange(count) % 3 - 1
    assert arrays.nms_per_class(boxes, scores, labels, 0.4).tolist() == by_definition(boxes, scores, 0.4, labels)
    assert len(grids) == (count > 100), "of three labels there are fewer pairs"


def test_a_crowd_does_not_hide_that_many_boxes_lie_apart(monkeypatch):
    """Of 60,000 boxes 92 % are crowded: the sample keeps fewer than FEW_KEPT, and the kernel would take seconds."""
    boxes, scores = clustered(60_000, 1, objects=3)
    apart, _ = scattered(4_800, 2, picture=30_000.0)
    boxes[np.random.default_rng(3).choice(60_000, 4_800, replace=False)] = apart
    tensor = torch.from_numpy(boxes), torch.from_numpy(scores)
    assert len(torchvision.ops.nms(tensor[0][::120], tensor[1][::120], 0.5)) <= tensors.FEW_KEPT
    by_position = []
    route = arrays.nms
    monkeypatch.setattr(arrays, "nms", lambda *given: by_position.append(len(given[0])) or route(*given))
    assert len(tensors.nms(*tensor, 0.5)) > 4_500
    assert by_position == [60_000]


def test_without_a_look_at_values_the_answer_is_the_same_and_a_nan_stays():
    boxes, scores = (torch.from_numpy(each) for each in clustered(300, 2))
    assert torch.equal(tensors.nms(boxes, scores, 0.5, check=False), tensors.nms(boxes, scores, 0.5))
    boxes[7, 2] = float("nan")
    assert 7 in tensors.nms(boxes, scores, 0.5, check=False)
    few, many = ([torch.from_numpy(each) for each in clustered(2001, 2, objects=objects)] for objects in (1, 2000))
    few[0][7, 2] = many[0][7, 2] = float("nan")
    assert 7 in tensors.nms(*few, 0.5, check=False)
    with pytest.raises(UsageError, match=r"boxes\[7\]: expected finite"):
        tensors.nms(*many, 0.5, check=False)  # they go by position
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


@pytest.mark.parametrize("most", [-1, 10**9])
@pytest.mark.parametrize("objects", [3, 100])
def test_pair_by_pair_or_box_by_box(monkeypatch, most, objects):
    boxes, scores = clustered(200, 4, objects=objects)
    labels = np.arange(200) % 2
    monkeypatch.setattr(arrays, "_PAIR_BY_PAIR", most)
    assert arrays.nms_per_class(boxes, scores, labels, 0.4).tolist() == by_definition(boxes, scores, 0.4, labels)


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


@pytest.mark.parametrize("labels", [[0, 1, 79], [-5, 3, 10**12], [2**53, 2**53 + 1, 2**62]])
def test_boxes_moved_apart_are_the_same_answer(labels):
    """What a GPU is given, for any labels: float64 cannot tell 2^53 from 2^53 + 1."""
    boxes, scores = (torch.from_numpy(each) for each in clustered(500, 7))
    boxes -= 300
    of = torch.from_numpy(np.random.default_rng(8).choice(np.array(labels), 500))
    moved = tensors._moved_apart(boxes, of)
    kept = torchvision.ops.nms(moved, scores.double(), 0.5)
    assert torch.equal(kept, tensors.nms_per_class(boxes, scores, of, 0.5))
    assert kept.tolist() == by_definition(boxes.double().numpy(), scores.numpy(), 0.5, of.tolist())


def test_boxes_are_not_moved_where_float64_cannot_hold_their_places():
    """Beside a stray at 1e30 the small ones would lose their areas, and a shift of both edges alike counts too."""
    boxes, labels = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 1e30, 1]]), torch.tensor([0, 1, 2])
    assert tensors._moved_apart(boxes, labels) is None
    assert tensors._moved_apart(boxes[:2], labels[:2]) is not None
    shifted = torch.tensor([[0.0, 0, 2.0**53, 1], [0.25, 0.25, 1.25, 1.25]], dtype=torch.float64)
    assert tensors._moved_apart(shifted, labels[:2]) is None
    lines = torch.tensor([[0.0, 0, 2.0**53, 1], [0.25, 0.25, 0.25, 9.25]], dtype=torch.float64)
    assert tensors._moved_apart(lines, labels[:2]) is not None, "a box without area overlaps none, wherever it is"
    assert tensors._moved_apart(boxes[:0], labels[:0]).shape == (0, 4)


class OnGpu(torch.Tensor):
    """A tensor that says that it is on a GPU: which way it goes is seen without one."""

    device = property(lambda self: torch.device("cuda"))


def test_what_is_on_a_gpu_is_looked_at_and_suppressed_there(monkeypatch):
    boxes, scores = (torch.from_numpy(each) for each in clustered(500, 7))
    labels = torch.arange(500) % 3
    there = [each.as_subclass(OnGpu) for each in (boxes, scores, labels)]
    expected, per_class = tensors.nms(boxes, scores, 0.5), tensors.nms_per_class(boxes, scores, labels, 0.5)
    with monkeypatch.context() as patch:
        patch.delattr(tensors, "_array")  # the way to the processor
        assert torch.equal(tensors.nms(*there[:2], 0.5), expected)
        assert torch.equal(tensors.nms_per_class(*there, 0.5), per_class)
    scores[3] = float("nan")
    with pytest.raises(UsageError, match=r"scores\[3\]"):
        tensors.nms_per_class(*there, 0.5)


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


def test_one_box_of_the_whole_picture_does_not_make_every_box_look_everywhere(monkeypatch):
    """At a threshold of 0 all that overlap count: 32 million pairs, if each looked as far as the largest reaches."""
    looked = []
    neighbours = arrays._neighbours
    monkeypatch.setattr(arrays, "_neighbours", lambda *given: looked.append(neighbours(*given)) or looked[-1])
    boxes, scores = scattered(8000, 9, picture=3000.0)
    boxes[17], scores[17] = (0, 0, 3030, 3030), -1
    expected = torchvision.ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.0).tolist()
    assert arrays.nms(boxes, scores, 0.0).tolist() == expected
    assert 0 < sum(len(first) for _, first, _ in looked) < 1_000_000


@pytest.mark.parametrize("threshold", [0.0, 0.003, 0.05])
@pytest.mark.parametrize("most", [3, 10**6])
def test_giants_suppress_and_are_suppressed_as_any_box(monkeypatch, threshold, most):
    monkeypatch.setattr(arrays, "_MOST_PAIRS", most * 100)  # of few boxes in a step, or many
    boxes, scores = scattered(700, 11, picture=900.0)
    giants = np.random.default_rng(12).uniform(0, 900, (6, 2)).astype(np.float32)
    boxes[:6] = np.concatenate([giants - 200, giants + np.float32([[150, 20]])], axis=1)
    scores[:6] = (0, 1, 0.99, 0.5, 0.45, 0.1)
    labels = np.arange(700) % 2
    assert arrays._giants(arrays._Columns.of(boxes), np.arange(700), threshold).sum() == 6
    assert arrays.nms(boxes, scores, threshold).tolist() == by_definition(boxes, scores, threshold)
    expected = by_definition(boxes, scores, threshold, labels)
    assert arrays.nms_per_class(boxes, scores, labels, threshold).tolist() == expected


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
    with pytest.raises(UsageError, match=said):
        tensors.nms_per_class(torch.from_numpy(boxes), torch.from_numpy(scores), torch.zeros(rows).long(), 0.5)


def test_scores_that_only_their_range_overflows_are_right():
    boxes, _ = (torch.from_numpy(each) for each in scattered(3, dtype=np.float64))
    scores = torch.tensor([-1.7e308, 1.7e308, 0.0], dtype=torch.float64)
    assert tensors.nms(boxes, scores, 0.5).tolist() == [1, 2, 0]


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
        (torch.zeros(2, 4), torch.zeros(2), None, "threshold: expected 0..1, got None"),
        (torch.zeros(2, 4), torch.zeros(2), "0.5", "threshold: expected 0..1, got '0.5'"),
        ([[0, 0, 1, 1]], torch.zeros(1), 0.5, "boxes: expected a tensor, got list"),
        (torch.zeros(1, 4), [0.5], 0.5, "scores: expected a tensor, got list"),
    ],
)
def test_wrong_arguments_are_named(boxes, scores, threshold, said):
    with pytest.raises(UsageError, match=said):
        tensors.nms(boxes, scores, threshold)


def test_arrays_of_wrong_forms_are_named():
    for boxes in (np.array(1.0), np.zeros(4), np.zeros((2, 5)), np.zeros((1, 2, 4))):
        with pytest.raises(UsageError, match="boxes: expected N x 4 values"):
            arrays.nms(boxes, np.zeros(2), 0.5)
    with pytest.raises(UsageError, match="scores: expected 2, one a box, got a single value"):
        arrays.nms(np.zeros((2, 4)), np.array(1.0), 0.5)
    box, score = np.zeros((1, 4)), np.zeros(1)
    for wrong, said in (
        (([[0, 0, 1, 1]], score, np.zeros(1, int)), "boxes"),
        ((box, [0.5], np.zeros(1, int)), "scores"),
        ((box, score, [0]), "labels"),
    ):
        with pytest.raises(UsageError, match=f"{said}: expected a NumPy array, got list"):
            arrays.nms_per_class(*wrong, 0.5)
    with pytest.raises(UsageError, match="boxes: expected a NumPy array, got list"):
        arrays.nms([[0, 0, 1, 1]], score, 0.5)


def test_wrong_labels_are_named():
    boxes, scores = (torch.from_numpy(each) for each in scattered(5))
    for labels in (scores, scores > 0):
        with pytest.raises(UsageError, match="labels: expected whole numbers"):
            tensors.nms_per_class(boxes, scores, labels, 0.5)
    with pytest.raises(UsageError, match="labels: expected a tensor, got list"):
        tensors.nms_per_class(boxes, scores, [0] * 5, 0.5)
    with pytest.raises(UsageError, match="labels: expected 5"):
        tensors.nms_per_class(boxes, scores, torch.zeros(4, dtype=torch.int64), 0.5)


class Suppress(torch.nn.Module):
    def forward(self, boxes, scores, labels):
        return boxes[tensors.nms(boxes, scores, 0.5)], tensors.nms_per_class(boxes, scores, labels, 0.5)


def examples(count):
    boxes, scores = (torch.from_numpy(each) for each in clustered(count, 10))
    return boxes, scores, torch.arange(count) % 3


def export(module):
    """For any number of boxes."""
    count = torch.export.Dim("count", min=1, max=10_000)
    return torch.export.export(module, examples(60), dynamic_shapes=({0: count},) * 3)


SYMINT = pytest.mark.filterwarnings(  # of torchvision's own description of it
    "ignore:`create_unbacked_symint`:FutureWarning"
)


@SYMINT
@pytest.mark.parametrize("count", [12, 60, 500])
def test_it_can_be_exported(count):
    exported = export(Suppress()).module()
    boxes, scores, labels = examples(count)
    kept, per_class = exported(boxes, scores, labels)
    assert torch.equal(kept, boxes[tensors.nms(boxes, scores, 0.5)])
    assert torch.equal(per_class, tensors.nms_per_class(boxes, scores, labels, 0.5))


@SYMINT
@pytest.mark.every_variant
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # of the exporter's own packages
def test_onnx_runtime_suppresses_the_same(tmp_path):
    import onnxruntime

    path = tmp_path / "nms.onnx"
    torch.onnx.export(export(Suppress()), dynamo=True).save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    for count in (1, 60, 500):
        boxes, scores, labels = examples(count)
        given = dict(zip(names, (each.numpy() for each in (boxes, scores, labels)), strict=True))
        kept, per_class = session.run(None, given)
        assert (kept == boxes[tensors.nms(boxes, scores, 0.5)].numpy()).all()
        assert per_class.tolist() == tensors.nms_per_class(boxes, scores, labels, 0.5).tolist()

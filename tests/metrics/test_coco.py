"""COCO's average precision and recall against pycocotools, value by value, and by hand."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

import convatlas
from convatlas.data.scenes.scene_set import scene_set
from convatlas.errors import UsageError
from convatlas.metrics.coco import COCO_BOXES, COCO_KEYPOINTS, COCO_MASKS, AreaRange, CocoSettings, evaluate_coco
from convatlas.metrics.outcomes import picture_outcomes
from convatlas.types import Detections
from convatlas.types.polygons import rle_of_polygons
from tests.metrics.coco_cases import CLASSES, boxes_case, found, keypoints_case, masks_case, pycocotools, sample

pytestmark = pytest.mark.row("C-09")


def assert_equal_to_pycocotools(truths, detections, settings, outlines=None):
    ours = evaluate_coco(truths, detections, CLASSES, settings)
    theirs = pycocotools(truths, detections, settings, outlines)
    for name, mine in (("precision", ours.precision), ("recall", ours.recall), ("scores", ours.scores)):
        np.testing.assert_allclose(np.nan_to_num(mine, nan=-1), theirs.eval[name], rtol=0, atol=1e-9, err_msg=name)
    return ours, theirs


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("scale", [1, 16])  # 16: areas on both sides of 32^2 and 96^2, and exactly there
def test_boxes_on_a_grid(seed, scale):
    truths, detections = boxes_case(seed, scale=scale)
    assert_equal_to_pycocotools(truths, detections, COCO_BOXES)


@pytest.mark.parametrize("seed", range(5))
def test_boxes_anywhere(seed):
    truths, detections = boxes_case(seed, pictures=30, scale=12.3, grid=False)
    assert_equal_to_pycocotools(truths, detections, COCO_BOXES)


@pytest.mark.parametrize("seed", range(8))
def test_few_detections_allowed_other_thresholds_and_areas(seed):
    settings = CocoSettings(
        thresholds=(0.25, 0.5, 1.0),
        areas=(AreaRange(name="any", low=0, high=1e10), AreaRange(name="nine", low=9, high=9)),
        max_detections=(2, 3),
    )
    assert_equal_to_pycocotools(*boxes_case(seed, most=12), settings)


@pytest.mark.parametrize("seed", range(12))
def test_masks(seed):
    assert_equal_to_pycocotools(*masks_case(seed), COCO_MASKS)


@pytest.mark.parametrize("seed", range(12))
def test_keypoints(seed):
    assert_equal_to_pycocotools(*keypoints_case(seed), COCO_KEYPOINTS)


def test_keypoints_of_another_skeleton():
    settings = dataclasses.replace(COCO_KEYPOINTS, sigmas=(0.1, 0.05, 0.2, 0.1, 0.03))
    ours, _ = assert_equal_to_pycocotools(*keypoints_case(3, points=5), settings)
    assert ours.average_precision() is not None


@pytest.mark.every_variant
@pytest.mark.parametrize("seed", range(100, 500))
def test_many_more_of_each(seed):
    settings = CocoSettings(max_detections=(1, 2, 5))
    assert_equal_to_pycocotools(*boxes_case(seed, scale=(1, 16)[seed % 2], most=15), settings)
    assert_equal_to_pycocotools(*masks_case(seed), COCO_MASKS)
    assert_equal_to_pycocotools(*keypoints_case(seed), COCO_KEYPOINTS)


@pytest.mark.parametrize("seed", range(6))
def test_masks_from_polygons(seed):
    random = np.random.default_rng(seed)
    truths, detections, outlines = [], [], {}
    for name in ("a", "b", "c"):
        # some reach outside, some cross themselves, some are of two parts
        drawn = [[random.uniform(-20, 150, (random.integers(3, 7), 2)) for _ in range(parts)] for parts in (1, 1, 2)]
        outlines[name] = drawn
        masks = tuple(rle_of_polygons(each, 110, 130) for each in drawn)
        answers = [rle_of_polygons([each + random.normal(0, 4) for each in parts], 110, 130) for parts in drawn]
        truths.append(sample(name, [[0, 0, 130, 110]] * 3, [0, 1, 1], size=(110, 130), masks=masks))
        boxes = np.zeros((6, 4))
        answers += masks
        detections.append(found(name, boxes, [0, 1, 1] * 2, random.random(6), size=(110, 130), masks=answers))
    ours, _ = assert_equal_to_pycocotools(truths, detections, COCO_MASKS, outlines)
    assert ours.average_recall() == 1


def test_more_detections_of_a_class_than_count():
    random = np.random.default_rng(0)
    truths = [sample(name, [[10 * i, 0, 10 * i + 8, 8] for i in range(12)], [0] * 12) for name in ("a", "b")]
    detections = []
    for each in truths:
        boxes = each.boxes[random.integers(0, 12, 250)] + random.integers(-2, 3, (250, 4)) * [1, 1, 0, 0]
        detections.append(found(each.name, boxes, random.integers(0, 2, 250), random.integers(0, 4, 250) / 4))
    ours, _ = assert_equal_to_pycocotools(truths, detections, COCO_BOXES)
    assert ours.recall[0, 0, 0, 0] < ours.recall[0, 0, 0, 1] < ours.recall[0, 0, 0, 2]


def test_overlaps_of_exactly_each_threshold():
    # Overlaps of 10/20 .. 20/20; in the second picture the union is larger than either.
    wide = [[0, 20 * i, 20, 20 * i + 1] for i in range(11)]
    narrow = [[0, 20 * i, 10 + i, 20 * i + 1] for i in range(11)]
    shifted = [[0, 20 * i, 20, 20 * i + 3] for i in range(11)]
    moved = [[0, 20 * i + 1, 20, 20 * i + 4] for i in range(11)]  # 2 of 4 rows
    truths = [sample("a", wide, [0] * 11), sample("b", shifted, [1] * 11)]
    detections = [found("a", narrow, [0] * 11, [0.5] * 11), found("b", moved, [1] * 11, [0.5] * 11)]
    ours, _ = assert_equal_to_pycocotools(truths, detections, COCO_BOXES)
    assert ours.recall[:, 0, 0, -1].tolist() == pytest.approx([(11 - t) / 11 for t in range(10)])
    assert ours.recall[:, 1, 0, -1].tolist() == [1] + [0] * 9


def test_areas_on_the_bounds():
    areas = [0, 1023.999, 1024, 1024.001, 9215.999, 9216, 9216.001]
    boxes = [[0, 40 * i, 30, 40 * i + 30] for i in range(7)]
    sides = [[0, 50 * i, 32, 50 * i + 32] for i in range(6)] + [[200, 0, 296, 96], [200, 0, 296.5, 96]]
    truths = [sample("a", boxes, [0] * 7, areas=areas)]
    detections = [found("a", [*boxes, *sides], [0] * 15, np.arange(15, 0, -1) / 15)]
    ours, _ = assert_equal_to_pycocotools(truths, detections, COCO_BOXES)
    assert ours.objects[0].tolist() == [7, 3, 4, 2]


@pytest.mark.parametrize(
    ("case", "settings"), [(boxes_case, COCO_BOXES), (masks_case, COCO_MASKS), (keypoints_case, COCO_KEYPOINTS)]
)
def test_all_scores_equal_none_found_and_nothing_true(case, settings):
    truths, detections = case(2)
    alike = [dataclasses.replace(each, scores=np.full_like(each.scores, 0.5)) for each in detections]
    assert_equal_to_pycocotools(truths, alike, settings)
    assert_equal_to_pycocotools(truths, detections[:2], settings)
    ours, _ = assert_equal_to_pycocotools(truths, [], settings)
    assert ours.average_precision() == ours.average_recall() == 0
    empty = [sample(each.name, [], [], size=(each.height, each.width)) for each in truths]
    ours, _ = assert_equal_to_pycocotools(empty, detections, settings)
    assert ours.average_precision() is None


def test_an_overlap_of_almost_one_is_one():
    points = np.full((1, 17, 3), [10, 10, 2], np.float32)
    near = np.nextafter(points, np.float32(11))
    truths = [sample("a", [[0, 0, 90, 90]], [0], keypoints=points)]
    detections = [found("a", [[0, 0, 90, 90]], [0], [0.5], keypoints=near)]
    settings = dataclasses.replace(COCO_KEYPOINTS, thresholds=(1.0,))
    ours, _ = assert_equal_to_pycocotools(truths, detections, settings)
    assert ours.average_recall() == 1
    assert picture_outcomes(truths, detections, CLASSES, kind="keypoint").pictures[0].found[0].overlap < 1


def test_the_summary_is_that_of_pycocotools():
    truths, detections = boxes_case(4, pictures=20, scale=16)
    ours, theirs = assert_equal_to_pycocotools(truths, detections, COCO_BOXES)
    theirs.summarize()
    names = "AP AP50 AP75 AP_small AP_medium AP_large AR_1 AR_10 AR_100 AR_small AR_medium AR_large"
    assert " ".join(ours.summary()) == names
    np.testing.assert_allclose([-1 if v is None else v for v in ours.summary().values()], theirs.stats, atol=1e-9)

    truths, detections = keypoints_case(4, pictures=20)
    ours, theirs = assert_equal_to_pycocotools(truths, detections, COCO_KEYPOINTS)
    theirs.summarize()
    assert " ".join(ours.summary()) == "AP AP50 AP75 AP_medium AP_large AR AR50 AR75 AR_medium AR_large"
    np.testing.assert_allclose([-1 if v is None else v for v in ours.summary().values()], theirs.stats, atol=1e-9)


def scene(true, answers, scores, **fields):
    """One picture, all of class 0."""
    return [sample("a.png", true, [0] * len(true), **fields)], [found("a.png", answers, [0] * len(answers), scores)]


def test_by_hand():
    # right, wrong, right: precision 1 up to recall 1/2, then 2/3; 51 of the 101 recalls are at most 1/2
    truths, detections = scene(
        [[0, 0, 4, 4], [10, 0, 14, 4]], [[0, 0, 4, 4], [50, 0, 54, 4], [10, 0, 14, 4]], [0.9, 0.8, 0.7]
    )
    result = evaluate_coco(truths, detections, ["cat"])
    assert result.average_precision() == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert result.average_recall() == 1
    assert result.average_recall(max_detections=1) == 0.5
    assert result.average_precision(area="large") is None
    assert result.objects.tolist() == [[2, 2, 0, 0]]


@pytest.mark.parametrize(("last", "recall"), [([2, 0, 8, 4], 1.0), ([0, 0, 6, 4], 0.5)])
def test_of_two_equal_overlaps_the_later_object_is_taken(last, recall):
    # The first detection overlaps both by 0.714; the second is one of them, and misses 0.7 with the other.
    first = [0, 0, 6, 4] if last[0] else [2, 0, 8, 4]
    truths, detections = scene([first, last], [[1, 0, 7, 4], [0, 0, 6, 4]], [0.9, 0.8])
    assert evaluate_coco(truths, detections, ["cat"]).average_recall(threshold=0.7) == recall


def test_a_crowd_takes_many_and_counts_for_nothing():
    truths, detections = scene(
        [[0, 0, 100, 100], [200, 0, 204, 4]],
        [[0, 0, 10, 10], [20, 20, 30, 30], [200, 0, 204, 4]],
        [0.9, 0.8, 0.7],
        iscrowd=[True, False],
    )
    assert evaluate_coco(truths, detections, ["cat"]).average_precision() == pytest.approx(1)
    truths[0] = dataclasses.replace(truths[0], iscrowd=np.zeros(2, np.bool_))
    assert evaluate_coco(truths, detections, ["cat"]).average_precision() == pytest.approx(51 * (1 / 3) / 101)


def test_difficult_objects_are_like_others():
    truths, detections = scene([[0, 0, 4, 4]], [], [], difficult=[True])
    assert evaluate_coco(truths, detections, ["cat"]).average_precision() == 0


def test_an_overlap_of_exactly_the_threshold_suffices():
    result = evaluate_coco(*scene([[0, 0, 4, 4]], [[0, 0, 4, 2]], [0.5]), ["cat"])
    assert result.average_precision(threshold=0.5) == pytest.approx(1)
    assert result.average_precision(threshold=0.55) == 0


def test_nothing_found_and_nothing_to_find():
    truths, _ = scene([[0, 0, 4, 4]], [], [])
    result = evaluate_coco(truths, [], ["cat", "dog"])
    assert (result.average_precision(), result.average_precision(label="dog")) == (0, None)
    nothing = [sample("a", [], [])]
    assert set(evaluate_coco(nothing, [], ["cat"]).summary().values()) == {None}


def test_the_order_of_the_pictures_does_not_matter():
    truths, detections = boxes_case(11, pictures=20)
    forward = evaluate_coco(truths, detections, CLASSES)
    backward = evaluate_coco(truths[::-1], detections[::-1], CLASSES)
    np.testing.assert_array_equal(forward.precision, backward.precision)


def test_many_objects_on_one_spot_in_small_steps(monkeypatch):
    truths, detections = boxes_case(5, pictures=4, most=40)
    whole = evaluate_coco(truths, detections, CLASSES)
    monkeypatch.setattr("convatlas.metrics.matching._BLOCK", 3)
    np.testing.assert_array_equal(whole.precision, evaluate_coco(truths, detections, CLASSES).precision)


def test_json_can_hold_it_and_a_person_can_read_it():
    truths, detections = boxes_case(4, pictures=20, scale=16)
    result = evaluate_coco(truths, detections, CLASSES)
    record = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert record["summary"]["AP"] == result.average_precision()
    assert [each["label"] for each in record["per_class"]] == list(CLASSES)
    assert record["per_class"][2] == {"label": "owl", "objects": 0, "ap": None, "ar": None}
    lines = str(result).splitlines()
    assert lines[0] == "COCO, box, 20 pictures"
    assert lines[1].split() == ["AP", f"{result.average_precision():.3f}"]
    assert lines[-1].split() == ["owl", "0", "-", "-"]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        ({"threshold": 0.51}, "threshold: expected one of 0.5, 0.55"),
        ({"area": "smal"}, 'area: expected one of all, small, .*"small"'),
        ({"label": "cta"}, 'label: .*Did you mean "cat"'),
        ({"max_detections": 5}, "max_detections: expected one of 1, 10, 100"),
    ],
)
def test_what_was_not_measured_is_said(ask, says):
    truths, detections = scene([[0, 0, 4, 4]], [], [])
    with pytest.raises(UsageError, match=says):
        evaluate_coco(truths, detections, ["cat"]).average_precision(**ask)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kind": "boxes"}, "kind: expected one of box, mask, keypoint"),
        ({"thresholds": ()}, "threshold"),
        ({"thresholds": (0.0, 0.5)}, "threshold"),
        ({"areas": ()}, "areas:"),
        ({"areas": (AreaRange(name="x", low=2, high=1),)}, "areas:"),
        ({"max_detections": (10, 1)}, "max_detections:"),
        ({"max_detections": (0,)}, "max_detections:"),
        ({"sigmas": (0.1, 0.0)}, "sigmas: expected finite numbers above 0"),
        ({"sigmas": (float("nan"),)}, "sigmas: expected finite numbers above 0"),
    ],
)
def test_settings_are_checked(settings, says):
    with pytest.raises(UsageError, match=says):
        CocoSettings(**settings)


def test_samples_of_a_data_set_as_they_are():
    data = scene_set(val=4)
    truths = [data.truth(index) for index in range(4)]
    answers = [
        Detections(
            name=each.name,
            height=each.height,
            width=each.width,
            boxes=each.boxes,
            classes=each.classes,
            scores=np.ones(len(each), np.float32),
            masks=each.masks,
            keypoints=each.keypoints,
        )
        for each in truths
    ]
    sigmas = (0.05,) * truths[0].keypoints.shape[1]
    for settings in (COCO_BOXES, COCO_MASKS, dataclasses.replace(COCO_KEYPOINTS, sigmas=sigmas)):
        result = evaluate_coco(truths, answers, data.classes, settings)
        assert result.average_precision() == pytest.approx(1)
        assert result.objects[:, 0].sum() == sum(map(len, truths))


def test_torch_is_not_needed():
    code = (
        "import convatlas.metrics.coco, convatlas.metrics.voc, convatlas.metrics.outcomes, "
        "convatlas.metrics.error_kinds, convatlas.metrics.proposals, convatlas.types, sys; print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "scipy", "pycocotools"} & set(run.stdout.split())


@pytest.mark.parametrize("settings", ["mask", None, 0.5])
def test_what_are_no_settings_is_told_which_there_are(settings):
    says = "settings: expected convatlas.COCO_BOXES, COCO_MASKS, COCO_KEYPOINTS or other CocoSettings, got "
    with pytest.raises(UsageError, match=f"^{says}{settings!r}$"):
        evaluate_coco(*scene([[0, 0, 8, 4]], [[0, 0, 8, 4]], [0.5]), CLASSES, settings)


def test_masks_and_keypoints_are_measured_with_public_names():
    assert [each.kind for each in (convatlas.COCO_BOXES, convatlas.COCO_MASKS, convatlas.COCO_KEYPOINTS)] == [
        "box",
        "mask",
        "keypoint",
    ]
    given = convatlas.CocoSettings(kind="mask", max_detections=(5,))
    assert convatlas.evaluate_coco(*masks_case(3), CLASSES, given).settings is given

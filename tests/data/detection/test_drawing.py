"""What is drawn stands where the objects are, in their classes' colours, and can be read."""

from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from convatlas.data.detection.drawing import colour_of, draw_objects
from convatlas.data.detection.object_set import ObjectSet
from convatlas.data.detection.records import KeypointPlan
from convatlas.data.detection.sheet import draw_some, object_sheet, told_objects
from convatlas.data.picture_set import ArrayReader
from convatlas.data.scenes.scene_set import scene_set
from convatlas.errors import PictureError, UsageError
from convatlas.types import Rle, Sample

pytestmark = pytest.mark.row("C-10")

GREY = np.full((100, 200, 3), 90, np.uint8)
CLASSES = ("cat", "dog", "a class of a long name that no picture has room for, at least none of this size")


def sample(
    boxes: list[list[float]], classes: list[int] | None = None, masks: tuple[Rle | None, ...] = (), **more: np.ndarray
) -> Sample:
    return Sample(
        name="a.png",
        height=100,
        width=200,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        classes=np.array(classes or [0] * len(boxes), np.int64),
        masks=masks,
        **more,
    )


def drawn(truth: Sample, size: int = 200, plan: KeypointPlan | None = None) -> np.ndarray:
    return np.asarray(draw_objects(GREY, truth, CLASSES, keypoints=plan, size=size)).astype(int)


def where(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (pixels == colour).all(axis=2)


@pytest.mark.parametrize("scale", [1, 3])
def test_a_box_s_edges_are_drawn_where_it_ends(scale: int) -> None:
    pixels = drawn(sample([[20, 40, 120, 90]], [1]), 200 * scale)
    assert pixels.shape == (100 * scale, 200 * scale, 3)
    ys, xs = np.nonzero(where(pixels, colour_of(1)) & (np.arange(100 * scale) > 60 * scale)[:, None])
    assert (xs.min(), xs.max()) == (20 * scale, 120 * scale - 1)
    assert ys.max() == 90 * scale - 1
    assert (pixels[65 * scale, 70 * scale] == 90).all()  # the object itself stays as it is


def test_a_large_picture_is_reduced_with_its_boxes() -> None:
    large = Sample(
        name="a",
        height=1000,
        width=2000,
        boxes=np.array([[200, 400, 1200, 900]], np.float32),
        classes=np.array([1]),
    )
    image = draw_objects(np.full((1000, 2000, 1), 90, np.uint8), large, CLASSES, size=200)
    assert image.size == (200, 100)
    xs = np.nonzero(where(np.asarray(image).astype(int), colour_of(1))[60:])[1]
    assert (xs.min(), xs.max()) == (20, 119)


def test_a_mask_tints_what_lies_inside() -> None:
    inside = np.zeros((100, 200), bool)
    inside[50:90, 30:110] = True
    pixels = drawn(sample([[20, 40, 120, 95]], [1], (Rle.from_mask(inside),)))
    tinted = np.array(colour_of(1)) * 0.35 + 90 * 0.65
    assert np.abs(pixels[70, 70] - tinted).max() <= 1
    assert (pixels[70, 26] == 90).all()  # in the box, beside the mask
    assert tuple(pixels[50, 70]) == colour_of(1)  # its edge is firm


def test_keypoints_are_discs_and_rings_and_joined() -> None:
    points = np.array([[[40.5, 60.5, 2], [100.5, 60.5, 1], [150.5, 60.5, 0]]], np.float32)
    plan = KeypointPlan(names=("a", "b", "c"), skeleton=((0, 1), (1, 2)))
    pixels = drawn(sample([[10, 30, 190, 95]], [1], keypoints=points), plan=plan)
    assert tuple(pixels[60, 40]) == colour_of(1)
    assert pixels[60, 100].max() < 40  # hidden: dark within
    assert (pixels[60, 70] != 90).any()  # the line between them
    assert (pixels[60, 125] == 90).all()  # none to a point that is not labelled
    assert (pixels[60, 150] == 90).all()


def test_small_objects_lie_upon_large_ones() -> None:
    full, small = np.ones((100, 200), bool), np.zeros((100, 200), bool)
    small[60:90, 60:90] = True
    masks = Rle.from_mask(small), Rle.from_mask(full)
    pixels = drawn(sample([[60, 60, 90, 90], [0, 0, 200, 100]], [0, 1], masks))
    assert np.abs(pixels[75, 75] - np.array(colour_of(0))).sum() < np.abs(pixels[75, 75] - np.array(colour_of(1))).sum()


def test_names_that_would_hide_each_other_move_apart_or_are_left_out() -> None:
    """Boxes that share a corner have their names at different corners; of a hundred such not a hundred names."""
    two = where(drawn(sample([[60, 40, 160, 90], [60, 40, 150, 80]], [0, 1])), colour_of(1))
    alone = where(drawn(sample([[60, 40, 150, 80]], [1])), colour_of(1))
    assert two.sum() > 0.7 * alone.sum()  # neither the name nor the box is covered
    many = drawn(sample([[60 + i / 10, 40, 160, 90] for i in range(100)]))
    assert where(many, (20, 20, 20)).mean() < 0.1


def test_a_name_that_is_too_long_and_boxes_at_the_edges() -> None:
    for box in ([0, 0, 200, 100], [0, 0, 3, 3], [197, 97, 200, 100], [199.5, 0, 200, 0.5]):
        assert drawn(sample([box], [2])).shape == (100, 200, 3)
    tiny = Sample(name="a", height=1, width=1, boxes=np.array([[0, 0, 1, 1]], np.float32), classes=np.array([0]))
    assert draw_objects(np.zeros((1, 1, 3), np.uint8), tiny, CLASSES, size=32).size == (32, 32)


def test_crowds_and_difficult_objects_say_so() -> None:
    plain = where(drawn(sample([[20, 40, 180, 90]])), colour_of(0)).sum()
    for mark in ("iscrowd", "difficult"):
        marked = where(drawn(sample([[20, 40, 180, 90]], **{mark: np.array([True])})), colour_of(0)).sum()
        assert marked > plain + 100  # the tab is longer


def luminance(colour: tuple[int, ...]) -> float:
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_names_can_be_read_on_their_colours() -> None:
    """WCAG's contrast of 4.5 between the letters and what they stand on."""
    for label in range(60):
        truth = sample([[20, 40, 180, 90]], [label])
        image = draw_objects(GREY, truth, ["WWWW"] * 60, size=200)
        tab = np.asarray(image).astype(int)[26:39, 21:60].reshape(-1, 3)
        letters = {tuple(map(int, pixel)) for pixel in tab} & {(20, 20, 20), (255, 255, 255)}
        contrasts = []
        for letter in letters:
            light, dark = sorted((luminance(colour_of(label)), luminance(letter)), reverse=True)
            contrasts.append((light + 0.05) / (dark + 0.05))
        assert max(contrasts) >= 4.5, label


def test_classes_have_colours_of_their_own() -> None:
    apart = [np.abs(np.subtract(colour_of(a), colour_of(b))).sum() for a, b in combinations(range(20), 2)]
    assert min(apart) > 70
    assert len({colour_of(label) for label in range(200)}) == 200


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(PictureError, match=r"a\.png: has 200 x 99 pixels, but its annotations state 200 x 100"):
        draw_objects(GREY[:99], sample([[0, 0, 5, 5]]), CLASSES)


# --- Several


def three() -> ObjectSet:
    """The second picture has not the size that its annotations state."""
    truths = sample([[20, 40, 120, 90], [0, 0, 9, 9], [9, 9, 20, 20]], [1, 0, 1]), sample([]), sample([[0, 0, 5, 5]])
    return ObjectSet(
        origin="here",
        format="voc",
        classes=CLASSES,
        names=("x/1.png", "x/2.png", "x/3.png"),
        splits=(None,) * 3,
        read=ArrayReader(np.stack([GREY] * 3)),
        truth=lambda index: truths[index],
    )


def test_words_for_those_who_cannot_see() -> None:
    drawings = draw_some(three(), count=9)
    assert [str(each) for each in drawings] == [
        "x/1.png, 200 x 100 pixels: 3 objects: dog (2), cat (1)",
        "x/2.png, 200 x 100 pixels: no object",
        "x/3.png, 200 x 100 pixels: 1 object: cat (1)",
    ]
    assert told_objects(sample([[0, 0, 1, 1]]), ["two\nlines"]) == "1 object: two lines (1)"


def test_one_that_cannot_be_drawn_is_a_crossed_box() -> None:
    objects = three()
    torn = ObjectSet(
        origin="here",
        format="voc",
        classes=CLASSES,
        names=objects.names,
        splits=objects.splits,
        read=ArrayReader(np.stack([GREY[:50]] * 3)),
        truth=objects.truth,
    )
    drawings = draw_some(torn, count=1, size=64)
    assert drawings[0].picture is None
    assert str(drawings[0]).endswith(": has 200 x 50 pixels, but its annotations state 200 x 100")
    sheet = np.asarray(object_sheet(drawings, size=64)).astype(int)
    assert where(sheet, (0xB3, 0x26, 0x1E)).sum() > 200


def test_the_seed_chooses_and_the_set_s_order_stays() -> None:
    scenes = scene_set(train=40)
    first, again, other = ([each.name for each in draw_some(scenes, count=5, seed=seed)] for seed in (0, 0, 1))
    assert first == again == sorted(first)
    assert first != other


def test_a_sheet_of_scenes() -> None:
    drawings = draw_some(scene_set(train=5), count=5, size=128)
    sheet = object_sheet(drawings, columns=3, size=128)
    assert isinstance(sheet, Image.Image)
    assert sheet.width == 3 * 138 + 10
    first = drawings[0].picture
    assert first is not None
    assert sheet.crop((10, 10, 138, 138)).tobytes() == first.tobytes()


@pytest.mark.parametrize(("count", "size"), [(0, 64), (1, 31), (1, 2000)])
def test_numbers_that_make_no_drawing(count: int, size: int) -> None:
    with pytest.raises(UsageError, match="expected"):
        draw_some(three(), count=count, size=size)
    with pytest.raises(UsageError, match="no picture to show"):
        draw_some(three().take([]))

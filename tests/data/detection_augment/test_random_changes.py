"""After any change the box still bounds its colour, the mask covers it, and each keypoint lies on its pixel."""

import numpy as np
import pytest
import torch

from convatlas.data.detection.augment.annotated import Annotated
from convatlas.data.detection.augment.random_changes import RandomChanges, mirror_order, resized
from convatlas.data.detection.augment.tensors import LEAST_SEEN, SMALLEST, changed
from convatlas.data.scenes.scene import POINTS
from convatlas.errors import UsageError
from convatlas.types import Rle, Sample
from tests.data.detection_augment.coloured import COLOURS, coloured, tight, where

pytestmark = pytest.mark.row("C-10")

BOXES = ((4, 6, 20, 30), (30, 2, 62, 18), (24, 22, 40, 44), (46, 24, 70, 46))
SHADES = (40, 60)


def a_picture(*, masks: bool = True) -> Annotated:
    return coloured((48, 72), BOXES, masks=masks)


def assert_true(picture: Annotated, *, tolerance: float = 0.0) -> None:
    """The objects are where the pixels say, within `tolerance` pixels."""
    sample = picture.sample
    assert picture.pixels.shape == (sample.height, sample.width, 3)
    for row, label in enumerate(sample.classes.tolist()):
        seen = where(picture.pixels, label)
        np.testing.assert_allclose(sample.boxes[row], tight(seen), atol=tolerance)
        mask = sample.masks[row]
        if mask is not None:
            assert sample.areas[row] == mask.area
            if not tolerance:
                assert (mask.to_mask() == seen).all()
            else:
                np.testing.assert_allclose(mask.bounds(), tight(seen), atol=tolerance)
        assert sample.difficult[row] == (label % 2 == 1)
        assert sample.iscrowd[row] == (label % 3 == 2)


def assert_points_at_their_pixels(picture: Annotated, *, mirrored: bool = False) -> None:
    """With `mirrored` the left point became the right one; only where a pixel is still a pixel."""
    height, width = picture.pixels.shape[:2]
    for label, points in zip(picture.sample.classes.tolist(), picture.sample.keypoints, strict=True):
        for (x, y, seen), shade in zip(points, SHADES[::-1] if mirrored else SHADES, strict=True):
            expected = np.maximum(COLOURS[label], shade) - shade
            if seen:
                assert x % 1 == y % 1 == 0.5
                assert picture.pixels[int(y), int(x)].tolist() == expected.tolist()
            else:
                assert (x, y) == (0, 0)
                assert not (picture.pixels.reshape(height * width, 3) == expected).all(axis=1).any()


def test_nothing_asked_for_is_nothing_done() -> None:
    picture = a_picture()
    same = RandomChanges()(picture)
    assert (same.pixels == picture.pixels).all()
    assert_true(same)
    assert (same.sample.keypoints == picture.sample.keypoints).all()
    assert same.weights.tolist() == [1, 1, 1, 1]


def test_mirroring_mirrors_all_and_exchanges_left_and_right() -> None:
    picture = a_picture()
    mirrored = RandomChanges(flip=1.0, mirror=(1, 0))(picture)
    assert (mirrored.pixels == picture.pixels[:, ::-1]).all()
    assert_true(mirrored)
    assert_points_at_their_pixels(mirrored, mirrored=True)
    # The left point, visible (2), was at the left edge: it is now the right one, and still visible.
    assert mirrored.sample.keypoints[0].tolist() == [[52.5, 18.5, 1], [67.5, 18.5, 2]]
    again = RandomChanges(flip=1.0, mirror=(1, 0))(mirrored)
    assert (again.sample.keypoints == picture.sample.keypoints).all()
    assert (again.sample.boxes == picture.sample.boxes).all()


def test_half_of_the_pictures_are_mirrored() -> None:
    torch.manual_seed(0)
    picture = a_picture()
    mirrored = sum(int((RandomChanges(flip=0.5)(picture).pixels != picture.pixels).any()) for _ in range(100))
    assert 35 < mirrored < 65


@pytest.mark.parametrize("masks", [True, False])
def test_crops_and_margins_keep_objects_true_pixel_by_pixel(masks: bool) -> None:
    torch.manual_seed(1)
    picture = a_picture(masks=masks)
    change = RandomChanges(zoom_out=2.0, crop=True)
    sizes, removed, cut = set(), 0, 0
    for _ in range(60):
        out = change(picture)
        # What is around the picture is no colour of an object: black, so that only objects have colours.
        ground = (out.pixels == (124, 116, 104)).all(axis=2)
        out.pixels[ground] = 0
        sizes.add(out.pixels.shape)
        removed += 4 - len(out.sample)
        cut += int(
            (
                out.sample.areas
                < [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in map(BOXES.__getitem__, out.sample.classes)]
            ).sum()
        )
        assert_true(out)
        assert_points_at_their_pixels(out)
    assert len(sizes) > 20 and removed > 20 and cut > 10


@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.5, 2.0)])
def test_scaled_objects_are_true_to_a_pixel(scale: tuple[float, float]) -> None:
    torch.manual_seed(2)
    picture = a_picture()
    for size in (36, 72, 100, 144):
        for _ in range(8):
            out = RandomChanges(size=size, scale=scale, flip=0.5)(picture)
            longer = max(out.pixels.shape)
            assert longer <= size if scale[1] > 1 else longer == size
            for row, label in enumerate(out.sample.classes.tolist()):
                np.testing.assert_allclose(out.sample.boxes[row], tight(where(out.pixels, label)), atol=1.01)
                mask = out.sample.masks[row]
                assert mask is not None
                np.testing.assert_allclose(out.sample.boxes[row], mask.bounds(), atol=1.01)


def test_twice_the_size_doubles_every_number() -> None:
    picture = a_picture()
    out = RandomChanges(size=144)(picture)
    assert out.pixels.shape == (96, 144, 3)
    assert (out.sample.boxes == 2 * picture.sample.boxes).all()
    assert (out.sample.keypoints[:, :, :2] == 2 * picture.sample.keypoints[:, :, :2]).all()
    for large, small in zip(out.sample.masks, picture.sample.masks, strict=True):
        assert (large.to_mask() == small.to_mask().repeat(2, 0).repeat(2, 1)).all()


def test_height_and_width_are_scaled_each_by_its_own_factor() -> None:
    picture = a_picture()
    out = changed(picture, lambda parts: resized(parts, 96, 216))  # twice and three times
    assert (out.sample.boxes == picture.sample.boxes * np.array([3, 2, 3, 2])).all()
    assert (out.sample.keypoints == picture.sample.keypoints * np.array([3, 2, 1])).all()
    for large, small in zip(out.sample.masks, picture.sample.masks, strict=True):
        assert (large.to_mask() == small.to_mask().repeat(2, 0).repeat(3, 1)).all()


def test_the_aspect_is_kept() -> None:
    assert RandomChanges(size=36)(a_picture()).pixels.shape == (24, 36, 3)
    assert RandomChanges(size=20)(coloured((1000, 50), [(0, 0, 50, 900)])).pixels.shape == (20, 1, 3)


def test_distortion_changes_colours_and_nothing_else() -> None:
    torch.manual_seed(3)
    picture = a_picture()
    outs = [RandomChanges(distort=1.0)(picture) for _ in range(5)]
    assert len({out.pixels.tobytes() for out in outs}) == 5
    assert all((out.sample.boxes == picture.sample.boxes).all() for out in outs)


def test_a_seed_decides() -> None:
    change = RandomChanges(distort=0.5, zoom_out=2.0, crop=True, flip=0.5, size=64, scale=(0.5, 1.5))

    def drawn(seed: int) -> list[Annotated]:
        torch.manual_seed(seed)
        return [change(a_picture()) for _ in range(5)]

    for one, other in zip(drawn(7), drawn(7), strict=True):
        assert (one.pixels == other.pixels).all()
        assert (one.sample.boxes == other.sample.boxes).all()
        assert (one.sample.keypoints == other.sample.keypoints).all()
    assert any(one.pixels.shape != other.pixels.shape for one, other in zip(drawn(7), drawn(8), strict=True))


# --- Which objects remain


def window(picture: Annotated, top: int, left: int, height: int, width: int) -> Annotated:
    from torchvision.transforms.v2 import functional

    return changed(
        picture,
        lambda parts: {name: functional.crop(part, top, left, height, width) for name, part in parts.items()},
    )


@pytest.mark.parametrize(
    ("left", "kept"),
    [(17, True), (18, True), (19, False), (20, False)],  # of columns 4..20 are left 3, 2 (of 16: 12.5 %), 1, 0
)
def test_tiny_and_hardly_seen_objects_go(left: int, kept: bool) -> None:
    out = window(a_picture(), 0, left, 48, 72 - left)
    assert (0 in out.sample.classes.tolist()) == kept
    assert (SMALLEST, LEAST_SEEN) == (2, 0.1)
    assert len(out.weights) == len(out.sample)


def test_one_pixel_of_a_narrow_object_is_too_little() -> None:
    narrow = coloured((20, 40), [(0, 0, 8, 20)])  # a column is an eighth of it: enough of it, but too narrow
    assert window(narrow, 0, 6, 20, 34).sample.boxes.tolist() == [[0, 0, 2, 20]]
    assert len(window(narrow, 0, 7, 20, 33).sample) == 0


def test_less_than_a_tenth_of_a_wide_object_is_too_little() -> None:
    wide = coloured((20, 100), [(0, 0, 50, 20)])
    assert len(window(wide, 0, 45, 20, 55).sample) == 1
    assert len(window(wide, 0, 46, 20, 54).sample) == 0  # 4 of 50 columns


def test_a_cut_object_is_bounded_by_what_is_left_of_its_mask() -> None:
    # Two 10 x 10 squares that touch at a corner: the right half of the box holds the lower square only.
    mask = np.zeros((40, 40), np.bool_)
    mask[10:20, 10:20] = mask[20:30, 20:30] = True
    sample = Sample(
        name="stairs",
        height=40,
        width=40,
        boxes=np.array([[10, 10, 30, 30]], np.float32),
        classes=np.array([0]),
        masks=(Rle.from_mask(mask),),
    )
    picture = Annotated(pixels=np.zeros((40, 40, 1), np.uint8), sample=sample)
    out = window(picture, 0, 20, 40, 20)
    assert out.sample.boxes.tolist() == [[0, 20, 10, 30]]
    assert out.sample.areas.tolist() == [100]
    empty = window(picture, 20, 0, 20, 20)  # the lower left quarter of the box, where the mask is not
    assert len(empty.sample) == 0


def test_stated_areas_shrink_with_the_box_where_there_is_no_mask() -> None:
    plain = a_picture(masks=False)
    sample = Sample(
        name="stated",
        height=48,
        width=72,
        boxes=plain.sample.boxes,
        classes=plain.sample.classes,
        areas=np.array([100.0, 1, 1, 1]),
    )
    out = window(Annotated(pixels=plain.pixels, sample=sample), 0, 12, 48, 60)  # half of object 0 is left
    assert out.sample.areas[0] == pytest.approx(50)
    assert out.sample.masks[0] is None


def test_objects_with_and_without_masks_stay_so() -> None:
    whole = a_picture().sample
    some = Sample(
        name="some",
        height=48,
        width=72,
        boxes=whole.boxes,
        classes=whole.classes,
        masks=(whole.masks[0], None, None, whole.masks[3]),
    )
    out = RandomChanges(flip=1.0)(Annotated(pixels=a_picture().pixels, sample=some))
    assert [mask is None for mask in out.sample.masks] == [False, True, True, False]
    assert out.sample.masks[3].bounds() == tuple(out.sample.boxes[3].tolist())


def test_pictures_without_objects_and_grey_ones_pass() -> None:
    empty = Annotated(
        pixels=np.full((30, 40, 1), 9, np.uint8),
        sample=Sample(
            name="empty", height=30, width=40, boxes=np.zeros((0, 4), np.float32), classes=np.zeros(0, np.int64)
        ),
    )
    out = RandomChanges(distort=0.5, zoom_out=2.0, crop=True, flip=1.0, size=32, scale=(0.5, 2))(empty)
    assert len(out.sample) == 0
    assert out.pixels.shape[2] == 3


def test_the_mirror_order_of_names() -> None:
    assert mirror_order(POINTS) == (0, 3, 2, 1)
    assert mirror_order(("nose", "left_eye", "right_eye", "left_ear")) == (0, 2, 1, 3)
    assert mirror_order(()) == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flip": 1.5}, "flip: expected a probability"),
        ({"distort": float("nan")}, "distort: expected a probability"),
        ({"zoom_out": 0.5}, "zoom_out: expected 1 to 4"),
        ({"mirror": (0, 0)}, "mirror: expected each of 0 to 1 once"),
        ({"size": 4}, "size: expected 16 to 8192"),
        ({"size": 64, "scale": (2.0, 1.0)}, "scale: expected 0.05"),
        ({"scale": (0.5, 1.0)}, "scale: needs a size"),
    ],
)
def test_what_is_out_of_range_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RandomChanges(**arguments)  # type: ignore[arg-type]  # what a user may write


def test_a_mirror_for_other_keypoints_is_refused() -> None:
    with pytest.raises(UsageError, match="coloured: mirror: expected 2, one a keypoint, got 3"):
        RandomChanges(flip=1.0, mirror=(0, 2, 1))(a_picture())

"""Mosaic, mixup and batches: several pictures as one, their objects still where their colours are."""

import numpy as np
import pytest
import torch

from convatlas.data.detection.augment.annotated import Annotated
from convatlas.data.detection.augment.batch import batch_of
from convatlas.data.detection.augment.mixup import mixup, share_mixed
from convatlas.data.detection.augment.mosaic import mosaic
from convatlas.errors import UsageError
from convatlas.types import Sample
from tests.data.detection_augment.coloured import COLOURS, coloured, tight, where

pytestmark = pytest.mark.row("C-10")


def four() -> list[Annotated]:
    """One object each, of colours 0 to 3, in pictures of different sizes."""
    return [
        coloured((64, 96), [(24, 16, 72, 48)], classes=[0], name="a"),
        coloured((96, 64), [(16, 24, 48, 72)], classes=[1], name="b"),
        coloured((80, 80), [(20, 20, 60, 60)], classes=[2], name="c", masks=False),
        coloured((50, 50), [(5, 5, 45, 45)], classes=[3], name="d"),
    ]


# --- Mosaic


def test_a_mosaic_s_objects_are_where_their_colours_are() -> None:
    torch.manual_seed(0)
    middles = set()
    for _ in range(40):
        out = mosaic(four(), 100)
        assert out.pixels.shape == (100, 100, 3)
        assert out.sample.name == "mosaic of a, b, c, d"
        for row, label in enumerate(out.sample.classes.tolist()):
            seen = where(out.pixels, label)
            np.testing.assert_allclose(out.sample.boxes[row], tight(seen), atol=1.01)
            mask = out.sample.masks[row]
            assert (mask is None) == (label == 2)
            if mask is not None:
                x1, y1, x2, y2 = tight(seen)
                edge = 2 * (x2 - x1 + y2 - y1)  # pixels: scaled colours are blurred there
                assert np.count_nonzero(mask.to_mask() != seen) <= edge < 0.4 * seen.sum()
        # A colour that is seen and has no object is one of which almost nothing is left.
        for label in set(range(4)) - set(out.sample.classes.tolist()):
            assert where(out.pixels, label).sum() < 300
        middles.add(tuple(out.sample.boxes[0].tolist()))
    assert len(middles) > 30


def test_each_picture_is_in_its_quarter() -> None:
    white = [np.full((40, 60, 3), value, np.uint8) for value in (50, 100, 150, 200)]
    plain = [
        Annotated(
            pixels=pixels,
            sample=Sample(
                name=str(pixels[0, 0, 0]),
                height=40,
                width=60,
                boxes=np.zeros((0, 4), np.float32),
                classes=np.zeros(0, np.int64),
            ),
        )
        for pixels in white
    ]
    out = mosaic(plain, 64, middle=(0.25, 0.25)).pixels[:, :, 0]
    assert set(out[:16, :16].ravel().tolist()) == {50}
    assert set(out[:16, 16:].ravel().tolist()) == {100}
    assert set(out[16:, :16].ravel().tolist()) == {150}
    assert set(out[16:, 16:].ravel().tolist()) == {200}


def test_a_seed_decides_the_mosaic() -> None:
    def drawn(seed: int) -> Annotated:
        torch.manual_seed(seed)
        return mosaic(four(), 96)

    assert (drawn(3).pixels == drawn(3).pixels).all()
    assert (drawn(3).sample.boxes == drawn(3).sample.boxes).all()
    assert (drawn(3).pixels != drawn(4).pixels).any()


def test_keypoints_move_with_their_quarter() -> None:
    pictures = [coloured((32, 32), [(8, 8, 24, 24)], classes=[label]) for label in range(4)]
    out = mosaic(pictures, 64, middle=(0.5, 0.5))  # each quarter is 32 x 32: nothing is scaled
    assert out.sample.keypoints[3].tolist() == [[40.5, 48.5, 2], [55.5, 48.5, 1]]
    assert out.pixels[48, 40].tolist() == (COLOURS[3] - np.minimum(COLOURS[3], 40)).tolist()


@pytest.mark.parametrize(
    ("count", "size", "middle", "message"),
    [
        (3, 64, (0.3, 0.7), "expected 4 pictures, got 3"),
        (4, 8, (0.3, 0.7), "size: expected 32 to 8192"),
        (4, 64, (0.7, 0.3), "middle: expected"),
        (4, 64, (0.0, 1.0), "middle: expected"),
    ],
)
def test_a_mosaic_of_what_cannot_be_is_refused(
    count: int, size: int, middle: tuple[float, float], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        mosaic(four()[:count], size, middle=middle)


# --- Mixup


def test_mixup_blends_pixels_and_keeps_all_objects_in_place() -> None:
    first, second = four()[:2]
    out = share_mixed(first, second, share=0.25)
    assert out.pixels.shape == (96, 96, 3)
    assert out.sample.boxes.tolist() == [[24, 16, 72, 48], [16, 24, 48, 72]]
    assert out.sample.classes.tolist() == [0, 1]
    assert out.weights.tolist() == [0.25, 0.75]
    # Red at a quarter and green at three quarters, both in the middle; each alone outside of the other; black else.
    assert out.pixels[40, 40].tolist() == [64, 191, 0]
    assert out.pixels[20, 60].tolist() == [64, 0, 0]
    assert out.pixels[70, 20].tolist() == [0, 191, 0]
    assert out.pixels[90, 90].tolist() == [0, 0, 0]
    for row, picture in enumerate((first, second)):
        height, width = picture.pixels.shape[:2]
        mask, own = out.sample.masks[row], picture.sample.masks[0]
        assert mask is not None and own is not None
        assert (mask.to_mask()[:height, :width] == own.to_mask()).all()
        assert mask.area == own.area
        assert (out.sample.keypoints[row] == picture.sample.keypoints[0]).all()


def test_a_share_of_one_is_the_first_picture() -> None:
    first, second = four()[:2]
    out = share_mixed(first, second, share=1.0)
    assert (out.pixels[:64, :96] == first.pixels).all()
    assert out.weights.tolist() == [1, 0]


def test_weights_multiply_when_a_mixed_picture_is_mixed_again() -> None:
    a, b, c, _ = four()
    out = share_mixed(share_mixed(a, b, share=0.25), c, share=0.5)
    assert out.weights.tolist() == [0.125, 0.375, 0.5]


def test_shares_are_those_of_the_beta_distribution() -> None:
    torch.manual_seed(0)
    small = coloured((4, 4), [(0, 0, 4, 4)])
    for alpha in (0.5, 1.5):
        shares = np.array([mixup(small, small, alpha=alpha).weights[0] for _ in range(500)])
        # Beta(a, a) has mean 1/2 and variance 1 / (4 (2a + 1)).
        assert shares.mean() == pytest.approx(0.5, abs=0.05)
        assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.15)


def test_objects_without_keypoints_get_unlabelled_ones() -> None:
    first = four()[0]
    bare = Annotated(
        pixels=np.zeros((20, 20, 1), np.uint8),
        sample=Sample(
            name="bare",
            height=20,
            width=20,
            boxes=np.array([[1, 2, 3, 4]], np.float32),
            classes=np.array([5]),
        ),
    )
    out = share_mixed(bare, first, share=0.5)
    assert out.sample.keypoints.shape == (2, 2, 3)
    assert not out.sample.keypoints[0].any()
    assert out.sample.masks[0] is None


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("nan"), 1000.0])
def test_an_alpha_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(UsageError, match="alpha: expected more than 0"):
        mixup(four()[0], four()[1], alpha=alpha)


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="share: expected 0 to 1"):
        share_mixed(four()[0], four()[1], share=1.5)


# --- Batches


def test_a_batch_pads_below_and_to_the_right() -> None:
    pictures = four()[:3]
    batch = batch_of(pictures)
    assert batch.pixels.shape == (3, 3, 96, 96)
    assert batch.pixels.dtype == torch.uint8
    assert batch.sizes.tolist() == [[64, 96], [96, 64], [80, 80]]
    for pixels, (height, width), picture in zip(batch.pixels, batch.sizes.tolist(), pictures, strict=True):
        assert (pixels[:, :height, :width].permute(1, 2, 0).numpy() == picture.pixels).all()
        assert not pixels[:, height:].any() and not pixels[:, :, width:].any()
    assert [boxes.tolist() for boxes in batch.boxes] == [picture.sample.boxes.tolist() for picture in pictures]
    assert [labels.tolist() for labels in batch.labels] == [[0], [1], [2]]
    assert [weights.tolist() for weights in batch.weights] == [[1], [1], [1]]
    assert batch.samples[1] is pictures[1].sample


def test_a_batch_is_as_large_as_the_multiple_asks() -> None:
    assert batch_of(four(), multiple=1).pixels.shape == (4, 3, 96, 96)
    assert batch_of(four(), multiple=64).pixels.shape == (4, 3, 128, 128)
    with pytest.raises(UsageError, match="at least one picture"):
        batch_of([])


# --- A picture with its objects


def test_pixels_and_objects_of_different_sizes_are_refused() -> None:
    picture = four()[0]
    with pytest.raises(UsageError, match="a: pixels: expected 64 x 96 pixels, got 64 x 95"):
        Annotated(pixels=picture.pixels[:, :95], sample=picture.sample)
    with pytest.raises(UsageError, match="a: weights: expected 1 of float32"):
        Annotated(pixels=picture.pixels, sample=picture.sample, weights=np.ones(2, np.float32))

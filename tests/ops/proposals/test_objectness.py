"""The four cues of objectness, against counting pixel by pixel, and what is made of them."""

import numpy as np
import pytest
from scipy import ndimage

from convatlas.errors import UsageError
from convatlas.metrics.overlaps import box_iou
from convatlas.ops.proposals import objectness_cues as cues
from convatlas.ops.proposals.objectness import (
    ObjectnessConfig,
    ObjectnessModel,
    draw_windows,
    learn,
    measure,
    objectness,
)
from tests.ops.proposals.pictures import better_than_random, noise, scenes

pytestmark = pytest.mark.row("C-07")

SMALL = ObjectnessConfig(drawn=5_000, looked_at=600)


@pytest.fixture(scope="module")
def evidence():
    return cues.evidence_of(scenes(1)[0].pixels[:60, :80])


@pytest.fixture(scope="module")
def windows(evidence):
    return draw_windows(evidence, ObjectnessConfig(drawn=500, looked_at=25), np.random.default_rng(0))


def test_sums_over_rectangles():
    values = np.random.default_rng(0).random((7, 9))
    found = cues.sums(values, np.array([[0, 0, 9, 7], [2, 1, 5, 4], [8, 6, 9, 7]]))
    assert found == pytest.approx([values.sum(), values[1:4, 2:5].sum(), values[6, 8]])


def test_saliency_is_the_spectral_residual():
    """Hou and Zhang's Equations 3 to 6 for one channel, with sums over neighbours instead of a filter."""
    picture = 0.5 + 0.1 * np.random.default_rng(0).random((32, 32))
    picture[20:24, 6:10] = 1
    spectrum = np.fft.fft2(picture)
    log = np.log(np.abs(spectrum))
    mean = sum(np.roll(log, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)) / 9
    expected = np.abs(np.fft.ifft2(np.exp(log - mean) * spectrum / np.abs(spectrum))) ** 2
    expected = ndimage.gaussian_filter(expected, 1.6)
    saliency = cues.spectral_residual(picture[:, :, None], 32)
    np.testing.assert_allclose(saliency, expected / expected.sum(), rtol=1e-5)
    y, x = np.unravel_index(np.argmax(saliency), saliency.shape)
    assert 18 <= y < 26
    assert 4 <= x < 12


def test_multi_scale_saliency_counts_pixels(evidence, windows):
    height, width = evidence.size
    for window, found in zip(windows, cues.multi_scale_saliency(evidence, windows), strict=True):
        total = 0.0
        for saliency in evidence.saliency:
            side = len(saliency)
            x1, x2 = int(np.floor(window[0] * side / width)), int(np.ceil(window[2] * side / width))
            y1, y2 = int(np.floor(window[1] * side / height)), int(np.ceil(window[3] * side / height))
            inside = saliency[y1:y2, x1:x2]
            salient = inside >= saliency.mean()
            total += inside[salient].sum() * salient.sum() / inside.size
        assert found == pytest.approx(total)


def test_colour_contrast_counts_pixels(evidence, windows):
    for (x1, y1, x2, y2), found in zip(windows, cues.colour_contrast(evidence, windows), strict=True):
        half = np.array([x2 - x1, y2 - y1])  # twice the sides about the same centre
        middle = np.array([x1 + x2, y1 + y2]) / 2
        low, high = np.maximum(np.round(middle - half), 0).astype(int), np.round(middle + half).astype(int)
        ring = np.zeros(evidence.size, bool)
        ring[low[1] : high[1], low[0] : high[0]] = True
        ring[y1:y2, x1:x2] = False
        if not ring.any():
            assert found == 0
            continue
        inside = np.bincount(evidence.colours[y1:y2, x1:x2].ravel(), minlength=256) / ((x2 - x1) * (y2 - y1))
        outside = np.bincount(evidence.colours[ring], minlength=256) / ring.sum()
        some = inside + outside > 0
        assert found == pytest.approx(((inside - outside)[some] ** 2 / (inside + outside)[some]).sum())


def test_edge_density_counts_pixels(evidence, windows):
    assert evidence.edges.any()
    for (x1, y1, x2, y2), found in zip(windows, cues.edge_density(evidence, windows), strict=True):
        half = np.array([x2 - x1, y2 - y1]) / 2 / 1.3
        middle = np.array([x1 + x2, y1 + y2]) / 2
        low, high = np.round(middle - half).astype(int), np.round(middle + half).astype(int)
        ring = np.zeros(evidence.size, bool)
        ring[y1:y2, x1:x2] = True
        ring[low[1] : high[1], low[0] : high[0]] = False
        assert found == pytest.approx(evidence.edges[ring].sum() / (2 * (x2 - x1 + y2 - y1)))


def test_straddling_counts_pixels(evidence, windows):
    labels = evidence.superpixels.labels
    assert labels.max() >= 2
    for (x1, y1, x2, y2), found in zip(windows, cues.superpixels_straddling(evidence, windows), strict=True):
        inside = np.bincount(labels[y1:y2, x1:x2].ravel(), minlength=labels.max() + 1)
        cost = np.minimum(inside, np.bincount(labels.ravel()) - inside).sum()
        assert found == pytest.approx(1 - cost / ((x2 - x1) * (y2 - y1)))


def test_windows_are_whole_different_and_inside(evidence):
    config = ObjectnessConfig(drawn=2_000, looked_at=300, smallest=10)
    windows = draw_windows(evidence, config, np.random.default_rng(1))
    assert len(np.unique(windows, axis=0)) == len(windows) == 300
    assert (windows[:, :2] >= 0).all()
    assert (windows[:, 2:] <= [80, 60]).all()
    assert (windows[:, 2:] - windows[:, :2] >= 10).all()


def test_the_posterior_by_hand():
    """Two bins a cue: 0.8 of objects and 0.2 of the others above 0.5 in the first, no difference in the others."""
    log_ratios = np.zeros((4, 2))
    log_ratios[0] = np.log([0.25, 4])
    model = ObjectnessModel(edges=np.full((4, 1), 0.5), log_ratios=log_ratios, prior=0.2)
    posterior = model.posterior(np.array([[0.6, 0.5, 0.4]] * 4))
    high, low = 0.2 * 0.8 / (0.2 * 0.8 + 0.8 * 0.2), 0.2 * 0.2 / (0.2 * 0.2 + 0.8 * 0.8)
    assert posterior == pytest.approx([high, high, low])


def test_what_is_learned_tells_objects_of_other_pictures_from_the_rest():
    pictures = scenes(14)
    model = learn([(each.pixels, each.sample.boxes) for each in pictures[:8]], SMALL)
    assert 0 < model.prior < 0.5
    won = []
    for number, each in enumerate(pictures[8:]):
        evidence = cues.evidence_of(each.pixels)
        windows = draw_windows(evidence, SMALL, np.random.default_rng(number))
        objects = np.round(each.sample.boxes).astype(np.int64)
        others = windows[box_iou(windows.astype(float), objects.astype(float)).max(axis=1) < 0.2]
        of_objects = model.posterior(measure(evidence, objects))
        of_others = model.posterior(measure(evidence, others))
        won += (of_objects[:, None] > of_others).mean(axis=1).tolist()
    assert np.mean(won) > 0.75  # the area under the curve; 0.5 is chance


def test_finds_objects_better_than_chance():
    pictures = scenes(10)
    boxes = [objectness(each.pixels, config=SMALL).boxes for each in pictures]
    found, chance = better_than_random(boxes, pictures, 30)
    assert found > chance + 0.02


def test_a_seed_draws_the_same_and_overlaps_are_suppressed():
    picture = scenes(1)[0].pixels
    first, again, other = (objectness(picture, config=SMALL, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.boxes[:20], other.boxes[:20])
    overlaps = box_iou(first.boxes.astype(float), first.boxes.astype(float))
    assert overlaps[np.triu_indices(len(first), 1)].max() <= SMALL.overlap


def test_tiny_and_flat_pictures():
    assert len(objectness(np.zeros((3, 5, 1), np.uint8), config=SMALL)) >= 1
    assert len(objectness(noise(0, 13, 13), config=SMALL)) >= 1


def test_bad_arguments_are_named():
    with pytest.raises(UsageError, match=r"ObjectnessConfig\.drawn must be at least 1, not 0"):
        ObjectnessConfig(drawn=0)
    with pytest.raises(UsageError, match=r"ObjectnessConfig\.overlap must be in 0\.\.1"):
        ObjectnessConfig(overlap=1.5)
    picture = noise(0, 20, 20)
    with pytest.raises(UsageError, match="at least one object"):
        learn([])
    with pytest.raises(UsageError, match="at least one object"):
        learn([(picture, np.zeros((0, 4)))], SMALL)
    right = (picture, np.array([[0, 0, 5, 5.0]]))
    for wrong, said in (
        (np.array([1.0, 2.0]), r"examples\[1\]: boxes: expected N x 4 values"),
        (np.array([[0, 0, 5, 5], [7, 0, 3, 5.0]]), r"examples\[1\]: boxes\[1\]: expected x1 <= x2"),
        (np.array([[0, 0, np.nan, 5]]), r"examples\[1\]: boxes\[0\]: expected finite"),
    ):
        with pytest.raises(UsageError, match=said):
            learn([right, (picture, wrong)], SMALL)
    with pytest.raises(TypeError, match="picture: expected uint8"):
        objectness(np.zeros((4, 4, 3)))

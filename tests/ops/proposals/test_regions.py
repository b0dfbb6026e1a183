"""Regions of a label map and their histograms, against counting pixel by pixel."""

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.ops.proposals.regions import (
    COLOUR_BINS,
    TEXTURE_BINS,
    colour_bins,
    histograms,
    means,
    regions_of,
    texture_bins,
)

pytestmark = pytest.mark.row("C-06")


def labels_of(seed, height=9, width=8, count=7):
    labels = np.random.default_rng(seed).integers(0, count, (height, width))
    labels.flat[:count] = np.arange(count)
    return labels


@pytest.mark.parametrize("seed", range(4))
def test_equal_to_counting(seed):
    labels = labels_of(seed)
    regions = regions_of(labels)
    borders = {}
    for y, x in np.ndindex(labels.shape):
        for v, u in ((y, x + 1), (y + 1, x), (y + 1, x + 1), (y + 1, x - 1)):
            if v < labels.shape[0] and 0 <= u < labels.shape[1] and labels[y, x] != labels[v, u]:
                pair = tuple(sorted((int(labels[y, x]), int(labels[v, u]))))
                borders[pair] = borders.get(pair, 0) + 1
    assert dict(zip(map(tuple, regions.pairs.tolist()), regions.borders.tolist(), strict=True)) == borders
    assert regions.pairs.tolist() == sorted(regions.pairs.tolist())
    for label in range(len(regions)):
        rows, columns = np.nonzero(labels == label)
        assert regions.sizes[label] == len(rows)
        assert regions.boxes[label].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert regions.area == labels.size


def test_as_many_regions_as_a_byte_has_values():
    labels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    regions = regions_of(labels)
    assert len(regions) == 256
    assert regions.boxes[255].tolist() == [15, 15, 16, 16]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((2, 2)), "whole numbers, got float64"),
        (np.zeros((2, 2, 1), int), "height x width"),
        (np.zeros((0, 2), int), "height x width"),
        (np.array([[1, 2]]), "0 as the smallest, got 1"),
        (np.array([[0, -1]]), "0 as the smallest, got -1"),
        (np.array([[0, 2, 2]]), "1 is the label of no pixel"),
        (np.array([[0, 2**40]]), "more than 2 pixels can have"),
    ],
)
def test_what_is_no_label_map(labels, message):
    with pytest.raises(UsageError, match=message):
        regions_of(labels)


def test_colour_histograms_are_numpy_s():
    labels = labels_of(5)
    values = np.random.default_rng(0).random((9, 8, 3)).astype(np.float32)
    values[0, 0] = 1  # the end of the last bin belongs to it
    regions = regions_of(labels)
    found = histograms(regions, colour_bins(values), COLOUR_BINS)
    assert found.shape == (7, 75)
    for label in range(7):
        inside = values[labels == label]
        counted = [np.histogram(channel, bins=25, range=(0, 1))[0] for channel in inside.T]
        np.testing.assert_allclose(found[label], np.concatenate(counted) / inside.size, rtol=1e-6)


def test_texture_histograms_have_the_paper_s_size_and_see_the_direction_of_an_edge():
    ramp = np.repeat(np.linspace(0, 1, 60, dtype=np.float32)[None], 60, axis=0)  # rises to the right
    values = np.repeat(ramp[:, :, None], 3, axis=2)
    bins = texture_bins(values)
    assert bins.shape == (24, 3600)  # 8 orientations of 3 channels
    inside = bins.reshape(3, 8, 60, 60)[:, :, 30, 30]
    # The slope is sqrt 2 of the root mean square along both axes, of 3 that ten bins reach: 4.7, and 3.3 at 45 degrees.
    assert inside.tolist() == [[4, 3, 0, 0, 0, 0, 0, 3]] * 3
    turned = texture_bins(np.ascontiguousarray(values.transpose(1, 0, 2))).reshape(3, 8, 60, 60)[:, :, 30, 30]
    assert turned.tolist() == [[0, 3, 4, 3, 0, 0, 0, 0]] * 3  # rises downwards
    steep = texture_bins(np.round(values))
    assert steep.max() == TEXTURE_BINS - 1
    found = histograms(regions_of(labels_of(0, 60, 60)), bins, TEXTURE_BINS)
    assert found.shape == (7, 240)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert not texture_bins(np.full((5, 5, 2), 0.3, np.float32)).any()


def test_means():
    labels, values = labels_of(1), np.random.default_rng(1).random((9, 8, 3))
    expected = [values[labels == label].mean(axis=0) for label in range(7)]
    np.testing.assert_allclose(means(regions_of(labels), values), expected)

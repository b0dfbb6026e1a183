"""Hierarchical grouping, against Algorithm 1 written out over sets of pixels, and similarities worked out by hand."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from scipy import ndimage

from convatlas.errors import UsageError
from convatlas.ops.proposals.grouping import Similarity, group
from convatlas.ops.proposals.regions import (
    COLOUR_BINS,
    TEXTURE_BINS,
    colour_bins,
    histograms,
    regions_of,
    texture_bins,
)

pytestmark = pytest.mark.row("C-06")

EVERY = [
    Similarity(colour=bool(which & 1), texture=bool(which & 2), size=bool(which & 4), fill=bool(which & 8))
    for which in range(1, 16)
]


def label_map(seed, height=14, width=12, seeds=16):
    """The pixels nearest to each of some points: regions as a segmentation makes them."""
    random = np.random.default_rng(seed)
    points = random.choice(height * width, seeds, replace=False)
    away = np.ones((height, width), bool)
    away.flat[points] = False
    number = np.zeros((height, width), int)
    number.flat[points] = np.arange(seeds)
    rows, columns = ndimage.distance_transform_edt(away, return_distances=False, return_indices=True)
    return number[rows, columns]


def algorithm_1(labels, similarity, colours, textures):
    """Section 3.1: unite the most similar neighbours, all computed anew from the pixels: the pairs, in order.

    colours, textures: (B, H * W) bins. Whole numbers and fractions, so that equal similarities are equal.
    """
    area = labels.size
    pixels = {label: frozenset(np.flatnonzero(labels == label).tolist()) for label in range(labels.max() + 1)}

    def around(region):
        found = set()
        for place in region:
            y, x = divmod(place, labels.shape[1])
            found |= {
                v * labels.shape[1] + u
                for v in range(max(y - 1, 0), min(y + 2, labels.shape[0]))
                for u in range(max(x - 1, 0), min(x + 2, labels.shape[1]))
            }
        return found

    def intersection(one, other, bins, count):
        shared = Fraction(0)
        for row in bins:
            a, b = (np.bincount(row[sorted(each)], minlength=count).tolist() for each in (one, other))
            shared += sum(min(Fraction(n, len(one)), Fraction(m, len(other))) for n, m in zip(a, b, strict=True))
        return shared / len(bins)

    def alike(one, other):
        total = Fraction(0)
        if similarity.colour:
            total += intersection(one, other, colours, COLOUR_BINS)
        if similarity.texture:
            total += intersection(one, other, textures, TEXTURE_BINS)
        if similarity.size:
            total += 1 - Fraction(len(one) + len(other), area)
        if similarity.fill:
            rows, columns = zip(*(divmod(place, labels.shape[1]) for place in one | other), strict=True)
            box = (max(rows) + 1 - min(rows)) * (max(columns) + 1 - min(columns))
            total += 1 - Fraction(box - len(one) - len(other), area)
        return total

    known, merges = {}, []
    while len(pixels) > 1:
        reach = {label: around(region) for label, region in pixels.items()}
        for one, other in itertools.combinations(sorted(pixels), 2):
            if (one, other) not in known and reach[one] & pixels[other]:
                known[one, other] = alike(pixels[one], pixels[other])
        near = [pair for pair in known if pair[0] in pixels and pair[1] in pixels]
        one, other = min(near, key=lambda pair: (-known[pair], pair))
        new = len(merges) + labels.max() + 1
        merges.append([one, other])
        pixels[new] = pixels.pop(one) | pixels.pop(other)
    return merges


@pytest.mark.parametrize("similarity", EVERY, ids=lambda s: "-".join(name for name, used in vars(s).items() if used))
def test_equal_to_the_paper(similarity):
    labels = label_map(sum(vars(similarity).values()))
    values = np.random.default_rng(3).random((*labels.shape, 2))
    values = ndimage.gaussian_filter(values, (1, 1, 0)).astype(np.float32)
    regions = regions_of(labels)
    colours, textures = colour_bins(values), texture_bins(values)
    found = group(
        regions, similarity, histograms(regions, colours, COLOUR_BINS), histograms(regions, textures, TEXTURE_BINS)
    )
    expected = algorithm_1(labels, similarity, colours, textures)
    assert found.merges.tolist() == expected
    members = [np.flatnonzero(labels == label) for label in range(len(regions))]
    for new, (one, other) in enumerate(expected, start=len(regions)):
        members.append(np.concatenate([members[one], members[other]]))
        rows, columns = np.divmod(members[new], labels.shape[1])
        assert found.boxes[new].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert found.boxes.dtype == np.float32
    assert found.boxes[: len(regions)].tolist() == regions.boxes.tolist()
    assert found.boxes[-1].tolist() == [0, 0, labels.shape[1], labels.shape[0]]
    assert found.positions.tolist() == list(range(2 * len(regions) - 1, 0, -1))


def test_each_similarity_by_hand():
    """Four columns, 2, 1, 2 and 3 pixels wide."""
    labels = np.repeat([[0, 0, 1, 2, 2, 3, 3, 3]], 2, axis=0)
    regions = regions_of(labels)
    colour = np.array([[1, 0, 0], [0.2, 0.8, 0], [0, 0.5, 0.5], [0, 0.1, 0.9]], np.float32)  # 0.2, 0.5, 0.6
    texture = np.array([[0.5, 0.5], [0.9, 0.1], [0.1, 0.9], [0.6, 0.4]], np.float32)  # 0.6, 0.2, 0.5
    first = {}
    for name in ("colour", "texture", "size"):
        first[name] = group(regions, Similarity(**{name: True}), colour, texture).merges.tolist()
    # (2, 3) first; then mean of 4 and 6 pixels: (0, 0.26, 0.74), which shares 0.26 with 1; 0 and 1 share 0.2.
    assert first["colour"] == [[2, 3], [1, 4], [0, 5]]
    # (0, 1) first: (4 x 0.5 + 2 x 0.9) / 6 = 0.633, 0.367, which shares 0.467 with 2; 2 and 3 share 0.5.
    assert first["texture"] == [[0, 1], [2, 3], [4, 5]]
    # 4 + 2 = 2 + 4 < 4 + 6: of equals the smaller numbers; then (2, 3) with 10 and (2, 4) with 10 of 16 pixels.
    assert first["size"] == [[0, 1], [2, 3], [4, 5]]


def test_fill_likes_a_hole_in_a_ring():
    labels = np.zeros((6, 6), int)
    labels[2:4, 2:4] = 1  # enclosed by region 0: nothing of their box is neither's
    labels[:, 5] = 2
    merges = group(regions_of(labels), Similarity(fill=True), np.ones((3, 1)), np.ones((3, 1))).merges
    assert merges.tolist() == [[0, 1], [2, 3]]


def test_one_region():
    found = group(regions_of(np.zeros((3, 4), int)), EVERY[-1], np.ones((1, 1)), np.ones((1, 1)))
    assert found.merges.shape == (0, 2)
    assert found.boxes.tolist() == [[0, 0, 4, 3]]


def test_no_similarity_is_refused():
    with pytest.raises(UsageError, match="at least one of colour, texture, size, fill"):
        Similarity()

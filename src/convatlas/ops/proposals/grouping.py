"""Hierarchical grouping: Algorithm 1 of Uijlings et al., "Selective Search for Object Recognition", IJCV 2013.

https://doi.org/10.1007/s11263-013-0620-5 -- Algorithm 1: Section 3.1; the four similarities, their propagation to a
united region and their sum: Section 3.2, Equations 1 to 6.
The two most similar neighbours are united until one region is left. A heap holds the similarities; those of a region
that is gone are passed over when they come up. Among equals, the pair of the smaller numbers goes first.
Shapes: R initial regions, P pairs of neighbours, B bins.
"""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.ops.proposals.regions import Regions


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Which of the four similarities are added up (Equation 6, whose a_i are 0 or 1)."""

    colour: bool = False  # Equation 1: the intersection of the colour histograms
    texture: bool = False  # Equation 3: the intersection of the texture histograms
    size: bool = False  # Equation 4: small regions early
    fill: bool = False  # Equation 5: regions that fill each other's gaps

    def __post_init__(self) -> None:
        if not (self.colour or self.texture or self.size or self.fill):
            raise UsageError("Similarity: give at least one of colour, texture, size, fill")


@dataclass(frozen=True, kw_only=True, eq=False)
class Hierarchy:
    """The initial regions 0 .. R - 1, and region R + i, which unites the two of merges[i].

    labels (H, W): the initial regions; merges (R - 1, 2); boxes (2R - 1, 4) float32 xyxy of all regions, the last of
    them the whole picture.
    """

    labels: NDArray[np.int32]
    merges: NDArray[np.int64]
    boxes: NDArray[np.float32]

    @property
    def positions(self) -> NDArray[np.int64]:
        """Where each region (2R - 1,) stands from the top: 1 for the whole picture, 2 for the one made before it, …"""
        return np.arange(len(self.boxes), 0, -1)


def group(
    regions: Regions, similarity: Similarity, colour: NDArray[np.float32], texture: NDArray[np.float32]
) -> Hierarchy:
    """Unite neighbours, the most similar first, until one region is left.

    colour, texture: (R, B) histograms of the regions, each of sum 1.
    """
    initial = len(regions)
    total = 2 * initial - 1
    parts = [each for each, used in ((colour, similarity.colour), (texture, similarity.texture)) if used]
    histogram = np.empty((total, sum(part.shape[1] for part in parts)), dtype=np.float32)
    if parts:
        np.concatenate(parts, axis=1, out=histogram[:initial])
    shapes = _Shapes(regions, similarity)
    sizes = shapes.sizes
    neighbours: list[set[int]] = [set() for _ in range(initial)]
    for one, other in regions.pairs.tolist():
        neighbours[one].add(other)
        neighbours[other].add(one)
    heap: list[tuple[float, int, int]] = []  # likeness negated, the smaller number, the larger
    for one in range(initial):
        _push(heap, one, sorted(other for other in neighbours[one] if other < one), histogram, shapes)
    gone = bytearray(total)
    merges: list[tuple[int, int]] = []
    for new in range(initial, total):
        _, one, other = heapq.heappop(heap)
        while gone[one] or gone[other]:
            _, one, other = heapq.heappop(heap)
        gone[one] = gone[other] = True
        merges.append((one, other))
        shapes.unite(one, other)
        share = sizes[one] / sizes[new]  # Equation 2: a mean weighted by size
        np.multiply(histogram[one], share, out=histogram[new])
        histogram[new] += histogram[other] * (1 - share)
        around = (neighbours[one] | neighbours[other]) - {one, other}
        neighbours.append(around)
        for each in around:
            beside = neighbours[each]
            beside.discard(one)
            beside.discard(other)
            beside.add(new)
        _push(heap, new, sorted(around), histogram, shapes)
    return Hierarchy(
        labels=regions.labels,
        merges=np.array(merges, dtype=np.int64).reshape(-1, 2),
        boxes=np.array(shapes.boxes, dtype=np.float32),
    )


def _push(
    heap: list[tuple[float, int, int]], new: int, near: list[int], histogram: NDArray[np.float32], shapes: "_Shapes"
) -> None:
    """Add the similarities of a region and its neighbours of smaller numbers."""
    likeness = shapes.likeness(new, near)
    if histogram.shape[1] and near:  # Equations 1 and 3
        shared = np.minimum(histogram[near], histogram[new]).sum(axis=1).tolist()
        likeness = [one + other for one, other in zip(likeness, shared, strict=True)]
    for each, alike in zip(near, likeness, strict=True):
        heapq.heappush(heap, (-alike, each, new))


class _Shapes:
    """Sizes and boxes of the regions so far, as plain numbers: there are some six neighbours to compare at a time."""

    def __init__(self, regions: Regions, similarity: Similarity) -> None:
        self.sizes: list[int] = regions.sizes.tolist()
        self.boxes: list[list[int]] = regions.boxes.tolist()
        self.by_size, self.by_fill = similarity.size, similarity.fill
        self.area = regions.area

    def unite(self, one: int, other: int) -> None:
        """Append the region that unites two."""
        self.sizes.append(self.sizes[one] + self.sizes[other])
        a, b = self.boxes[one], self.boxes[other]
        self.boxes.append([min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])])

    def likeness(self, new: int, near: list[int]) -> list[float]:
        """Equations 4 and 5, as far as they are asked for, added: the similarity of size and that of fill."""
        sizes, boxes, area = self.sizes, self.boxes, self.area
        size = sizes[new]
        likeness = [1 - (size + sizes[each]) / area if self.by_size else 0.0 for each in near]
        if self.by_fill:
            x1, y1, x2, y2 = boxes[new]
            for place, each in enumerate(near):
                left, top, right, bottom = boxes[each]
                wide = (x2 if x2 > right else right) - (x1 if x1 < left else left)  # max and min would be calls
                high = (y2 if y2 > bottom else bottom) - (y1 if y1 < top else top)
                likeness[place] += 1 - (wide * high - size - sizes[each]) / area
        return likeness

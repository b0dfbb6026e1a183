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
        """Where each region stands from the top: 1 for the whole picture, 2 for the one made before it, and so on: (2R - 1,)."""
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
    shapes = _Shapes(regions, similarity, total)
    histogram = np.empty((total, sum(part.shape[1] for part in parts)), dtype=np.float32)
    if parts:
        np.concatenate(parts, axis=1, out=histogram[:initial])
    neighbours: list[set[int]] = [set() for _ in range(initial)]
    for one, other in regions.pairs.tolist():
        neighbours[one].add(other)
        neighbours[other].add(one)
    heap = _initial_heap(regions, histogram[:initial], shapes)
    gone = bytearray(total)
    sizes = shapes.sizes
    merges: list[tuple[int, int]] = []
    for new in range(initial, total):
        _, one, other = heapq.heappop(heap)
        while gone[one] or gone[other]:
            _, one, other = heapq.heappop(heap)
        gone[one] = gone[other] = True
        merges.append((one, other))
        shapes.unite(one, other)
        around = (neighbours[one] | neighbours[other]) - {one, other}
        neighbours.append(around)
        for each in around:
            beside = neighbours[each]
            beside.discard(one)
            beside.discard(other)
            beside.add(new)
        near = sorted(around)
        if parts:  # Equation 2: a mean weighted by size
            share = sizes[one] / sizes[new]
            row = histogram[new]
            np.multiply(histogram[one], share, out=row)
            row += histogram[other] * (1 - share)
            shared = np.minimum(histogram[near], row).sum(axis=1).tolist()
            for each, likeness in zip(near, shared, strict=True):
                heapq.heappush(heap, (-likeness - shapes.of(each, new), each, new))
        else:
            for each in near:
                heapq.heappush(heap, (-shapes.of(each, new), each, new))
    return Hierarchy(
        labels=regions.labels,
        merges=np.array(merges, dtype=np.int64).reshape(-1, 2),
        boxes=np.array(shapes.boxes, dtype=np.float32),
    )


def _initial_heap(regions: Regions, histogram: NDArray[np.float32], shapes: "_Shapes") -> list[tuple[float, int, int]]:
    one, other = regions.pairs[:, 0], regions.pairs[:, 1]
    shared = np.minimum(histogram[one], histogram[other]).sum(axis=1).tolist()
    heap = [
        (-likeness - shapes.of(a, b), a, b) for likeness, (a, b) in zip(shared, regions.pairs.tolist(), strict=True)
    ]
    heapq.heapify(heap)
    return heap


class _Shapes:
    """Sizes and boxes of the regions so far, as plain numbers: there are some six neighbours to compare at a time."""

    def __init__(self, regions: Regions, similarity: Similarity, total: int) -> None:
        self.sizes: list[int] = regions.sizes.tolist()
        self.boxes: list[list[int]] = regions.boxes.tolist()
        self.by_size, self.by_fill = similarity.size, similarity.fill
        self.area = regions.area

    def unite(self, one: int, other: int) -> None:
        """Append the region that unites two."""
        self.sizes.append(self.sizes[one] + self.sizes[other])
        a, b = self.boxes[one], self.boxes[other]
        self.boxes.append([min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])])

    def of(self, one: int, other: int) -> float:
        """Equations 4 and 5, as far as they are asked for: the similarities of size and of fill, added."""
        likeness = 0.0
        both = self.sizes[one] + self.sizes[other]
        if self.by_size:
            likeness += 1 - both / self.area
        if self.by_fill:
            a, b = self.boxes[one], self.boxes[other]
            wide = max(a[2], b[2]) - min(a[0], b[0])
            high = max(a[3], b[3]) - min(a[1], b[1])
            likeness += 1 - (wide * high - both) / self.area
        return likeness

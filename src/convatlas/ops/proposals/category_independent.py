"""Category-independent proposals: Endres, Hoiem, "Category-Independent Object Proposals with Diverse Ranking".

TPAMI 36(2), 2014, https://doi.org/10.1109/TPAMI.2013.122, after ECCV 2010 -- seeds from a hierarchy of regions; for
each seed, how likely every region is of the same object, and a minimum cut over them at several biases; then a ranking
that sets back what overlaps with what ranks higher.

What stands in for what the paper trains:
- boundaries and the hierarchy (occlusion boundaries, learned): `grouping` by colour, texture, size and fill, and the
  distance of mean Lab colours across a border;
- which regions of the hierarchy are seeds (boosted trees): those of a size between two shares of the picture, the
  highest contrast across their border first;
- the likelihood that a region is of the seed's object (boosted trees on colour, texture and boundaries between):
  the mean of the two histograms' intersections with the seed's, less the strongest boundary on the easiest way to it;
- the ranking (structured learning): contrast across the border, less the overlap with what came before.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import minimum_spanning_tree

from convatlas.errors import UsageError
from convatlas.ops.proposals.candidates import Proposals, ranked
from convatlas.ops.proposals.colour_spaces import to_colour_space
from convatlas.ops.proposals.cuts import minimum_cut
from convatlas.ops.proposals.felzenszwalb import SIGMA, segment
from convatlas.ops.proposals.grouping import Hierarchy, group
from convatlas.ops.proposals.parametric_min_cuts import border_weights
from convatlas.ops.proposals.regions import (
    COLOUR_BINS,
    TEXTURE_BINS,
    Regions,
    colour_bins,
    histograms,
    means,
    regions_of,
    texture_bins,
)
from convatlas.ops.proposals.segments import (
    Segments,
    cut_ratio,
    diversified,
    segment_boxes,
    segment_iou,
    without_twins,
)
from convatlas.ops.proposals.selective_search import ALL_FOUR
from convatlas.types import Pixels


@dataclass(frozen=True, kw_only=True)
class CategoryIndependentConfig:
    """How many problems are solved. Raises UsageError that names the field when a value is impossible."""

    k: float = 50.0  # of the regions, which have at least k pixels
    seeds: int = 300
    sizes: tuple[float, float] = (0.001, 0.5)  # of a seed, as shares of the picture
    biases: tuple[float, ...] = (
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
    )  # the likelihood that lets a region in
    smoothness: float = 0.3  # what a cut costs, against what the regions say
    same: float = 0.95  # segments that share so much are one
    relevance: float = 0.75  # of the ranking, against variety

    def __post_init__(self) -> None:
        if not 1 <= self.k < np.inf:
            raise UsageError(f"CategoryIndependentConfig.k must be at least 1, not {self.k!r}")
        if self.seeds < 1:
            raise UsageError(f"CategoryIndependentConfig.seeds must be at least 1, not {self.seeds!r}")
        if not 0 <= self.sizes[0] < self.sizes[1] <= 1:
            raise UsageError(f"CategoryIndependentConfig.sizes must be least and most, in 0..1, not {self.sizes!r}")
        if not self.biases or not all(0 <= bias <= 1 for bias in self.biases):
            raise UsageError(f"CategoryIndependentConfig.biases must be numbers in 0..1, not {self.biases!r}")
        if not 0 <= self.smoothness < np.inf:
            raise UsageError(f"CategoryIndependentConfig.smoothness must be at least 0, not {self.smoothness!r}")
        for field in ("same", "relevance"):
            if not 0 < getattr(self, field) <= 1:
                raise UsageError(
                    f"CategoryIndependentConfig.{field} must be above 0 and at most 1, not {getattr(self, field)!r}"
                )


DEFAULT: Final = CategoryIndependentConfig()
MOST_REGIONS = 10_000  # between any two of them a wall is kept, 800 MB, and of their groups the members, 200 MB


def category_independent(picture: Pixels, config: CategoryIndependentConfig = DEFAULT) -> Proposals:
    """Boxes around the figures that grow from seeds of a picture, H x W x (1 or 3) uint8, the best separated first.

    The score falls from 1 with the place in the ranking. Nothing is random. A picture of half a million pixels is
    sensible. Raises TypeError or ValueError for what is no picture, UsageError for one of more than 10,000 regions.
    """
    lab = to_colour_space(picture, "lab")
    regions = regions_of(segment(lab, k=config.k, sigma=SIGMA, min_size=round(config.k)))
    if len(regions) > MOST_REGIONS:
        raise UsageError(
            f"picture: its {len(regions)} regions are more than {MOST_REGIONS}: make it smaller, or k={config.k} larger"
        )
    colour = histograms(regions, colour_bins(lab), COLOUR_BINS)
    texture = histograms(regions, texture_bins(lab), TEXTURE_BINS)
    weights = border_weights(regions, means(regions, lab))
    seeds = seed_segments(group(regions, ALL_FOUR, colour, texture), regions, weights, config)
    walls = strongest_boundary(regions, 1 - weights)
    cut = config.smoothness * weights * regions.borders
    figures = [seeds]
    for seed in seeds:
        likely = same_object(seed, regions, colour, texture, walls)
        for bias in config.biases:
            says = (likely - bias) * regions.sizes
            figure_cost, ground_cost = np.maximum(-says, 0), np.maximum(says, 0)
            figure_cost[seed], ground_cost[seed] = 0, np.inf
            figures.append(minimum_cut(figure_cost, ground_cost, regions.pairs, cut)[None])
    segments: Segments = np.unique(np.concatenate(figures), axis=0)
    segments = without_twins(segments, regions, -cut_ratio(segments, regions, weights), iou=config.same)
    contrast = 1 - cut_ratio(segments, regions, weights)
    order = diversified(contrast, segment_iou(segments, regions), relevance=config.relevance)
    return ranked(segment_boxes(segments[order], regions), 1 - np.arange(len(order)) / len(order))


def seed_segments(
    hierarchy: Hierarchy, regions: Regions, weights: NDArray[np.floating], config: CategoryIndependentConfig = DEFAULT
) -> Segments:
    """The regions of a hierarchy whose size is allowed, those of the highest contrast, at least one: (S, R)."""
    initial = len(regions)
    members = np.zeros((2 * initial - 1, initial), dtype=np.bool_)
    members[:initial] = np.eye(initial, dtype=np.bool_)
    sizes = np.concatenate([regions.sizes, np.zeros(initial - 1, regions.sizes.dtype)])
    for new, (one, other) in enumerate(hierarchy.merges, start=initial):
        members[new] = members[one] | members[other]
        sizes[new] = sizes[one] + sizes[other]
    shares = sizes / regions.area
    allowed = members[(shares >= config.sizes[0]) & (shares <= config.sizes[1])]
    if not len(allowed):
        return members[-1:]
    order = np.argsort(cut_ratio(allowed, regions, weights), kind="stable")
    return allowed[order[: config.seeds]]


def strongest_boundary(regions: Regions, boundaries: NDArray[np.floating]) -> NDArray[np.float64]:
    """On the way between two regions whose strongest boundary is the weakest possible, that boundary: (R, R), 0..1.

    boundaries (P,): in 0..1, of each pair of neighbours. That way runs along the minimum spanning tree.
    """
    count = len(regions)
    graph = coo_array((boundaries + 1, (regions.pairs[:, 0], regions.pairs[:, 1])), shape=(count, count))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()  # a weight of 0 would be no edge: 1 is added
    walls = np.zeros((count, count))
    sides = np.eye(count, dtype=np.bool_)  # row i: the regions that are united with i so far
    for edge in np.argsort(tree.data, kind="stable"):
        one, other = sides[tree.row[edge]].copy(), sides[tree.col[edge]].copy()
        height = tree.data[edge] - 1
        walls[np.ix_(one, other)] = height
        walls[np.ix_(other, one)] = height
        sides[one | other] = one | other
    return walls


def same_object(
    seed: NDArray[np.bool_],
    regions: Regions,
    colour: NDArray[np.float32],
    texture: NDArray[np.float32],
    walls: NDArray[np.float64],
) -> NDArray[np.float64]:
    """How likely each region is of the object that a seed (R,) is part of: (R,), 0..1, and 1 in the seed itself."""
    part = np.where(seed, regions.sizes, 0) / regions.sizes[seed].sum()
    alike = [np.minimum(each, part @ each).sum(axis=1) for each in (colour, texture)]
    likely: NDArray[np.float64] = np.clip((alike[0] + alike[1]) / 2 - walls[:, seed].min(axis=1) / 2, 0, 1)
    likely[seed] = 1
    return likely

"""Randomised Prim: Manen, Guillaumin, Van Gool, "Prime Object Proposals with Randomized Prim's Algorithm", ICCV 2013.

https://doi.org/10.1109/ICCV.2013.315 -- the graph of superpixels whose edges say how likely two neighbours are of one
object; partial spanning trees that grow from a random superpixel along edges drawn by that likelihood, and stop at
random; a box around each tree; superpixels of several colour spaces, for variety.

What stands in for what the paper trains, on VOC 2007:
- the weights of the logistic regression that makes the likelihood of an edge of its likeness in colour, the share of
  the border that the two have in common, and their smallness: set by hand, so that a pair alike in everything belongs
  together in 19 of 20 cases, and one alike in nothing in 1 of 20. `EdgeWeights` takes trained ones;
- the share of objects that are no larger than a tree, which is half of its probability to stop: as if the logarithm of
  an object's share of the picture were uniform between `smallest_object` and the whole.
The paper's colour spaces are HSV, Lab, the opponent space and rg; the latter two are here `c` and `normalised_rgb`.
Nothing ranks the boxes: they come in the order in which they were drawn.
"""

from bisect import bisect
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.ops.proposals.candidates import Proposals, ranked
from convatlas.ops.proposals.colour_spaces import ColourSpace, check_spaces, to_colour_space
from convatlas.ops.proposals.felzenszwalb import SIGMA, segment
from convatlas.ops.proposals.regions import COLOUR_BINS, Regions, colour_bins, histograms, regions_of
from convatlas.types import Pixels


@dataclass(frozen=True, kw_only=True)
class EdgeWeights:
    """The logistic regression of an edge: sigmoid(colour * c + border * b + size * s + bias), each of c, b, s in 0..1.

    c: the intersection of the colour histograms; b: the part of a region's border that it shares with the other, for
    the region where that is more; s: 1 less the share of the picture that the two cover.
    """

    colour: float = 3.0
    border: float = 1.0
    size: float = 2.0
    bias: float = -3.0


@dataclass(frozen=True, kw_only=True)
class PrimConfig:
    """How trees are drawn. Raises UsageError that names the field when a value is impossible."""

    trees: int = 4000  # before equal boxes are dropped
    spaces: tuple[ColourSpace, ...] = ("hsv", "lab", "c", "normalised_rgb")
    k: float = 100.0  # of the superpixels, which have at least k pixels
    weights: EdgeWeights = EdgeWeights()
    smallest_object: float = 0.001  # share of the picture

    def __post_init__(self) -> None:
        if self.trees < 1:
            raise UsageError(f"PrimConfig.trees must be at least 1, not {self.trees!r}")
        check_spaces(self.spaces, "PrimConfig.spaces")
        if not 1 <= self.k < np.inf:
            raise UsageError(f"PrimConfig.k must be at least 1, not {self.k!r}")
        if not 0 < self.smallest_object < 1:
            raise UsageError(f"PrimConfig.smallest_object must be above 0 and below 1, not {self.smallest_object!r}")


DEFAULT: Final = PrimConfig()


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Superpixels 0 .. R - 1 with, for each, its neighbours and how likely each is of the same object, 0..1."""

    regions: Regions
    neighbours: tuple[tuple[tuple[int, float], ...], ...]


def randomised_prim(picture: Pixels, config: PrimConfig = DEFAULT, *, seed: int = 0) -> Proposals:
    """Boxes around random trees of superpixels of a picture, H x W x (1 or 3) uint8.

    `seed` draws the trees, from each colour space in turn. A box that was drawn more than once counts once. The score
    is the number of the tree, negated. Raises TypeError or ValueError for what is no picture.
    """
    random = np.random.default_rng(seed)
    graphs = [graph_of(picture, space, config) for space in config.spaces]
    boxes = np.empty((config.trees, 4), dtype=np.float64)
    for number in range(config.trees):
        graph = graphs[number % len(graphs)]
        tree = np.array(draw_tree(graph, random, smallest_object=config.smallest_object))
        of_tree = graph.regions.boxes[tree]
        boxes[number] = (*of_tree[:, :2].min(axis=0), *of_tree[:, 2:].max(axis=0))
    return ranked(boxes, -np.arange(config.trees, dtype=np.float64))


def graph_of(picture: Pixels, space: ColourSpace, config: PrimConfig = DEFAULT) -> Graph:
    """The superpixels of a picture in a colour space, and the likelihood of each edge between two of them."""
    values = to_colour_space(picture, space)
    regions = regions_of(segment(values, k=config.k, sigma=SIGMA, min_size=round(config.k)))
    lab = to_colour_space(picture, "lab")
    likelihoods = edge_likelihoods(regions, histograms(regions, colour_bins(lab), COLOUR_BINS), config.weights)
    neighbours: list[list[tuple[int, float]]] = [[] for _ in range(len(regions))]
    for (one, other), likelihood in zip(regions.pairs.tolist(), likelihoods.tolist(), strict=True):
        neighbours[one].append((other, likelihood))
        neighbours[other].append((one, likelihood))
    return Graph(regions=regions, neighbours=tuple(tuple(each) for each in neighbours))


def edge_likelihoods(regions: Regions, colour: NDArray[np.float32], weights: EdgeWeights) -> NDArray[np.float64]:
    """How likely the regions of each pair are of one object: (P,), 0..1. colour: (R, B) histograms of sum 1."""
    one, other = regions.pairs[:, 0], regions.pairs[:, 1]
    alike = np.minimum(colour[one], colour[other]).sum(axis=1)
    around = np.bincount(one, regions.borders, len(regions)) + np.bincount(other, regions.borders, len(regions))
    shared = regions.borders / np.minimum(around[one], around[other])
    small = 1 - (regions.sizes[one] + regions.sizes[other]) / regions.area
    total = weights.colour * alike + weights.border * shared + weights.size * small + weights.bias
    likelihoods: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(total, -30, 30)))  # above 0: any edge can be drawn
    return likelihoods


def draw_tree(graph: Graph, random: np.random.Generator, *, smallest_object: float) -> list[int]:
    """The superpixels of one random tree, in the order in which they joined.

    The first is drawn uniformly. An edge from the tree to outside is drawn by its likelihood rho, and its superpixel
    joins; then the tree stops with probability ((1 - rho) + S) / 2, where S is the share of objects that are no larger.
    """
    tree = [int(random.integers(len(graph.neighbours)))]
    joined = set(tree)
    size, sizes = int(graph.regions.sizes[tree[0]]), graph.regions.sizes
    edges = list(graph.neighbours[tree[0]])
    sums = np.cumsum([likelihood for _, likelihood in edges]).tolist()
    while len(tree) < len(graph.neighbours):
        # Edges within the tree stay in the list: one that comes up is drawn anew, which leaves the odds of the others.
        new, likelihood = edges[min(bisect(sums, random.random() * sums[-1]), len(edges) - 1)]
        if new in joined:
            continue
        tree.append(new)
        joined.add(new)
        size += int(sizes[new])
        share = size / graph.regions.area
        no_larger = min(max(1 - np.log(share) / np.log(smallest_object), 0.0), 1.0)
        if random.random() < ((1 - likelihood) + no_larger) / 2:
            break
        for edge in graph.neighbours[new]:
            if edge[0] not in joined:
                edges.append(edge)
                sums.append(sums[-1] + edge[1])
    return tree

"""CPMC: Carreira, Sminchisescu, "CPMC: Automatic Object Segmentation Using Constrained Parametric Min-Cuts", 2012.

TPAMI 34(7), https://doi.org/10.1109/TPAMI.2011.231 -- seeds of figure on a grid against seeds of ground along the
picture's borders; for each, the figures of least energy at many values of a bias lambda, from uniform and from colour
costs: Section 3; ranking with diversification: Section 4.

What stands in for what the paper trains, or what takes it minutes:
- nodes are regions of `felzenszwalb` instead of pixels, each weighing as many pixels as it has;
- a trained boundary detector (gPb): the distance of the mean Lab colours on both sides of a border;
- the ranking by a regression on features of good segments: 1 less the ratio cut of the segment, between 0 and 1.

Every figure that is the best at some lambda is found, as the paper asks of a parametric solver, here by looking where
the energies of two known figures, straight lines over lambda, cross (Eisner, Severance, "Mathematical Techniques for
Efficient Record Segmentation in Large Shared Databases", J. ACM 1976).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.ops.proposals.candidates import Proposals, ranked
from convatlas.ops.proposals.colour_spaces import to_colour_space
from convatlas.ops.proposals.cuts import minimum_cut
from convatlas.ops.proposals.felzenszwalb import SIGMA, segment
from convatlas.ops.proposals.regions import Regions, means, regions_of
from convatlas.ops.proposals.segments import (
    Segments,
    cut_ratio,
    diversified,
    segment_boxes,
    segment_iou,
    without_twins,
)
from convatlas.types import Pixels

_CONTRAST = 0.06  # sigma: at this distance of two colours in 0..1 a border costs 1/e of one within a surface
_COLOUR_RATE = 0.5  # gamma: how fast a colour stops to look like a seed's
_ROUNDING = 1e-6  # of the energy of a pixel, as cuts are found in whole numbers


@dataclass(frozen=True, kw_only=True)
class CutsConfig:
    """How many problems are solved. Raises UsageError that names the field when a value is impossible."""

    k: float = 100.0  # of the regions, which have at least k pixels
    grid: int = 5  # seeds of figure a row and a column
    biases: tuple[float, float] = (-0.5, 0.5)  # the least and the largest lambda, per pixel
    same: float = 0.95  # segments that share so much are one
    relevance: float = 0.75  # of the ranking, against variety

    def __post_init__(self) -> None:
        if not 1 <= self.k < np.inf:
            raise UsageError(f"CutsConfig.k must be at least 1, not {self.k!r}")
        if self.grid < 1:
            raise UsageError(f"CutsConfig.grid must be at least 1, not {self.grid!r}")
        if not -np.inf < self.biases[0] < self.biases[1] < np.inf:
            raise UsageError(f"CutsConfig.biases must be least and largest, both finite, not {self.biases!r}")
        for field in ("same", "relevance"):
            if not 0 < getattr(self, field) <= 1:
                raise UsageError(f"CutsConfig.{field} must be above 0 and at most 1, not {getattr(self, field)!r}")


DEFAULT: Final = CutsConfig()


def parametric_min_cuts(picture: Pixels, config: CutsConfig = DEFAULT) -> Proposals:
    """Boxes around figures of least energy of a picture, H x W x (1 or 3) uint8, the best separated first.

    The score falls from 1 with the place in the ranking. Nothing is random. Raises TypeError or ValueError for what is
    no picture.
    """
    lab = to_colour_space(picture, "lab")
    regions = regions_of(segment(lab, k=config.k, sigma=SIGMA, min_size=round(config.k)))
    colours = means(regions, lab)
    weights = border_weights(regions, colours)
    found = list(figures(regions, colours, weights, config))
    if not found:  # one region: the picture
        found = [np.ones(len(regions), dtype=np.bool_)]
    segments: Segments = np.unique(np.stack(found), axis=0)
    quality = 1 - cut_ratio(segments, regions, weights)
    segments = without_twins(segments, regions, quality, iou=config.same)
    quality = 1 - cut_ratio(segments, regions, weights)
    order = diversified(quality, segment_iou(segments, regions), relevance=config.relevance)
    return ranked(segment_boxes(segments[order], regions), 1 - np.arange(len(order)) / len(order))


def border_weights(regions: Regions, colours: NDArray[np.floating]) -> NDArray[np.float64]:
    """What it costs to cut one pair of pixels, in 0..1, for each pair of regions: (P,). colours (R, C): their means."""
    distance = np.linalg.norm(colours[regions.pairs[:, 0]] - colours[regions.pairs[:, 1]], axis=1)
    weights: NDArray[np.float64] = np.exp(-distance / _CONTRAST)
    return weights


def figures(
    regions: Regions, colours: NDArray[np.floating], weights: NDArray[np.floating], config: CutsConfig = DEFAULT
) -> Iterator[NDArray[np.bool_]]:
    """The figures (R,) of every seed, ground, kind of cost and bias."""
    for ground in grounds(regions):
        for seed in seeds(regions, config.grid):
            if ground[seed]:
                continue
            for evidence in (np.zeros(len(regions)), _colour_evidence(colours, seed, ground)):
                problem = Problem(regions=regions, weights=weights, seed=seed, ground=ground, evidence=evidence)
                yield from best_at_some_bias(problem, *config.biases, same=config.same)


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A seed of figure against a ground. weights (P,): of a cut pair of pixels; ground, evidence (R,).

    A pixel of the figure gains evidence + lambda. The seed is figure and the ground is ground, whatever they cost.
    """

    regions: Regions
    weights: NDArray[np.floating]
    seed: int
    ground: NDArray[np.bool_]
    evidence: NDArray[np.floating]

    def solve(self, bias: float) -> NDArray[np.bool_]:
        """The figure (R,) of the least energy at a lambda."""
        gain = (self.evidence + bias) * self.regions.sizes
        figure_cost = np.where(self.ground, np.inf, np.maximum(-gain, 0))
        ground_cost = np.where(self.ground, 0, np.maximum(gain, 0))
        figure_cost[self.seed], ground_cost[self.seed] = 0, np.inf
        return minimum_cut(figure_cost, ground_cost, self.regions.pairs, self.weights * self.regions.borders)

    def line(self, figure: NDArray[np.bool_]) -> tuple[float, int]:
        """The energy of a figure as offset - pixels * lambda."""
        cut = figure[self.regions.pairs[:, 0]] != figure[self.regions.pairs[:, 1]]
        offset = (self.weights * self.regions.borders)[cut].sum() - (self.evidence * self.regions.sizes)[figure].sum()
        return float(offset), int(self.regions.sizes[figure].sum())


def best_at_some_bias(problem: Problem, least: float, largest: float, *, same: float = 1.0) -> list[NDArray[np.bool_]]:
    """Every figure (R,) that has the least energy at some lambda between two, by size: each lies within the next.

    Between two whose overlap is `same` or more, none is looked for: it would be taken for one of them.
    """
    small, large = problem.solve(least), problem.solve(largest)
    found = [small]
    waiting = [(small, large)]
    while waiting:
        small, large = waiting.pop()
        (small_offset, small_size), (large_offset, large_size) = problem.line(small), problem.line(large)
        if small_size >= large_size * same:  # one lies within the other: that is their overlap
            found += [large] if small_size < large_size else []
            continue
        crossing = (large_offset - small_offset) / (large_size - small_size)
        middle = problem.solve(min(max(crossing, least), largest))
        offset, size = problem.line(middle)
        gained = (small_offset - small_size * crossing) - (offset - size * crossing)
        if small_size < size < large_size and gained > _ROUNDING * problem.regions.area:
            waiting += [(middle, large), (small, middle)]  # the smaller ones are looked at first
        else:
            found.append(large)
    return found


def seeds(regions: Regions, grid: int) -> list[int]:
    """The regions at the points of a regular grid, each once."""
    height, width = regions.labels.shape
    rows = ((np.arange(grid) + 0.5) * height / grid).astype(np.int64)
    columns = ((np.arange(grid) + 0.5) * width / grid).astype(np.int64)
    return [int(label) for label in np.unique(regions.labels[np.ix_(rows, columns)])]


def grounds(regions: Regions) -> list[NDArray[np.bool_]]:
    """The regions (R,) along all four borders, along the sides, along top and bottom, along all but the bottom."""
    labels = regions.labels
    top, bottom, left, right = (
        np.isin(np.arange(len(regions)), edge) for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    )
    return [top | bottom | left | right, left | right, top | bottom, top | left | right]


def _colour_evidence(colours: NDArray[np.floating], seed: int, ground: NDArray[np.bool_]) -> NDArray[np.float64]:
    """ln p(figure) - ln p(ground) of each region: how much nearer its colour is to the seed's than to the ground's."""
    to_seed = np.linalg.norm(colours - colours[seed], axis=1)
    to_ground = np.linalg.norm(colours[:, None] - colours[ground][None], axis=2).min(axis=1)
    evidence: NDArray[np.float64] = _COLOUR_RATE * (to_ground - to_seed)
    return evidence

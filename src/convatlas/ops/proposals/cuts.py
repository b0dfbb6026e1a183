"""Minimum cuts of a graph of regions, by SciPy's maximum flow: what splits a picture into figure and ground for least.

Ford, Fulkerson, "Maximal Flow Through a Network", 1956: the nodes that the source still reaches when no more can flow
are the figure of the least energy, and of all such the smallest figure.
SciPy's flows are whole numbers: energies are scaled so that the largest fits, and rounded; a cut is the least up to
that rounding.
Shapes: R regions, P pairs of neighbours.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from convatlas.errors import UsageError

_MOST = 2**30  # the sum of all capacities stays below what 32 bits hold


def minimum_cut(
    figure_cost: NDArray[np.floating],
    ground_cost: NDArray[np.floating],
    pairs: NDArray[np.integer],
    weights: NDArray[np.floating],
) -> NDArray[np.bool_]:
    """Which regions are figure, (R,), where the energy is least.

    The energy is the sum of figure_cost (R,) over the figure, of ground_cost (R,) over the ground, and of weights (P,)
    over the pairs (P, 2) that are cut. Costs and weights are at least 0; an infinite cost forbids. Raises UsageError
    for anything else, and for a region that is forbidden both.
    """
    count = len(figure_cost)
    costs = np.concatenate([figure_cost, ground_cost, weights]).astype(np.float64)
    if not (costs >= 0).all():
        raise UsageError("costs and weights must be at least 0")
    if not np.isfinite(weights).all():
        raise UsageError("weights must be finite")
    if (np.isinf(figure_cost) & np.isinf(ground_cost)).any():
        raise UsageError("a region must be allowed as figure or as ground")
    total = float(costs[np.isfinite(costs)].sum()) * 2 + 1e-12
    forbidden = _MOST  # more than all finite costs together
    capacities = np.where(np.isinf(costs), forbidden, np.round(costs * (_MOST / 2 / total))).astype(np.int32)
    source, sink = count, count + 1
    nodes = np.arange(count)
    one, other = pairs[:, 0], pairs[:, 1]
    between = capacities[2 * count :]
    start = np.concatenate([np.full(count, source), nodes, one, other])
    end = np.concatenate([nodes, np.full(count, sink), other, one])
    capacity = np.concatenate([capacities[count : 2 * count], capacities[:count], between, between])
    graph = csr_array(coo_array((capacity, (start, end)), shape=(count + 2, count + 2)))
    left = graph - maximum_flow(graph, source, sink).flow
    left.data = np.maximum(left.data, 0)
    left.eliminate_zeros()
    reached = breadth_first_order(left, source, return_predecessors=False)
    figure = np.zeros(count + 2, dtype=np.bool_)
    figure[reached] = True
    return figure[:count]


def energy(
    figure: NDArray[np.bool_],
    figure_cost: NDArray[np.floating],
    ground_cost: NDArray[np.floating],
    pairs: NDArray[np.integer],
    weights: NDArray[np.floating],
) -> float:
    """What `minimum_cut` makes least, of a figure (R,); infinite when it has what is forbidden."""
    cut = figure[pairs[:, 0]] != figure[pairs[:, 1]]
    return float(figure_cost[figure].sum() + ground_cost[~figure].sum() + weights[cut].sum())

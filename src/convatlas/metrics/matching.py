"""Which detection is which object: COCO's greedy matching of every class, picture, threshold and area range at once.

The rule (COCO's evaluation, Lin et al., ECCV 2014): within a class and picture, detections choose in the order of
their scores. A detection takes the object that it overlaps most, at `threshold` or more, among those not yet taken; one
that counts goes before one to be ignored, and of two that it overlaps alike it takes the later. A crowd may be taken
again and again. The order is only within a cell (a class and picture), so that round r, in which each cell's r-th
detection with anything to take chooses, is one operation on arrays.
Shapes: D detections in the order of matching, C of them candidates, G objects, P pairs, T thresholds, A area ranges.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.metrics.objects import AllDetections, AllTruths, Kind
from convatlas.metrics.overlaps import check_overlaps, pair_overlaps, pairs_in_range

_BLOCK = 1 << 17  # pairs of one step of a round, times T times A


@dataclass(frozen=True, kw_only=True, eq=False)
class Order:
    """Detections by class, picture and falling score, the best of each cell only; objects by class and picture."""

    detections: NDArray[np.int64]  # (D,) rows of the joined detections
    rank: NDArray[np.int64]  # (D,) place in the cell, 0 the surest
    truths: NDArray[np.int64]  # (G,) rows of the joined truths
    first: NDArray[np.int64]  # (D,) the objects of a detection's cell begin here in `truths` ...
    last: NDArray[np.int64]  # (D,) ... and end before here


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """The pairs of one cell that overlap enough to matter: sorted by round, detection, overlap, object."""

    detections: NDArray[np.int64]  # (C,) places in Order.detections
    starts: NDArray[np.int64]  # (C + 1,) where each one's pairs begin
    rounds: NDArray[np.int64]  # (C,) ascending: how many candidates of its cell choose before it
    truths: NDArray[np.int64]  # (P,) places in Order.truths
    overlaps: NDArray[np.float64]  # (P,)


@dataclass(frozen=True, kw_only=True, eq=False)
class SingleMatch:
    """A matching at one threshold, by row of the joined detections and truths."""

    considered: NDArray[np.bool_]  # (D,) not left out by its score or rank
    right: NDArray[np.bool_]  # (D,) took an object that counts
    wrong: NDArray[np.bool_]  # (D,) took none; what is considered, and neither right nor wrong, took an ignored one
    truth: NDArray[np.int64]  # (D,) row of the object that it took, -1 for none
    overlap: NDArray[np.float64]  # (D,) with that object, 0 for none
    missed: NDArray[np.bool_]  # (G,) counts, and was not taken


def arrange(detections: AllDetections, truths: AllTruths, most: int | None, min_score: float | None = None) -> Order:
    """The order of choosing: of each class and picture the `most` surest, or all; none below min_score."""
    pictures = len(truths.pictures)
    cell = detections.classes * pictures + detections.picture
    order = np.lexsort((-detections.scores, cell))
    cell = cell[order]
    rank = np.arange(len(cell)) - np.searchsorted(cell, cell)
    kept = np.ones(len(cell), np.bool_) if most is None else rank < most
    if min_score is not None:
        kept &= detections.scores[order] >= np.float32(min_score)  # as the scores are given
    order, rank, cell = order[kept], rank[kept], cell[kept]
    true_cell = truths.classes * pictures + truths.picture
    true_order = np.argsort(true_cell, kind="stable")
    true_cell = true_cell[true_order]
    return Order(
        detections=order,
        rank=rank,
        truths=true_order,
        first=np.searchsorted(true_cell, cell, side="left"),
        last=np.searchsorted(true_cell, cell, side="right"),
    )


def find_candidates(
    detections: AllDetections,
    truths: AllTruths,
    order: Order,
    kind: Kind,
    floor: float,
    sigmas: tuple[float, ...] | None = None,
) -> Candidates:
    """The pairs of one class and picture that overlap by `floor` or more."""
    found = []
    for d, t in pairs_in_range(order.first, order.last, 1 << 16 if kind == "keypoint" else 1 << 20):
        overlaps = pair_overlaps(
            kind, detections, truths, order.detections[d], order.truths[t], floor=floor, sigmas=sigmas
        )
        near = overlaps >= floor
        found.append((d[near], t[near], overlaps[near]))
    if not found:
        nothing = np.zeros(0, np.int64)
        found = [(nothing, nothing, np.zeros(0))]
    d, t, overlaps = (np.concatenate(each) for each in zip(*found, strict=True))

    # the place of a detection among its cell's that have a pair; its cell is known by where its objects begin
    first_pair = np.flatnonzero(np.diff(d, prepend=-1))
    own = d[first_pair]
    cell = order.first[own]
    place = np.arange(len(own)) - np.searchsorted(cell, cell)
    turn = np.repeat(place, np.diff(first_pair, append=len(d)))

    by_turn = np.lexsort((t, overlaps, d, turn))
    d = d[by_turn]
    starts = np.flatnonzero(np.diff(d, prepend=-1))
    return Candidates(
        detections=d[starts],
        starts=np.append(starts, len(d)),
        rounds=turn[by_turn][starts],
        truths=t[by_turn],
        overlaps=overlaps[by_turn],
    )


def match(
    candidates: Candidates,
    thresholds: NDArray[np.float64],
    ignored: NDArray[np.bool_],
    crowd: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """The pair (A, T, C) that each candidate takes, -1 for none, at T thresholds and A ways to ignore objects.

    ignored (A, G) and crowd (G,) are in the order of Order.truths. The object of a pair is candidates.truths[pair].
    """
    ranges, objects = ignored.shape
    chosen = np.full((ranges, len(thresholds), len(candidates.detections)), -1, np.int64)
    taken = np.zeros((ranges, len(thresholds), objects), np.bool_)
    for begin, stop in _steps(candidates.rounds, candidates.starts):
        here = slice(candidates.starts[begin], candidates.starts[stop])
        truth, overlap = candidates.truths[here], candidates.overlaps[here]
        pairs = len(truth)
        able = (overlap >= thresholds[:, None]) & (~taken[:, :, truth] | crowd[truth])  # (A, T, pairs)
        # The pairs of a detection stand in the order in which it wants them, so that a pair's place is its rank, and
        # those that count come after all others.
        wish = np.arange(1, pairs + 1, dtype=np.int32) + np.where(ignored[:, truth], 0, pairs).astype(np.int32)
        best = np.maximum.reduceat(able * wish[:, None, :], candidates.starts[begin:stop] - here.start, axis=2)
        area, threshold, place = np.nonzero(best)
        pair = (best[area, threshold, place] - 1) % pairs
        chosen[area, threshold, begin + place] = here.start + pair
        taken[area, threshold, truth[pair]] = True
    return chosen


def judge(
    candidates: Candidates,
    pair: NDArray[np.int64],
    ignored: NDArray[np.bool_],
    outside: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections are right and which wrong, (A, T, D) each; those that are neither are ignored.

    Right: took an object that counts. Wrong: took none, and lies within the area range. pair: of `match`; ignored
    (A, G): objects, outside (A, D): detections that the area range leaves out.
    """
    ranges, thresholds, _ = pair.shape
    right = np.zeros((ranges, thresholds, outside.shape[1]), np.bool_)
    wrong = np.repeat(~outside[:, None, :], thresholds, axis=1)
    took = pair >= 0
    a, t, c = np.nonzero(took)
    d = candidates.detections[c]
    wrong[a, t, d] = False
    right[a, t, d] = ~ignored[a, candidates.truths[pair[took]]]
    return right, wrong


def least_overlaps(thresholds: Sequence[float]) -> NDArray[np.float64]:
    """What an overlap must be at least (T,): an overlap of 1 that rounding made a little less still is one."""
    return np.minimum(thresholds, 1 - 1e-10)


def match_once(
    detections: AllDetections,
    truths: AllTruths,
    *,
    kind: Kind,
    threshold: float,
    most: int | None = None,
    min_score: float | None = None,
    sigmas: tuple[float, ...] | None = None,
) -> SingleMatch:
    """The matching at one threshold, over all areas; see `AllTruths.ignored`.

    Of each class and picture the `most` surest, or all; none below `min_score`, which is left out altogether.
    """
    check_overlaps([threshold], "threshold")
    if min_score is not None and not np.isfinite(min_score):
        raise UsageError(f"min_score: expected a finite number, got {min_score}")
    order = arrange(detections, truths, most, min_score)
    crowd, ignored = truths.crowd[order.truths], truths.ignored()[order.truths][None]
    least = least_overlaps([threshold])
    candidates = find_candidates(detections, truths, order, kind, float(least[0]), sigmas)
    pair = match(candidates, least, ignored, crowd)
    nowhere_outside = np.zeros((1, len(order.detections)), np.bool_)
    right_, wrong_ = judge(candidates, pair, ignored, nowhere_outside)

    count = len(detections.classes)
    considered, right, wrong = (np.zeros(count, np.bool_) for _ in range(3))
    considered[order.detections], right[order.detections], wrong[order.detections] = True, right_[0, 0], wrong_[0, 0]
    truth, overlap = np.full(count, -1), np.zeros(count)
    took = np.flatnonzero(pair[0, 0] >= 0)
    rows, at = order.detections[candidates.detections[took]], pair[0, 0, took]
    truth[rows], overlap[rows] = order.truths[candidates.truths[at]], candidates.overlaps[at]
    missed = ~truths.ignored()
    missed[truth[right]] = False
    return SingleMatch(considered=considered, right=right, wrong=wrong, truth=truth, overlap=overlap, missed=missed)


def _steps(rounds: NDArray[np.int64], starts: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    # Candidates of one round are of different cells, and may be taken in as many steps as memory asks for.
    begin = 0
    while begin < len(rounds):
        end = int(np.searchsorted(rounds, rounds[begin], side="right"))
        stop = int(np.searchsorted(starts, starts[begin] + _BLOCK, side="right")) - 1
        stop = min(max(stop, begin + 1), end)
        yield begin, stop
        begin = stop

"""Objectness: Alexe, Deselaers, Ferrari, "Measuring the Objectness of Image Windows", TPAMI 2012.

https://doi.org/10.1109/TPAMI.2012.28 -- the cues: Section 3 (`objectness_cues`); their combination by naive Bayes; of
100,000 windows those are sampled that saliency favours, and of windows that overlap the best stays.

What the paper trains, on 50 pictures, is the likelihood of each cue's values in objects and elsewhere. `learn` does
that on pictures with boxes that you give; without a model the mean of the cues' ranks among the picture's windows
stands in for the posterior. The cues' own parameters are set by hand, and the cue of location and size is left out.
Choice that the paper leaves open: windows are drawn with uniform centres and uniform logarithms of their sides.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from convatlas.errors import UsageError
from convatlas.metrics.overlaps import box_iou
from convatlas.ops.box_checks import check_box_array
from convatlas.ops.nms_numpy import nms
from convatlas.ops.proposals.candidates import Proposals, ranked
from convatlas.ops.proposals.objectness_cues import (
    Evidence,
    Windows,
    colour_contrast,
    edge_density,
    evidence_of,
    multi_scale_saliency,
    superpixels_straddling,
)
from convatlas.types import Pixels

CUES: Final = (multi_scale_saliency, colour_contrast, edge_density, superpixels_straddling)
_BINS = 20


@dataclass(frozen=True, kw_only=True)
class ObjectnessConfig:
    """How many windows are looked at. Raises UsageError that names the field when a value is impossible."""

    drawn: int = 100_000  # windows whose saliency is measured
    looked_at: int = 5_000  # of them, drawn by their saliency, whose other cues are
    smallest: int = 12  # pixels of a side
    overlap: float = 0.7  # windows that overlap a better one by more are dropped

    def __post_init__(self) -> None:
        for field in ("drawn", "looked_at", "smallest"):
            if getattr(self, field) < 1:
                raise UsageError(f"ObjectnessConfig.{field} must be at least 1, not {getattr(self, field)!r}")
        if not 0 <= self.overlap <= 1:
            raise UsageError(f"ObjectnessConfig.overlap must be in 0..1, not {self.overlap!r}")


DEFAULT: Final = ObjectnessConfig()


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectnessModel:
    """Naive Bayes over the four cues: what `learn` gives.

    edges (4, 19): the borders of each cue's bins; log_ratios (4, 20): the logarithm of how much likelier a value in the
    bin is in objects than elsewhere; prior: the share of windows that are objects.
    """

    edges: NDArray[np.float64]
    log_ratios: NDArray[np.float64]
    prior: float

    def posterior(self, cues: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability (N,) that windows of these cues (4, N) are objects."""
        odds = np.full(cues.shape[1], np.log(self.prior / (1 - self.prior)))
        for edges, log_ratios, values in zip(self.edges, self.log_ratios, cues, strict=True):
            odds += log_ratios[np.searchsorted(edges, values, side="right")]
        probability: NDArray[np.float64] = 1 / (1 + np.exp(-odds))
        return probability


def objectness(
    picture: Pixels, model: ObjectnessModel | None = None, config: ObjectnessConfig = DEFAULT, *, seed: int = 0
) -> Proposals:
    """Windows of a picture, H x W x (1 or 3) uint8, that look like objects, the best first.

    The score is the posterior of the model, or the mean rank of the cues, 0..1. `seed` draws the windows. Raises
    TypeError or ValueError for what is no picture.
    """
    evidence = evidence_of(picture)
    windows = draw_windows(evidence, config, np.random.default_rng(seed))
    cues = measure(evidence, windows)
    if model is None:
        scores = np.mean([rankdata(values) for values in cues], axis=0) / len(windows)
    else:
        scores = model.posterior(cues)
    kept = nms(windows.astype(np.float64), scores, config.overlap)
    return ranked(windows[kept].astype(np.float64), scores[kept])


def measure(evidence: Evidence, windows: Windows) -> NDArray[np.float64]:
    """The cues of windows (N, 4): (4, N), in the order of CUES; the more, the more of an object."""
    return np.stack([cue(evidence, windows) for cue in CUES])


def draw_windows(evidence: Evidence, config: ObjectnessConfig, random: np.random.Generator) -> Windows:
    """Different windows (N, 4), at most `looked_at`, drawn by their saliency from `drawn` that are drawn at random."""
    size = np.array(evidence.size[::-1])
    smallest = np.minimum(config.smallest, size)
    sides = smallest * (size / smallest) ** random.random((config.drawn, 2))
    middle = random.random((config.drawn, 2)) * size
    start = np.clip(np.round(middle - sides / 2), 0, size - smallest)
    stop = np.minimum(np.maximum(np.round(middle + sides / 2), start + smallest), size)
    windows = np.unique(np.concatenate([start, stop], axis=1).astype(np.int64), axis=0)
    saliency = multi_scale_saliency(evidence, windows)
    count = min(config.looked_at, int((saliency > 0).sum()))
    if count == 0:
        return windows[: config.looked_at]
    drawn = random.choice(len(windows), size=count, replace=False, p=saliency / saliency.sum())
    return windows[np.sort(drawn)]


def learn(
    examples: Iterable[tuple[Pixels, NDArray[np.floating]]], config: ObjectnessConfig = DEFAULT, *, seed: int = 0
) -> ObjectnessModel:
    """The likelihoods of the cues from pictures, each with the boxes (M, 4) xyxy of its objects.

    Windows that overlap an object by more than half, and the objects themselves, are the positives; all others of those
    drawn are the negatives. A cue's bins each have as many windows; each counts one more in both classes than seen, so
    that none is impossible. Boxes, float32 or float64, are rounded to pixels and cut to the picture; one without area
    is left out. Raises UsageError when there is no object, or for boxes that are none, naming the example and the box.
    """
    random = np.random.default_rng(seed)
    cues, truths = [], []
    for number, (picture, boxes) in enumerate(examples):
        evidence = evidence_of(picture)
        height, width = evidence.size
        check_box_array(boxes, f"examples[{number}]: boxes")
        objects = np.clip(np.round(boxes), 0, [width, height, width, height]).astype(np.int64)
        objects = objects[(objects[:, 2:] > objects[:, :2]).all(axis=1)]
        windows = np.concatenate([objects, draw_windows(evidence, config, random)])
        best = box_iou(windows, objects).max(axis=1, initial=0)
        cues.append(measure(evidence, windows))
        truths.append(best > 0.5)
    if not truths or not any(each.any() for each in truths):
        raise UsageError("examples: expected pictures with at least one object between them")
    values, positive = np.concatenate(cues, axis=1), np.concatenate(truths)
    edges = np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1], axis=1).T
    log_ratios = np.empty((len(CUES), _BINS))
    for cue, (borders, row) in enumerate(zip(edges, values, strict=True)):
        bins = np.searchsorted(borders, row, side="right")
        of_objects, of_others = (np.bincount(bins[part], minlength=_BINS) + 1.0 for part in (positive, ~positive))
        log_ratios[cue] = np.log(of_objects / of_objects.sum()) - np.log(of_others / of_others.sum())
    prior = (positive.sum() + 1) / (len(positive) + 2)
    return ObjectnessModel(edges=edges, log_ratios=log_ratios, prior=float(prior))

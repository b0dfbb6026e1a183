"""Logits -> answers for people: probabilities, the best classes, and whether the network is sure. NumPy only."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convatlas.engine.bundle import Bundle
from convatlas.errors import UsageError
from convatlas.metrics.calibration import softmax
from convatlas.metrics.multilabel import sigmoid
from convatlas.types import Classification, Failure, Scored


def check_top(top: int) -> int:
    """The number of classes to name, at least 1. Raises UsageError."""
    if isinstance(top, bool) or top < 1:
        raise UsageError(f"top: expected a whole number of at least 1, got {top}")
    return top


def check_threshold(threshold: float | None) -> float | None:
    """A probability 0..1, or None for the bundle's own. Raises UsageError."""
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"threshold: expected a probability 0..1, got {threshold}")
    return threshold


def probabilities(bundle: Bundle, logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logits (N, K) -> probabilities (N, K) at the bundle's temperature.

    One label a picture: each row sums to 1. Multi-label: each class stands for itself.
    """
    if bundle.task == "multilabel":
        return sigmoid(logits, bundle.temperature)
    return softmax(logits, bundle.temperature)


def same_answers(bundle: Bundle, one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.bool_]:
    """For each picture (N,): whether both logits (N, K) lead to the same best class, or the same labels."""
    if bundle.task == "classify":
        return np.asarray(one.argmax(axis=1) == other.argmax(axis=1))
    labels, others = (probabilities(bundle, logits) >= bundle.threshold for logits in (one, other))
    return np.asarray((labels == others).all(axis=1))


def answer(
    bundle: Bundle,
    logits: NDArray[np.floating],
    sources: Sequence[str],
    *,
    top: int = 5,
    threshold: float | None = None,
) -> list[Classification | Failure]:
    """One answer for each row of logits (N, K), under the name of its source.

    top: how many classes to name, of a bundle that gives one label a picture.
    threshold: one label a picture: an answer whose best probability is below it is not `certain`. Multi-label: every
    class from it on is named; None for the bundle's own.
    A row that is not finite is a Failure: the network has no answer to that picture.
    """
    check_top(top)
    check_threshold(threshold)
    finite = np.isfinite(logits).all(axis=1)
    of_rows = np.zeros(logits.shape)
    of_rows[finite] = probabilities(bundle, logits[finite]) if finite.any() else 0
    answers: list[Classification | Failure] = []
    for source, sound, row, of_row in zip(sources, finite, logits, of_rows, strict=True):
        if not sound:
            answers.append(Failure(source=source, reason="the network's output for it is not a finite number"))
            continue
        if bundle.task == "multilabel":
            named = _ranked(row, np.flatnonzero(of_row >= (bundle.threshold if threshold is None else threshold)))
            certain = len(named) > 0
        else:
            named = _ranked(row, _highest(row, top))[:top]
            certain = threshold is None or of_row[named[0]] >= threshold
        labels = tuple(
            Scored(label=bundle.classes[index], index=int(index), probability=float(of_row[index])) for index in named
        )
        answers.append(Classification(source=source, labels=labels, certain=bool(certain)))
    return answers


def _highest(row: NDArray[np.floating], count: int) -> NDArray[np.intp]:
    """The classes of the `count` highest logits, and those that equal the last of them, in the order of the list."""
    if count >= len(row):
        return np.arange(len(row))
    return np.flatnonzero(row >= np.partition(row, -count)[-count])


def _ranked(row: NDArray[np.floating], classes: NDArray[np.intp]) -> NDArray[np.intp]:
    """The classes, the most probable first; of equals, the first of the class list.

    By logits, which still differ where probabilities have run into 0 or 1.
    """
    return classes[np.argsort(-row[classes], kind="stable")]

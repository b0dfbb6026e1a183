"""The whole evaluation of one set as one record: what metrics.json holds and the report shows.

Shapes: N pictures, K classes. Logits are what the network gives before softmax (one class a picture) or sigmoid
(several labels a picture).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convatlas.metrics.calibration import (
    ReliabilityBin,
    calibration_gap,
    expected_calibration_error,
    picture_losses,
    reliability,
    softmax,
    standard_error,
)
from convatlas.metrics.classification import (
    ClassScores,
    confusion_matrix,
    macro_f1,
    per_class,
    top_k_accuracy,
    wilson_interval,
)
from convatlas.metrics.inputs import check_count, check_scores, check_targets, check_truths
from convatlas.metrics.multilabel import (
    check_threshold,
    f1_at,
    mean_average_precision,
    per_label,
    picture_cross_entropies,
    sigmoid,
)


@dataclass(frozen=True, kw_only=True)
class WrongPicture:
    """A picture that was taken for another class."""

    index: int  # its place in the set
    name: str
    truth: str
    predicted: str
    probability: float  # of the predicted class, 0..1
    truth_probability: float  # of the true class, 0..1


@dataclass(frozen=True, kw_only=True, eq=False)  # eq: arrays have no single truth value
class ClassifySummary:
    """How a classifier did on one set. Shares are 0..1; `loss` and both errors of calibration are at `temperature`
    unless the name says otherwise.
    """

    split: str
    pictures: int
    classes: tuple[str, ...]
    top1: float
    top1_interval: tuple[float, float]  # Wilson, 95 %
    top5: float | None  # None for five classes or fewer: it would always be 1
    loss: float  # negative log likelihood, nats
    loss_error: float  # the standard error of `loss`
    ece: float
    ece_uncalibrated: float  # at temperature 1
    temperature: float
    macro_f1: float | None
    per_class: tuple[ClassScores, ...]
    confusion: NDArray[np.int64]  # (K, K), row = truth
    reliability: tuple[ReliabilityBin, ...]
    wrong: tuple[WrongPicture, ...]  # all of them, the surest first

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON can hold it; undefined values are None, the confusion matrix a list of rows."""
        return {"task": "classify", **asdict(self), "confusion": self.confusion.tolist()}


def summarise_classification(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    classes: Sequence[str],
    names: Sequence[str],
    split: str,
    temperature: float = 1.0,
) -> ClassifySummary:
    """Every measure of a classifier's answers. logits (N, K), targets (N,) class indices, names: one a picture.

    Raises UsageError that names the argument for empty input, values that are not finite, or shapes that disagree.
    """
    scores = check_scores(logits, "logits")
    pictures, num_classes = scores.shape
    truths = check_targets(targets, num_classes)
    check_count(len(truths), pictures, "targets", "picture")
    check_count(len(classes), num_classes, "classes", "column of logits")
    check_count(len(names), pictures, "names", "picture")

    probabilities = softmax(scores, temperature)
    # Of the logits, not of the probabilities, where rounding could make a tie of two.
    predicted = scores.argmax(axis=1)
    confusion = confusion_matrix(predicted, truths, num_classes)
    each = per_class(confusion, classes)
    bins = reliability(probabilities, truths)
    losses = picture_losses(scores, truths, temperature)
    return ClassifySummary(
        split=split,
        pictures=pictures,
        classes=tuple(classes),
        top1=top_k_accuracy(scores, truths, 1),
        top1_interval=wilson_interval(int((predicted == truths).sum()), pictures),
        top5=top_k_accuracy(scores, truths, 5) if num_classes > 5 else None,
        loss=float(losses.mean()),
        loss_error=standard_error(losses),
        ece=calibration_gap(bins),
        ece_uncalibrated=expected_calibration_error(softmax(scores), truths),
        temperature=temperature,
        macro_f1=macro_f1(each),
        per_class=each,
        confusion=confusion,
        reliability=bins,
        wrong=_wrong_pictures(probabilities, predicted, truths, classes, names),
    )


def _wrong_pictures(
    probabilities: NDArray[np.float64],
    predicted: NDArray[np.intp],
    truths: NDArray[np.int64],
    classes: Sequence[str],
    names: Sequence[str],
) -> tuple[WrongPicture, ...]:
    wrong = np.flatnonzero(predicted != truths)
    surest_first = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")]
    return tuple(
        WrongPicture(
            index=int(i),
            name=names[i],
            truth=classes[int(truths[i])],
            predicted=classes[int(predicted[i])],
            probability=float(probabilities[i, predicted[i]]),
            truth_probability=float(probabilities[i, truths[i]]),
        )
        for i in surest_first
    )


@dataclass(frozen=True, kw_only=True)
class LabelScores:
    """How one label fared; each value 0..1, None where it is undefined."""

    label: str
    support: int  # pictures that truly carry it
    average_precision: float | None  # None: no picture carries it
    precision: float | None  # None: never given
    recall: float | None  # None: no picture carries it
    f1: float | None  # None: neither


@dataclass(frozen=True, kw_only=True)
class WrongLabels:
    """A picture with a label that was missed or wrongly given."""

    index: int  # its place in the set
    name: str
    missed: tuple[str, ...]  # carried, but below the threshold
    extra: tuple[str, ...]  # not carried, but given
    worst: str  # the surest mistake among them
    probability: float  # that the network gave to `worst`, 0..1: high if wrongly given, low if missed


@dataclass(frozen=True, kw_only=True)
class MultilabelSummary:
    """How a classifier with several labels a picture did on one set. Shares are 0..1."""

    split: str
    pictures: int
    classes: tuple[str, ...]
    mean_ap: float | None  # None when no label occurs
    exact_match: float  # share of the pictures with every label right
    micro_f1: float | None
    macro_f1: float | None
    loss: float  # binary cross-entropy at `temperature`, nats a label
    loss_error: float  # the standard error of `loss`, over pictures
    temperature: float
    threshold: float  # probability from which a label is given
    per_class: tuple[LabelScores, ...]
    wrong: tuple[WrongLabels, ...]  # all of them, the surest mistake first

    def to_dict(self) -> dict[str, object]:
        """Everything as JSON can hold it; undefined values are None."""
        return {"task": "multilabel", **asdict(self)}


Summary = ClassifySummary | MultilabelSummary


def summarise_multilabel(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    classes: Sequence[str],
    names: Sequence[str],
    split: str,
    temperature: float = 1.0,
    threshold: float = 0.5,
) -> MultilabelSummary:
    """Every measure of a multi-label classifier's answers. logits and targets (N, K), targets 0 or 1.

    Raises UsageError that names the argument for empty input, values that are not finite, or shapes that disagree.
    """
    scores = check_scores(logits, "logits")
    truths = check_truths(targets, scores.shape, "targets")
    check_count(len(classes), scores.shape[1], "classes", "column of logits")
    check_count(len(names), scores.shape[0], "names", "picture")

    probabilities = sigmoid(scores, temperature)
    given = probabilities >= check_threshold(threshold)
    mean_ap, each_ap = mean_average_precision(scores, truths)
    losses = picture_cross_entropies(scores, truths, temperature)
    f1 = f1_at(probabilities, truths, threshold)
    return MultilabelSummary(
        split=split,
        pictures=len(scores),
        classes=tuple(classes),
        mean_ap=mean_ap,
        exact_match=float((given == truths).all(axis=1).mean()),
        micro_f1=f1.micro,
        macro_f1=f1.macro,
        loss=float(losses.mean()),
        loss_error=standard_error(losses),
        temperature=temperature,
        threshold=threshold,
        per_class=tuple(
            LabelScores(**asdict(one), average_precision=ap)
            for one, ap in zip(per_label(probabilities, truths, threshold, tuple(classes)), each_ap, strict=True)
        ),
        wrong=_wrong_labels(probabilities, given, truths, classes, names),
    )


def _wrong_labels(
    probabilities: NDArray[np.float64],
    given: NDArray[np.bool_],
    truths: NDArray[np.bool_],
    classes: Sequence[str],
    names: Sequence[str],
) -> tuple[WrongLabels, ...]:
    # How sure the mistake was: p of a label wrongly given, 1 - p of one missed, and below 0 where it is right.
    mistake = np.where(given != truths, np.where(given, probabilities, 1 - probabilities), -1.0)
    worst = mistake.argmax(axis=1)
    wrong = np.flatnonzero((given != truths).any(axis=1))
    surest_first = wrong[np.argsort(-mistake[wrong, worst[wrong]], kind="stable")]
    return tuple(
        WrongLabels(
            index=int(i),
            name=names[i],
            missed=tuple(classes[k] for k in np.flatnonzero(truths[i] & ~given[i]).tolist()),
            extra=tuple(classes[k] for k in np.flatnonzero(given[i] & ~truths[i]).tolist()),
            worst=classes[int(worst[i])],
            probability=float(probabilities[i, worst[i]]),
        )
        for i in surest_first
    )

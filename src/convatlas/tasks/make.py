"""The task of a run, from what its plan and its data say."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from convatlas.tasks.classify import Classify
from convatlas.tasks.family import decode_for, own_losses
from convatlas.tasks.multilabel import Multilabel
from convatlas.tasks.task import Task


def make_task(
    kind: Literal["classify", "multilabel"],
    model: str,
    classes: tuple[str, ...],
    *,
    label_smoothing: float = 0.0,
    class_weights: tuple[float, ...] | None = None,
) -> Task:
    """A task for a network of the catalog by name, with the family's own losses and decoding where it has them."""
    if kind == "multilabel":
        return Multilabel(
            classes=classes,
            decode=decode_for(model),
            label_smoothing=label_smoothing,
            class_weights=class_weights,
        )
    return Classify(
        classes=classes,
        own_losses=own_losses(model),
        decode=decode_for(model),
        label_smoothing=label_smoothing,
        class_weights=class_weights,
    )


def balanced_weights(counts: NDArray[np.int64]) -> tuple[float, ...]:
    """Weights in inverse proportion to each class's pictures; a picture counts 1 on average. Empty classes get 0."""
    present = np.maximum(counts, 1)
    weights = np.where(counts > 0, counts.sum() / (max(1, int((counts > 0).sum())) * present), 0.0)
    return tuple(float(weight) for weight in weights)

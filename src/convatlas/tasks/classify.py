"""One label a picture: softmax cross-entropy (or the paper's own loss), top-1 accuracy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from convatlas.metrics.calibration import fit_temperature
from convatlas.metrics.summary import ClassifySummary, Summary, summarise_classification
from convatlas.metrics.views import mean_softmax
from convatlas.tasks.family import Decode, Losses


@dataclass(frozen=True, kw_only=True)
class Classify:
    """class_weights (K,): how much a picture of each class counts; None for all alike."""

    classes: tuple[str, ...]
    own_losses: Losses | None
    decode: Decode
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    name: str = "classify"
    score_name: str = "top-1 accuracy"

    def targets(self, labels: Tensor) -> Tensor:
        """Class indices (N,) -> distributions (N, K); smoothing spreads its share over all classes alike."""
        exact = F.one_hot(labels, len(self.classes)).float()
        return exact * (1 - self.label_smoothing) + self.label_smoothing / len(self.classes)

    def losses(self, network: nn.Module, output: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """The family's own losses, or cross-entropy; each (N,), weighted by class where weights are given."""
        if self.own_losses is not None:
            losses = self.own_losses(network, output, targets)
        else:
            losses = {"cross_entropy": F.cross_entropy(output, targets, reduction="none")}
        if self.class_weights is None:
            return losses
        weights = targets @ targets.new_tensor(self.class_weights)
        return {name: loss * weights for name, loss in losses.items()}

    def fit_temperature(self, logits: NDArray[np.float64], labels: NDArray[Any]) -> float:
        """See `metrics.calibration.fit_temperature`."""
        return fit_temperature(logits, labels)

    def join_views(self, logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
        """See `metrics.views.mean_softmax`."""
        return mean_softmax(logits, temperature)

    def summarise(
        self,
        logits: NDArray[np.float64],
        labels: NDArray[Any],
        *,
        names: Sequence[str],
        split: str,
        temperature: float,
    ) -> ClassifySummary:
        """See `metrics.summary.summarise_classification`."""
        return summarise_classification(
            logits, labels, classes=self.classes, names=names, split=split, temperature=temperature
        )

    def score(self, summary: Summary) -> float:
        """Top-1 accuracy."""
        assert isinstance(summary, ClassifySummary)
        return summary.top1

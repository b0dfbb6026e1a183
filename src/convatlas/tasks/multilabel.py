"""Any number of labels a picture: a yes or no for each class, mean average precision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from convatlas.metrics.multilabel import fit_temperature_binary
from convatlas.metrics.summary import MultilabelSummary, Summary, summarise_multilabel
from convatlas.metrics.views import mean_sigmoid
from convatlas.tasks.family import Decode


@dataclass(frozen=True, kw_only=True)
class Multilabel:
    """class_weights (K,): how much each class's yes or no counts; None for all alike."""

    classes: tuple[str, ...]
    decode: Decode
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None
    threshold: float = 0.5
    name: str = "multilabel"
    score_name: str = "mean average precision"

    def targets(self, labels: Tensor) -> Tensor:
        """0 or 1 for each class (N, K) -> floats (N, K); smoothing moves each towards one half."""
        return labels.float() * (1 - self.label_smoothing) + self.label_smoothing / 2

    def losses(self, network: nn.Module, output: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Binary cross-entropy, mean over the classes; (N,)."""
        loss = F.binary_cross_entropy_with_logits(self.decode(output), targets, reduction="none")
        if self.class_weights is not None:
            loss = loss * loss.new_tensor(self.class_weights)
        return {"binary_cross_entropy": loss.mean(dim=1)}

    def fit_temperature(self, logits: NDArray[np.float64], labels: NDArray[Any]) -> float:
        """See `metrics.multilabel.fit_temperature_binary`."""
        return fit_temperature_binary(logits, labels)

    def join_views(self, logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
        """See `metrics.views.mean_sigmoid`."""
        return mean_sigmoid(logits, temperature)

    def summarise(
        self,
        logits: NDArray[np.float64],
        labels: NDArray[Any],
        *,
        names: Sequence[str],
        split: str,
        temperature: float,
    ) -> MultilabelSummary:
        """See `metrics.summary.summarise_multilabel`."""
        return summarise_multilabel(
            logits,
            labels,
            classes=self.classes,
            names=names,
            split=split,
            temperature=temperature,
            threshold=self.threshold,
        )

    def score(self, summary: Summary) -> float:
        """Mean average precision; 0 when no picture has a label, for then there is nothing to find."""
        assert isinstance(summary, MultilabelSummary)
        return summary.mean_ap or 0.0

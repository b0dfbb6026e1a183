"""What the engine asks of a task. It knows nothing else of labels, losses or measures."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from convatlas.metrics.summary import Summary


class Task(Protocol):
    """A task binds a network's output to labels.

    Targets are (N, K) floats: for one label a distribution over the classes, for several labels 0 or 1 each.
    """

    @property
    def name(self) -> str:
        """ "classify" or "multilabel": what the bundle records."""

    @property
    def score_name(self) -> str:
        """What `score` is called in tables and reports."""

    def targets(self, labels: Tensor) -> Tensor:
        """Labels as the data has them -> targets (N, K), smoothed where the recipe says so."""

    def losses(self, network: nn.Module, output: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Named losses, each (N,): one value for each picture, so that a bad one can be named."""

    def decode(self, output: Tensor) -> Tensor:
        """The network's output -> logits (N, K)."""

    def fit_temperature(self, logits: NDArray[np.float64], labels: NDArray[Any]) -> float:
        """The temperature that calibrates these logits best."""

    def join_views(self, logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
        """Several views of one picture (V, K) at this temperature -> logits (K,) of the mean of their probabilities."""

    def summarise(
        self,
        logits: NDArray[np.float64],
        labels: NDArray[Any],
        *,
        names: Sequence[str],
        split: str,
        temperature: float,
    ) -> Summary:
        """Every measure of one set of pictures."""

    def score(self, summary: Summary) -> float:
        """The one number, 0..1, by which the best checkpoint is chosen."""

"""Who watches a run: a progress bar, a notebook, nobody."""

import warnings
from typing import TYPE_CHECKING

from convatlas.types import EpochRow

if TYPE_CHECKING:
    from convatlas.data.picture_set import DataSplits
    from convatlas.engine.plan import Plan
    from convatlas.engine.run import RunFolder


class Observer:
    """Told what a run does while it does it. Override what you want to hear of; only `halved` does something itself."""

    def fetching(self, done: int, total: int | None) -> None:
        """While published weights are downloaded: bytes here, bytes in all where that is known."""

    def planned(self, plan: "Plan", run: "RunFolder", splits: "DataSplits") -> None:
        """Once, before the first picture is read."""

    def reading(self, done: int, total: int) -> None:
        """After each picture that was read before the training, of all its splits together."""

    def caching(self, done: int, total: int) -> None:
        """After each batch of pictures whose features were computed, where only the classifier is trained."""

    def halved(self, plan: "Plan", said: str) -> None:
        """When a batch did not fit into memory: the plan that the run goes on by, and that in words; here a warning."""
        warnings.warn(said, stacklevel=2)

    def batch_done(self, epoch: int, batch: int, batches: int, images: int) -> None:
        """After each batch; counts start at 1. images: trained on in this epoch so far."""

    def epoch_done(self, row: EpochRow, *, best: bool) -> None:
        """After each epoch's validation. best: it is the best so far, and its checkpoint was kept."""

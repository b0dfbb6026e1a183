"""What networks with auxiliary classifiers share: the losses of all their answers, and the one answer that counts.

Such a network answers with its logits or, built for training, with a NamedTuple: the logits, then those of each
auxiliary classifier.
"""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor


def weighted_losses(
    output: Tensor | tuple[Tensor, ...], targets: Tensor, weights: Mapping[str, float]
) -> dict[str, Tensor]:
    """Cross-entropy of each image, and that of each auxiliary classifier times its weight, in their order.

    targets (N, K), each row a distribution over the classes -> named losses, each (N,), to be added up.
    """
    losses = {"cross_entropy": F.cross_entropy(main_logits(output), targets, reduction="none")}
    if not isinstance(output, Tensor):
        for (name, weight), side in zip(weights.items(), output[1:], strict=True):
            losses[name] = weight * F.cross_entropy(side, targets, reduction="none")
    return losses


def main_logits(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The classifier's logits (N, K): the auxiliary ones serve training alone."""
    return output if isinstance(output, Tensor) else output[0]

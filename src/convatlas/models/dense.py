"""Dense evaluation: a network's one answer to a whole picture, larger than the size that it was trained on.

The paper's own way where a network has one, as its method `evaluate_densely(x)`: images (N, C, H, W) -> the same as
`forward`. A network that ends in global average pooling needs none: its last dense layer is a classifier of every
place, and the mean of its answers is what the network gives (He et al., https://arxiv.org/abs/1512.03385, Section 3.4).
"""

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from convatlas.errors import UsageError


class DenseEvaluation(nn.Module):
    """A network whose `forward` is its `evaluate_densely`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        return cast("Callable[[Tensor], Tensor]", self.network.evaluate_densely)(x)


def densely(network: nn.Module) -> nn.Module:
    """What answers for whole pictures with this network's weights; the network itself where it averages all places.

    Raises UsageError for a network that has no dense evaluation: its dense layers see maps of one size, to which larger
    ones are averaged, if they are not refused.
    """
    if hasattr(network, "evaluate_densely"):
        return DenseEvaluation(network)
    if averages_all_places(network):
        return network
    raise UsageError(
        f"{type(network).__name__} has no dense evaluation: its dense layers see maps of one size only. "
        "Ten crops need none (views: ten-crop)"
    )


def averages_all_places(network: nn.Module) -> bool:
    """Whether the network's head has global average pooling."""
    head = getattr(network, "head", None)
    if not isinstance(head, nn.Module):
        return False
    return any(isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size == 1 for module in head.modules())

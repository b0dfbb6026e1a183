"""Dense evaluation: a network's one answer to a whole picture, larger than the size that it was trained on.

The paper's own way where a network has one, as its method `evaluate_densely(x)`: images (N, C, H, W) -> the same as
`forward`. A network needs none that ends in global average pooling and one dense layer, or none: that layer is a
classifier of every place, and the mean of its answers is what the network gives (He et al.,
https://arxiv.org/abs/1512.03385, Section 3.4). With anything that is not linear after the pooling, as in MobileNetV3,
the answer to the mean is another than the mean of the answers.
"""

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from convatlas.errors import UsageError

_NO_CHANGE = (nn.Flatten, nn.Dropout, nn.Identity)  # in evaluation, to a pooled map


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

    Raises UsageError for a network that has no dense evaluation: between its last maps and its answer there is more
    than their mean and one dense layer.
    """
    if hasattr(network, "evaluate_densely"):
        return DenseEvaluation(network)
    if averages_all_places(network):
        return network
    raise UsageError(
        f"{type(network).__name__} has no dense evaluation: its answer is not the mean of what it would answer at each "
        "place of its last maps. Ten crops need none (views: ten-crop)"
    )


def averages_all_places(network: nn.Module) -> bool:
    """Whether the head ends in global average pooling, with no more after it than dropout and one dense layer."""
    head = getattr(network, "head", None)
    if not isinstance(head, nn.Sequential):
        return False
    layers = [layer for layer in head.modules() if not any(layer.children())]
    pools = [isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size == 1 for layer in layers]
    if True not in pools:
        return False
    after = [layer for layer in layers[pools.index(True) + 1 :] if not isinstance(layer, _NO_CHANGE)]
    return all(isinstance(layer, nn.Linear) for layer in after) and len(after) <= 1

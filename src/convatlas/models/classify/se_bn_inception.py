"""SE-BN-Inception: Hu, Shen, Albanie, Sun, Wu, "Squeeze-and-Excitation Networks", CVPR 2018, PAMI 2020.

https://arxiv.org/abs/1709.01507 -- SE-Inception module: Figure 2. It is BN-Inception, see `bn_inception`, with an SE
block after every module, also those that halve the picture, as in the authors' released network; as there, no
convolution has a bias beside its BatchNorm, and the excitation's dense layers have.
Choice that the paper leaves open: of the two forms of its initialisation, He et al.'s, by fan-in.
Shapes: N images, C channels, H x W pixels, K classes. An odd side is rounded up where a module halves it.
"""

from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.squeeze_excitation import SqueezeExcitation
from convatlas.models.classify.bn_inception import BNInception, BNInceptionConfig, Conv, Inception, Row
from convatlas.models.classify.resnet import initialise
from convatlas.models.contract import check_at_least


@dataclass(frozen=True, kw_only=True)
class SEBNInceptionConfig(BNInceptionConfig):
    """BN-Inception's config, and r: the excitation's first dense layer has C/r units for a module's C channels."""

    reduction: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "reduction")
        narrowest = min(row.out for rows in self.stages for row in rows if isinstance(row, Row))
        if self.reduction > narrowest:
            raise UsageError(
                f"SEBNInceptionConfig.reduction must be at most {narrowest}, the channels of the narrowest module, "
                f"not {self.reduction}"
            )


CONFIGS = {"se_bn_inception": SEBNInceptionConfig()}


class SEInception(nn.Module):
    """Figure 2: an SE block weighs what a module puts out, all its branches together; shapes are the module's."""

    def __init__(self, inception: Inception, *, reduction: int) -> None:
        super().__init__()
        self.inception = inception
        self.se = SqueezeExcitation(inception.out_channels, inception.out_channels // reduction)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        weighed: Tensor = self.se(self.inception(x))
        return weighed


class SEBNInception(BNInception):
    """Images (N, C, H, W) of at least 7 x 7 -> logits (N, K); features as BN-Inception's."""

    def __init__(self, config: SEBNInceptionConfig) -> None:
        super().__init__(config)
        for stage in self.stages:
            layers = cast(nn.Sequential, stage)
            for index, layer in enumerate(layers):
                if isinstance(layer, Inception):
                    layers[index] = SEInception(layer, reduction=config.reduction)
        for layer in self.modules():
            if isinstance(layer, Conv):
                layer.conv.bias = None
        initialise(self)

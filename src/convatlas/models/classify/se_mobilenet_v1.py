"""SE-MobileNet: Hu, Shen, Albanie, Sun, Wu, "Squeeze-and-Excitation Networks", CVPR 2018, PAMI 2020.

https://arxiv.org/abs/1709.01507 -- results: Table 3. It is MobileNet, see `mobilenet_v1`, with SE blocks.
Choices that the paper leaves open: an SE block follows each 1x1 convolution with its BatchNorm and ReLU, which comes to
the parameters that the table prints; the excitation's dense layers have biases; of the two forms of the paper's
initialisation, He et al.'s, by fan-in.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

from dataclasses import dataclass

from convatlas.errors import UsageError
from convatlas.layers.squeeze_excitation import SqueezeExcitation
from convatlas.models.classify.mobilenet_v1 import DepthwiseSeparable, MobileNetV1, MobileNetV1Config, thinner
from convatlas.models.classify.resnet import initialise
from convatlas.models.contract import check_at_least


@dataclass(frozen=True, kw_only=True)
class SEMobileNetV1Config(MobileNetV1Config):
    """MobileNet's config, and r: the excitation's first dense layer has C/r units for a block's C channels."""

    reduction: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "reduction")
        narrowest = min(thinner(row.out, self.width) for row in self.stages)
        if self.reduction > narrowest:
            raise UsageError(
                f"SEMobileNetV1Config.reduction must be at most {narrowest}, the channels of the narrowest block, "
                f"not {self.reduction}"
            )


CONFIGS = {"se_mobilenet_v1": SEMobileNetV1Config()}


class SEMobileNetV1(MobileNetV1):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K); features as MobileNet's."""

    def __init__(self, config: SEMobileNetV1Config) -> None:
        super().__init__(config)
        for block in self.stages.modules():
            if isinstance(block, DepthwiseSeparable):
                channels = block.pointwise.conv.out_channels
                block.append(SqueezeExcitation(channels, channels // config.reduction))
        initialise(self)

"""SE-ShuffleNet: Hu, Shen, Albanie, Sun, Wu, "Squeeze-and-Excitation Networks", CVPR 2018, PAMI 2020.

https://arxiv.org/abs/1709.01507 -- results: Table 3. It is ShuffleNet 1x (g = 3), see `shufflenet_v1`, with SE blocks.
Choices that the paper leaves open: as in SE-ResNet, an SE block ends what a unit computes, before its input is added or
put before it; the excitation's dense layers have biases; of the two forms of the paper's initialisation, He et al.'s,
by fan-in.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

from dataclasses import dataclass

from convatlas.errors import UsageError
from convatlas.layers.round_channels import round_channels
from convatlas.layers.squeeze_excitation import SqueezeExcitation
from convatlas.models.classify.resnet import initialise
from convatlas.models.classify.shufflenet_v1 import ShuffleNetV1, ShuffleNetV1Config, ShuffleUnit, stem_channels
from convatlas.models.contract import check_at_least


@dataclass(frozen=True, kw_only=True)
class SEShuffleNetV1Config(ShuffleNetV1Config):
    """ShuffleNet's config, and r: the excitation's first dense layer has C/r units for C channels."""

    reduction: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "reduction")
        stage2 = round_channels(self.channels * self.width, divisor=4 * self.groups)
        narrowest = stage2 - stem_channels(self.width, self.groups)  # what the first unit computes
        if self.reduction > narrowest:
            raise UsageError(
                f"SEShuffleNetV1Config.reduction must be at most {narrowest}, the channels of the narrowest SE block, "
                f"not {self.reduction}"
            )


CONFIGS = {"se_shufflenet_v1": SEShuffleNetV1Config(groups=3, channels=240)}


class SEShuffleNetV1(ShuffleNetV1):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K); features as ShuffleNet's."""

    def __init__(self, config: SEShuffleNetV1Config) -> None:
        super().__init__(config)
        for unit in self.stages.modules():
            if isinstance(unit, ShuffleUnit):
                channels = unit.expand.conv.out_channels
                unit.expand.append(SqueezeExcitation(channels, channels // config.reduction))
        initialise(self)

"""SE-Inception-ResNet-v2: Hu, Shen, Albanie, Sun, Wu, "Squeeze-and-Excitation Networks", CVPR 2018, PAMI 2020.

https://arxiv.org/abs/1709.01507 -- results: Table 2. It is Inception-ResNet-v2 in the form of the public weights, see
`inception_resnet`, with SE blocks.
Choices that the paper leaves open: as in SE-ResNet, an SE block ends the residual of each residual block, and there is
none elsewhere; the excitation's dense layers have biases; of the two forms of the paper's initialisation, He et al.'s,
by fan-in.
Shapes: N images, C channels, H x W pixels, K classes. Where nothing is padded, a map loses its margin.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import nn

from convatlas.errors import UsageError
from convatlas.layers.squeeze_excitation import SqueezeExcitation
from convatlas.models.classify.inception_resnet import (
    V2,
    Filters,
    Form,
    InceptionResNet,
    InceptionResNetBlock,
    InceptionResNetConfig,
)
from convatlas.models.classify.inception_v4 import Modules
from convatlas.models.classify.resnet import initialise
from convatlas.models.contract import check_at_least


@dataclass(frozen=True, kw_only=True)
class SEInceptionResNetV2Config(InceptionResNetConfig):
    """Inception-ResNet-v2's config, and r: the excitation's first dense layer has C/r units for a block's C channels.

    Raises UsageError that names the field when a value is impossible.
    """

    form: Form = "public"
    filters: Filters = V2
    depths: tuple[int, int, int] = (10, 20, 10)
    reduction: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form != "public":
            raise UsageError(f'SEInceptionResNetV2Config.form must be "public", not {self.form!r}')
        check_at_least(self, 1, "reduction")
        if self.reduction > self.narrowest:
            raise UsageError(
                f"SEInceptionResNetV2Config.reduction must be at most {self.narrowest}, the channels of the narrowest "
                f"block, not {self.reduction}"
            )

    @property
    def narrowest(self) -> int:
        """The channels of the blocks at H/8; deeper ones have more."""
        return sum(map(Modules(self.width).wide, (96, 64, 96, 64)))  # the branches that end the stem


CONFIGS = {"se_inception_resnet_v2": SEInceptionResNetV2Config()}


class SEInceptionResNetV2(InceptionResNet):
    """Images (N, C, H, W) of at least 75 x 75 -> logits (N, K); features as Inception-ResNet-v2's."""

    def __init__(self, config: SEInceptionResNetV2Config) -> None:
        super().__init__(config)
        for block in self.stages.modules():
            if isinstance(block, InceptionResNetBlock):
                channels = block.expand.out_channels
                se = SqueezeExcitation(channels, channels // config.reduction)
                block.register_module("expand", nn.Sequential(OrderedDict(conv=block.expand, se=se)))
        initialise(self)

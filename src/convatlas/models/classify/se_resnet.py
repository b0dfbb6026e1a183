"""SE-ResNet and SE-ResNeXt: Hu, Shen, Albanie, Sun, Wu, "Squeeze-and-Excitation Networks", CVPR 2018, PAMI 2020.

https://arxiv.org/abs/1709.01507 -- squeeze: Equation 2; excitation: Equation 3; scale: Equation 4; SE-ResNet module:
Figure 3; networks: Table 1; where else the SE block may stand: Figure 5.
As the authors' released networks: a bottleneck strides in its first 1x1 convolution, the pooling of the stem does not
pad and its last window may hang over the edge. (Other libraries stride in the 3x3 and pad.)
Deviation, as those: the excitation's dense layers have biases, which the journal version advises against in ResNets.
Choices that the paper leaves open: of the two forms of its initialisation, He et al.'s, by fan-in; in a block whose
shortcut projects, "identity" weighs the projected channels. The paper has no `se_resnet18` and no
`se_resnet34`.
Shapes: N images, C channels, H x W pixels, K classes. An odd side is rounded up when it is halved, by the pooling of
the stem down.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.squeeze_excitation import SqueezeExcitation
from convatlas.models.classify.resnet import basic, bottleneck, classifier, conv, initialise, make_shortcut
from convatlas.models.classify.resnext import aggregated
from convatlas.models.contract import FeatureInfo, check_at_least, check_images, check_whole_numbers

Block = Literal["basic", "bottleneck", "aggregated"]
Placement = Literal["standard", "pre", "post", "identity"]


@dataclass(frozen=True, kw_only=True)
class SEResNetConfig:
    """A ResNet or, with "aggregated" blocks, a ResNeXt. Raises UsageError that names the field that is impossible."""

    depths: tuple[int, ...]  # blocks in conv2_x, conv3_x, conv4_x, conv5_x
    block: Block  # ResNet's of two or of three layers, or ResNeXt's
    cardinality: int | None = None  # the paths of an "aggregated" block; the others have none
    bottleneck_width: int | None = None  # the channels of each path in conv2_x; each later stage doubles them
    placement: Placement = "standard"  # Figure 5
    reduction: int = 16  # r: the excitation's first dense layer has C/r units
    width: int = 64  # channels of conv1; each stage after conv2_x doubles those of its blocks
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_whole_numbers(self, "depths", count=4)
        for field, choices in (("block", get_args(Block)), ("placement", get_args(Placement))):
            if getattr(self, field) not in choices:
                known = ", ".join(f'"{choice}"' for choice in choices)
                raise UsageError(f"SEResNetConfig.{field} must be one of {known}, not {getattr(self, field)!r}")
        check_at_least(self, 1, "reduction", "width", "in_channels", "num_classes")
        if self.block == "aggregated":
            check_at_least(self, 1, "cardinality", "bottleneck_width")
        elif (self.cardinality, self.bottleneck_width) != (None, None):
            raise UsageError(
                f'SEResNetConfig.cardinality and bottleneck_width are those of "aggregated" blocks: with block '
                f'"{self.block}" they must be None, not {self.cardinality} and {self.bottleneck_width}'
            )
        narrowest = self.width if self.placement == "pre" else self.width * self.expansion
        if self.reduction > narrowest:
            raise UsageError(
                f"SEResNetConfig.reduction must be at most {narrowest}, the channels of the narrowest SE block, "
                f"not {self.reduction}"
            )

    @property
    def expansion(self) -> int:
        """How many times wider than its stage a block ends."""
        return 1 if self.block == "basic" else 4


CONFIGS = {
    "se_resnet18": SEResNetConfig(depths=(2, 2, 2, 2), block="basic"),
    "se_resnet34": SEResNetConfig(depths=(3, 4, 6, 3), block="basic"),
    "se_resnet50": SEResNetConfig(depths=(3, 4, 6, 3), block="bottleneck"),
    "se_resnet101": SEResNetConfig(depths=(3, 4, 23, 3), block="bottleneck"),
    "se_resnet152": SEResNetConfig(depths=(3, 8, 36, 3), block="bottleneck"),
    "se_resnext50_32x4d": SEResNetConfig(depths=(3, 4, 6, 3), block="aggregated", cardinality=32, bottleneck_width=4),
    "se_resnext101_32x4d": SEResNetConfig(depths=(3, 4, 23, 3), block="aggregated", cardinality=32, bottleneck_width=4),
}


class SEResidualBlock(nn.Module):
    """A residual block with an SE block at one of the places of Figure 5.

    (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), at least 0. `se` takes as many channels as there
    are at its place: in_channels for "pre", else out_channels.
    """

    def __init__(
        self, residual: nn.Module, se: SqueezeExcitation, shortcut: nn.Module | None, *, placement: Placement
    ) -> None:
        super().__init__()
        self.residual = residual
        self.se = se
        self.shortcut = shortcut or nn.Identity()
        self.placement = placement

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self.placement == "pre":  # before the residual unit
            return F.relu(self.residual(self.se(x)) + self.shortcut(x))
        if self.placement == "post":  # after the summation and its ReLU
            weighed: Tensor = self.se(F.relu(self.residual(x) + self.shortcut(x)))
            return weighed
        if self.placement == "identity":  # on the identity connection
            return F.relu(self.residual(x) + self.se(self.shortcut(x)))
        return F.relu(self.se(self.residual(x)) + self.shortcut(x))


def residual_layers(config: SEResNetConfig, in_channels: int, stage: int, stride: int) -> nn.Sequential:
    """ResNet's or ResNeXt's layers: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride)."""
    width = config.width * 2**stage
    if config.block == "basic":
        return basic(in_channels, width, stride)
    if config.block == "bottleneck":
        return bottleneck(in_channels, width, stride, stride_in_1x1=True)
    assert config.bottleneck_width is not None and config.cardinality is not None  # checked by the config
    path_width = config.bottleneck_width * 2**stage
    return aggregated(in_channels, path_width, 4 * width, stride, cardinality=config.cardinality)


class SEResNet(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K). The stem and the stages end at H/4, H/4 ... H/32."""

    def __init__(self, config: SEResNetConfig) -> None:
        super().__init__()
        self.config = config
        stem: dict[str, nn.Module] = {
            "conv": conv(config.in_channels, config.width, 7, stride=2),
            "bn": nn.BatchNorm2d(config.width),
            "relu": nn.ReLU(),
            "pool": nn.MaxPool2d(3, stride=2, ceil_mode=True),
        }
        self.stem = nn.Sequential(OrderedDict(stem))  # conv1 and the pooling of conv2_x: (N, width, H/4, W/4)
        self.stages = nn.ModuleList()  # conv2_x ... conv5_x
        self.feature_info: tuple[FeatureInfo, ...] = ()
        channels = config.width
        for stage, depth in enumerate(config.depths):
            out_channels = config.width * config.expansion * 2**stage
            blocks = nn.Sequential()
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                residual = residual_layers(config, channels, stage, stride)
                shortcut = make_shortcut("projection", channels, out_channels, stride)
                weighed = channels if config.placement == "pre" else out_channels
                se = SqueezeExcitation(weighed, weighed // config.reduction)
                blocks.append(SEResidualBlock(residual, se, shortcut, placement=config.placement))
                channels = out_channels
            self.stages.append(blocks)
            self.feature_info += (FeatureInfo(f"conv{stage + 2}_x", channels, 4 * 2**stage),)
        self.head = classifier(channels, config.num_classes)
        initialise(self)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the outputs of conv2_x ... conv5_x, at H/4, H/8, H/16, H/32."""
        check_images(x, network="SE-ResNet", channels=self.config.in_channels, smallest=32)
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

"""SENet-154: Hu, Shen, Albanie, Sun, Wu, "Squeeze-and-Excitation Networks", CVPR 2018, the winner of ILSVRC 2017.

https://arxiv.org/abs/1709.01507 -- the appendix says how it differs from ResNeXt-152 (64x4d) with SE blocks: half the
channels in a block's first 1x1 convolution; three 3x3 convolutions in the place of the stem's 7x7; projections that
halve the picture are 3x3; dropout of 0.2 before the dense layer. Widths are those of the authors' released network.
As there, the pooling of the stem does not pad, and its last window may hang over the edge.
Choice that the paper leaves open: of the two forms of its initialisation, He et al.'s, by fan-in.
Shapes: N images, C channels, H x W pixels, K classes. An odd side is rounded up when it is halved, by the pooling of
the stem down.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.pooled_head import PooledHead
from convatlas.layers.squeeze_excitation import SqueezeExcitation
from convatlas.models.classify.resnet import conv, initialise
from convatlas.models.classify.se_resnet import SEResidualBlock
from convatlas.models.contract import FeatureInfo, check_at_least, check_fraction, check_images, check_whole_numbers


@dataclass(frozen=True, kw_only=True)
class SENet154Config:
    """width and cardinality scale the network. Raises UsageError that names the field when a value is impossible."""

    depths: tuple[int, ...] = (3, 8, 36, 3)  # blocks in conv2_x, conv3_x, conv4_x, conv5_x
    cardinality: int = 64  # the paths of a block
    reduction: int = 16  # r: the excitation's first dense layer has C/r units
    width: int = 64  # channels of the first convolution; a block of conv2_x ends with four times as many
    dropout: float = 0.2
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_whole_numbers(self, "depths", count=4)
        check_at_least(self, 1, "cardinality", "reduction", "width", "in_channels", "num_classes")
        check_fraction(self, "dropout")
        if 2 * self.width % self.cardinality:
            raise UsageError(
                f"SENet154Config.cardinality must divide {2 * self.width}, the channels that a block's 3x3 convolution "
                f"takes in conv2_x, and {self.cardinality} does not"
            )
        if self.reduction > 4 * self.width:
            raise UsageError(
                f"SENet154Config.reduction must be at most {4 * self.width}, the channels of the narrowest SE block, "
                f"not {self.reduction}"
            )


CONFIGS = {"senet154": SENet154Config()}


def residual_layers(in_channels: int, out_channels: int, stride: int, *, cardinality: int) -> nn.Sequential:
    """(N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), before the SE block and the addition."""
    narrow = out_channels // 2  # half of what ResNeXt-152 (64x4d) has here
    layers: dict[str, nn.Module] = {
        "conv1": conv(in_channels, narrow, 1),
        "bn1": nn.BatchNorm2d(narrow),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(narrow, out_channels, 3, stride, padding=1, groups=cardinality, bias=False),
        "bn2": nn.BatchNorm2d(out_channels),
        "relu2": nn.ReLU(),
        "conv3": conv(out_channels, out_channels, 1),
        "bn3": nn.BatchNorm2d(out_channels),
    }
    return nn.Sequential(OrderedDict(layers))


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The shortcut: the identity where shapes allow it, else a convolution, 3x3 where it halves the picture."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    kernel = 1 if stride == 1 else 3
    return nn.Sequential(
        OrderedDict(conv=conv(in_channels, out_channels, kernel, stride), bn=nn.BatchNorm2d(out_channels))
    )


class SENet154(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K). The stem and the stages end at H/4, H/4 ... H/32."""

    def __init__(self, config: SENet154Config) -> None:
        super().__init__()
        self.config = config
        width, channels = config.width, 2 * config.width
        stem: dict[str, nn.Module] = {
            "conv1": conv(config.in_channels, width, 3, stride=2),
            "bn1": nn.BatchNorm2d(width),
            "relu1": nn.ReLU(),
            "conv2": conv(width, width, 3),
            "bn2": nn.BatchNorm2d(width),
            "relu2": nn.ReLU(),
            "conv3": conv(width, channels, 3),
            "bn3": nn.BatchNorm2d(channels),
            "relu3": nn.ReLU(),
            "pool": nn.MaxPool2d(3, stride=2, ceil_mode=True),
        }
        self.stem = nn.Sequential(OrderedDict(stem))  # (N, 2 * width, H/4, W/4)
        self.stages = nn.ModuleList()  # conv2_x ... conv5_x
        self.feature_info: tuple[FeatureInfo, ...] = ()
        for stage, depth in enumerate(config.depths):
            out_channels = 4 * width * 2**stage
            blocks = nn.Sequential()
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                residual = residual_layers(channels, out_channels, stride, cardinality=config.cardinality)
                se = SqueezeExcitation(out_channels, out_channels // config.reduction)
                shortcut = projection(channels, out_channels, stride)
                blocks.append(SEResidualBlock(residual, se, shortcut, placement="standard"))
                channels = out_channels
            self.stages.append(blocks)
            self.feature_info += (FeatureInfo(f"conv{stage + 2}_x", channels, 4 * 2**stage),)
        self.head = PooledHead(channels, config.num_classes, dropout=config.dropout)
        initialise(self)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the outputs of conv2_x ... conv5_x, at H/4, H/8, H/16, H/32."""
        check_images(x, network="SENet-154", channels=self.config.in_channels, smallest=32)
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

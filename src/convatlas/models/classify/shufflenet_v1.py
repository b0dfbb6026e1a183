"""ShuffleNet: Zhang et al., "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices".

CVPR 2018, https://arxiv.org/abs/1707.01083 -- channel shuffle: Figure 1; unit: Figure 2 (b) and (c); networks: Table 1;
scale factor: Section 3.3, "ShuffleNet s x" is `width=s`.
From the authors' code (megvii-model/ShuffleNet-Series, ShuffleNetV1), where the paper is silent: the pooled input comes
first where a unit concatenates; the stem's channels at each scale; normal weights, deviation 0.01 in the stem and the
classifier, elsewhere one over the input channels of a group; BatchNorm's initial biases 0.0001.
Where a scale gives channels that the groups cannot share, they are rounded to multiples of four times the groups, and
the stem's to multiples of the groups: the authors' scales need that only in the stem of g = 8 at 0.5, where theirs is
16 too.
Deviation: the classifier has a bias, as other libraries' networks have; the authors' code gives it none.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.channel_shuffle import channel_shuffle
from convatlas.layers.conv_norm import ConvNorm
from convatlas.layers.round_channels import round_channels
from convatlas.models.classify.resnet import classifier
from convatlas.models.contract import FeatureInfo, check_at_least, check_images, check_positive, check_whole_numbers


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV1Config:
    """A column of Table 1. `channels`: of Stage 2, twice that in Stage 3 and four times in Stage 4."""

    groups: int
    channels: int
    width: float = 1.0
    depths: tuple[int, ...] = (4, 8, 4)  # units in Stages 2, 3 and 4
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "groups", "in_channels", "num_classes")
        check_at_least(self, 48, "channels")  # twice the stem's, which the first unit passes on
        if self.channels % (4 * self.groups):
            raise UsageError(
                f"ShuffleNetV1Config.channels must be a multiple of four times groups, {4 * self.groups}, "
                f"not {self.channels!r}"
            )
        check_positive(self, "width")
        check_whole_numbers(self, "depths")


CONFIGS = {
    "shufflenet_v1_g1": ShuffleNetV1Config(groups=1, channels=144),
    "shufflenet_v1_g2": ShuffleNetV1Config(groups=2, channels=200),
    "shufflenet_v1_g3": ShuffleNetV1Config(groups=3, channels=240),
    "shufflenet_v1_g4": ShuffleNetV1Config(groups=4, channels=272),
    "shufflenet_v1_g8": ShuffleNetV1Config(groups=8, channels=384),
}


class Stem(nn.Sequential):
    """Conv1 and MaxPool of Table 1: (N, C, H, W) -> (N, out_channels, H/4, W/4)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(in_channels, out_channels, kernel=3, stride=2)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)


class ShuffleUnit(nn.Module):
    """A bottleneck of pointwise group convolutions with a channel shuffle between them (Figure 2).

    With stride 1 its input is added (b); with stride 2 its input, averaged, is put before what it computes (c).
    (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride). groups_in: of the first convolution alone.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, groups: int, groups_in: int) -> None:
        super().__init__()
        bottleneck = out_channels // 4
        computed = out_channels if stride == 1 else out_channels - in_channels
        self.groups = groups
        self.reduce = ConvNorm(in_channels, bottleneck, kernel=1, groups=groups_in)
        self.depthwise = ConvNorm(bottleneck, bottleneck, kernel=3, stride=stride, groups=bottleneck, linear=True)
        self.expand = ConvNorm(bottleneck, computed, kernel=1, groups=groups, linear=True)
        self.pool = nn.AvgPool2d(3, stride=2, padding=1) if stride == 2 else None
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.expand(self.depthwise(channel_shuffle(self.reduce(x), self.groups)))
        y = x + y if self.pool is None else torch.cat([self.pool(x), y], dim=1)
        activated: Tensor = self.relu(y)
        return activated


class ShuffleNetV1(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K).

    The features are the stem at H/4, 24 channels, and Stages 2, 3, 4 at H/8, H/16, H/32: 240, 480, 960 channels in g3.
    """

    smallest = 32  # Stage 4 has one pixel

    def __init__(self, config: ShuffleNetV1Config) -> None:
        super().__init__()
        self.config = config
        groups = config.groups
        channels = stem_channels(config.width, groups)
        stage2 = round_channels(config.channels * config.width, divisor=4 * groups)
        self.stem = Stem(config.in_channels, channels)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = (FeatureInfo("stem", channels, 4),)
        for index, depth in enumerate(config.depths):
            out = stage2 * 2**index
            units = nn.Sequential()
            for unit in range(depth):
                stride = 2 if unit == 0 else 1
                # "we do not apply group convolution on the first pointwise layer because the number of input channels
                # is relatively small"
                groups_in = 1 if index == unit == 0 else groups
                units.append(ShuffleUnit(channels, out, stride=stride, groups=groups, groups_in=groups_in))
                channels = out
            self.stages.append(units)
            self.feature_info += (FeatureInfo(f"stages.{index}", channels, 8 * 2**index),)
        self.head = classifier(channels, config.num_classes)  # GlobalPool and FC
        initialise(self, self.stem, self.head)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="ShuffleNetV1", channels=self.config.in_channels, smallest=self.smallest)
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits


def stem_channels(width: float, groups: int) -> int:
    """The authors' 24 and 48 at 1, 1.5 and 2; at 0.5 their 12, or 16 for eight groups."""
    return round_channels(24 * (int(width) if width >= 1 else width), divisor=groups)


def initialise(network: nn.Module, *narrow: nn.Module) -> None:
    """As the authors' code: normal, deviation 0.01 in the narrow modules, else one over a group's input channels."""
    narrowed = {inner for module in narrow for inner in module.modules()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:  # drawing nothing is slow there
            nn.init.normal_(module.weight, std=0.01 if module in narrowed else 1 / module.weight.shape[1])
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, 1e-4)

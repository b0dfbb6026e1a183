"""ShuffleNetV2.ExLarge: ShuffleNet V2 at 46.2 G multiply-accumulates, by its authors.

https://github.com/megvii-model/ShuffleNet-Series, ShuffleNetV2.ExLarge: there is no paper. As ShuffleNetV2.Large, but
the branch widens to a whole stage's channels, with a grouped and a depthwise 3x3 convolution, and narrows to half; all
channels enter a stage's first unit; a 1x1 convolution ends each stage, in the place of one before the classifier.
As in the authors' code: a unit passes on every second channel, where ShuffleNet V2 shuffles and passes on the first
half; three auxiliary classifiers, weighted 0.3, 0.5 and 0.7 in training; dropout 0.2; the initialisation.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.conv_norm import ConvNorm
from convatlas.layers.pooled_head import PooledHead
from convatlas.layers.squeeze_excitation import SqueezeExcitation
from convatlas.models.classify.shufflenet_v1 import initialise
from convatlas.models.classify.shufflenet_v2_large import (
    AuxiliaryClassifier,
    ShuffleNetV2LargeOutput,
    Stage,
    Stem,
    decode,
    losses,
)
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_rows,
    check_whole_numbers,
)

__all__ = ["CONFIGS", "ShuffleNetV2ExLarge", "ShuffleNetV2ExLargeConfig", "decode", "losses"]

AUX_CHANNELS = (256, 512, 1024)  # of the auxiliary classifiers after the first, second and third stage


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2ExLargeConfig:
    """`stem`: channels of its three convolutions; `groups`: of the grouped 3x3 convolutions.

    aux: the network answers with the auxiliary classifiers too (`ShuffleNetV2LargeOutput`), for training.
    """

    stages: tuple[Stage, ...]
    stem: tuple[int, ...]
    groups: int
    aux: bool = False
    dropout: float = 0.2
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "groups", "in_channels", "num_classes")
        check_whole_numbers(self, "stem", count=3)
        check_fraction(self, "dropout")
        check_rows(self, "stages", Stage)
        if any(row.out % self.groups or row.out % 8 for row in self.stages):
            raise UsageError(
                f"ShuffleNetV2ExLargeConfig.stages must have multiples of groups, {self.groups}, and of 8 as channels"
            )
        if self.aux and len(self.stages) != 4:
            raise UsageError("ShuffleNetV2ExLargeConfig.aux needs four stages: its classifiers stand between them")


CONFIGS = {
    "shufflenet_v2_exlarge": ShuffleNetV2ExLargeConfig(
        stem=(64, 128, 256),
        stages=(
            Stage(out=320, units=8, stride=1),
            Stage(out=640, units=16),
            Stage(out=1280, units=36),
            Stage(out=2560, units=10),
        ),
        groups=16,
    ),
}


class Branch(nn.Sequential):
    """1x1, grouped 3x3, depthwise 3x3 and 1x1 convolution, and squeeze-and-excitation.

    (N, in_channels, H, W) -> (N, width / 2, H/stride, W/stride), with `width` channels between.
    """

    def __init__(self, in_channels: int, width: int, *, groups: int, stride: int = 1) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = ConvNorm(in_channels, width, kernel=1)
        self.grouped = ConvNorm(width, width, kernel=3, stride=stride, groups=groups)
        self.depthwise = ConvNorm(width, width, kernel=3, groups=width, linear=True)
        self.conv2 = ConvNorm(width, half, kernel=1, linear=True)
        self.se = SqueezeExcitation(half, squeezed=half // 4)


class ResidualUnit(nn.Module):
    """Every second channel passes by; what the branch makes of the others is added to them.

    (N, channels, H, W) -> (N, channels, H, W), channels even.
    """

    def __init__(self, channels: int, *, groups: int) -> None:
        super().__init__()
        self.branch = Branch(channels // 2, channels, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        kept, changed = x[:, 0::2], x[:, 1::2]
        return torch.cat([kept, (changed + self.branch(changed)).relu()], dim=1)


class EntryUnit(nn.Module):
    """The first unit of a stage: a 3x3 convolution of all channels beside the branch, also of all.

    (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride).
    """

    def __init__(self, in_channels: int, out_channels: int, *, groups: int, stride: int) -> None:
        super().__init__()
        self.shortcut = ConvNorm(in_channels, out_channels // 2, kernel=3, stride=stride)
        self.branch = Branch(in_channels, out_channels, groups=groups, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([self.shortcut(x), self.branch(x)], dim=1)


class ShuffleNetV2ExLarge(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K), or with `aux` four of them.

    The features are the stages at H/4, H/8, H/16 and H/32: 320, 640, 1280 and 2560 channels.
    """

    smallest = 32  # the last stage has one pixel

    def __init__(self, config: ShuffleNetV2ExLargeConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = Stem(config.in_channels, config.stem)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        channels, scale = config.stem[-1], 4
        for index, row in enumerate(config.stages):
            units = nn.Sequential(EntryUnit(channels, row.out, groups=config.groups, stride=row.stride))
            for _ in range(row.units - 1):
                units.append(ResidualUnit(row.out, groups=config.groups))
            units.append(ConvNorm(row.out, row.out, kernel=1))
            self.stages.append(units)
            channels = row.out
            scale *= row.stride
            self.feature_info += (FeatureInfo(f"stages.{index}", channels, scale),)
        self.head = PooledHead(channels, config.num_classes, dropout=config.dropout)
        if config.aux:
            self.aux1, self.aux2, self.aux3 = (
                AuxiliaryClassifier(row.out, width, config.num_classes)
                for row, width in zip(config.stages, AUX_CHANNELS, strict=False)
            )
        dense = [module for module in self.modules() if isinstance(module, nn.Linear | SqueezeExcitation)]
        initialise(self, self.stem, *dense)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="ShuffleNetV2ExLarge", channels=self.config.in_channels, smallest=self.smallest)
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor | ShuffleNetV2LargeOutput:
        """Images (N, C, H, W) -> logits (N, K); with `aux` always a ShuffleNetV2LargeOutput."""
        maps = self.features(x)
        logits: Tensor = self.head(maps[-1])
        if not self.config.aux:
            return logits
        return ShuffleNetV2LargeOutput(logits, self.aux1(maps[0]), self.aux2(maps[1]), self.aux3(maps[2]))

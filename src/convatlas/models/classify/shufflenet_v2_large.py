"""ShuffleNetV2.Large: ShuffleNet V2 at 12.7 G multiply-accumulates, by its authors.

https://github.com/megvii-model/ShuffleNet-Series, ShuffleNetV2.Large. The paper (https://arxiv.org/abs/1807.11164,
Table 6) prints its cost and error for SE-ShuffleNet v2-164, whose stages have other channels in the appendix's table;
this is the network whose code and weights the authors give. Its units have grouped 3x3 convolutions, a residual path on
the changed half, which lets a hundred layers train, and squeeze-and-excitation that does not squeeze.
As in the authors' code: a unit passes on every second channel, where ShuffleNet V2 shuffles and passes on the first
half; three auxiliary classifiers, weighted 0.3, 0.5 and 0.7 in training; dropout 0.2; the initialisation.
Deviation: BatchNorm's epsilon is 1e-5, not 1e-9, which multiplies a channel that was always dark by 30,000.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.conv_norm import ConvNorm
from convatlas.layers.squeeze_excitation import SqueezeExcitation
from convatlas.models.classify.auxiliary import main_logits, weighted_losses
from convatlas.models.classify.shufflenet_v1 import initialise
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_rows,
    check_whole_numbers,
)

AUX_WEIGHTS = {"aux1": 0.3, "aux2": 0.5, "aux3": 0.7}  # of the classifiers after the first, second and third stage


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Units of `out` channels, of which the first has the stride."""

    out: int
    units: int
    stride: int = 2

    def __post_init__(self) -> None:
        check_at_least(self, 2, "out")
        check_at_least(self, 1, "units")
        if self.stride not in (1, 2):
            raise UsageError(f"Stage.stride must be 1 or 2, not {self.stride!r}")


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2LargeConfig:
    """`stem`: channels of its three convolutions; `groups`: of the 3x3 convolutions, on half of a stage's channels.

    aux: the network answers with the auxiliary classifiers too (`ShuffleNetV2LargeOutput`), for training.
    """

    stages: tuple[Stage, ...]
    stem: tuple[int, ...]
    groups: int
    last: int
    aux: bool = False
    dropout: float = 0.2
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "groups", "last", "in_channels", "num_classes")
        check_whole_numbers(self, "stem", count=3)
        if self.stem[-1] % 2:
            raise UsageError(f"ShuffleNetV2LargeConfig.stem must end in an even number, not {self.stem!r}")
        check_fraction(self, "dropout")
        check_rows(self, "stages", Stage)
        if any(row.out % (2 * self.groups) for row in self.stages):
            raise UsageError(
                f"ShuffleNetV2LargeConfig.stages must have multiples of twice groups, {2 * self.groups}, as channels"
            )
        if self.aux and len(self.stages) != 4:
            raise UsageError("ShuffleNetV2LargeConfig.aux needs four stages: its classifiers stand between them")


CONFIGS = {
    "shufflenet_v2_large": ShuffleNetV2LargeConfig(
        stem=(64, 64, 128),
        stages=(
            Stage(out=256, units=10, stride=1),
            Stage(out=512, units=10),
            Stage(out=1024, units=23),
            Stage(out=2048, units=10),
        ),
        groups=8,
        last=1280,
    ),
}


class ShuffleNetV2LargeOutput(NamedTuple):
    """Logits (N, K) of the classifier and of the auxiliary ones after the first, second and third stage."""

    logits: Tensor
    aux1: Tensor
    aux2: Tensor
    aux3: Tensor


class Stem(nn.Sequential):
    """Three 3x3 convolutions, the first with stride 2, and pooling: (N, C, H, W) -> (N, out, H/4, W/4)."""

    def __init__(self, in_channels: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        first, second, third = channels
        self.conv1 = ConvNorm(in_channels, first, kernel=3, stride=2)
        self.conv2 = ConvNorm(first, second, kernel=3)
        self.conv3 = ConvNorm(second, third, kernel=3)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)


class Branch(nn.Sequential):
    """1x1, grouped 3x3 and 1x1 convolution, and squeeze-and-excitation: (N, in, H, W) -> (N, out, H/s, W/s)."""

    def __init__(self, in_channels: int, out_channels: int, *, groups: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = ConvNorm(in_channels, out_channels, kernel=1)
        self.grouped = ConvNorm(out_channels, out_channels, kernel=3, stride=stride, groups=groups)
        self.conv2 = ConvNorm(out_channels, out_channels, kernel=1, linear=True)
        self.se = SqueezeExcitation(out_channels, squeezed=out_channels)


class ResidualUnit(nn.Module):
    """Every second channel passes by; what the branch makes of the others is added to them.

    (N, channels, H, W) -> (N, channels, H, W), channels even.
    """

    def __init__(self, channels: int, *, groups: int) -> None:
        super().__init__()
        self.branch = Branch(channels // 2, channels // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        kept, changed = x[:, 0::2], x[:, 1::2]
        return torch.cat([kept, changed + self.branch(changed)], dim=1).relu()


class EntryUnit(nn.Module):
    """The first unit of a stage: a 3x3 convolution of every second channel beside the branch of the others.

    (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride). With stride 2 a 1x1 convolution mixes the two.
    """

    def __init__(self, in_channels: int, out_channels: int, *, groups: int, stride: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.shortcut = ConvNorm(in_channels // 2, half, kernel=3, stride=stride, linear=True)
        self.branch = Branch(in_channels // 2, half, groups=groups, stride=stride)
        self.mix = ConvNorm(out_channels, out_channels, kernel=1) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.mix(torch.cat([self.shortcut(x[:, 0::2]), self.branch(x[:, 1::2])], dim=1).relu())
        return y


class AuxiliaryClassifier(nn.Sequential):
    """Pooling, two convolutions and a dense layer on a stage's maps: (N, in_channels, h, w) -> logits (N, K)."""

    def __init__(self, in_channels: int, channels: int, num_classes: int) -> None:
        super().__init__()
        self.pool1 = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv1 = ConvNorm(in_channels, channels, kernel=1)
        self.conv2 = ConvNorm(channels, channels, kernel=3)
        self.pool2 = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels, num_classes)


class Head(nn.Sequential):
    """A 3x3 convolution, pooling and the classifier: (N, in_channels, h, w) -> logits (N, K)."""

    def __init__(self, in_channels: int, channels: int, *, dropout: float, num_classes: int) -> None:
        super().__init__()
        self.last = ConvNorm(in_channels, channels, kernel=3)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)


class ShuffleNetV2Large(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K), or with `aux` four of them.

    The features are the stages at H/4, H/8, H/16 and H/32: 256, 512, 1024 and 2048 channels.
    """

    smallest = 32  # the last stage has one pixel

    def __init__(self, config: ShuffleNetV2LargeConfig) -> None:
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
            self.stages.append(units)
            channels = row.out
            scale *= row.stride
            self.feature_info += (FeatureInfo(f"stages.{index}", channels, scale),)
        self.head = Head(channels, config.last, dropout=config.dropout, num_classes=config.num_classes)
        if config.aux:
            self.aux1, self.aux2, self.aux3 = (
                AuxiliaryClassifier(row.out, row.out, config.num_classes) for row in config.stages[:3]
            )
        dense = [module for module in self.modules() if isinstance(module, nn.Linear | SqueezeExcitation)]
        initialise(self, self.stem, *dense)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="ShuffleNetV2Large", channels=self.config.in_channels, smallest=self.smallest)
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


def losses(network: nn.Module, output: Tensor | ShuffleNetV2LargeOutput, targets: Tensor) -> dict[str, Tensor]:
    """Cross-entropy of each image, and with `aux` that of the auxiliary classifiers, weighted by AUX_WEIGHTS.

    targets (N, K), each row a distribution over the classes -> named losses, each (N,), to be added up.
    """
    return weighted_losses(output, targets, AUX_WEIGHTS)


def decode(output: Tensor | ShuffleNetV2LargeOutput) -> Tensor:
    """The classifier's logits (N, K): the auxiliary ones serve training alone."""
    return main_logits(output)

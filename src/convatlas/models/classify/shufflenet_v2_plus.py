"""ShuffleNetV2+: ShuffleNet V2 with h-swish, squeeze-and-excitation and larger kernels, by its authors, 2019.

https://github.com/megvii-model/ShuffleNet-Series, ShuffleNetV2+: there is no paper. ShuffleNet V2's units
(https://arxiv.org/abs/1807.11164, Figure 3) with kernels of 3, 5 or 7 pixels, or three separable convolutions; from the
second stage on h-swish for ReLU, and from the third on squeeze-and-excitation, as MobileNetV3 has them
(https://arxiv.org/abs/1905.02244, Sections 5.2 and 5.3). No pooling follows the stem: the first stage halves instead.
As in the authors' code: squeeze-and-excitation normalises its bottleneck; dense layers have no biases; a unit passes on
every second channel, where ShuffleNet V2 shuffles and passes on the first half, so that no shuffle is needed; dropout
0.2 before the classifier; the initialisation.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

import enum
import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.models.classify.shufflenet_v1 import initialise
from convatlas.models.contract import FeatureInfo, check_at_least, check_fraction, check_images, check_rows


class Kind(enum.Enum):
    """What the changed half of a unit's channels goes through."""

    SHUFFLE_3X3 = 3  # 1x1, depthwise 3x3 and 1x1 convolution
    SHUFFLE_5X5 = 5
    SHUFFLE_7X7 = 7
    XCEPTION = 9  # three times depthwise 3x3 and 1x1 convolution


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Units of `out` channels, of which the first halves the picture. hs: h-swish, else ReLU."""

    out: int
    units: tuple[Kind, ...]
    hs: bool
    se: bool

    def __post_init__(self) -> None:
        check_at_least(self, 2, "out")
        if self.out % 4:
            raise UsageError(f"Stage.out must be a multiple of 4, to be split, not {self.out!r}")
        check_rows(self, "units", Kind)
        if self.units[0] is Kind.XCEPTION:
            raise UsageError("Stage.units must not begin with Kind.XCEPTION, which keeps the size of its maps")


def searched(*channels: int) -> tuple[Stage, ...]:
    """The four stages that the authors' search found, with these channels."""
    k3, k5, k7, xception = Kind.SHUFFLE_3X3, Kind.SHUFFLE_5X5, Kind.SHUFFLE_7X7, Kind.XCEPTION
    first, second, third, fourth = channels
    return (
        Stage(out=first, units=(k3, k3, xception, k5), hs=False, se=False),
        Stage(out=second, units=(k5, k5, k3, k3), hs=True, se=False),
        Stage(out=third, units=(k7, k3, k7, k5, k5, k3, k7, k3), hs=True, se=True),
        Stage(out=fourth, units=(k7, k5, xception, k7), hs=True, se=True),
    )


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2PlusConfig:
    """`stem`: channels of the first convolution; `last`: of the last, and units of the hidden dense layer."""

    stages: tuple[Stage, ...]
    stem: int = 16
    last: int = 1280
    dropout: float = 0.2
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "stem", "in_channels", "num_classes")
        check_at_least(self, 4, "last")
        check_fraction(self, "dropout")
        check_rows(self, "stages", Stage)
        channels = [self.stem, *(row.out for row in self.stages)]
        if any(before >= after for before, after in itertools.pairwise(channels)):
            raise UsageError(f"ShuffleNetV2PlusConfig.stages must each add channels: stem and stages have {channels}")
        added = [after - before for before, after in itertools.pairwise(channels)]
        if any(row.se and min(count, row.out // 2) < 4 for row, count in zip(self.stages, added, strict=True)):
            raise UsageError(
                "ShuffleNetV2PlusConfig.stages with se must add 4 channels or more and have 8 or more, of which "
                f"squeeze-and-excitation keeps a quarter: stem and stages have {channels}"
            )


CONFIGS = {
    "shufflenet_v2_plus_small": ShuffleNetV2PlusConfig(stages=searched(36, 104, 208, 416)),
    "shufflenet_v2_plus_medium": ShuffleNetV2PlusConfig(stages=searched(48, 128, 256, 512)),
    "shufflenet_v2_plus_large": ShuffleNetV2PlusConfig(stages=searched(68, 168, 336, 672)),
}


class ConvNorm(nn.Sequential):
    """Convolution, BatchNorm and, where given, an activation: (N, C, H, W) -> (N, out, H/stride, W/stride)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        if activation is not None:
            self.activation = activation


class SqueezeExcitation(nn.Module):
    """Weighs each channel by what all channels' means say: (N, C, H, W) -> (N, C, H, W).

    Hu et al., https://arxiv.org/abs/1709.01507, Figure 2, with BatchNorm in the bottleneck and a hard sigmoid.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = ConvNorm(channels, channels // 4, kernel=1, activation=nn.ReLU())
        self.excite = nn.Conv2d(channels // 4, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        means = x.mean(dim=(2, 3), keepdim=True)
        return x * F.hardsigmoid(self.excite(self.squeeze(means)))


class ShuffleBranch(nn.Sequential):
    """1x1, depthwise and 1x1 convolution: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride)."""

    def __init__(self, row: Stage, kernel: int, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        width = row.out // 2
        self.conv1 = ConvNorm(in_channels, width, kernel=1, activation=activation(row))
        self.depthwise = ConvNorm(width, width, kernel, stride=stride, groups=width)
        self.conv2 = ConvNorm(width, out_channels, kernel=1, activation=activation(row))
        if row.se:
            self.se = SqueezeExcitation(out_channels)


class XceptionBranch(nn.Sequential):
    """Three separable convolutions: (N, channels, H, W) -> (N, channels, H, W)."""

    def __init__(self, row: Stage, channels: int) -> None:
        super().__init__()
        for number in (1, 2, 3):
            self.add_module(f"depthwise{number}", ConvNorm(channels, channels, kernel=3, groups=channels))
            self.add_module(f"conv{number}", ConvNorm(channels, channels, kernel=1, activation=activation(row)))
        if row.se:
            self.se = SqueezeExcitation(channels)


class BasicUnit(nn.Module):
    """Every second channel passes by, the others go through the branch: (N, C, H, W) -> (N, C, H, W), C even."""

    def __init__(self, row: Stage, kind: Kind) -> None:
        super().__init__()
        half = row.out // 2
        if kind is Kind.XCEPTION:
            self.branch: nn.Module = XceptionBranch(row, half)
        else:
            self.branch = ShuffleBranch(row, kind.value, half, half, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([x[:, 0::2], self.branch(x[:, 1::2])], dim=1)


class DownsamplingUnit(nn.Module):
    """All channels go through two branches; the shortcut's keeps their number, the other's adds what is new.

    (N, in_channels, H, W) -> (N, row.out, H/2, W/2).
    """

    def __init__(self, row: Stage, kind: Kind, in_channels: int) -> None:
        super().__init__()
        kernel = kind.value
        self.shortcut = nn.Sequential()
        self.shortcut.depthwise = ConvNorm(in_channels, in_channels, kernel, stride=2, groups=in_channels)
        self.shortcut.conv = ConvNorm(in_channels, in_channels, kernel=1, activation=activation(row))
        self.branch = ShuffleBranch(row, kernel, in_channels, row.out - in_channels, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([self.shortcut(x), self.branch(x)], dim=1)


class Head(nn.Sequential):
    """The last convolution, pooling, and two dense layers: (N, in_channels, h, w) -> logits (N, K)."""

    def __init__(self, config: ShuffleNetV2PlusConfig, in_channels: int) -> None:
        super().__init__()
        self.last = ConvNorm(in_channels, config.last, kernel=1, activation=nn.Hardswish())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.se = SqueezeExcitation(config.last)
        self.flatten = nn.Flatten()
        self.hidden = nn.Linear(config.last, config.last, bias=False)
        self.hswish = nn.Hardswish()
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(config.last, config.num_classes, bias=False)


class ShuffleNetV2Plus(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K).

    The features are the stem at H/2, 16 channels, and the stages at H/4, H/8, H/16, H/32: 48, 128, 256, 512 in Medium.
    """

    smallest = 32  # the last stage has one pixel

    def __init__(self, config: ShuffleNetV2PlusConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.stem
        self.stem = ConvNorm(config.in_channels, channels, kernel=3, stride=2, activation=nn.Hardswish())
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = (FeatureInfo("stem", channels, 2),)
        for index, row in enumerate(config.stages):
            units = nn.Sequential(DownsamplingUnit(row, row.units[0], channels))
            for kind in row.units[1:]:
                units.append(BasicUnit(row, kind))
            self.stages.append(units)
            channels = row.out
            self.feature_info += (FeatureInfo(f"stages.{index}", channels, 4 * 2**index),)
        self.head = Head(config, channels)
        excitations = [module for module in self.modules() if isinstance(module, SqueezeExcitation)]
        initialise(self, self.stem, self.head.hidden, self.head.fc, *excitations)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="ShuffleNetV2Plus", channels=self.config.in_channels, smallest=self.smallest)
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits


def activation(row: Stage) -> nn.Module:
    """h-swish or ReLU."""
    return nn.Hardswish() if row.hs else nn.ReLU()

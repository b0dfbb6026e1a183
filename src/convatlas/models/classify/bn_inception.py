"""BN-Inception: Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
Covariate Shift", ICML 2015. Often called Inception v2, a name that "Rethinking the Inception Architecture" gives to
another network.

https://arxiv.org/abs/1502.03167 -- network: Figure 5 of the appendix, which says how it differs from GoogLeNet.
The paper contradicts itself in 4c and 4d: it prints 576 channels for them, but the channels of their branches add up
to 608, which is what public networks have, and so to 1056, not 1024, with 4e.
Deviations, as in those: the first layer is a plain 7x7 convolution, not a separable one; convolutions have biases,
although BatchNorm makes them idle; its epsilon is 1e-5.
No dropout and no local response normalisation: Section 4.2.1. Choices that the paper leaves open: weights normal with
deviation 0.01, cut at two deviations; average pooling counts the padding.
Shapes: N images, C channels, H x W pixels, K classes. An odd side is rounded up where a module halves it.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.models.contract import FeatureInfo, check_at_least, check_images, check_whole_numbers


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of Figure 5: the channels of a module's convolutions. `pool_proj` follows the pooling."""

    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce_double: int
    double3x3: int
    pool: Literal["avg", "max"] = "avg"
    pool_proj: int

    def __post_init__(self) -> None:
        check_at_least(self, 1, "conv1x1", "reduce3x3", "conv3x3", "reduce_double", "double3x3", "pool_proj")
        if self.pool not in ("avg", "max"):
            raise UsageError(f'Row.pool must be "avg" or "max", not {self.pool!r}')

    @property
    def out(self) -> int:
        """Channels of the module's output."""
        return self.conv1x1 + self.conv3x3 + self.double3x3 + self.pool_proj


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """A row of Figure 5 with stride 2: no 1x1 branch, and the pooled input passes through."""

    reduce3x3: int
    conv3x3: int
    reduce_double: int
    double3x3: int

    def __post_init__(self) -> None:
        check_at_least(self, 1, "reduce3x3", "conv3x3", "reduce_double", "double3x3")


FIGURE_5: tuple[tuple[Row | Reduction, ...], ...] = (
    (
        Row(conv1x1=64, reduce3x3=64, conv3x3=64, reduce_double=64, double3x3=96, pool_proj=32),  # 3a
        Row(conv1x1=64, reduce3x3=64, conv3x3=96, reduce_double=64, double3x3=96, pool_proj=64),  # 3b
    ),
    (
        Reduction(reduce3x3=128, conv3x3=160, reduce_double=64, double3x3=96),  # 3c
        Row(conv1x1=224, reduce3x3=64, conv3x3=96, reduce_double=96, double3x3=128, pool_proj=128),  # 4a
        Row(conv1x1=192, reduce3x3=96, conv3x3=128, reduce_double=96, double3x3=128, pool_proj=128),  # 4b
        Row(conv1x1=160, reduce3x3=128, conv3x3=160, reduce_double=128, double3x3=160, pool_proj=128),  # 4c
        Row(conv1x1=96, reduce3x3=128, conv3x3=192, reduce_double=160, double3x3=192, pool_proj=128),  # 4d
    ),
    (
        Reduction(reduce3x3=128, conv3x3=192, reduce_double=192, double3x3=256),  # 4e
        Row(conv1x1=352, reduce3x3=192, conv3x3=320, reduce_double=160, double3x3=224, pool_proj=128),  # 5a, 5b
        Row(conv1x1=352, reduce3x3=192, conv3x3=320, reduce_double=192, double3x3=224, pool="max", pool_proj=128),
    ),
)


@dataclass(frozen=True, kw_only=True)
class BNInceptionConfig:
    """stages: the modules at H/8, H/16 and H/32. stem: channels of conv1, of conv2's reduction and of conv2."""

    stem: tuple[int, int, int] = (64, 64, 192)
    stages: tuple[tuple[Row | Reduction, ...], ...] = FIGURE_5
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels", "num_classes")
        check_whole_numbers(self, "stem", count=3)
        if not (
            isinstance(self.stages, tuple) and len(self.stages) == 3 and all(map(_is_stage, (0, 1, 2), self.stages))
        ):
            raise UsageError(
                "BNInceptionConfig.stages must be three tuples, the first of Rows, the others of a Reduction and "
                f"Rows, not {self.stages!r}"
            )


def _is_stage(number: int, rows: object) -> bool:
    """Whether these are one row or more, of which the first halves the picture, but for the first stage's."""
    if not isinstance(rows, tuple) or not rows:
        return False
    first, *others = rows
    return isinstance(first, Reduction if number else Row) and all(isinstance(row, Row) for row in others)


CONFIGS = {"bn_inception": BNInceptionConfig()}


class Conv(nn.Sequential):
    """Convolution, BatchNorm, ReLU: (N, C, H, W) -> (N, out_channels, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()


class Inception(nn.Module):
    """A row of Figure 5, its branches side by side: (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride)."""

    def __init__(self, in_channels: int, row: Row | Reduction) -> None:
        super().__init__()
        stride = 2 if isinstance(row, Reduction) else 1
        self.branch1x1 = None if isinstance(row, Reduction) else Conv(in_channels, row.conv1x1, 1)
        self.branch3x3 = nn.Sequential(
            OrderedDict(
                reduce=Conv(in_channels, row.reduce3x3, 1),
                conv=Conv(row.reduce3x3, row.conv3x3, 3, stride=stride),
            )
        )
        self.double3x3 = nn.Sequential(
            OrderedDict(
                reduce=Conv(in_channels, row.reduce_double, 1),
                conv1=Conv(row.reduce_double, row.double3x3, 3),
                conv2=Conv(row.double3x3, row.double3x3, 3, stride=stride),
            )
        )
        if isinstance(row, Reduction):
            # Rounds up like the strided convolutions: what is padded is 0, no more than a ReLU's output.
            self.branch_pool = nn.Sequential(nn.ZeroPad2d((0, 2, 0, 2)), nn.MaxPool2d(3, stride=2))
            self.out_channels = row.conv3x3 + row.double3x3 + in_channels
        else:
            pool = nn.AvgPool2d(3, 1, padding=1) if row.pool == "avg" else nn.MaxPool2d(3, 1, padding=1)
            self.branch_pool = nn.Sequential(OrderedDict(pool=pool, proj=Conv(in_channels, row.pool_proj, 1)))
            self.out_channels = row.out

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        first = [] if self.branch1x1 is None else [self.branch1x1(x)]
        return torch.cat([*first, self.branch3x3(x), self.double3x3(x), self.branch_pool(x)], dim=1)


class BNInception(nn.Module):
    """Images (N, C, H, W) of at least 7 x 7 -> logits (N, K).

    The features are conv2, 3b, 4d and 5b: 192, 320, 608 and 1024 channels at H/4, H/8, H/16 and H/32.
    """

    smallest = 7  # the first stage has one pixel; those after it round up

    def __init__(self, config: BNInceptionConfig) -> None:
        super().__init__()
        self.config = config
        conv1, reduce, channels = config.stem
        self.stem = nn.Sequential(
            OrderedDict(
                conv1=Conv(config.in_channels, conv1, 7, stride=2),
                pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),
                reduce=Conv(conv1, reduce, 1),
                conv2=Conv(reduce, channels, 3),
            )
        )
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = (FeatureInfo("stem", channels, 4),)
        for number, rows in enumerate(config.stages):
            stage = nn.Sequential(nn.MaxPool2d(3, stride=2, ceil_mode=True)) if number == 0 else nn.Sequential()
            for row in rows:
                module = Inception(channels, row)
                channels = module.out_channels
                stage.append(module)
            self.stages.append(stage)
            self.feature_info += (FeatureInfo(f"stages.{number}", channels, 8 * 2**number),)
        self.head = nn.Sequential(
            OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(channels, config.num_classes))
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear) and not layer.weight.is_meta:  # drawing nothing is slow there
                nn.init.trunc_normal_(layer.weight, std=0.01, a=-0.02, b=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> conv2, 3b, 4d and 5b: (N, channels, H/stride, W/stride) of `feature_info`."""
        check_images(x, network="BN-Inception", channels=self.config.in_channels, smallest=self.smallest)
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

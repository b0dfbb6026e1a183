"""Inception v2: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.

https://arxiv.org/abs/1512.00567 -- network: Section 6 and Table 1; modules: Figures 5, 6 and 7; reductions: Figure 10.
Not BN-Inception, which is often called so. Inception v3 is the form of this network that its authors published.
Choices where the paper leaves something open or contradicts itself:
- Table 1 counts 3, 5 and 2 modules; the two reductions, which Section 6 puts between them, come on top.
- Section 6 names Figures 5 and 6 for the last two kinds of module, Table 1 Figures 6 and 7: here it is as in the table.
- The stem's last convolution keeps its 35x35 pixels, so it is padded, although Table 1 marks only the third.
- No table has the channels inside a module. They are Inception v3's where it has the same convolution; in Figure 6 they
  are 128, the least of v3's, and 192 before the first reduction's single 3x3, as in the second.
- Modules pool the average, reductions the maximum; dropout, epsilon and initialisation are as in Inception v3.
Deviation: no auxiliary classifier in training (Section 4); Inception v3 has one.
Shapes: N images, C channels, H x W pixels, K classes. Where nothing is padded, a map loses its margin:
299 -> 149 -> 147 -> 73 -> 71 -> 35 -> 17 -> 8.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.layers.pooled_head import PooledHead
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_positive,
    check_whole_numbers,
)

Kernel = int | tuple[int, int]
ROW, COLUMN = (1, 7), (7, 1)  # the halves of a factorised 7x7 convolution, Section 3.2


@dataclass(frozen=True, kw_only=True)
class InceptionV2Config:
    """depths: modules at H/8, H/16 and H/32. width: multiplies all channels, of which at least 16 stay."""

    depths: tuple[int, int, int] = (3, 5, 2)
    width: float = 1.0
    dropout: float = 0.2
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels", "num_classes")
        check_positive(self, "width")
        check_fraction(self, "dropout")
        check_whole_numbers(self, "depths", count=3)


CONFIGS = {"inception_v2": InceptionV2Config()}


class ConvNorm(nn.Sequential):
    """Convolution, BatchNorm, ReLU: (N, C, H, W) -> (N, out_channels, H', W'), smaller only by `stride` or `valid`.

    valid: no padding, as always where the stride is 2.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Kernel, *, stride: int = 1, valid: bool = False
    ) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if valid or stride == 2 else (sides[0] // 2, sides[1] // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)
        self.relu = nn.ReLU()
        self.out_channels = out_channels


class Branches(nn.Module):
    """Every branch sees the same input; their outputs lie side by side: (N, C, H, W) -> (N, out_channels, H', W')."""

    def __init__(self, in_channels: int, **branches: nn.Module) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)
        self.out_channels = sum(
            in_channels if isinstance(branch, nn.MaxPool2d) else out_channels(branch) for branch in branches.values()
        )

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([branch(x) for branch in self.children()], dim=1)


def out_channels(layers: nn.Module) -> int:
    """The channels that a convolution, a module, or a row of them gives."""
    if isinstance(layers, ConvNorm | Branches):
        return layers.out_channels
    *_, last = layers.children()
    return out_channels(last)


class Modules:
    """Makes the modules of one network, whose channels are all multiplied by its width. `c`: channels of the input."""

    def __init__(self, width: float) -> None:
        self.width = width

    def wide(self, channels: int) -> int:
        """Channels times the width, rounded down, at least 16."""
        return channels if self.width == 1 else max(16, int(channels * self.width))

    def conv(self, c: int, out: int, kernel: Kernel, *, stride: int = 1) -> ConvNorm:
        """A single convolution."""
        return ConvNorm(c, self.wide(out), kernel, stride=stride)

    def chain(self, c: int, *steps: tuple[int, Kernel], stride: int = 1) -> nn.Sequential:
        """Convolutions (out_channels, kernel) one after the other; the last has the stride."""
        layers = nn.Sequential()
        for index, (out, kernel) in enumerate(steps, 1):
            layers.append(self.conv(c, out, kernel, stride=stride if index == len(steps) else 1))
            c = self.wide(out)
        return layers

    def pooled(self, c: int, out: int) -> nn.Sequential:
        """Average pooling and a projection."""
        return nn.Sequential(OrderedDict(pool=nn.AvgPool2d(3, stride=1, padding=1), proj=self.conv(c, out, 1)))

    def figure_5(self, c: int) -> Branches:
        """At H/8: GoogLeNet's module with two 3x3 convolutions for the 5x5; 288 channels."""
        return Branches(
            c,
            branch1x1=self.conv(c, 64, 1),
            branch3x3=self.chain(c, (48, 1), (64, 3)),
            branch3x3dbl=self.chain(c, (64, 1), (96, 3), (96, 3)),
            branch_pool=self.pooled(c, 64),
        )

    def figure_6(self, c: int) -> Branches:
        """At H/16, n = 7: a row, then a column, for each 7x7; 768 channels."""
        return Branches(
            c,
            branch1x1=self.conv(c, 192, 1),
            branch7x7=self.chain(c, (128, 1), (128, ROW), (192, COLUMN)),
            branch7x7dbl=self.chain(c, (128, 1), (128, ROW), (128, COLUMN), (128, ROW), (192, COLUMN)),
            branch_pool=self.pooled(c, 192),
        )

    def figure_7(self, c: int) -> Branches:
        """At H/32: the last convolutions are a row and a column beside each other; 2048 channels."""
        return Branches(
            c,
            branch1x1=self.conv(c, 320, 1),
            branch3x3=self.chain(c, (384, 1)).append(self.row_beside_column(self.wide(384))),
            branch3x3dbl=self.chain(c, (448, 1), (384, 3)).append(self.row_beside_column(self.wide(384))),
            branch_pool=self.pooled(c, 192),
        )

    def row_beside_column(self, c: int) -> Branches:
        """The ends of Figure 7's branches: 1x3 and 3x1, 384 channels each."""
        return Branches(c, a=self.conv(c, 384, (1, 3)), b=self.conv(c, 384, (3, 1)))

    def reduction_a(self, c: int) -> Branches:
        """H/8 to H/16: Figure 10, convolutions and a pooling beside each other; 768 channels."""
        return Branches(
            c,
            branch3x3=self.chain(c, (192, 1), (384, 3), stride=2),
            branch3x3dbl=self.chain(c, (64, 1), (96, 3), (96, 3), stride=2),
            branch_pool=nn.MaxPool2d(3, stride=2),
        )

    def reduction_b(self, c: int) -> Branches:
        """H/16 to H/32: Figure 10; 1280 channels."""
        return Branches(
            c,
            branch3x3=self.chain(c, (192, 1), (320, 3), stride=2),
            branch3x3dbl=self.chain(c, (192, 1), (192, 3), (192, 3), stride=2),
            branch_pool=nn.MaxPool2d(3, stride=2),
        )


def stack(c: int, makers: Iterable[Callable[[int], Branches]]) -> nn.Sequential:
    """Modules one after the other, each made for the channels that the one before gives; the first for `c`."""
    modules = nn.Sequential()
    for make in makers:
        module = make(c)
        modules.append(module)
        c = module.out_channels
    return modules


def initialise(network: nn.Module, deviations: Mapping[nn.Module, float]) -> None:
    """Weights normal, cut at two deviations, of 0.1, in dense layers 0.01, or what `deviations` says of a layer."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:  # drawing nothing is slow there
            std = deviations.get(module, 0.1 if isinstance(module, nn.Conv2d) else 0.01)
            nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


class InceptionV2(nn.Module):
    """Images (N, C, H, W) of at least 75 x 75 -> logits (N, K).

    The features are the stem and the three stages: 80, 288, 768 and 2048 channels at H/4, H/8, H/16 and H/32.
    """

    smallest = 75  # one pixel is left in the last stage

    def __init__(self, config: InceptionV2Config) -> None:
        super().__init__()
        self.config = config
        build = Modules(config.width)
        wide = build.wide
        self.stem = nn.Sequential(  # Table 1 to 71x71x80; its last two convolutions begin the first stage
            OrderedDict(
                conv1=ConvNorm(config.in_channels, wide(32), 3, stride=2),
                conv2=ConvNorm(wide(32), wide(32), 3, valid=True),
                conv3=ConvNorm(wide(32), wide(64), 3),
                pool=nn.MaxPool2d(3, stride=2),
                conv4=ConvNorm(wide(64), wide(80), 3, valid=True),
            )
        )
        conv5 = ConvNorm(wide(80), wide(192), 3, stride=2)
        conv6 = ConvNorm(wide(192), wide(288), 3)
        at_8, at_16, at_32 = config.depths
        five = nn.Sequential(conv5, conv6, *stack(wide(288), [build.figure_5] * at_8))
        six = stack(out_channels(five), [build.reduction_a] + [build.figure_6] * at_16)
        seven = stack(out_channels(six), [build.reduction_b] + [build.figure_7] * at_32)
        self.stages = nn.ModuleList([five, six, seven])
        self.feature_info = (
            FeatureInfo("stem", wide(80), 4),
            FeatureInfo("stages.0", out_channels(five), 8),
            FeatureInfo("stages.1", out_channels(six), 16),
            FeatureInfo("stages.2", out_channels(seven), 32),
        )
        self.head = PooledHead(out_channels(seven), config.num_classes, dropout=config.dropout)
        initialise(self, {})

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the stem's and the stages' outputs, as `feature_info` says."""
        check_images(x, network="Inception v2", channels=self.config.in_channels, smallest=self.smallest)
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

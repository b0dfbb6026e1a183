"""Inception v4: Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning",
AAAI 2017. The paper's residual networks are in inception_resnet.

https://arxiv.org/abs/1602.07261 -- network: Figure 9; stem: Figure 3; modules: Figures 4, 5 and 6; reductions:
Figures 7 and 8 with Table 1. What a figure marks "V" is not padded, all else is (Section 3.1).
From the authors' code (TensorFlow models, slim), where the paper is silent: BatchNorm with epsilon 1e-3 and a ReLU
after every convolution, average pooling that leaves the padding out, the order of rows and columns, initialisation.
Deviations, to match public weights: BatchNorm has a scale; its averages move by 0.1 a step, not 0.0003, which needs
thousands of steps. That code trains with an auxiliary classifier, which Figure 9 does not have.
Shapes: N images, C channels, H x W pixels, K classes. Where nothing is padded, a map loses its margin:
299 -> 149 -> 147 -> 73 -> 71 -> 35 -> 17 -> 8.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.layers.pooled_head import PooledHead
from convatlas.models.classify.inception_v2 import COLUMN, ROW, Branches, ConvNorm, Kernel, out_channels
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_positive,
    check_whole_numbers,
)

SHORT_ROW, SHORT_COLUMN = (1, 3), (3, 1)


@dataclass(frozen=True, kw_only=True)
class InceptionV4Config:
    """depths: modules at H/8, H/16 and H/32. width: multiplies all channels, of which at least 16 stay.

    reduction_a: k, l, m and n of Table 1.
    """

    depths: tuple[int, int, int] = (4, 7, 3)
    reduction_a: tuple[int, int, int, int] = (192, 224, 256, 384)
    width: float = 1.0
    dropout: float = 0.2  # Figure 9: "keep 0.8"
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels", "num_classes")
        check_positive(self, "width")
        check_fraction(self, "dropout")
        check_whole_numbers(self, "depths", count=3)
        check_whole_numbers(self, "reduction_a", count=4)


CONFIGS = {"inception_v4": InceptionV4Config()}


class Modules:
    """Makes the parts of one network, whose channels are all multiplied by its width. `c`: channels of the input."""

    def __init__(self, width: float) -> None:
        self.width = width

    def wide(self, channels: int) -> int:
        """Channels times the width, rounded down, at least 16."""
        return channels if self.width == 1 else max(16, int(channels * self.width))

    def conv(self, c: int, out: int, kernel: Kernel, *, stride: int = 1, valid: bool = False) -> ConvNorm:
        """A single convolution."""
        return ConvNorm(c, self.wide(out), kernel, stride=stride, valid=valid)

    def chain(self, c: int, *steps: tuple[int, Kernel], stride: int = 1, valid: bool = False) -> nn.Sequential:
        """Convolutions (out_channels, kernel) one after the other; the last has the stride, or is not padded."""
        layers = nn.Sequential()
        for out, kernel in steps[:-1]:
            layers.append(self.conv(c, out, kernel))
            c = self.wide(out)
        out, kernel = steps[-1]
        return layers.append(self.conv(c, out, kernel, stride=stride, valid=valid))

    def pooled(self, c: int, out: int) -> nn.Sequential:
        """Average pooling and a projection."""
        pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        return nn.Sequential(OrderedDict(pool=pool, proj=self.conv(c, out, 1)))

    def stem(self, in_channels: int) -> nn.Sequential:
        """Figure 3 up to 71x71: (N, in_channels, H, W) -> (N, 192, H/4, W/4)."""
        conv1 = self.conv(in_channels, 32, 3, stride=2)
        conv2 = self.conv(conv1.out_channels, 32, 3, valid=True)
        conv3 = self.conv(conv2.out_channels, 64, 3)
        c = conv3.out_channels
        mixed1 = Branches(c, pool=nn.MaxPool2d(3, stride=2), conv=self.conv(c, 96, 3, stride=2))
        c = mixed1.out_channels
        mixed2 = Branches(
            c,
            branch3x3=self.chain(c, (64, 1), (96, 3), valid=True),
            branch7x7=self.chain(c, (64, 1), (64, ROW), (64, COLUMN), (96, 3), valid=True),
        )
        return nn.Sequential(OrderedDict(conv1=conv1, conv2=conv2, conv3=conv3, mixed1=mixed1, mixed2=mixed2))

    def end_of_stem(self, c: int) -> Branches:
        """H/4 to H/8: the end of Figure 3; 384 channels."""
        return Branches(c, conv=self.conv(c, 192, 3, stride=2), pool=nn.MaxPool2d(3, stride=2))

    def inception_a(self, c: int) -> Branches:
        """At H/8: Figure 4; 384 channels."""
        return Branches(
            c,
            branch1x1=self.conv(c, 96, 1),
            branch3x3=self.chain(c, (64, 1), (96, 3)),
            branch3x3dbl=self.chain(c, (64, 1), (96, 3), (96, 3)),
            branch_pool=self.pooled(c, 96),
        )

    def reduction_a(self, c: int, filters: tuple[int, int, int, int]) -> Branches:
        """H/8 to H/16: Figure 7 with a row (k, l, m, n) of Table 1; 1024 channels in Inception v4."""
        first, second, third, single = filters
        return Branches(
            c,
            branch3x3=self.conv(c, single, 3, stride=2),
            branch3x3dbl=self.chain(c, (first, 1), (second, 3), (third, 3), stride=2),
            branch_pool=nn.MaxPool2d(3, stride=2),
        )

    def inception_b(self, c: int) -> Branches:
        """At H/16: Figure 5; 1024 channels."""
        return Branches(
            c,
            branch1x1=self.conv(c, 384, 1),
            branch7x7=self.chain(c, (192, 1), (224, ROW), (256, COLUMN)),
            branch7x7dbl=self.chain(c, (192, 1), (192, COLUMN), (224, ROW), (224, COLUMN), (256, ROW)),
            branch_pool=self.pooled(c, 128),
        )

    def reduction_b(self, c: int) -> Branches:
        """H/16 to H/32: Figure 8; 1536 channels."""
        return Branches(
            c,
            branch3x3=self.chain(c, (192, 1), (192, 3), stride=2),
            branch7x7x3=self.chain(c, (256, 1), (256, ROW), (320, COLUMN), (320, 3), stride=2),
            branch_pool=nn.MaxPool2d(3, stride=2),
        )

    def inception_c(self, c: int) -> Branches:
        """At H/32: Figure 6, two of whose branches end in a row and a column beside each other; 1536 channels."""
        return Branches(
            c,
            branch1x1=self.conv(c, 256, 1),
            branch3x3=self.chain(c, (384, 1)).append(self.row_beside_column(self.wide(384))),
            branch3x3dbl=self.chain(c, (384, 1), (448, SHORT_COLUMN), (512, SHORT_ROW)).append(
                self.row_beside_column(self.wide(512))
            ),
            branch_pool=self.pooled(c, 256),
        )

    def row_beside_column(self, c: int) -> Branches:
        """The ends of Figure 6's branches: 1x3 and 3x1, 256 channels each."""
        return Branches(c, a=self.conv(c, 256, SHORT_ROW), b=self.conv(c, 256, SHORT_COLUMN))


class InceptionV4(nn.Module):
    """Images (N, C, H, W) of at least 75 x 75 -> logits (N, K).

    The features are the stem and the three stages: 192, 384, 1024 and 1536 channels at H/4, H/8, H/16 and H/32.
    """

    smallest = 75  # one pixel is left in the last stage

    def __init__(self, config: InceptionV4Config) -> None:
        super().__init__()
        self.config = config
        build = Modules(config.width)
        at_8, at_16, at_32 = config.depths
        self.stem = build.stem(config.in_channels)  # the end of Figure 3's stem begins the first stage
        five = nn.Sequential(build.end_of_stem(out_channels(self.stem)))
        for _ in range(at_8):
            five.append(build.inception_a(out_channels(five)))
        six = nn.Sequential(build.reduction_a(out_channels(five), config.reduction_a))
        for _ in range(at_16):
            six.append(build.inception_b(out_channels(six)))
        seven = nn.Sequential(build.reduction_b(out_channels(six)))
        for _ in range(at_32):
            seven.append(build.inception_c(out_channels(seven)))
        self.stages = nn.ModuleList([five, six, seven])  # the authors' names: Mixed_5a ... Mixed_7d
        self.feature_info = (
            FeatureInfo("stem", out_channels(self.stem), 4),
            FeatureInfo("stages.0", out_channels(five), 8),
            FeatureInfo("stages.1", out_channels(six), 16),
            FeatureInfo("stages.2", out_channels(seven), 32),
        )
        self.head = PooledHead(out_channels(seven), config.num_classes, dropout=config.dropout)
        self._initialise()

    def _initialise(self) -> None:
        """The authors' code: convolutions normal, cut at two deviations, with variance 2 / fan-in (before the cut 2.6);
        the dense layer uniform within sqrt(6 / (fan-in + fan-out)).
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # drawing nothing is slow there
                std = math.sqrt(2.6 / module.weight[0].numel())
                nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
            elif isinstance(module, nn.Linear) and not module.weight.is_meta:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the stem's and the stages' outputs, as `feature_info` says."""
        check_images(x, network="Inception v4", channels=self.config.in_channels, smallest=self.smallest)
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

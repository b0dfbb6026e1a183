"""MnasNet: Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", CVPR 2019.

https://arxiv.org/abs/1807.11626 -- A1: Figure 7; B1: the network of the search without squeeze-and-excitation, Table 2.
From the authors' code (TensorFlow TPU models, mnasnet), where the paper is silent: the rows of B1 and Small, channels
in multiples of 8 at other widths, 1280 channels before the classifier at every width, squeeze-and-excitation to a
quarter of the block's input channels, dropout 0.2 before the classifier (none in Small), and the initialisation.
Deviations, to match public weights: BatchNorm's epsilon is 1e-5, not 1e-3; strided convolutions pad all sides alike;
Small's first block, whose eight channels stay eight, has a shortcut: the authors' code gives it none.
BatchNorm's averages move by 0.1 a step, not 0.01, which needs thousands of steps.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

import math
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.conv_head import ConvHead
from convatlas.layers.conv_norm import ConvNorm
from convatlas.layers.round_channels import round_channels
from convatlas.layers.squeeze_excitation import SqueezeExcitation
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_positive,
    check_rows,
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Blocks alike, `repeats` of them, of which the first has the stride: MBConv6 (k5x5) is `expand=6, kernel=5`."""

    kernel: int
    expand: int
    out: int
    repeats: int
    stride: int
    se: bool = False

    def __post_init__(self) -> None:
        check_at_least(self, 1, "expand", "out", "repeats")
        if self.kernel not in (3, 5):
            raise UsageError(f"Stage.kernel must be 3 or 5, not {self.kernel!r}")
        if self.stride not in (1, 2):
            raise UsageError(f"Stage.stride must be 1 or 2, not {self.stride!r}")


A1 = (
    Stage(kernel=3, expand=1, out=16, repeats=1, stride=1),  # SepConv
    Stage(kernel=3, expand=6, out=24, repeats=2, stride=2),
    Stage(kernel=5, expand=3, out=40, repeats=3, stride=2, se=True),
    Stage(kernel=3, expand=6, out=80, repeats=4, stride=2),
    Stage(kernel=3, expand=6, out=112, repeats=2, stride=1, se=True),
    Stage(kernel=5, expand=6, out=160, repeats=3, stride=2, se=True),
    Stage(kernel=3, expand=6, out=320, repeats=1, stride=1),
)
B1 = (
    Stage(kernel=3, expand=1, out=16, repeats=1, stride=1),
    Stage(kernel=3, expand=3, out=24, repeats=3, stride=2),
    Stage(kernel=5, expand=3, out=40, repeats=3, stride=2),
    Stage(kernel=5, expand=6, out=80, repeats=3, stride=2),
    Stage(kernel=3, expand=6, out=96, repeats=2, stride=1),
    Stage(kernel=5, expand=6, out=192, repeats=4, stride=2),
    Stage(kernel=3, expand=6, out=320, repeats=1, stride=1),
)
SMALL = (
    Stage(kernel=3, expand=1, out=8, repeats=1, stride=1),
    Stage(kernel=3, expand=3, out=16, repeats=1, stride=2),
    Stage(kernel=3, expand=6, out=16, repeats=2, stride=2),
    Stage(kernel=5, expand=6, out=32, repeats=4, stride=2, se=True),
    Stage(kernel=3, expand=6, out=32, repeats=3, stride=1, se=True),
    Stage(kernel=5, expand=6, out=88, repeats=3, stride=2, se=True),
    Stage(kernel=3, expand=6, out=144, repeats=1, stride=1),
)


@dataclass(frozen=True, kw_only=True)
class MnasNetConfig:
    """`width` multiplies the channels; the authors publish 0.35, 0.5, 0.75, 1.0 and 1.4 of A1."""

    stages: tuple[Stage, ...]
    stem: int = 32
    width: float = 1.0
    dropout: float = 0.2
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "stem", "in_channels", "num_classes")
        check_positive(self, "width")
        check_fraction(self, "dropout")
        check_rows(self, "stages", Stage)


CONFIGS = {
    "mnasnet_a1": MnasNetConfig(stages=A1),
    "mnasnet_b1": MnasNetConfig(stages=B1),
    "mnasnet_small": MnasNetConfig(stages=SMALL, stem=8, dropout=0.0),
}


class MBConv(nn.Module):
    """MobileNetV2's inverted residual, with squeeze-and-excitation where the search chose it (Figure 7).

    (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride). With `row.expand=1` it is Figure 7's SepConv.
    """

    def __init__(self, row: Stage, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        hidden = in_channels * row.expand
        self.shortcut = stride == 1 and in_channels == out_channels
        self.expand = ConvNorm(in_channels, hidden, kernel=1) if row.expand > 1 else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, row.kernel, stride=stride, groups=hidden)
        self.se = SqueezeExcitation(hidden, squeezed=max(1, in_channels // 4)) if row.se else nn.Identity()
        self.project = ConvNorm(hidden, out_channels, kernel=1, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.project(self.se(self.depthwise(self.expand(x))))
        return x + y if self.shortcut else y


class MnasNet(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K).

    The features are the last of the stages at H/2, H/4, H/8, H/16 and H/32: 16, 24, 40, 112 and 320 channels in A1.
    """

    smallest = 32  # the last stage has one pixel

    def __init__(self, config: MnasNetConfig) -> None:
        super().__init__()
        self.config = config
        channels = round_channels(config.stem * config.width)
        self.stem = ConvNorm(config.in_channels, channels, kernel=3, stride=2)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        scale = 2
        for index, row in enumerate(config.stages):
            out = round_channels(row.out * config.width)
            blocks = nn.Sequential()
            for repeat in range(row.repeats):
                blocks.append(MBConv(row, channels, out, stride=row.stride if repeat == 0 else 1))
                channels = out
            self.stages.append(blocks)
            scale *= row.stride
            # A stage that does not halve the picture takes the place of the one before it.
            others = self.feature_info if row.stride > 1 else self.feature_info[:-1]
            self.feature_info = (*others, FeatureInfo(f"stages.{index}", channels, scale))
        self.head = ConvHead(channels, 1280, config.num_classes, dropout=config.dropout)
        self._initialise()

    def _initialise(self) -> None:
        """Convolutions normal with variance 2 / (k k out_channels), the classifier uniform within 1 / sqrt(K)."""
        for module in self.modules():
            if not isinstance(module, nn.Conv2d | nn.Linear) or module.weight.is_meta:  # drawing nothing is slow there
                continue
            if isinstance(module, nn.Conv2d):
                # A depthwise kernel has one output channel for each of its groups.
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            else:
                limit = 1 / math.sqrt(module.out_features)
                nn.init.uniform_(module.weight, -limit, limit)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="MnasNet", channels=self.config.in_channels, smallest=self.smallest)
        x = self.stem(x)
        named = {}
        for index, stage in enumerate(self.stages):
            x = stage(x)
            named[f"stages.{index}"] = x
        return tuple(named[info.name] for info in self.feature_info)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

"""MobileNetV2: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018.

https://arxiv.org/abs/1801.04381 -- block: Table 1 and Figure 3; network: Table 2; width multiplier: Section 4 (it
spares the last convolution below 1).
From the authors' code (TensorFlow models, slim/nets/mobilenet), where the paper is silent: channels in multiples of 8,
dropout 0.2 before the classifier, weights normal with deviation 0.09, cut at two deviations.
Deviations, to match public weights: BatchNorm's epsilon is 1e-5, not 1e-3; strided convolutions pad all sides alike.
BatchNorm's averages move by 0.1 a step, not 0.003, which needs thousands of steps.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.round_channels import round_channels
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
    """A row of Table 2: `repeats` blocks, of which the first has the stride. `expand` is the paper's t, `out` its c."""

    expand: int
    out: int
    repeats: int
    stride: int

    def __post_init__(self) -> None:
        check_at_least(self, 1, "expand", "out", "repeats")
        if self.stride not in (1, 2):
            raise UsageError(f"Stage.stride must be 1 or 2, not {self.stride!r}")


TABLE_2 = (
    Stage(expand=1, out=16, repeats=1, stride=1),
    Stage(expand=6, out=24, repeats=2, stride=2),
    Stage(expand=6, out=32, repeats=3, stride=2),
    Stage(expand=6, out=64, repeats=4, stride=2),
    Stage(expand=6, out=96, repeats=3, stride=1),
    Stage(expand=6, out=160, repeats=3, stride=2),
    Stage(expand=6, out=320, repeats=1, stride=1),
)


@dataclass(frozen=True, kw_only=True)
class MobileNetV2Config:
    """`width` multiplies the channels; the authors publish 0.35, 0.5, 0.75, 1.0, 1.3 and 1.4."""

    width: float = 1.0
    stages: tuple[Stage, ...] = TABLE_2
    dropout: float = 0.2
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels", "num_classes")
        check_positive(self, "width")
        check_fraction(self, "dropout")
        check_rows(self, "stages", Stage)


CONFIGS = {"mobilenet_v2": MobileNetV2Config()}


class ConvNorm(nn.Sequential):
    """Convolution, BatchNorm and, unless `linear`, ReLU6: (N, C, H, W) -> (N, out_channels, H/stride, W/stride)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        if not linear:
            self.relu = nn.ReLU6()


class InvertedResidual(nn.Module):
    """Widen, filter each channel, and narrow without a non-linearity (Table 1): the shortcut joins the narrow ends.

    (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride).
    """

    def __init__(self, in_channels: int, out_channels: int, *, expand: int, stride: int) -> None:
        super().__init__()
        hidden = in_channels * expand
        self.shortcut = stride == 1 and in_channels == out_channels
        self.expand = ConvNorm(in_channels, hidden, kernel=1) if expand > 1 else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, kernel=3, stride=stride, groups=hidden)
        self.project = ConvNorm(hidden, out_channels, kernel=1, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class Head(nn.Sequential):
    """The rows of Table 2 below the blocks: (N, in_channels, H/32, W/32) -> logits (N, K)."""

    def __init__(self, in_channels: int, channels: int, *, dropout: float, num_classes: int) -> None:
        super().__init__()
        self.last = ConvNorm(in_channels, channels, kernel=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)


class MobileNetV2(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K).

    The features are the last of the stages at H/2, H/4, H/8, H/16 and H/32: 16, 24, 32, 96 and 320 channels at width 1.
    """

    smallest = 32  # the last stage has one pixel

    def __init__(self, config: MobileNetV2Config) -> None:
        super().__init__()
        self.config = config
        channels = round_channels(32 * config.width)
        self.stem = ConvNorm(config.in_channels, channels, kernel=3, stride=2)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        scale = 2
        for index, row in enumerate(config.stages):
            out = round_channels(row.out * config.width)
            blocks = nn.Sequential()
            for repeat in range(row.repeats):
                stride = row.stride if repeat == 0 else 1
                blocks.append(InvertedResidual(channels, out, expand=row.expand, stride=stride))
                channels = out
            self.stages.append(blocks)
            scale *= row.stride
            info = FeatureInfo(f"stages.{index}", channels, scale)
            # A stage that does not halve the picture takes the place of the one before it.
            others = self.feature_info if row.stride > 1 else self.feature_info[:-1]
            self.feature_info = (*others, info)
        # "except the very last convolutional layer": it keeps its 1280 channels when the others shrink.
        last = round_channels(1280 * max(1.0, config.width))
        self.head = Head(channels, last, dropout=config.dropout, num_classes=config.num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:  # drawing nothing is slow there
                nn.init.trunc_normal_(module.weight, std=0.09, a=-0.18, b=0.18)
        nn.init.zeros_(self.head.fc.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="MobileNetV2", channels=self.config.in_channels, smallest=self.smallest)
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

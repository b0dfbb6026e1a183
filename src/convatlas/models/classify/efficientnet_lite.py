"""EfficientNet-Lite: the EfficientNet baseline without what small devices do badly, by the same authors.

Tan and Le, https://arxiv.org/abs/1905.11946, Table 1, as changed in TensorFlow TPU models, efficientnet/lite (2020):
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite -- no squeeze-and-excitation; ReLU6
instead of SiLU; stem, last convolution and the depth of the first and last stage are not scaled.
Convolutions pad as TensorFlow's SAME and BatchNorm's epsilon is 1e-3: the public weights, the authors' own, need both.
Their pixels are (x - 127) / 128, x in 0..255.
Deviation: BatchNorm's averages move by 0.1 a step, not 0.01, which needs thousands of steps.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

import dataclasses
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.layers.same_conv import SameConv2d
from convatlas.layers.stochastic_depth import StochasticDepth
from convatlas.models.classify.efficientnet import (
    TABLE_1,
    Stage,
    initialise,
    scale_stages,
)
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_positive,
    check_rows,
    check_share,
)


@dataclass(frozen=True, kw_only=True)
class EfficientNetLiteConfig:
    """`width` and `depth` scale Table 1; the authors' Lite4 has 1.4 and 1.8. Raises UsageError that names the field."""

    width: float = 1.0
    depth: float = 1.0
    dropout: float = 0.2
    survival: float = 0.8  # the probability that the deepest block's branch is kept in training
    stages: tuple[Stage, ...] = TABLE_1
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels", "num_classes")
        check_positive(self, "width", "depth")
        check_fraction(self, "dropout")
        check_share(self, "survival")
        check_rows(self, "stages", Stage)


CONFIGS = {"efficientnet_lite0": EfficientNetLiteConfig()}


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
        self.conv = SameConv2d(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)
        if not linear:
            self.relu = nn.ReLU6()


class MBConv(nn.Module):
    """EfficientNet's MBConv without squeeze-and-excitation, with ReLU6.

    (N, in_channels, H, W) -> (N, row.out, H/stride, W/stride). drop: the probability that training skips the branch.
    """

    def __init__(self, row: Stage, in_channels: int, *, stride: int, drop: float) -> None:
        super().__init__()
        hidden = in_channels * row.expand
        self.shortcut = stride == 1 and in_channels == row.out
        self.expand = ConvNorm(in_channels, hidden, kernel=1) if row.expand > 1 else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, row.kernel, stride=stride, groups=hidden)
        self.project = ConvNorm(hidden, row.out, kernel=1, linear=True)
        self.stochastic_depth = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + self.stochastic_depth(y) if self.shortcut else y


class Head(nn.Sequential):
    """Row 9 of Table 1, never scaled: (N, in_channels, H/32, W/32) -> logits (N, K)."""

    def __init__(self, in_channels: int, *, dropout: float, num_classes: int) -> None:
        super().__init__()
        self.last = ConvNorm(in_channels, 1280, kernel=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1280, num_classes)


class EfficientNetLite(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K).

    The features are the last of the stages at H/2, H/4, H/8, H/16 and H/32: 16, 24, 40, 112 and 320 channels in Lite0.
    """

    smallest = 32  # the last stage has one pixel

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__()
        self.config = config
        rows = _scaled(config)
        channels = 32
        self.stem = ConvNorm(config.in_channels, channels, kernel=3, stride=2)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        total, scale = sum(row.repeats for row in rows), 2
        done = 0
        for index, row in enumerate(rows):
            blocks = nn.Sequential()
            for repeat in range(row.repeats):
                drop = (1 - config.survival) * done / total
                stride = row.stride if repeat == 0 else 1
                blocks.append(MBConv(row, channels, stride=stride, drop=drop))
                channels = row.out
                done += 1
            self.stages.append(blocks)
            scale *= row.stride
            # A stage that does not halve the picture takes the place of the one before it.
            others = self.feature_info if row.stride > 1 else self.feature_info[:-1]
            self.feature_info = (*others, FeatureInfo(f"stages.{index}", channels, scale))
        self.head = Head(channels, dropout=config.dropout, num_classes=config.num_classes)
        initialise(self)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="EfficientNet-Lite", channels=self.config.in_channels, smallest=self.smallest)
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


def _scaled(config: EfficientNetLiteConfig) -> tuple[Stage, ...]:
    rows = scale_stages(config.stages, width=config.width, depth=config.depth)
    ends = (0, len(rows) - 1)
    return tuple(
        dataclasses.replace(row, repeats=config.stages[index].repeats) if index in ends else row
        for index, row in enumerate(rows)
    )

"""MobileNet: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017.

https://arxiv.org/abs/1704.04861 -- block: Section 3.1 and Figure 3, right; network: Table 1; width multiplier: Section
3.3. The resolution multiplier of Section 3.4 is the size of the picture: any will do.
Table 1 gives its second-last depthwise convolution stride 2 on 7 x 7 maps that stay 7 x 7: it has stride 1.
From the authors' code (TensorFlow models, slim/nets/mobilenet_v1.py), where the paper is silent: scaled channels are
rounded down, to 8 at the least; dropout 0.001 before the classifier; weights normal with deviation 0.09, cut at two
deviations; ReLU6, where the paper says ReLU (public weights have it too).
Deviations, to match public weights: BatchNorm's epsilon is 1e-5, not 1e-3; strided convolutions pad all sides alike.
BatchNorm's averages move by 0.1 a step, not 0.0003, which needs thousands of steps.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.pooled_head import PooledHead
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
    """Rows of Table 1 on maps of one size: `repeats` blocks, of which the first has the stride."""

    out: int
    repeats: int
    stride: int

    def __post_init__(self) -> None:
        check_at_least(self, 1, "out", "repeats")
        if self.stride not in (1, 2):
            raise UsageError(f"Stage.stride must be 1 or 2, not {self.stride!r}")


TABLE_1 = (
    Stage(out=64, repeats=1, stride=1),
    Stage(out=128, repeats=2, stride=2),
    Stage(out=256, repeats=2, stride=2),
    Stage(out=512, repeats=6, stride=2),
    Stage(out=1024, repeats=2, stride=2),
)


@dataclass(frozen=True, kw_only=True)
class MobileNetV1Config:
    """`width` is the paper's alpha, which multiplies the channels: 1.0, 0.75, 0.5 and 0.25 in Table 6."""

    width: float = 1.0
    stages: tuple[Stage, ...] = TABLE_1
    dropout: float = 0.001
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels", "num_classes")
        check_positive(self, "width")
        check_fraction(self, "dropout")
        check_rows(self, "stages", Stage)


CONFIGS = {"mobilenet_v1": MobileNetV1Config()}


class ConvNorm(nn.Sequential):
    """Convolution, BatchNorm and ReLU6: (N, C, H, W) -> (N, out_channels, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU6()


class DepthwiseSeparable(nn.Sequential):
    """A 3x3 filter for each channel, then a 1x1 convolution that combines the channels (Figure 3, right).

    (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride). Equation 5 gives its cost: for one output pixel
    9 * in_channels + in_channels * out_channels, where a full convolution needs 9 * in_channels * out_channels.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.depthwise = ConvNorm(in_channels, in_channels, kernel=3, stride=stride, groups=in_channels)
        self.pointwise = ConvNorm(in_channels, out_channels, kernel=1)


class MobileNetV1(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K).

    The features are the stages, at H/2, H/4, H/8, H/16 and H/32: 64, 128, 256, 512 and 1024 channels at width 1.
    """

    smallest = 32  # the last stage has one pixel

    def __init__(self, config: MobileNetV1Config) -> None:
        super().__init__()
        self.config = config
        channels = thinner(32, config.width)
        self.stem = ConvNorm(config.in_channels, channels, kernel=3, stride=2)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        scale = 2
        for index, row in enumerate(config.stages):
            blocks = nn.Sequential()
            for repeat in range(row.repeats):
                out = thinner(row.out, config.width)
                blocks.append(DepthwiseSeparable(channels, out, stride=row.stride if repeat == 0 else 1))
                channels = out
            self.stages.append(blocks)
            scale *= row.stride
            self.feature_info += (FeatureInfo(f"stages.{index}", channels, scale),)
        self.head = PooledHead(channels, config.num_classes, dropout=config.dropout)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:  # drawing nothing is slow there
                nn.init.trunc_normal_(module.weight, std=0.09, a=-0.18, b=0.18)
        nn.init.zeros_(self.head.fc.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="MobileNetV1", channels=self.config.in_channels, smallest=self.smallest)
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits


def thinner(channels: int, width: float) -> int:
    """alpha M of Section 3.3, a whole number: rounded down, at least 8."""
    return max(8, int(channels * width))

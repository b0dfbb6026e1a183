"""MobileNetV3: Howard et al., "Searching for MobileNetV3", ICCV 2019.

https://arxiv.org/abs/1905.02244 -- networks: Tables 1 and 2; block: Figure 4; last layers: Section 5.1 and Figure 5;
h-swish: Section 5.2; squeeze-and-excitation to a quarter of the expansion: Section 5.3; dropout: Section 6.1.
From the authors' code (TensorFlow models, slim/nets/mobilenet), where the paper is silent: channels in multiples of 8;
an expansion that a width scales keeps its ratio to the block's input; the hidden layer of the head keeps its units at
every width; BatchNorm's epsilon of 1e-3; weights normal with deviation 0.09, cut at two deviations.
Small's hidden layer has 1024 units, as in Table 2 and in public weights; the paper's first version had 1280.
Deviation, to match public weights: strided convolutions pad all sides alike.
BatchNorm's averages move by 0.1 a step, not the paper's 0.01, which needs thousands of steps.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

import itertools
from dataclasses import dataclass

import torch.nn.functional as F
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
class Row:
    """A row "bneck" of Tables 1 and 2. `expand` is the column "exp size" in channels; hs: h-swish, else ReLU."""

    kernel: int
    expand: int
    out: int
    se: bool
    hs: bool
    stride: int

    def __post_init__(self) -> None:
        check_at_least(self, 1, "expand", "out")
        if self.kernel not in (3, 5):
            raise UsageError(f"Row.kernel must be 3 or 5, not {self.kernel!r}")
        if self.stride not in (1, 2):
            raise UsageError(f"Row.stride must be 1 or 2, not {self.stride!r}")


LARGE = (
    Row(kernel=3, expand=16, out=16, se=False, hs=False, stride=1),
    Row(kernel=3, expand=64, out=24, se=False, hs=False, stride=2),
    Row(kernel=3, expand=72, out=24, se=False, hs=False, stride=1),
    Row(kernel=5, expand=72, out=40, se=True, hs=False, stride=2),
    Row(kernel=5, expand=120, out=40, se=True, hs=False, stride=1),
    Row(kernel=5, expand=120, out=40, se=True, hs=False, stride=1),
    Row(kernel=3, expand=240, out=80, se=False, hs=True, stride=2),
    Row(kernel=3, expand=200, out=80, se=False, hs=True, stride=1),
    Row(kernel=3, expand=184, out=80, se=False, hs=True, stride=1),
    Row(kernel=3, expand=184, out=80, se=False, hs=True, stride=1),
    Row(kernel=3, expand=480, out=112, se=True, hs=True, stride=1),
    Row(kernel=3, expand=672, out=112, se=True, hs=True, stride=1),
    Row(kernel=5, expand=672, out=160, se=True, hs=True, stride=2),
    Row(kernel=5, expand=960, out=160, se=True, hs=True, stride=1),
    Row(kernel=5, expand=960, out=160, se=True, hs=True, stride=1),
)
SMALL = (
    Row(kernel=3, expand=16, out=16, se=True, hs=False, stride=2),
    Row(kernel=3, expand=72, out=24, se=False, hs=False, stride=2),
    Row(kernel=3, expand=88, out=24, se=False, hs=False, stride=1),
    Row(kernel=5, expand=96, out=40, se=True, hs=True, stride=2),
    Row(kernel=5, expand=240, out=40, se=True, hs=True, stride=1),
    Row(kernel=5, expand=240, out=40, se=True, hs=True, stride=1),
    Row(kernel=5, expand=120, out=48, se=True, hs=True, stride=1),
    Row(kernel=5, expand=144, out=48, se=True, hs=True, stride=1),
    Row(kernel=5, expand=288, out=96, se=True, hs=True, stride=2),
    Row(kernel=5, expand=576, out=96, se=True, hs=True, stride=1),
    Row(kernel=5, expand=576, out=96, se=True, hs=True, stride=1),
)


@dataclass(frozen=True, kw_only=True)
class MobileNetV3Config:
    """`width` multiplies the channels; the authors publish 0.35, 0.5, 0.75, 1.0 and 1.25."""

    rows: tuple[Row, ...]
    last: int  # channels of the last convolution
    hidden: int  # units of the dense layer before the classifier
    width: float = 1.0
    dropout: float = 0.2
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "last", "hidden", "in_channels", "num_classes")
        check_positive(self, "width")
        check_fraction(self, "dropout")
        check_rows(self, "rows", Row)


CONFIGS = {
    "mobilenet_v3_large": MobileNetV3Config(rows=LARGE, last=960, hidden=1280),
    "mobilenet_v3_small": MobileNetV3Config(rows=SMALL, last=576, hidden=1024),
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
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)
        if activation is not None:
            self.activation = activation


class SqueezeExcitation(nn.Module):
    """Weighs each channel by what all channels' means say: (N, C, H, W) -> (N, C, H, W).

    Hu et al., https://arxiv.org/abs/1709.01507, Figure 2, with a hard sigmoid (Section 5.2).
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        means = x.mean(dim=(2, 3), keepdim=True)
        return x * F.hardsigmoid(self.excite(F.relu(self.squeeze(means))))


class Bottleneck(nn.Module):
    """MobileNetV2's block with squeeze-and-excitation before the projection, which stays linear (Figure 4).

    (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride). hidden: channels between the narrow ends.
    """

    def __init__(self, row: Row, in_channels: int, hidden: int, out_channels: int) -> None:
        super().__init__()
        activation = nn.Hardswish if row.hs else nn.ReLU
        self.shortcut = row.stride == 1 and in_channels == out_channels
        self.expand: nn.Module = nn.Identity()
        if hidden != in_channels:
            self.expand = ConvNorm(in_channels, hidden, kernel=1, activation=activation())
        self.depthwise = ConvNorm(hidden, hidden, row.kernel, stride=row.stride, groups=hidden, activation=activation())
        self.se = SqueezeExcitation(hidden, round_channels(hidden / 4)) if row.se else nn.Identity()
        self.project = ConvNorm(hidden, out_channels, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.project(self.se(self.depthwise(self.expand(x))))
        return x + y if self.shortcut else y


class Head(nn.Sequential):
    """The last rows of Tables 1 and 2, pooled before the widest layer (Figure 5): (N, in_channels, h, w) -> (N, K)."""

    def __init__(self, config: MobileNetV3Config, in_channels: int) -> None:
        super().__init__()
        last = round_channels(config.last * config.width)
        self.last = ConvNorm(in_channels, last, kernel=1, activation=nn.Hardswish())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.hidden = nn.Linear(last, config.hidden)
        self.hswish = nn.Hardswish()
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(config.hidden, config.num_classes)


class MobileNetV3(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K).

    A stage has the rows with the same number of channels. The features are the last of the stages at H/2, H/4, H/8,
    H/16 and H/32: 16, 24, 40, 112 and 160 channels in Large; Small, without H/2, has 16, 24, 48 and 96.
    """

    smallest = 32  # the last stage has one pixel

    def __init__(self, config: MobileNetV3Config) -> None:
        super().__init__()
        self.config = config
        channels = round_channels(16 * config.width)
        self.stem = ConvNorm(config.in_channels, channels, kernel=3, stride=2, activation=nn.Hardswish())
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        scale, unscaled = 2, 16
        for index, (_, rows) in enumerate(itertools.groupby(config.rows, key=lambda row: row.out)):
            blocks = nn.Sequential()
            before = scale
            for row in rows:
                hidden = round_channels(channels * row.expand / unscaled)
                out = round_channels(row.out * config.width)
                blocks.append(Bottleneck(row, channels, hidden, out))
                channels, unscaled = out, row.out
                scale *= row.stride
            self.stages.append(blocks)
            # A stage that does not halve the picture takes the place of the one before it.
            others = self.feature_info if scale > before else self.feature_info[:-1]
            self.feature_info = (*others, FeatureInfo(f"stages.{index}", channels, scale))
        self.head = Head(config, channels)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:  # drawing nothing is slow there
                nn.init.trunc_normal_(module.weight, std=0.09, a=-0.18, b=0.18)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="MobileNetV3", channels=self.config.in_channels, smallest=self.smallest)
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

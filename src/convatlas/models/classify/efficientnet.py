"""EfficientNet: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019.

https://arxiv.org/abs/1905.11946 -- baseline: Table 1; compound scaling: Equation 3, Section 4; training: Section 5.2.
Every network is Table 1, scaled by a width and a depth. From the authors' code (TensorFlow TPU models, efficientnet):
the widths, depths, resolutions and dropouts of B1 to B7, the rounding, squeeze-and-excitation to a quarter of the
block's input channels, survival that falls from 1 at the first block, and the initialisation.
Deviations, to match public weights: strided convolutions pad all sides alike (the authors' pad as TensorFlow's SAME:
`same_padding=True`), and BatchNorm's epsilon is 1e-5 in B0 to B4 (the authors': 1e-3, as in B5 to B7).
BatchNorm's averages move by 0.1 a step, not the paper's 0.01, which needs thousands of steps.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

import dataclasses
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.round_channels import round_channels
from convatlas.layers.same_conv import SameConv2d
from convatlas.layers.stochastic_depth import StochasticDepth
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_epsilon,
    check_fraction,
    check_images,
    check_positive,
    check_rows,
    check_share,
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A row of Table 1: `repeats` blocks, of which the first has the stride. MBConv6 has `expand=6`."""

    kernel: int
    expand: int
    out: int
    repeats: int
    stride: int

    def __post_init__(self) -> None:
        check_at_least(self, 1, "kernel", "expand", "out", "repeats")
        if self.kernel not in (3, 5, 7):
            raise UsageError(f"Stage.kernel must be 3, 5 or 7, not {self.kernel!r}")
        if self.stride not in (1, 2):
            raise UsageError(f"Stage.stride must be 1 or 2, not {self.stride!r}")


TABLE_1 = (
    Stage(kernel=3, expand=1, out=16, repeats=1, stride=1),
    Stage(kernel=3, expand=6, out=24, repeats=2, stride=2),
    Stage(kernel=5, expand=6, out=40, repeats=2, stride=2),
    Stage(kernel=3, expand=6, out=80, repeats=3, stride=2),
    Stage(kernel=5, expand=6, out=112, repeats=3, stride=1),
    Stage(kernel=5, expand=6, out=192, repeats=4, stride=2),
    Stage(kernel=3, expand=6, out=320, repeats=1, stride=1),
)


def scale_stages(stages: tuple[Stage, ...], *, width: float, depth: float) -> tuple[Stage, ...]:
    """The rows with `width` times the channels, rounded to multiples of 8, and `depth` times the blocks, rounded up."""
    return tuple(
        dataclasses.replace(row, out=round_channels(row.out * width), repeats=math.ceil(row.repeats * depth))
        for row in stages
    )


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """How much wider and deeper than the baseline a network is, and the picture it is meant for (pixels a side)."""

    width: float
    depth: float
    resolution: int


def compound_scaling(phi: float, *, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15) -> Scaling:
    """Equation 3: depth alpha^phi, width beta^phi, resolution 224 gamma^phi; about 2^phi times the computation."""
    return Scaling(width=beta**phi, depth=alpha**phi, resolution=round(224 * gamma**phi))


# The published networks. B1 to B3 are Equation 3 at phi = 0.5, 1 and 2, rounded; from B4 on the authors chose more
# width and resolution than it gives.
PUBLISHED = {
    "efficientnet_b0": Scaling(width=1.0, depth=1.0, resolution=224),
    "efficientnet_b1": Scaling(width=1.0, depth=1.1, resolution=240),
    "efficientnet_b2": Scaling(width=1.1, depth=1.2, resolution=260),
    "efficientnet_b3": Scaling(width=1.2, depth=1.4, resolution=300),
    "efficientnet_b4": Scaling(width=1.4, depth=1.8, resolution=380),
    "efficientnet_b5": Scaling(width=1.6, depth=2.2, resolution=456),
    "efficientnet_b6": Scaling(width=1.8, depth=2.6, resolution=528),
    "efficientnet_b7": Scaling(width=2.0, depth=3.1, resolution=600),
}


@dataclass(frozen=True, kw_only=True)
class EfficientNetConfig:
    """`width` and `depth` scale Table 1. Raises UsageError that names the field when a value is impossible."""

    width: float = 1.0
    depth: float = 1.0
    dropout: float = 0.2  # Section 5.2: from 0.2 for B0 to 0.5 for B7
    survival: float = 0.8  # the probability that the deepest block's branch is kept in training
    norm_eps: float = 1e-5
    same_padding: bool = False
    stages: tuple[Stage, ...] = TABLE_1
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels", "num_classes")
        check_positive(self, "width", "depth")
        check_fraction(self, "dropout")
        check_share(self, "survival")
        check_rows(self, "stages", Stage)
        check_epsilon(self, "norm_eps")


def _config(name: str, *, dropout: float, norm_eps: float = 1e-5) -> EfficientNetConfig:
    scaling = PUBLISHED[name]
    return EfficientNetConfig(width=scaling.width, depth=scaling.depth, dropout=dropout, norm_eps=norm_eps)


CONFIGS = {
    "efficientnet_b0": _config("efficientnet_b0", dropout=0.2),
    "efficientnet_b1": _config("efficientnet_b1", dropout=0.2),
    "efficientnet_b2": _config("efficientnet_b2", dropout=0.3),
    "efficientnet_b3": _config("efficientnet_b3", dropout=0.3),
    "efficientnet_b4": _config("efficientnet_b4", dropout=0.4),
    "efficientnet_b5": _config("efficientnet_b5", dropout=0.4, norm_eps=1e-3),
    "efficientnet_b6": _config("efficientnet_b6", dropout=0.5, norm_eps=1e-3),
    "efficientnet_b7": _config("efficientnet_b7", dropout=0.5, norm_eps=1e-3),
}


class ConvNorm(nn.Sequential):
    """Convolution, BatchNorm and, unless `linear`, SiLU: (N, C, H, W) -> (N, out_channels, H/stride, W/stride)."""

    def __init__(
        self,
        config: EfficientNetConfig,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        if config.same_padding:
            self.conv: nn.Conv2d = SameConv2d(
                in_channels, out_channels, kernel, stride=stride, groups=groups, bias=False
            )
        else:
            self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=config.norm_eps)
        if not linear:
            self.silu = nn.SiLU()


class SqueezeExcitation(nn.Module):
    """Weighs each channel by what all channels' means say: (N, C, H, W) -> (N, C, H, W).

    Hu et al., https://arxiv.org/abs/1709.01507, Figure 2, with SiLU for ReLU.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        means = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.excite(F.silu(self.squeeze(means))))


class MBConv(nn.Module):
    """Widen, filter each channel, weigh the channels, narrow; stochastic depth where there is a shortcut.

    (N, in_channels, H, W) -> (N, row.out, H/stride, W/stride). drop: the probability that training skips the branch.
    """

    def __init__(self, config: EfficientNetConfig, row: Stage, in_channels: int, *, stride: int, drop: float) -> None:
        super().__init__()
        hidden = in_channels * row.expand
        self.shortcut = stride == 1 and in_channels == row.out
        self.expand = ConvNorm(config, in_channels, hidden, kernel=1) if row.expand > 1 else nn.Identity()
        self.depthwise = ConvNorm(config, hidden, hidden, row.kernel, stride=stride, groups=hidden)
        self.se = SqueezeExcitation(hidden, squeezed=max(1, in_channels // 4))
        self.project = ConvNorm(config, hidden, row.out, kernel=1, linear=True)
        self.stochastic_depth = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.project(self.se(self.depthwise(self.expand(x))))
        return x + self.stochastic_depth(y) if self.shortcut else y


class Head(nn.Sequential):
    """Row 9 of Table 1, after dropout before the classifier: (N, in_channels, H/32, W/32) -> logits (N, K)."""

    def __init__(self, config: EfficientNetConfig, in_channels: int) -> None:
        super().__init__()
        channels = round_channels(1280 * config.width)
        self.last = ConvNorm(config, in_channels, channels, kernel=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(channels, config.num_classes)


class EfficientNet(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K).

    The features are the last of the stages at H/2, H/4, H/8, H/16 and H/32: 16, 24, 40, 112 and 320 channels in B0.
    """

    smallest = 32  # the last stage has one pixel

    def __init__(self, config: EfficientNetConfig) -> None:
        super().__init__()
        self.config = config
        rows = scale_stages(config.stages, width=config.width, depth=config.depth)
        channels = round_channels(32 * config.width)
        self.stem = ConvNorm(config, config.in_channels, channels, kernel=3, stride=2)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        total, scale = sum(row.repeats for row in rows), 2
        done = 0
        for index, row in enumerate(rows):
            blocks = nn.Sequential()
            for repeat in range(row.repeats):
                drop = (1 - config.survival) * done / total
                stride = row.stride if repeat == 0 else 1
                blocks.append(MBConv(config, row, channels, stride=stride, drop=drop))
                channels = row.out
                done += 1
            self.stages.append(blocks)
            scale *= row.stride
            # A stage that does not halve the picture takes the place of the one before it.
            others = self.feature_info if row.stride > 1 else self.feature_info[:-1]
            self.feature_info = (*others, FeatureInfo(f"stages.{index}", channels, scale))
        self.head = Head(config, channels)
        initialise(self)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="EfficientNet", channels=self.config.in_channels, smallest=self.smallest)
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


def initialise(network: nn.Module) -> None:
    """As the authors' code: convolutions normal with variance 2 / fan-out, where a depthwise one has the fan-out of one
    channel; the classifier uniform within 1 / sqrt(K); biases zero.
    """
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or module.weight.is_meta:  # drawing nothing is slow there
            continue
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        else:
            limit = 1 / math.sqrt(module.out_features)
            nn.init.uniform_(module.weight, -limit, limit)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

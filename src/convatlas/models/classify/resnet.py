"""ResNet: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, and its plain networks.

https://arxiv.org/abs/1512.03385 -- variants: Table 1; residual and shortcut: Equations 1 and 2; blocks: Figure 5;
shortcuts: Section 3.3, options A ("zero-pad") and B ("projection"); normalisation and initialisation: Section 3.4.
`resnetN` takes option B, as public weights do. The networks of CIFAR (Section 4.2) are in `resnet_cifar`.
Deviation: `resnet50`, `resnet101`, `resnet152` stride in a bottleneck's 3x3 convolution ("v1.5"), to match public
weights; their `_paper` forms stride in its first 1x1, as the authors' released networks do.
Choice that the paper leaves open: of the two forms of its initialisation [13], by fan-in.
Shapes: N images, C channels, H x W pixels, K classes. A stage whose input has an odd side rounds up: ceil(H / stride).
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.models.contract import FeatureInfo, check_at_least, check_images, check_whole_numbers

Shortcut = Literal["projection", "zero-pad", "none"]


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """A column of Table 1. Raises UsageError that names the field when a value is impossible."""

    depths: tuple[int, ...]  # blocks in conv2_x, conv3_x, conv4_x, conv5_x
    bottleneck: bool = False  # three layers a block, the last four times as wide; else two
    stride_in_1x1: bool = False  # a bottleneck halves the picture in its first layer, not in its 3x3
    shortcut: Shortcut = "projection"  # where dimensions change, elsewhere the identity; "none": a plain network
    width: int = 64  # channels of conv1 and of conv2_x's 3x3 layers; each later stage doubles them
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "width", "in_channels", "num_classes")
        check_shortcut(self, self.shortcut)
        check_whole_numbers(self, "depths", count=4)
        if self.stride_in_1x1 and not self.bottleneck:
            raise UsageError("ResNetConfig.stride_in_1x1 needs bottleneck=True: a basic block has no 1x1 convolution")


def check_shortcut(config: object, value: str) -> None:
    """Raise UsageError naming the config's field `shortcut` unless `value` is one of its three."""
    if value not in get_args(Shortcut):
        choices = ", ".join(f'"{choice}"' for choice in get_args(Shortcut))
        raise UsageError(f"{type(config).__name__}.shortcut must be one of {choices}, not {value!r}")


CONFIGS = {
    "resnet18": ResNetConfig(depths=(2, 2, 2, 2)),
    "resnet34": ResNetConfig(depths=(3, 4, 6, 3)),
    "resnet50": ResNetConfig(depths=(3, 4, 6, 3), bottleneck=True),
    "resnet101": ResNetConfig(depths=(3, 4, 23, 3), bottleneck=True),
    "resnet152": ResNetConfig(depths=(3, 8, 36, 3), bottleneck=True),
    "resnet50_paper": ResNetConfig(depths=(3, 4, 6, 3), bottleneck=True, stride_in_1x1=True),
    "resnet101_paper": ResNetConfig(depths=(3, 4, 23, 3), bottleneck=True, stride_in_1x1=True),
    "resnet152_paper": ResNetConfig(depths=(3, 8, 36, 3), bottleneck=True, stride_in_1x1=True),
    "plain18": ResNetConfig(depths=(2, 2, 2, 2), shortcut="none"),
    "plain34": ResNetConfig(depths=(3, 4, 6, 3), shortcut="none"),
}


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps H and W at stride 1; the batch normalisation after it brings the bias."""
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)


def basic(in_channels: int, width: int, stride: int) -> nn.Sequential:
    """The residual of Figure 5, left: (N, in_channels, H, W) -> (N, width, H/stride, W/stride), before the addition."""
    layers: dict[str, nn.Module] = {
        "conv1": conv(in_channels, width, 3, stride),
        "bn1": nn.BatchNorm2d(width),
        "relu1": nn.ReLU(),
        "conv2": conv(width, width, 3),
        "bn2": nn.BatchNorm2d(width),
    }
    return nn.Sequential(OrderedDict(layers))


def bottleneck(in_channels: int, width: int, stride: int, *, stride_in_1x1: bool) -> nn.Sequential:
    """The residual of Figure 5, right: (N, in_channels, H, W) -> (N, 4 * width, H/stride, W/stride)."""
    layers: dict[str, nn.Module] = {
        "conv1": conv(in_channels, width, 1, stride if stride_in_1x1 else 1),
        "bn1": nn.BatchNorm2d(width),
        "relu1": nn.ReLU(),
        "conv2": conv(width, width, 3, 1 if stride_in_1x1 else stride),
        "bn2": nn.BatchNorm2d(width),
        "relu2": nn.ReLU(),
        "conv3": conv(width, 4 * width, 1),
        "bn3": nn.BatchNorm2d(4 * width),
    }
    return nn.Sequential(OrderedDict(layers))


class ZeroPadShortcut(nn.Module):
    """Option A: every stride-th pixel, and zeros for the channels that are new. No parameters."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels = out_channels - in_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


def make_shortcut(kind: Shortcut, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """The block's way around its layers: nothing in a plain network, the identity where shapes allow it."""
    if kind == "none":
        return None
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if kind == "zero-pad":
        return ZeroPadShortcut(in_channels, out_channels, stride)
    return nn.Sequential(  # option B: W_s of Equation 2
        OrderedDict(conv=conv(in_channels, out_channels, 1, stride), bn=nn.BatchNorm2d(out_channels))
    )


class ResidualBlock(nn.Module):
    """relu(residual(x) + shortcut(x)), Equation 1; without a shortcut relu(residual(x)), a block of a plain network."""

    def __init__(self, residual: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = shortcut
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride), at least 0."""
        y = self.residual(x)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        activated: Tensor = self.relu(y)
        return activated


def initialise(network: nn.Module) -> None:
    """Weights as in https://arxiv.org/abs/1502.01852, Equation 10: normal, variance 2 / fan-in; biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:  # drawing nothing is slow there
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def classifier(channels: int, num_classes: int) -> nn.Sequential:
    """Global average pooling and the dense layer: (N, channels, H, W) -> logits (N, num_classes)."""
    layers: dict[str, nn.Module] = {
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(channels, num_classes),
    }
    return nn.Sequential(OrderedDict(layers))


class ResNet(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K). The stem and the stages end at H/4, H/4 ... H/32."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        stem: dict[str, nn.Module] = {
            "conv": conv(config.in_channels, config.width, 7, stride=2),
            "bn": nn.BatchNorm2d(config.width),
            "relu": nn.ReLU(),
            "pool": nn.MaxPool2d(3, stride=2, padding=1),
        }
        self.stem = nn.Sequential(OrderedDict(stem))  # conv1 and the pooling of conv2_x: (N, width, H/4, W/4)
        self.stages = nn.ModuleList()  # conv2_x ... conv5_x
        self.feature_info: tuple[FeatureInfo, ...] = ()
        channels = config.width
        for stage, depth in enumerate(config.depths):
            width = config.width * 2**stage
            blocks = nn.Sequential()
            for index in range(depth):
                blocks.append(residual_block(config, channels, width, stride=2 if stage > 0 and index == 0 else 1))
                channels = 4 * width if config.bottleneck else width
            self.stages.append(blocks)
            self.feature_info += (FeatureInfo(f"conv{stage + 2}_x", channels, 4 * 2**stage),)
        self.head = classifier(channels, config.num_classes)
        initialise(self)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the outputs of conv2_x ... conv5_x, at H/4, H/8, H/16, H/32."""
        check_images(x, network="ResNet", channels=self.config.in_channels, smallest=32)
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


def residual_block(config: ResNetConfig, in_channels: int, width: int, stride: int) -> ResidualBlock:
    """(N, in_channels, H, W) -> (N, width, H/stride, W/stride), or 4 * width channels from a bottleneck."""
    if config.bottleneck:
        out_channels = 4 * width
        residual = bottleneck(in_channels, width, stride, stride_in_1x1=config.stride_in_1x1)
    else:
        out_channels = width
        residual = basic(in_channels, width, stride)
    return ResidualBlock(residual, make_shortcut(config.shortcut, in_channels, out_channels, stride))

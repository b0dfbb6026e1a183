"""Network in Network: Lin, Chen, Yan, "Network In Network", ICLR 2014.

https://arxiv.org/abs/1312.4400 -- mlpconv layer: Section 3.1 and Equation 2; global average pooling: Section 3.2;
overall structure: Section 3.3 and Figure 2; dropout after all mlpconv layers but the last: Section 4.1.
From the authors' released networks, where the paper is silent: widths, kernels, overlapping pooling that rounds up,
and the deviation of each layer's initial weights ("manually set", Section 4.1) -- for CIFAR their cuda-convnet files
(NIN/cifar-10_def, cifar-100_def), for ImageNet, which the paper does not try, their network of the Caffe model zoo.
The ReLU after the last convolution, before the average, is theirs too: no logit is negative.
Shapes: N images, C channels, H x W pixels, K classes.
"""

import itertools
from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_rows,
    check_whole_numbers,
)


@dataclass(frozen=True, kw_only=True)
class MlpConv:
    """An mlpconv layer: a convolution, and 1x1 convolutions that are a perceptron at each place, all with ReLU.

    widths, stds: channels of each of its convolutions, and the deviation of their initial weights. In the last layer
    the class maps come after those `widths`, so that there is one more of `stds`.
    """

    kernel: int
    widths: tuple[int, ...]
    stds: tuple[float, ...]
    stride: int = 1
    padding: int = 0
    dropout: float = 0.0  # before the convolution, after the pooling

    def __post_init__(self) -> None:
        check_at_least(self, 1, "kernel", "stride")
        check_at_least(self, 0, "padding")
        check_whole_numbers(self, "widths")
        stds: object = self.stds
        if not (isinstance(stds, tuple) and all(isinstance(std, int | float) and std > 0 for std in stds)):
            raise UsageError(f"MlpConv.stds must be numbers above 0, not {self.stds!r}")
        check_fraction(self, "dropout")


@dataclass(frozen=True, kw_only=True)
class NINConfig:
    """The mlpconv layers, with a max pooling of 3x3 and stride 2 between each and the next."""

    layers: tuple[MlpConv, ...]
    in_channels: int = 3
    num_classes: int

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels", "num_classes")
        check_rows(self, "layers", MlpConv)
        for number, layer in enumerate(self.layers, 1):
            wanted = len(layer.widths) + (number == len(self.layers))
            if len(layer.stds) != wanted:
                raise UsageError(f"NINConfig.layers: layer {number} must have {wanted} stds, not {len(layer.stds)}")


CIFAR10 = (
    MlpConv(kernel=5, padding=2, widths=(192, 160, 96), stds=(0.05, 0.05, 0.05)),
    MlpConv(kernel=5, padding=2, widths=(192, 192, 192), stds=(0.05, 0.05, 0.05), dropout=0.5),
    MlpConv(kernel=3, padding=1, widths=(192, 192), stds=(0.05, 0.05, 0.05), dropout=0.5),
)
CIFAR100 = (MlpConv(kernel=5, padding=2, widths=(192, 160, 96), stds=(0.001, 0.01, 0.01)), *CIFAR10[1:])
IMAGENET = (
    MlpConv(kernel=11, stride=4, widths=(96, 96, 96), stds=(0.01, 0.05, 0.05)),
    MlpConv(kernel=5, padding=2, widths=(256, 256, 256), stds=(0.05, 0.05, 0.05)),
    MlpConv(kernel=3, padding=1, widths=(384, 384, 384), stds=(0.01, 0.05, 0.05)),
    MlpConv(kernel=3, padding=1, widths=(1024, 1024), stds=(0.05, 0.05, 0.01), dropout=0.5),
)

CONFIGS = {
    "nin_cifar10": NINConfig(layers=CIFAR10, num_classes=10),
    "nin_cifar100": NINConfig(layers=CIFAR100, num_classes=100),
    "nin_imagenet": NINConfig(layers=IMAGENET, num_classes=1000),
}


def initialised(conv: nn.Conv2d, std: float) -> nn.Conv2d:
    """The convolution with normal weights of this deviation and biases of zero."""
    if not conv.weight.is_meta:  # drawing nothing is slow there
        nn.init.normal_(conv.weight, std=std)
        assert conv.bias is not None
        nn.init.zeros_(conv.bias)
    return conv


def stage(row: MlpConv, in_channels: int, *, pool: bool) -> nn.Sequential:
    """The pooling and dropout before this layer, and the layer: (N, in_channels, H, W) -> (N, widths[-1], H', W')."""
    layers: dict[str, nn.Module] = {"pool": nn.MaxPool2d(3, stride=2, ceil_mode=True)} if pool else {}
    if row.dropout:
        layers["dropout"] = nn.Dropout(row.dropout)
    conv = nn.Conv2d(in_channels, row.widths[0], row.kernel, row.stride, row.padding)
    layers |= {"conv": initialised(conv, row.stds[0]), "relu": nn.ReLU()}
    pairs = itertools.pairwise(row.widths)
    for index, ((before, width), std) in enumerate(zip(pairs, row.stds[1:], strict=False), 1):
        # The authors call them cccp: cascaded cross channel parametric pooling.
        layers |= {f"cccp{index}": initialised(nn.Conv2d(before, width, 1), std), f"relu{index}": nn.ReLU()}
    return nn.Sequential(OrderedDict(layers))


def head(in_channels: int, num_classes: int, std: float) -> nn.Sequential:
    """A map for each class, and its average: (N, in_channels, H, W) -> logits (N, K), at least 0."""
    layers: dict[str, nn.Module] = {
        "cccp": initialised(nn.Conv2d(in_channels, num_classes, 1), std),
        "relu": nn.ReLU(),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return nn.Sequential(OrderedDict(layers))


class NIN(nn.Module):
    """Images (N, C, H, W) -> logits (N, K). There is no stem.

    The features are the outputs of the mlpconv layers, before the pooling that follows: for CIFAR 96, 192, 192 channels
    at H, H/2, H/4, for ImageNet 96, 256, 384, 1024 at H/4, H/8, H/16, H/32, whose first convolution loses its margin.
    The last layer's class maps belong to the head.
    """

    never_negative = True  # the last ReLU: of several labels none could be denied

    def __init__(self, config: NINConfig) -> None:
        super().__init__()
        self.config = config
        self.smallest = smallest_side(config.layers)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        channels, stride = config.in_channels, 1
        for index, row in enumerate(config.layers):
            self.stages.append(stage(row, channels, pool=index > 0))
            channels, stride = row.widths[-1], stride * row.stride * (2 if index else 1)
            self.feature_info += (FeatureInfo(f"mlpconv{index + 1}", channels, stride),)
        self.head = head(channels, config.num_classes, config.layers[-1].stds[-1])

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the outputs of the mlpconv layers, the last without its class maps."""
        check_images(x, network="NIN", channels=self.config.in_channels, smallest=self.smallest)
        maps = []
        for layers in self.stages:
            x = layers(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits


def smallest_side(layers: tuple[MlpConv, ...]) -> int:
    """The side of the smallest picture of which a pixel is left, found from the end backwards."""
    side = 1
    for index, row in reversed(list(enumerate(layers))):
        side = max((side - 1) * row.stride + row.kernel - 2 * row.padding, 1)
        if index:
            side = 2 * side  # 3x3 with stride 2, rounding up, makes n pixels of 2n or 2n + 1
    return side

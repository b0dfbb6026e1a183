"""SqueezeNet: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size".

https://arxiv.org/abs/1602.07360 (2016) -- Fire module and its three widths: Section 3; network: Table 1.
`squeezenet1_0` is the paper's network, `squeezenet1_1` the authors' later one (their repository, SqueezeNet_v1.1): a
smaller first convolution and earlier pooling, for 2.4 times less computation. The paper's bypass connections are not
here.
From the authors' Caffe files, where the paper is silent: conv1 is not padded, pooling rounds up, weights are uniform
within sqrt(3 / fan-in), those of conv10 normal with deviation 0.01, biases zero.
Deviation, to match public weights and the 13x13 maps of Table 1: conv10 is not padded (in the file of 1.0 it is, by a
pixel). Table 1 names pictures of 224x224; its maps of 111x111 after conv1 are those of 227x227, as the file cuts them.
Shapes: N images, C channels, H x W pixels, K classes.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.models.contract import FeatureInfo, check_at_least, check_fraction, check_images


@dataclass(frozen=True, kw_only=True)
class Widths:
    """A row of Table 1: the channels of a Fire module's convolutions, the paper's s1x1, e1x1 and e3x3."""

    squeeze: int
    expand1x1: int
    expand3x3: int

    def __post_init__(self) -> None:
        check_at_least(self, 1, "squeeze", "expand1x1", "expand3x3")


FIRE2 = Widths(squeeze=16, expand1x1=64, expand3x3=64)  # and fire3
FIRE4 = Widths(squeeze=32, expand1x1=128, expand3x3=128)  # and fire5
FIRE6 = Widths(squeeze=48, expand1x1=192, expand3x3=192)  # and fire7
FIRE8 = Widths(squeeze=64, expand1x1=256, expand3x3=256)  # and fire9


@dataclass(frozen=True, kw_only=True)
class SqueezeNetConfig:
    """`stages`: the Fire modules, with a max-pooling before each stage. conv1, kernel1: channels and side of conv1."""

    conv1: int
    kernel1: int
    stages: tuple[tuple[Widths, ...], ...]
    dropout: float = 0.5
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "conv1", "kernel1", "in_channels", "num_classes")
        check_fraction(self, "dropout")
        stages: object = self.stages
        rows = [row for row in stages if isinstance(row, tuple) and row] if isinstance(stages, tuple) else []
        whole = bool(rows) and len(rows) == len(self.stages)
        if not whole or not all(isinstance(widths, Widths) for row in rows for widths in row):
            raise UsageError(f"SqueezeNetConfig.stages must be tuples of one Widths or more, not {self.stages!r}")


CONFIGS = {
    "squeezenet1_0": SqueezeNetConfig(
        conv1=96, kernel1=7, stages=((FIRE2, FIRE2, FIRE4), (FIRE4, FIRE6, FIRE6, FIRE8), (FIRE8,))
    ),
    "squeezenet1_1": SqueezeNetConfig(
        conv1=64, kernel1=3, stages=((FIRE2, FIRE2), (FIRE4, FIRE4), (FIRE6, FIRE6, FIRE8, FIRE8))
    ),
}


class Fire(nn.Module):
    """Squeeze the channels by 1x1, then expand them by 1x1 and 3x3 side by side: few weights see many channels.

    (N, in_channels, H, W) -> (N, expand1x1 + expand3x3, H, W).
    """

    def __init__(self, in_channels: int, widths: Widths) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, widths.squeeze, 1)
        self.expand1x1 = nn.Conv2d(widths.squeeze, widths.expand1x1, 1)
        self.expand3x3 = nn.Conv2d(widths.squeeze, widths.expand3x3, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.expand1x1(x)), self.relu(self.expand3x3(x))], dim=1)


def head(in_channels: int, *, dropout: float, num_classes: int) -> nn.Sequential:
    """A map for each class, and its average: (N, in_channels, H, W) -> logits (N, K), at least 0."""
    layers: dict[str, nn.Module] = {
        "dropout": nn.Dropout(dropout),
        "conv10": nn.Conv2d(in_channels, num_classes, 1),
        "relu": nn.ReLU(),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return nn.Sequential(OrderedDict(layers))


class SqueezeNet(nn.Module):
    """Images (N, C, H, W) of at least 21 x 21, version 1.1 of 17 x 17 -> logits (N, K).

    The features are conv1 and the last Fire modules before each pooling and before conv10: in version 1.0 96, 256, 512
    and 512 channels at H/2, H/4, H/8 and H/16. conv1, not padded, loses its margin.
    """

    never_negative = True  # the last ReLU: of several labels none could be denied

    def __init__(self, config: SqueezeNetConfig) -> None:
        super().__init__()
        self.config = config
        # Pooling makes n pixels of 2n or 2n + 1; one pixel is left at the end.
        self.smallest = config.kernel1 + 2 * (2 ** len(config.stages) - 1)
        conv1 = nn.Conv2d(config.in_channels, config.conv1, config.kernel1, stride=2)
        self.stem = nn.Sequential(OrderedDict(conv1=conv1, relu=nn.ReLU()))
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = (FeatureInfo("conv1", config.conv1, 2),)
        channels, number = config.conv1, 2
        for stage, rows in enumerate(config.stages):
            layers: dict[str, nn.Module] = {"pool": nn.MaxPool2d(3, stride=2, ceil_mode=True)}
            for widths in rows:
                layers[f"fire{number}"] = Fire(channels, widths)
                channels, number = widths.expand1x1 + widths.expand3x3, number + 1
            self.stages.append(nn.Sequential(OrderedDict(layers)))
            self.feature_info += (FeatureInfo(f"fire{number - 1}", channels, 4 * 2**stage),)
        self.head = head(channels, dropout=config.dropout, num_classes=config.num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for name, module in self.named_modules():
            if not isinstance(module, nn.Conv2d) or module.weight.is_meta:  # drawing nothing is slow there
                continue
            if name == "head.conv10":
                nn.init.normal_(module.weight, std=0.01)
            else:
                limit = math.sqrt(3 / module.weight[0].numel())
                nn.init.uniform_(module.weight, -limit, limit)
            assert module.bias is not None
            nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="SqueezeNet", channels=self.config.in_channels, smallest=self.smallest)
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

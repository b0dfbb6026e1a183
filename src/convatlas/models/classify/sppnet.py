"""SPPnet: He, Zhang, Ren, Sun, "Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition".

ECCV 2014, https://arxiv.org/abs/1406.4729v4 -- spatial pyramid pooling: Section 2.2 and Figure 3; ZF-5: Section 3.1.1
and Table 1; the pyramid {6x6, 3x3, 2x2, 1x1}: Section 3.1.2; range of a bin on maps of any size: Appendix A.
From the authors' released network (model-defs/Zeiler_conv5.prototxt), where the paper is silent: margins of zeros
(Table 1 gives the sizes of the maps only), poolings that round up, response normalisation within each channel and its
constants, initial weights and biases.
Shapes: N images, C channels, H x W pixels, K classes.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.models.contract import FeatureInfo, check_at_least, check_fraction, check_images, check_whole_numbers


@dataclass(frozen=True, kw_only=True)
class SPPNetConfig:
    """ZF-5 of Table 1 with spatial pyramid pooling. Raises UsageError that names the field of an impossible value."""

    channels: tuple[int, ...] = (96, 256, 384, 384, 256)  # conv1 ... conv5
    pyramid: tuple[int, ...] = (6, 3, 2, 1)  # bins along a side of each level
    hidden: int = 4096  # units of fc6 and fc7
    dropout: float = 0.5
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "hidden", "in_channels", "num_classes")
        check_whole_numbers(self, "channels", count=5)
        check_whole_numbers(self, "pyramid")
        check_fraction(self, "dropout")


CONFIGS = {"sppnet_zf5": SPPNetConfig()}


class ChannelResponseNorm(nn.Module):
    """Response normalisation within a channel: x / (1 + alpha * mean of x^2 over 3 x 3 pixels)^beta, (N, C, H, W)."""

    alpha, beta = 5e-5, 0.75

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape; pixels outside count as zeros."""
        energy = F.avg_pool2d(x * x, 3, stride=1, padding=1)
        return x * (1 + self.alpha * energy).pow(-self.beta)


class SpatialPyramidPooling(nn.Module):
    """The largest value in each bin of each level: (N, C, H, W) of any size -> (N, C * sum of n^2), level by level.

    Bin i of n along a side of length w goes from floor((i - 1) w / n) to ceil(i w / n) (Appendix A): bins share a row
    where n does not divide w, and repeat rows where there are fewer than n.
    """

    def __init__(self, pyramid: tuple[int, ...]) -> None:
        super().__init__()
        self.pyramid = pyramid

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([bins(bins(x, 2, n), 3, n).flatten(1) for n in self.pyramid], dim=1)


def bins(x: Tensor, dim: int, n: int) -> Tensor:
    """The largest values of the n bins along `dim`, which becomes n long."""
    length = x.shape[dim]
    ranges = [(i * length // n, -(-(i + 1) * length // n)) for i in range(n)]
    return torch.stack([x.narrow(dim, start, end - start).amax(dim) for start, end in ranges], dim)


class Head(nn.Sequential):
    """The pyramid and the dense layers: conv5's (N, C, H', W') -> logits (N, K)."""

    def __init__(self, in_channels: int, config: SPPNetConfig) -> None:
        super().__init__()
        self.spp = SpatialPyramidPooling(config.pyramid)
        self.fc6 = nn.Linear(in_channels * sum(n * n for n in config.pyramid), config.hidden)
        self.relu6 = nn.ReLU()
        self.dropout6 = nn.Dropout(config.dropout)
        self.fc7 = nn.Linear(config.hidden, config.hidden)
        self.relu7 = nn.ReLU()
        self.dropout7 = nn.Dropout(config.dropout)
        self.fc8 = nn.Linear(config.hidden, config.num_classes)


def max_pool() -> nn.MaxPool2d:
    """3 x 3 with stride 2; a window that starts inside counts: 110 -> 55 and 26 -> 13."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


class SPPNet(nn.Module):
    """Images (N, C, H, W) of any size from 31 x 31 on -> logits (N, K), through vectors of one length (N, 12800).

    The features are conv1, conv2 and conv5, about H/2, H/8 and H/16: 110 x 110, 26 x 26 and 13 x 13 at 224 x 224.
    """

    smallest = 31  # one pixel is left for conv5

    def __init__(self, config: SPPNetConfig) -> None:
        super().__init__()
        self.config = config
        c1, c2, c3, c4, c5 = config.channels
        stages: list[dict[str, nn.Module]] = [
            {"conv1": nn.Conv2d(config.in_channels, c1, 7, stride=2, padding=1), "relu1": nn.ReLU()},
            {
                "norm1": ChannelResponseNorm(),
                "pool1": max_pool(),
                "conv2": nn.Conv2d(c1, c2, 5, stride=2),
                "relu2": nn.ReLU(),
            },
            {
                "norm2": ChannelResponseNorm(),
                "pool2": max_pool(),
                "conv3": nn.Conv2d(c2, c3, 3, padding=1),
                "relu3": nn.ReLU(),
                "conv4": nn.Conv2d(c3, c4, 3, padding=1),
                "relu4": nn.ReLU(),
                "conv5": nn.Conv2d(c4, c5, 3, padding=1),
                "relu5": nn.ReLU(),
            },
        ]
        self.stages = nn.ModuleList(nn.Sequential(OrderedDict(layers)) for layers in stages)
        self.feature_info = (FeatureInfo("conv1", c1, 2), FeatureInfo("conv2", c2, 8), FeatureInfo("conv5", c5, 16))
        self.head = Head(c5, config)
        self._initialise()

    def _initialise(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:  # drawing nothing is slow there
                nn.init.normal_(module.weight, std=0.01)
                assert module.bias is not None
                nn.init.constant_(module.bias, 0.0 if name.endswith(("conv1", "conv3")) else 1.0)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> conv1, conv2, conv5."""
        check_images(x, network="SPPNet", channels=self.config.in_channels, smallest=self.smallest)
        maps = []
        for layers in self.stages:
            x = layers(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

    def evaluate_densely(self, x: Tensor) -> Tensor:
        """The paper's test on the full image: (N, C, H, W) -> logits (N, K). The pyramid covers it as it is."""
        logits: Tensor = self(x)
        return logits

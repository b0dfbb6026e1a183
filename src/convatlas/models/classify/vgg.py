"""VGG: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015.

https://arxiv.org/abs/1409.1556 -- layers: Section 2.1 and Table 1, columns A (vgg11), B (13), D (16), E (19); dropout
and initialisation: Section 3.1; dense evaluation: Section 3.2.
Of the initialisations that the paper names, the one that needs no shallower network first: Glorot and Bengio's.
Not in the paper: the `_bn` forms, with BatchNorm after every convolution, as torchvision publishes them.
Deviation, to match public weights: the maps of a picture of another size than 224 x 224 are averaged to 7 x 7 before
the dense layers; `score_map` is the paper's way.
Shapes: N images, C channels, H x W pixels, K classes. An odd side loses its last pixel when it is halved.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.models.contract import FeatureInfo, check_at_least, check_fraction, check_images, check_whole_numbers


@dataclass(frozen=True, kw_only=True)
class VGGConfig:
    """A column of Table 1. Raises UsageError that names the field when a value is impossible."""

    depths: tuple[int, ...]  # convolutions between one max pooling and the next
    batch_norm: bool = False
    width: int = 64  # channels of the first stage; they double with each stage up to eight times as many
    hidden: int = 4096  # units of the two hidden dense layers
    dropout: float = 0.5
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "width", "hidden", "in_channels", "num_classes")
        check_whole_numbers(self, "depths", count=5)
        check_fraction(self, "dropout")


CONFIGS = {
    "vgg11": VGGConfig(depths=(1, 1, 2, 2, 2)),
    "vgg13": VGGConfig(depths=(2, 2, 2, 2, 2)),
    "vgg16": VGGConfig(depths=(2, 2, 3, 3, 3)),
    "vgg19": VGGConfig(depths=(2, 2, 4, 4, 4)),
    "vgg11_bn": VGGConfig(depths=(1, 1, 2, 2, 2), batch_norm=True),
    "vgg13_bn": VGGConfig(depths=(2, 2, 2, 2, 2), batch_norm=True),
    "vgg16_bn": VGGConfig(depths=(2, 2, 3, 3, 3), batch_norm=True),
    "vgg19_bn": VGGConfig(depths=(2, 2, 4, 4, 4), batch_norm=True),
}


def stage(in_channels: int, out_channels: int, depth: int, *, pool: bool, batch_norm: bool) -> nn.Sequential:
    """Halving, if `pool`, and `depth` convolutions: (N, in_channels, H, W) -> (N, out_channels, H/2 or H, W/2 or W)."""
    layers: dict[str, nn.Module] = {"pool": nn.MaxPool2d(2)} if pool else {}
    for index in range(1, depth + 1):
        layers[f"conv{index}"] = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        if batch_norm:
            layers[f"bn{index}"] = nn.BatchNorm2d(out_channels)
        layers[f"relu{index}"] = nn.ReLU()
        in_channels = out_channels
    return nn.Sequential(OrderedDict(layers))


class Head(nn.Sequential):
    """The last pooling and the three dense layers: (N, in_channels, H/16, W/16) -> logits (N, K)."""

    side = 7  # the dense layers are built for maps of 7 x 7: what pictures of 224 x 224 come to

    def __init__(self, in_channels: int, hidden: int, *, dropout: float, num_classes: int) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.resize = nn.AdaptiveAvgPool2d(self.side)
        self.flatten = nn.Flatten()
        self.fc6 = nn.Linear(in_channels * self.side**2, hidden)
        self.relu6 = nn.ReLU()
        self.dropout6 = nn.Dropout(dropout)
        self.fc7 = nn.Linear(hidden, hidden)
        self.relu7 = nn.ReLU()
        self.dropout7 = nn.Dropout(dropout)
        self.fc8 = nn.Linear(hidden, num_classes)

    def score_map(self, x: Tensor) -> Tensor:
        """The dense layers as convolutions of 7x7, 1x1, 1x1: (N, in_channels, H/16, W/16) -> (N, K, H/32-6, W/32-6)."""
        kernel = self.fc6.weight.reshape(self.fc6.out_features, -1, self.side, self.side)
        x = self.dropout6(self.relu6(F.conv2d(self.pool(x), kernel, self.fc6.bias)))
        x = self.dropout7(self.relu7(F.conv2d(x, self.fc7.weight[:, :, None, None], self.fc7.bias)))
        return F.conv2d(x, self.fc8.weight[:, :, None, None], self.fc8.bias)


class VGG(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K). There is no stem: stage 1 keeps all pixels.

    The features are the stages' last convolutions (conv1_2 ... conv5_3 of VGG-16), before the max pooling that follows:
    64, 128, 256, 512, 512 channels at strides 1, 2, 4, 8, 16.
    """

    smallest = 32  # one pixel after the five poolings

    def __init__(self, config: VGGConfig) -> None:
        super().__init__()
        self.config = config
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        channels = config.in_channels
        for index, depth in enumerate(config.depths):
            width = config.width * min(2**index, 8)
            self.stages.append(stage(channels, width, depth, pool=index > 0, batch_norm=config.batch_norm))
            self.feature_info += (FeatureInfo(f"conv{index + 1}", width, 2**index),)
            channels = width
        self.head = Head(channels, config.hidden, dropout=config.dropout, num_classes=config.num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:  # drawing nothing is slow there
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the last maps of the five stages, at H, H/2, H/4, H/8, H/16."""
        check_images(x, network="VGG", channels=self.config.in_channels, smallest=self.smallest)
        maps = []
        for layers in self.stages:
            x = layers(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

    def score_map(self, x: Tensor) -> Tensor:
        """Dense evaluation (Section 3.2): images (N, C, H, W) of at least 224 x 224 -> (N, K, H/32 - 6, W/32 - 6).

        The whole picture goes through once: the answer does not depend on a choice of crops.
        """
        check_images(x, network="VGG's dense evaluation", channels=self.config.in_channels, smallest=224)
        return self.head.score_map(self.features(x)[-1])

    def evaluate_densely(self, x: Tensor) -> Tensor:
        """Section 3.2: images (N, C, H, W) of at least 224 x 224 -> logits (N, K), the mean of the score map's places.

        The paper then averages the probabilities of the picture and its mirror image.
        """
        return self.score_map(x).mean(dim=(2, 3))

"""ZFNet: Zeiler, Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.

https://arxiv.org/abs/1311.2901v3 -- layers: Figure 3; training: Section 3; why the first layers differ from AlexNet's:
Section 4.1; `zfnet_512`: model (b) of Table 2. There are no groups: every layer sees all maps.
Choices that the paper leaves open: "contrast normalized across feature maps" is AlexNet's response normalisation, with
its constants (Section 2 refers to it); the margins of zeros are those that give the sizes of Figure 3; "weights are
initialized to 10^-2" is read as a normal deviation.
Deviation: on another size than 224 x 224 the last maps are averaged to 6 x 6 for the dense layers.
Shapes: N images, C channels, H x W pixels, K classes.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.layers.response_norm import ResponseNorm
from convatlas.models.classify.alexnet import dense_layers, initialise
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_share,
    check_whole_numbers,
)


@dataclass(frozen=True, kw_only=True)
class ZFNetConfig:
    """Widths of Figure 3. Raises UsageError that names the field when a value is impossible."""

    channels: tuple[int, ...] = (96, 256, 384, 384, 256)  # feature maps of layers 1 to 5
    hidden: int = 4096  # units of layers 6 and 7
    dropout: float = 0.5
    init_std: float = 0.01  # of the first weights; narrow networks need a larger one
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "hidden", "in_channels", "num_classes")
        check_whole_numbers(self, "channels", count=5)
        check_fraction(self, "dropout")
        check_share(self, "init_std")


CONFIGS = {
    "zfnet": ZFNetConfig(),
    "zfnet_512": ZFNetConfig(channels=(96, 256, 512, 1024, 512)),
}


def max_pool() -> nn.MaxPool2d:
    """3 x 3 with stride 2; a window that starts inside counts, so 110 -> 55 and 26 -> 13 as in Figure 3."""
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


class ZFNet(nn.Module):
    """Images (N, C, H, W) of at least 47 x 47 -> logits (N, K).

    The features are the pooled maps of layers 1, 2 and 5, the first two normalised: about H/4, H/16 and H/32; 55 x 55,
    13 x 13 and 6 x 6 at 224 x 224.
    """

    smallest = 47  # layer 5 has one pixel

    def __init__(self, config: ZFNetConfig) -> None:
        super().__init__()
        self.config = config
        c1, c2, c3, c4, c5 = config.channels
        stage1: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(config.in_channels, c1, 7, stride=2, padding=1),  # (N, c1, 110, 110) at 224 x 224
            "relu1": nn.ReLU(),
            "pool1": max_pool(),
            "norm1": ResponseNorm(),
        }
        stage2: dict[str, nn.Module] = {
            "conv2": nn.Conv2d(c1, c2, 5, stride=2),  # (N, c2, 26, 26)
            "relu2": nn.ReLU(),
            "pool2": max_pool(),
            "norm2": ResponseNorm(),
        }
        stage3: dict[str, nn.Module] = {
            "conv3": nn.Conv2d(c2, c3, 3, padding=1),  # (N, c3, 13, 13)
            "relu3": nn.ReLU(),
            "conv4": nn.Conv2d(c3, c4, 3, padding=1),
            "relu4": nn.ReLU(),
            "conv5": nn.Conv2d(c4, c5, 3, padding=1),
            "relu5": nn.ReLU(),
            "pool5": max_pool(),
        }
        self.stages = nn.ModuleList(nn.Sequential(OrderedDict(layers)) for layers in (stage1, stage2, stage3))
        self.head = dense_layers(
            c5, (config.hidden, config.hidden), dropout=config.dropout, num_classes=config.num_classes
        )
        self.feature_info = (FeatureInfo("norm1", c1, 4), FeatureInfo("norm2", c2, 16), FeatureInfo("pool5", c5, 32))
        initialise(self, config.init_std)

    @torch.no_grad()
    def renormalise_filters(self, radius: float = 0.1) -> None:
        """Section 3: scale each convolution's filter whose root mean square exceeds `radius` down to it.

        The authors do so during training, on pixels of about -128..128, lest a few filters of layer 1 dominate. Call it
        after each step.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                rms = module.weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
                module.weight.mul_((radius / rms).clamp(max=1.0))

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the outputs of layers 1, 2 and 5."""
        check_images(x, network="ZFNet", channels=self.config.in_channels, smallest=self.smallest)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

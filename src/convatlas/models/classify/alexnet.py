"""AlexNet: Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012.

https://papers.nips.cc/paper/4824 -- layers: Section 3.5 and Figure 2; two columns: Section 3.2; response normalisation:
Section 3.3; overlapping pooling: Section 3.4; dropout: Section 4.2; initialisation: Section 5.
`alexnet_paper` is that network, its two columns as convolutions in two groups. `alexnet` is the one column of
Krizhevsky, "One weird trick for parallelizing convolutional neural networks", https://arxiv.org/abs/1404.5997, in the
form that public weights load into: without response normalisation.
Deviations: the paper prints 224 x 224 pixels, from which no 55 x 55 maps follow: `alexnet_paper` takes 227 x 227 as
Caffe's does, `alexnet` 224 x 224 with a margin of zeros. On another size the last maps are averaged to 6 x 6 for the
dense layers; on these two that changes nothing. Dropout follows the dense layers, as in the paper; torchvision's
precedes them.
Choice that the paper of `alexnet` leaves open: its first weights, by fan-in (https://arxiv.org/abs/1502.01852). With
those of 2012 and no response normalisation hardly anything of a picture reaches the last layer.
Shapes: N images, C channels, H x W pixels, K classes.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.response_norm import ResponseNorm
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_share,
    check_whole_numbers,
)


@dataclass(frozen=True, kw_only=True)
class AlexNetConfig:
    """Kernels and columns of Section 3.5. Raises UsageError that names the field when a value is impossible."""

    channels: tuple[int, ...]  # kernels of conv1 ... conv5
    groups: int = 1  # columns: conv2, conv4 and conv5 see the maps of their own column only
    response_norm: bool = False  # after conv1 and conv2
    padding: int = 0  # zeros around the picture: 2 makes 55 x 55 maps of 224 x 224 pixels, 0 of 227 x 227
    init_std: float | None = None  # of the first weights, with the biases of Section 5; None: by fan-in, biases zero
    hidden: int = 4096  # units of each of the two hidden dense layers
    dropout: float = 0.5
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "groups", "hidden", "in_channels", "num_classes")
        check_at_least(self, 0, "padding")
        if self.padding > 5:  # half the first kernel; beyond, whole windows would see nothing of the picture
            raise UsageError(f"AlexNetConfig.padding must be at most 5, not {self.padding!r}")
        check_whole_numbers(self, "channels", count=5)
        check_fraction(self, "dropout")
        if any(count % self.groups for count in self.channels):
            raise UsageError(f"AlexNetConfig.channels must be multiples of groups={self.groups}, not {self.channels!r}")
        if self.init_std is not None:
            check_share(self, "init_std")


CONFIGS = {
    "alexnet": AlexNetConfig(channels=(64, 192, 384, 256, 256), padding=2),
    "alexnet_paper": AlexNetConfig(channels=(96, 256, 384, 384, 256), groups=2, response_norm=True, init_std=0.01),
}


def dense_layers(channels: int, hidden: tuple[int, int], *, dropout: float, num_classes: int) -> nn.Sequential:
    """The three dense layers: (N, channels, 6, 6) -> logits (N, num_classes); another size is averaged to 6 x 6."""
    layers: dict[str, nn.Module] = {
        "pool": nn.AdaptiveAvgPool2d(6),
        "flatten": nn.Flatten(),
        "fc6": nn.Linear(channels * 6 * 6, hidden[0]),
        "relu6": nn.ReLU(),
        "dropout6": nn.Dropout(dropout),
        "fc7": nn.Linear(hidden[0], hidden[1]),
        "relu7": nn.ReLU(),
        "dropout7": nn.Dropout(dropout),
        "fc8": nn.Linear(hidden[1], num_classes),
    }
    return nn.Sequential(OrderedDict(layers))


def initialise(network: nn.Module, std: float | None) -> None:
    """Weights normal around zero, with deviation `std` or, if that is None, sqrt(2 / fan-in); biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:  # drawing nothing is slow there
            if std is None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            else:
                nn.init.normal_(module.weight, std=std)
            assert module.bias is not None
            nn.init.zeros_(module.bias)


class AlexNet(nn.Module):
    """Images (N, C, H, W) of at least 67 x 67 less twice the padding -> logits (N, K).

    The features are the three pooled maps: about H/8, H/16 and H/32, since the convolution and the poolings lose their
    margins: 27 x 27, 13 x 13 and 6 x 6 of the size that the network is made for.
    """

    def __init__(self, config: AlexNetConfig) -> None:
        super().__init__()
        self.config = config
        self.smallest = 67 - 2 * config.padding  # the last pooling has one pixel
        c1, c2, c3, c4, c5 = config.channels
        groups = config.groups
        stage1: dict[str, nn.Module] = {
            "conv1": nn.Conv2d(config.in_channels, c1, 11, stride=4, padding=config.padding),
            "relu1": nn.ReLU(),
            "norm1": ResponseNorm() if config.response_norm else nn.Identity(),
            "pool1": nn.MaxPool2d(3, stride=2),  # z = 3, s = 2: windows overlap
        }
        stage2: dict[str, nn.Module] = {
            "conv2": nn.Conv2d(c1, c2, 5, padding=2, groups=groups),
            "relu2": nn.ReLU(),
            "norm2": ResponseNorm() if config.response_norm else nn.Identity(),
            "pool2": nn.MaxPool2d(3, stride=2),
        }
        stage3: dict[str, nn.Module] = {
            "conv3": nn.Conv2d(c2, c3, 3, padding=1),  # the one convolution that sees both columns
            "relu3": nn.ReLU(),
            "conv4": nn.Conv2d(c3, c4, 3, padding=1, groups=groups),
            "relu4": nn.ReLU(),
            "conv5": nn.Conv2d(c4, c5, 3, padding=1, groups=groups),
            "relu5": nn.ReLU(),
            "pool5": nn.MaxPool2d(3, stride=2),
        }
        self.stages = nn.ModuleList(nn.Sequential(OrderedDict(layers)) for layers in (stage1, stage2, stage3))
        self.head = dense_layers(
            c5, (config.hidden, config.hidden), dropout=config.dropout, num_classes=config.num_classes
        )
        self.feature_info = (FeatureInfo("pool1", c1, 8), FeatureInfo("pool2", c2, 16), FeatureInfo("pool5", c5, 32))
        initialise(self, config.init_std)
        if config.init_std is not None:
            self._start_with_positive_inputs()

    @torch.no_grad()
    def _start_with_positive_inputs(self) -> None:
        # Section 5: biases of 1 in conv2, conv4, conv5 and the hidden dense layers speed up the first steps.
        for name, module in self.named_modules():
            if name.rpartition(".")[2] in ("conv2", "conv4", "conv5", "fc6", "fc7"):
                module.get_parameter("bias").fill_(1.0)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the outputs of pool1, pool2 and pool5."""
        check_images(x, network="AlexNet", channels=self.config.in_channels, smallest=self.smallest)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

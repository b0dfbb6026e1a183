"""The ResNets of CIFAR-10: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, Section 4.2.

https://arxiv.org/abs/1512.03385 -- layers: the table of Section 4.2; shortcuts: there "identity shortcuts in all cases
(i.e., option A)"; variants and errors: Table 6. Blocks and initialisation are those of `resnet`.
`shortcut="projection"` is option B of Section 3.3, which many public networks of these names take: another network.
Shapes: N images, C channels, H x W pixels (the paper's: 32 x 32), K classes.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.models.classify.resnet import (
    ResidualBlock,
    Shortcut,
    basic,
    check_shortcut,
    classifier,
    conv,
    initialise,
    make_shortcut,
)
from convatlas.models.contract import FeatureInfo, check_at_least, check_images


@dataclass(frozen=True, kw_only=True)
class ResNetCifarConfig:
    """A column of Table 6. Raises UsageError that names the field when a value is impossible."""

    depth: int  # 6n + 2 layers with weights: the first, 2n in each of the three stages, the dense one
    shortcut: Shortcut = "zero-pad"  # where dimensions change, elsewhere the identity; "none": a plain network
    width: int = 16  # channels of the first stage; each later stage doubles them
    in_channels: int = 3
    num_classes: int = 10

    def __post_init__(self) -> None:
        check_at_least(self, 1, "width", "in_channels", "num_classes")
        check_at_least(self, 8, "depth")
        check_shortcut(self, self.shortcut)
        if self.depth % 6 != 2:
            below = self.depth - (self.depth - 2) % 6
            raise UsageError(f"ResNetCifarConfig.depth must be 6n + 2, not {self.depth}: take {below} or {below + 6}")


CONFIGS = {
    "resnet20_cifar": ResNetCifarConfig(depth=20),
    "resnet32_cifar": ResNetCifarConfig(depth=32),
    "resnet44_cifar": ResNetCifarConfig(depth=44),
    "resnet56_cifar": ResNetCifarConfig(depth=56),
    "resnet110_cifar": ResNetCifarConfig(depth=110),
    "resnet1202_cifar": ResNetCifarConfig(depth=1202),
    "plain20_cifar": ResNetCifarConfig(depth=20, shortcut="none"),
    "plain56_cifar": ResNetCifarConfig(depth=56, shortcut="none"),
}


class ResNetCifar(nn.Module):
    """Images (N, C, H, W) of at least 4 x 4 -> logits (N, K). The stages end at H, H/2, H/4."""

    def __init__(self, config: ResNetCifarConfig) -> None:
        super().__init__()
        self.config = config
        stem: dict[str, nn.Module] = {
            "conv": conv(config.in_channels, config.width, 3),
            "bn": nn.BatchNorm2d(config.width),
            "relu": nn.ReLU(),
        }
        self.stem = nn.Sequential(OrderedDict(stem))  # (N, width, H, W)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        channels = config.width
        for stage in range(3):
            width = config.width * 2**stage
            blocks = nn.Sequential()
            for index in range((config.depth - 2) // 6):
                stride = 2 if stage > 0 and index == 0 else 1
                shortcut = make_shortcut(config.shortcut, channels, width, stride)
                blocks.append(ResidualBlock(basic(channels, width, stride), shortcut))
                channels = width
            self.stages.append(blocks)
            self.feature_info += (FeatureInfo(f"stage{stage + 1}", channels, 2**stage),)
        self.head = classifier(channels, config.num_classes)
        initialise(self)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the outputs of the stages, at H, H/2, H/4."""
        check_images(x, network="ResNet of CIFAR", channels=self.config.in_channels, smallest=4)
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

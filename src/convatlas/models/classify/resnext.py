"""ResNeXt: Xie, Girshick, Dollar, Tu, He, "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017.

https://arxiv.org/abs/1611.05431 -- template: Table 1; aggregated transformations: Equations 2 and 3; block: Figure 3,
form (c), which the authors run: one grouped convolution in the place of the C paths side by side of (a) and (b).
The stride of a stage is in the 3x3 convolution of its first block, shortcuts are ResNet's option B, and BatchNorm
follows each convolution: Section 4.
`resnext101_32x8d` is not in the paper: Mahajan et al., https://arxiv.org/abs/1805.00932, made it known.
Choice that the paper leaves open: of the two forms of its initialisation, He et al.'s, by fan-in.
Shapes: N images, C channels, H x W pixels, K classes. A stage whose input has an odd side rounds up: ceil(H / stride).
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.models.classify.resnet import ResidualBlock, classifier, conv, initialise, make_shortcut
from convatlas.models.contract import FeatureInfo, check_at_least, check_images, check_whole_numbers


@dataclass(frozen=True, kw_only=True)
class ResNeXtConfig:
    """A network of the template. Raises UsageError that names the field when a value is impossible."""

    depths: tuple[int, ...]  # blocks in conv2_x, conv3_x, conv4_x, conv5_x
    cardinality: int  # C: the paths of a block
    bottleneck_width: int  # d: the channels of a path in conv2_x; each later stage doubles them
    width: int = 64  # channels of conv1; a block of conv2_x ends with four times as many, each later stage doubles them
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_whole_numbers(self, "depths", count=4)
        check_at_least(self, 1, "cardinality", "bottleneck_width", "width", "in_channels", "num_classes")


# Named by C x d.
CONFIGS = {
    "resnext50_32x4d": ResNeXtConfig(depths=(3, 4, 6, 3), cardinality=32, bottleneck_width=4),
    "resnext101_32x4d": ResNeXtConfig(depths=(3, 4, 23, 3), cardinality=32, bottleneck_width=4),
    "resnext101_32x8d": ResNeXtConfig(depths=(3, 4, 23, 3), cardinality=32, bottleneck_width=8),
    "resnext101_64x4d": ResNeXtConfig(depths=(3, 4, 23, 3), cardinality=64, bottleneck_width=4),
}


def aggregated(in_channels: int, path_width: int, out_channels: int, stride: int, *, cardinality: int) -> nn.Sequential:
    """The residual of Figure 3(c), before the addition. Its groups are the paths; the last convolution adds them up.

    (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride). path_width: channels of one of the paths.
    """
    hidden = cardinality * path_width
    layers: dict[str, nn.Module] = {
        "conv1": conv(in_channels, hidden, 1),
        "bn1": nn.BatchNorm2d(hidden),
        "relu1": nn.ReLU(),
        "conv2": nn.Conv2d(hidden, hidden, 3, stride, padding=1, groups=cardinality, bias=False),
        "bn2": nn.BatchNorm2d(hidden),
        "relu2": nn.ReLU(),
        "conv3": conv(hidden, out_channels, 1),
        "bn3": nn.BatchNorm2d(out_channels),
    }
    return nn.Sequential(OrderedDict(layers))


class ResNeXt(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K). The stem and the stages end at H/4, H/4 ... H/32."""

    def __init__(self, config: ResNeXtConfig) -> None:
        super().__init__()
        self.config = config
        stem: dict[str, nn.Module] = {
            "conv": conv(config.in_channels, config.width, 7, stride=2),
            "bn": nn.BatchNorm2d(config.width),
            "relu": nn.ReLU(),
            "pool": nn.MaxPool2d(3, stride=2, padding=1),
        }
        self.stem = nn.Sequential(OrderedDict(stem))  # conv1 and the pooling of conv2: (N, width, H/4, W/4)
        self.stages = nn.ModuleList()  # conv2 ... conv5
        self.feature_info: tuple[FeatureInfo, ...] = ()
        channels = config.width
        for stage, depth in enumerate(config.depths):
            path_width, out_channels = config.bottleneck_width * 2**stage, 4 * config.width * 2**stage
            blocks = nn.Sequential()
            for index in range(depth):
                stride = 2 if stage > 0 and index == 0 else 1
                residual = aggregated(channels, path_width, out_channels, stride, cardinality=config.cardinality)
                blocks.append(ResidualBlock(residual, make_shortcut("projection", channels, out_channels, stride)))
                channels = out_channels
            self.stages.append(blocks)
            self.feature_info += (FeatureInfo(f"conv{stage + 2}", channels, 4 * 2**stage),)
        self.head = classifier(channels, config.num_classes)
        initialise(self)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the outputs of conv2 ... conv5, at H/4, H/8, H/16, H/32."""
        check_images(x, network="ResNeXt", channels=self.config.in_channels, smallest=32)
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

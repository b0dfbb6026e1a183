"""Xception: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", CVPR 2017.

https://arxiv.org/abs/1610.02357 -- network: Figure 5, without its optional fully connected layers; dropout: Section
4.3; why residuals: Section 4.6; why no ReLU between the depthwise and the pointwise convolution: Section 4.7.
From the author's code (Keras applications), where the paper is silent: the first two convolutions are not padded, and
the initialisation is Glorot's.
Deviations, to match public weights: BatchNorm's epsilon is 1e-5 (that code: 1e-3), and poolings pad all sides alike;
its averages move by 0.1 a step, not 0.01.
Shapes: N images, C channels, H x W pixels, K classes. 299 -> 149 -> 147 pixels in the stem; after it an odd side is
rounded up when it is halved: 74 -> 37 -> 19 -> 10.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.layers.pooled_head import PooledHead
from convatlas.models.contract import FeatureInfo, check_at_least, check_fraction, check_images, check_whole_numbers


@dataclass(frozen=True, kw_only=True)
class XceptionConfig:
    """Figure 5. stem: channels of the two convolutions. entry: of the three modules that follow, which halve the
    picture. middle: how many modules of the last one's channels. exit: channels of the module and the two separable
    convolutions at the end.
    """

    stem: tuple[int, int] = (32, 64)
    entry: tuple[int, int, int] = (128, 256, 728)
    middle: int = 8
    exit: tuple[int, int, int] = (1024, 1536, 2048)
    dropout: float = 0.5
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "middle", "in_channels", "num_classes")
        check_fraction(self, "dropout")
        check_whole_numbers(self, "stem", count=2)
        check_whole_numbers(self, "entry", count=3)
        check_whole_numbers(self, "exit", count=3)


CONFIGS = {"xception": XceptionConfig()}


class SeparableConv(nn.Sequential):
    """A 3x3 convolution of each channel, a 1x1 across them, BatchNorm: (N, C, H, W) -> (N, out_channels, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)


class XceptionModule(nn.Module):
    """residual(x) + shortcut(x): (N, in_channels, H, W) -> (N, widths[-1], H/stride, W/stride), below 0 too.

    residual: ReLU and separable convolution for each of `widths`; with stride 2 a max-pooling halves what they give.
    Figure 5 leaves out the first ReLU of the first module, whose input is never below 0: there it changes nothing.
    """

    def __init__(self, in_channels: int, widths: tuple[int, ...], *, stride: int) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {}
        c = in_channels
        for number, width in enumerate(widths, 1):
            layers[f"relu{number}"] = nn.ReLU()
            layers[f"conv{number}"] = SeparableConv(c, width)
            c = width
        shortcut: dict[str, nn.Module] = {}
        if stride > 1:
            layers["pool"] = nn.MaxPool2d(3, stride, padding=1)
            shortcut = {"conv": nn.Conv2d(in_channels, c, 1, stride, bias=False), "bn": nn.BatchNorm2d(c)}
        self.residual = nn.Sequential(OrderedDict(layers))
        self.shortcut = nn.Sequential(OrderedDict(shortcut))  # empty: the identity

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.residual(x) + self.shortcut(x)
        return y


class Xception(nn.Module):
    """Images (N, C, H, W) of at least 7 x 7 -> logits (N, K).

    The features are the stem and the four stages: 64, 128, 256, 728 and 2048 channels at H/2, H/4, H/8, H/16 and H/32.
    Those of the first three stages are sums, before the ReLU that begins the next module.
    """

    smallest = 7  # the stem leaves one pixel; what follows rounds up

    def __init__(self, config: XceptionConfig) -> None:
        super().__init__()
        self.config = config
        conv1, conv2 = config.stem
        self.stem = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(config.in_channels, conv1, 3, stride=2, bias=False),
                bn1=nn.BatchNorm2d(conv1),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(conv1, conv2, 3, bias=False),
                bn2=nn.BatchNorm2d(conv2),
                relu2=nn.ReLU(),
            )
        )
        first, second, c = config.entry
        sixteenth = nn.Sequential(XceptionModule(second, (c, c), stride=2))
        for _ in range(config.middle):
            sixteenth.append(XceptionModule(c, (c, c, c), stride=1))
        wide, wider, widest = config.exit
        last = OrderedDict(
            module=XceptionModule(c, (c, wide), stride=2),
            conv1=SeparableConv(wide, wider),
            relu1=nn.ReLU(),
            conv2=SeparableConv(wider, widest),
            relu2=nn.ReLU(),
        )
        self.stages = nn.ModuleList(
            [
                nn.Sequential(XceptionModule(conv2, (first, first), stride=2)),
                nn.Sequential(XceptionModule(first, (second, second), stride=2)),
                sixteenth,
                nn.Sequential(last),
            ]
        )
        self.feature_info = (
            FeatureInfo("stem", conv2, 2),
            FeatureInfo("stages.0", first, 4),
            FeatureInfo("stages.1", second, 8),
            FeatureInfo("stages.2", c, 16),
            FeatureInfo("stages.3", widest, 32),
        )
        self.head = PooledHead(widest, config.num_classes, dropout=config.dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:  # drawing nothing is slow there
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the stem's and the stages' outputs, as `feature_info` says."""
        check_images(x, network="Xception", channels=self.config.in_channels, smallest=self.smallest)
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

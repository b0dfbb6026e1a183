"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015 (Inception v1).

https://arxiv.org/abs/1409.4842 -- module: Figure 2(b); network: Table 1 and Figure 3; auxiliary classifiers: Section 5.
`googlenet_paper` is the paper's network. What the paper leaves open is as in its replication in Caffe
(models/bvlc_googlenet), made with its first author's help: pooling that rounds up; local response normalisation, which
is in Figure 3 alone, over 5 channels (k = 1, beta = 0.75, alpha = 1e-4 divided by 5); biases 0.2, in the classifiers 0;
weights uniform within sqrt(3 / fan-in), where the authors, says the replication, drew normal ones.
`googlenet` is the network of the public weights. Deviations: BatchNorm (epsilon 1e-3) after every convolution and no
local response normalisation; 3x3 in place of 5x5; the last max-pooling is 2x2; dropout 0.2; the auxiliary classifiers
average any map to 4x4; weights normal with deviation 0.01. The auxiliary classifiers in the public files are untrained.
Shapes: N images, C channels, H x W pixels, K classes. Pooling rounds up, so an odd side may end a pixel longer.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.pooled_head import PooledHead
from convatlas.models.classify.auxiliary import main_logits, weighted_losses
from convatlas.models.contract import FeatureInfo, check_at_least, check_fraction, check_images, check_whole_numbers

AUX_WEIGHT = 0.3  # Section 5: "the losses of the auxiliary classifiers were weighted by 0.3"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of Table 1: the channels of an inception module's convolutions; `pool_proj` follows the max-pooling."""

    conv1x1: int
    reduce3x3: int
    conv3x3: int
    reduce5x5: int
    conv5x5: int
    pool_proj: int

    def __post_init__(self) -> None:
        check_at_least(self, 1, "conv1x1", "reduce3x3", "conv3x3", "reduce5x5", "conv5x5", "pool_proj")

    @property
    def out(self) -> int:
        """Channels of the module's output."""
        return self.conv1x1 + self.conv3x3 + self.conv5x5 + self.pool_proj


TABLE_1 = (
    (
        Row(conv1x1=64, reduce3x3=96, conv3x3=128, reduce5x5=16, conv5x5=32, pool_proj=32),  # 3a
        Row(conv1x1=128, reduce3x3=128, conv3x3=192, reduce5x5=32, conv5x5=96, pool_proj=64),  # 3b
    ),
    (
        Row(conv1x1=192, reduce3x3=96, conv3x3=208, reduce5x5=16, conv5x5=48, pool_proj=64),  # 4a
        Row(conv1x1=160, reduce3x3=112, conv3x3=224, reduce5x5=24, conv5x5=64, pool_proj=64),  # 4b
        Row(conv1x1=128, reduce3x3=128, conv3x3=256, reduce5x5=24, conv5x5=64, pool_proj=64),  # 4c
        Row(conv1x1=112, reduce3x3=144, conv3x3=288, reduce5x5=32, conv5x5=64, pool_proj=64),  # 4d
        Row(conv1x1=256, reduce3x3=160, conv3x3=320, reduce5x5=32, conv5x5=128, pool_proj=128),  # 4e
    ),
    (
        Row(conv1x1=256, reduce3x3=160, conv3x3=320, reduce5x5=32, conv5x5=128, pool_proj=128),  # 5a
        Row(conv1x1=384, reduce3x3=192, conv3x3=384, reduce5x5=48, conv5x5=128, pool_proj=128),  # 5b
    ),
)


@dataclass(frozen=True, kw_only=True)
class GoogLeNetConfig:
    """`paper`: the paper's form, else that of the public weights; the file's head lists what differs.

    stages: the modules 3a-3b, 4a-4e and 5a-5b. stem: the channels of conv1, of conv2's reduction and of conv2.
    aux: the network answers with the auxiliary classifiers too (`GoogLeNetOutput`), for training.
    """

    paper: bool = False
    aux: bool = False
    stem: tuple[int, int, int] = (64, 64, 192)
    stages: tuple[tuple[Row, ...], ...] = TABLE_1
    dropout: float = 0.2
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels", "num_classes")
        check_fraction(self, "dropout")
        check_whole_numbers(self, "stem", count=3)
        if not (isinstance(self.stages, tuple) and len(self.stages) == 3 and all(map(_is_stage, self.stages))):
            raise UsageError(f"GoogLeNetConfig.stages must be three tuples of one Row or more, not {self.stages!r}")
        if self.aux and len(self.stages[1]) < 4:
            raise UsageError(
                "GoogLeNetConfig.aux needs four modules or more in the second of its stages: the auxiliary "
                f"classifiers follow 4a and 4d, and there are {len(self.stages[1])}"
            )


def _is_stage(rows: object) -> bool:
    return isinstance(rows, tuple) and len(rows) > 0 and all(isinstance(row, Row) for row in rows)


CONFIGS = {
    "googlenet": GoogLeNetConfig(),
    "googlenet_paper": GoogLeNetConfig(paper=True, dropout=0.4),
}


class GoogLeNetOutput(NamedTuple):
    """Logits (N, K) of the classifier and of the auxiliary ones after 4a and after 4d."""

    logits: Tensor
    aux1: Tensor
    aux2: Tensor


class Conv(nn.Sequential):
    """Convolution and ReLU, between them BatchNorm unless `paper`: (N, C, H, W) -> (N, out, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, paper: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=paper)
        if not paper:
            self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)
        self.relu = nn.ReLU()


class Reduced(nn.Sequential):
    """A 1x1 convolution that leaves `reduce` channels, then the costly one: (N, C, H, W) -> (N, out_channels, H, W)."""

    def __init__(self, in_channels: int, reduce: int, out_channels: int, kernel: int, *, paper: bool) -> None:
        super().__init__()
        self.reduce = Conv(in_channels, reduce, 1, paper=paper)
        self.conv = Conv(reduce, out_channels, kernel, paper=paper)


class Inception(nn.Module):
    """Figure 2(b): four views of the same pixels, side by side: (N, in_channels, H, W) -> (N, row.out, H, W)."""

    def __init__(self, in_channels: int, row: Row, *, paper: bool) -> None:
        super().__init__()
        pool, proj = nn.MaxPool2d(3, stride=1, padding=1), Conv(in_channels, row.pool_proj, 1, paper=paper)
        self.branch1x1 = Conv(in_channels, row.conv1x1, 1, paper=paper)
        self.branch3x3 = Reduced(in_channels, row.reduce3x3, row.conv3x3, 3, paper=paper)
        self.branch5x5 = Reduced(in_channels, row.reduce5x5, row.conv5x5, 5 if paper else 3, paper=paper)
        self.branch_pool = nn.Sequential(OrderedDict(pool=pool, proj=proj))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([self.branch1x1(x), self.branch3x3(x), self.branch5x5(x), self.branch_pool(x)], dim=1)


class AuxiliaryClassifier(nn.Module):
    """Section 5: a small network on a module in the middle, so that gradients reach the lower half.

    (N, in_channels, H/16, W/16) -> logits (N, K). The paper's pooling, 5x5 with stride 3, must leave 4x4 pixels: its
    maps are 14x14.
    """

    def __init__(self, in_channels: int, *, num_classes: int, paper: bool) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, stride=3) if paper else nn.AdaptiveAvgPool2d(4)
        self.conv = Conv(in_channels, 128, 1, paper=paper)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        height, width = x.shape[2:]
        if isinstance(self.pool, nn.AvgPool2d) and not (14 <= height <= 16 and 14 <= width <= 16):
            raise UsageError(
                "the paper's auxiliary classifiers need maps of 14x14, as pictures of 224x224 give, got "
                f"{height}x{width}: create the network with aux=False, or take googlenet"
            )
        x = self.conv(self.pool(x)).flatten(1)
        logits: Tensor = self.fc2(self.dropout(self.relu(self.fc1(x))))
        return logits


class GoogLeNet(nn.Module):
    """Images (N, C, H, W) of at least 15 x 15, the paper's form 31 x 31 -> logits (N, K), or with `aux` three of them.

    The features are conv2, 3b, 4e and 5b: 192, 480, 832 and 1024 channels at H/4, H/8, H/16 and H/32.
    """

    def __init__(self, config: GoogLeNetConfig) -> None:
        super().__init__()
        self.config = config
        self.smallest = 31 if config.paper else 15  # the last stage has one pixel
        self.stem = stem(config)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = (FeatureInfo("conv2", config.stem[2], 4),)
        channels = config.stem[2]
        for number, rows in enumerate(config.stages, 3):
            side = 2 if number == 5 and not config.paper else 3
            modules: dict[str, nn.Module] = {"pool": nn.MaxPool2d(side, stride=2, ceil_mode=True)}
            for index, row in enumerate(rows):
                letter = chr(ord("a") + index)
                modules[letter] = Inception(channels, row, paper=config.paper)
                channels = row.out
            self.stages.append(nn.Sequential(OrderedDict(modules)))
            self.feature_info += (FeatureInfo(f"{number}{letter}", channels, 2**number),)
        self.head = PooledHead(channels, config.num_classes, dropout=config.dropout)
        if config.aux:
            after_4a, after_4d = config.stages[1][0].out, config.stages[1][3].out
            self.aux1 = AuxiliaryClassifier(after_4a, num_classes=config.num_classes, paper=config.paper)
            self.aux2 = AuxiliaryClassifier(after_4d, num_classes=config.num_classes, paper=config.paper)
        initialise(self)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> conv2, 3b, 4e and 5b: (N, channels, H/stride, W/stride) of `feature_info`."""
        self._check(x)
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutput:
        """Images (N, C, H, W) -> logits (N, K); with `aux` always a GoogLeNetOutput."""
        if not self.config.aux:
            logits: Tensor = self.head(self.features(x)[-1])
            return logits
        self._check(x)
        three, four, five = self.stages
        x = three(self.stem(x))
        sides = {}
        for letter, module in four.named_children():
            x = module(x)
            sides[letter] = x
        return GoogLeNetOutput(self.head(five(x)), self.aux1(sides["a"]), self.aux2(sides["d"]))

    def _check(self, x: Tensor) -> None:
        check_images(x, network="GoogLeNet", channels=self.config.in_channels, smallest=self.smallest)


def stem(config: GoogLeNetConfig) -> nn.Sequential:
    """The rows above 3a: (N, C, H, W) -> (N, 192, H/4, W/4)."""
    conv1, reduce, conv2 = config.stem
    layers = nn.Sequential()
    layers.add_module("conv1", Conv(config.in_channels, conv1, 7, stride=2, paper=config.paper))
    layers.add_module("pool1", nn.MaxPool2d(3, stride=2, ceil_mode=True))
    if config.paper:
        layers.add_module("norm1", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0))
    layers.add_module("reduce", Conv(conv1, reduce, 1, paper=config.paper))
    layers.add_module("conv2", Conv(reduce, conv2, 3, paper=config.paper))
    if config.paper:
        layers.add_module("norm2", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0))
    return layers


def initialise(network: GoogLeNet) -> None:
    """See the file's head."""
    classifiers = ("head.fc", "aux1.fc2", "aux2.fc2")
    for name, module in network.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or module.weight.is_meta:  # drawing nothing is slow there
            continue
        if network.config.paper:
            limit = math.sqrt(3 / module.weight[0].numel())
            nn.init.uniform_(module.weight, -limit, limit)
        else:
            nn.init.trunc_normal_(module.weight, std=0.01, a=-0.02, b=0.02)
        if module.bias is not None:
            nn.init.constant_(module.bias, 0.2 if network.config.paper and name not in classifiers else 0.0)


def losses(network: GoogLeNet, output: Tensor | GoogLeNetOutput, targets: Tensor) -> dict[str, Tensor]:
    """Cross-entropy of each image, and with `aux` that of the auxiliary classifiers, weighted by 0.3.

    targets (N, K), each row a distribution over the classes -> named losses, each (N,), to be added up.
    """
    return weighted_losses(output, targets, {"aux1": AUX_WEIGHT, "aux2": AUX_WEIGHT})


def decode(output: Tensor | GoogLeNetOutput) -> Tensor:
    """The classifier's logits (N, K): the auxiliary ones are discarded at inference (Section 5)."""
    return main_logits(output)

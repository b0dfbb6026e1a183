"""Inception v3: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.

https://arxiv.org/abs/1512.00567 -- network: Table 1; modules: Figures 5, 6 and 7; reductions: Figure 10 (Section 5);
auxiliary classifier with BatchNorm: Section 4 and Figure 8.
The paper prints no channels inside its modules: they, the initialisation and the dropout of 0.2 are those of the
authors' code (TensorFlow models, research/inception and slim), which the public weights fit. That departs from the
paper in two places: the last three convolutions of Table 1's stem are a 1x1, a 3x3 and a max-pooling, and the modules
at H/8 keep one 5x5 convolution beside the pair of 3x3 that Figure 5 puts in its place.
Deviation, to match public weights: BatchNorm has a scale.
Choice that the paper leaves open: the weight of the auxiliary loss, 0.3 as in GoogLeNet (the authors' code has 0.4).
Shapes: N images, C channels, H x W pixels, K classes. Where the paper pads nothing, a map loses its margin:
299 -> 149 -> 147 -> 73 -> 71 -> 35 -> 17 -> 8.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.models.contract import FeatureInfo, check_at_least, check_images

AUX_WEIGHT = 0.3

Kernel = int | tuple[int, int]
ROW, COLUMN = (1, 7), (7, 1)  # the halves of a factorised 7x7 convolution, Section 3.2


@dataclass(frozen=True, kw_only=True)
class InceptionV3Config:
    """pool_proj: channels after the pooling of each module at H/8; channels_7x7: inside each of those at H/16.

    width: multiplies all channels, of which at least 16 stay (the authors' `depth_multiplier`).
    aux: the network answers with the auxiliary classifier too (`InceptionV3Output`), for training.
    """

    width: float = 1.0
    pool_proj: tuple[int, ...] = (32, 64, 64)
    channels_7x7: tuple[int, ...] = (128, 160, 160, 192)
    aux: bool = False
    dropout: float = 0.2
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels", "num_classes")
        if not (isinstance(self.width, int | float) and 0 < self.width < math.inf):
            raise UsageError(f"InceptionV3Config.width must be a number above 0, not {self.width!r}")
        if not (isinstance(self.dropout, int | float) and 0 <= self.dropout < 1):
            raise UsageError(f"InceptionV3Config.dropout must be at least 0 and below 1, not {self.dropout!r}")
        for field in ("pool_proj", "channels_7x7"):
            value = getattr(self, field)
            if not (isinstance(value, tuple) and value and all(type(each) is int and each >= 1 for each in value)):
                raise UsageError(f"InceptionV3Config.{field} must be one whole number >= 1 or more, not {value!r}")


CONFIGS = {"inception_v3": InceptionV3Config()}


class InceptionV3Output(NamedTuple):
    """Logits (N, K) of the classifier and of the auxiliary one on the last module at H/16."""

    logits: Tensor
    aux: Tensor


class ConvNorm(nn.Sequential):
    """Convolution, BatchNorm, ReLU: (N, C, H, W) -> (N, out_channels, H', W'), smaller only by `stride` or `valid`.

    valid: no padding, as always where the stride is 2.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Kernel, *, stride: int = 1, valid: bool = False
    ) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if valid or stride == 2 else (sides[0] // 2, sides[1] // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=1e-3)
        self.relu = nn.ReLU()
        self.out_channels = out_channels


class Branches(nn.Module):
    """Every branch sees the same input; their outputs lie side by side: (N, C, H, W) -> (N, out_channels, H', W')."""

    def __init__(self, in_channels: int, branches: dict[str, nn.Module]) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)
        self.out_channels = sum(out_channels(branch, in_channels) for branch in branches.values())

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([branch(x) for branch in self.children()], dim=1)


def out_channels(branch: nn.Module, in_channels: int) -> int:
    """What a branch gives: the channels of its last convolution, those of its input if it only pools."""
    if isinstance(branch, ConvNorm | Branches):
        return branch.out_channels
    return out_channels(branch[-1], in_channels) if isinstance(branch, nn.Sequential) else in_channels


class Modules:
    """The modules of one network, whose channels are all multiplied by its width. `c`: channels of a module's input."""

    def __init__(self, width: float) -> None:
        self.width = width

    def scaled(self, channels: int) -> int:
        """Channels times the width, rounded down, at least 16."""
        return channels if self.width == 1 else max(16, int(channels * self.width))

    def chain(self, c: int, *steps: tuple[int, Kernel], stride: int = 1) -> nn.Sequential:
        """Convolutions (out_channels, kernel) one after the other; the last has the stride."""
        layers = nn.Sequential()
        for index, (out, kernel) in enumerate(steps, 1):
            layers.append(ConvNorm(c, self.scaled(out), kernel, stride=stride if index == len(steps) else 1))
            c = self.scaled(out)
        return layers

    def conv(self, c: int, out: int, kernel: Kernel, *, stride: int = 1, valid: bool = False) -> ConvNorm:
        """A single convolution."""
        return ConvNorm(c, self.scaled(out), kernel, stride=stride, valid=valid)

    def pooled(self, c: int, out: int) -> nn.Sequential:
        """Average pooling and a projection."""
        pool = nn.AvgPool2d(3, stride=1, padding=1)
        return nn.Sequential(OrderedDict(pool=pool, proj=self.conv(c, out, 1)))

    def inception_a(self, c: int, pool_proj: int) -> Branches:
        """At H/8: Figure 5, with a 5x5 convolution."""
        return Branches(
            c,
            {
                "branch1x1": self.conv(c, 64, 1),
                "branch5x5": self.chain(c, (48, 1), (64, 5)),
                "branch3x3dbl": self.chain(c, (64, 1), (96, 3), (96, 3)),
                "branch_pool": self.pooled(c, pool_proj),
            },
        )

    def reduction_a(self, c: int) -> Branches:
        """H/8 to H/16: Figure 10, pooling and convolutions side by side."""
        return Branches(
            c,
            {
                "branch3x3": self.conv(c, 384, 3, stride=2),
                "branch3x3dbl": self.chain(c, (64, 1), (96, 3), (96, 3), stride=2),
                "branch_pool": nn.MaxPool2d(3, stride=2),
            },
        )

    def inception_b(self, c: int, inner: int) -> Branches:
        """At H/16: Figure 6 with n = 7."""
        return Branches(
            c,
            {
                "branch1x1": self.conv(c, 192, 1),
                "branch7x7": self.chain(c, (inner, 1), (inner, ROW), (192, COLUMN)),
                "branch7x7dbl": self.chain(c, (inner, 1), (inner, COLUMN), (inner, ROW), (inner, COLUMN), (192, ROW)),
                "branch_pool": self.pooled(c, 192),
            },
        )

    def reduction_b(self, c: int) -> Branches:
        """H/16 to H/32."""
        return Branches(
            c,
            {
                "branch3x3": self.chain(c, (192, 1), (320, 3), stride=2),
                "branch7x7x3": self.chain(c, (192, 1), (192, ROW), (192, COLUMN), (192, 3), stride=2),
                "branch_pool": nn.MaxPool2d(3, stride=2),
            },
        )

    def inception_c(self, c: int) -> Branches:
        """At H/32: Figure 7, whose last convolutions are a row and a column beside each other."""
        branch3x3, branch3x3dbl = self.chain(c, (384, 1)), self.chain(c, (448, 1), (384, 3))
        for branch in (branch3x3, branch3x3dbl):
            inner = self.scaled(384)
            branch.append(Branches(inner, {"a": self.conv(inner, 384, (1, 3)), "b": self.conv(inner, 384, (3, 1))}))
        return Branches(
            c,
            {
                "branch1x1": self.conv(c, 320, 1),
                "branch3x3": branch3x3,
                "branch3x3dbl": branch3x3dbl,
                "branch_pool": self.pooled(c, 192),
            },
        )


class AuxiliaryClassifier(nn.Module):
    """Figure 8, with BatchNorm: (N, in_channels, H/16, W/16), at least 17 x 17 -> logits (N, K)."""

    def __init__(self, in_channels: int, build: Modules, num_classes: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, stride=3)
        self.conv0 = build.conv(in_channels, 128, 1)
        self.conv1 = build.conv(self.conv0.out_channels, 768, 5, valid=True)
        self.fc = nn.Linear(self.conv1.out_channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.conv1(self.conv0(self.pool(x)))
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits


class InceptionV3(nn.Module):
    """Images (N, C, H, W) of at least 75 x 75 -> logits (N, K), or with `aux`, and at least 299 x 299, two of them.

    The features are the stem and the three stages: 192, 288, 768 and 2048 channels at H/4, H/8, H/16 and H/32.
    """

    def __init__(self, config: InceptionV3Config) -> None:
        super().__init__()
        self.config = config
        self.smallest = 299 if config.aux else 75  # one pixel is left: in the auxiliary classifier, in the last stage
        build = Modules(config.width)
        self.stem = stem(config.in_channels, build)
        c = out_channels(self.stem, config.in_channels)
        five = nn.Sequential(nn.MaxPool2d(3, stride=2))
        for pool_proj in config.pool_proj:
            five.append(build.inception_a(out_channels(five, c), pool_proj))
        six = nn.Sequential(build.reduction_a(out_channels(five, c)))
        for inner in config.channels_7x7:
            six.append(build.inception_b(out_channels(six, c), inner))
        seven = nn.Sequential(build.reduction_b(out_channels(six, c)))
        for _ in range(2):
            seven.append(build.inception_c(out_channels(seven, c)))
        self.stages = nn.ModuleList([five, six, seven])  # the authors' names: Mixed_5a ... Mixed_7c
        self.feature_info = (
            FeatureInfo("stem", c, 4),
            FeatureInfo("stages.0", out_channels(five, c), 8),
            FeatureInfo("stages.1", out_channels(six, c), 16),
            FeatureInfo("stages.2", out_channels(seven, c), 32),
        )
        self.head = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                dropout=nn.Dropout(config.dropout),
                fc=nn.Linear(out_channels(seven, c), config.num_classes),
            )
        )
        if config.aux:
            self.aux = AuxiliaryClassifier(out_channels(six, c), build, config.num_classes)
        self._initialise()

    def _initialise(self) -> None:
        """The authors' code: normal, cut at two deviations, of 0.1, in dense layers 0.01, and smaller in the side."""
        deviations: dict[nn.Module, float] = {}
        if self.config.aux:
            deviations = {self.aux.conv1.conv: 0.01, self.aux.fc: 0.001}
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:  # drawing nothing is slow there
                std = deviations.get(module, 0.1 if isinstance(module, nn.Conv2d) else 0.01)
                nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the stem's and the stages' outputs, as `feature_info` says."""
        check_images(x, network="Inception v3", channels=self.config.in_channels, smallest=self.smallest)
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor | InceptionV3Output:
        """Images (N, C, H, W) -> logits (N, K); with `aux` always an InceptionV3Output."""
        *_, six, seven = self.features(x)
        logits: Tensor = self.head(seven)
        return InceptionV3Output(logits, self.aux(six)) if self.config.aux else logits


def stem(in_channels: int, build: Modules) -> nn.Sequential:
    """(N, C, H, W) -> (N, 192, H/4, W/4): 299 -> 71 pixels."""
    first = build.conv(in_channels, 32, 3, stride=2)
    second = build.conv(first.out_channels, 32, 3, valid=True)
    third = build.conv(second.out_channels, 64, 3)
    fourth = build.conv(third.out_channels, 80, 1)
    fifth = build.conv(fourth.out_channels, 192, 3, valid=True)
    pool = nn.MaxPool2d(3, stride=2)
    return nn.Sequential(OrderedDict(conv1=first, conv2=second, conv3=third, pool=pool, conv4=fourth, conv5=fifth))


def losses(network: InceptionV3, output: Tensor | InceptionV3Output, targets: Tensor) -> dict[str, Tensor]:
    """Cross-entropy of each image, and with `aux` that of the auxiliary classifier, weighted by 0.3.

    targets (N, K), each row a distribution over the classes -> named losses, each (N,), to be added up. The paper
    smooths its targets by 0.1 (Section 7): that is the task's `label_smoothing`.
    """
    if isinstance(output, Tensor):
        return {"cross_entropy": F.cross_entropy(output, targets, reduction="none")}
    return {
        "cross_entropy": F.cross_entropy(output.logits, targets, reduction="none"),
        "aux": AUX_WEIGHT * F.cross_entropy(output.aux, targets, reduction="none"),
    }


def decode(output: Tensor | InceptionV3Output) -> Tensor:
    """The classifier's logits (N, K)."""
    return output if isinstance(output, Tensor) else output.logits

"""Inception v3: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016.

https://arxiv.org/abs/1512.00567 -- network: Table 1; modules: Figures 5, 6 and 7; reductions: Figure 10 (Section 5);
auxiliary classifier with BatchNorm: Section 4 and Figure 8. What the paper's own form has too is in inception_v2.
No table of the paper has the channels inside its modules: they, the initialisation and the dropout of 0.2 are those of
the authors' code (TensorFlow models, research/inception and slim), which the public weights fit. That code departs from
the paper, and so from inception_v2, in places:
- the last three convolutions of Table 1's stem are a 1x1, a 3x3 and a max-pooling;
- modules at H/8 have a 5x5 where Figure 5 has a single 3x3; those at H/16 are four, not five, and their longer branch
  starts with a column;
- the first reduction has no 1x1 before its single 3x3, the second a factorised 7x7 for the first of its two 3x3.
Deviation from that code, to match public weights: BatchNorm has a scale.
Choice that the paper leaves open: the weight of the auxiliary loss, 0.3 as in GoogLeNet (the authors' code has 0.4).
Shapes: N images, C channels, H x W pixels, K classes. Where nothing is padded, a map loses its margin:
299 -> 149 -> 147 -> 73 -> 71 -> 35 -> 17 -> 8.
"""

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.pooled_head import PooledHead
from convatlas.models.classify.auxiliary import main_logits, weighted_losses
from convatlas.models.classify.inception_v2 import (
    COLUMN,
    ROW,
    Branches,
    ConvNorm,
    Modules,
    initialise,
    out_channels,
    stack,
)
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_positive,
    check_whole_numbers,
)

AUX_WEIGHT = 0.3


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
        check_positive(self, "width")
        check_fraction(self, "dropout")
        check_whole_numbers(self, "pool_proj")
        check_whole_numbers(self, "channels_7x7")


CONFIGS = {"inception_v3": InceptionV3Config()}


class InceptionV3Output(NamedTuple):
    """Logits (N, K) of the classifier and of the auxiliary one on the last module at H/16."""

    logits: Tensor
    aux: Tensor


class PublishedModules(Modules):
    """The modules of the authors' code, as far as they are not those of the figures. `c`: channels of the input."""

    def inception_a(self, c: int, *, pool_proj: int) -> Branches:
        """At H/8: Figure 5, with a 5x5 for its single 3x3; 256 or 288 channels."""
        return Branches(
            c,
            branch1x1=self.conv(c, 64, 1),
            branch5x5=self.chain(c, (48, 1), (64, 5)),
            branch3x3dbl=self.chain(c, (64, 1), (96, 3), (96, 3)),
            branch_pool=self.pooled(c, pool_proj),
        )

    def reduction_a(self, c: int) -> Branches:
        """H/8 to H/16: Figure 10 without the 1x1 before the single 3x3; 768 channels."""
        return Branches(
            c,
            branch3x3=self.conv(c, 384, 3, stride=2),
            branch3x3dbl=self.chain(c, (64, 1), (96, 3), (96, 3), stride=2),
            branch_pool=nn.MaxPool2d(3, stride=2),
        )

    def inception_b(self, c: int, *, inner: int) -> Branches:
        """At H/16: Figure 6 with n = 7; the longer branch starts with a column; 768 channels."""
        return Branches(
            c,
            branch1x1=self.conv(c, 192, 1),
            branch7x7=self.chain(c, (inner, 1), (inner, ROW), (192, COLUMN)),
            branch7x7dbl=self.chain(c, (inner, 1), (inner, COLUMN), (inner, ROW), (inner, COLUMN), (192, ROW)),
            branch_pool=self.pooled(c, 192),
        )

    def reduction_b(self, c: int) -> Branches:
        """H/16 to H/32: Figure 10, with a factorised 7x7 for the first of two 3x3; 1280 channels."""
        return Branches(
            c,
            branch3x3=self.chain(c, (192, 1), (320, 3), stride=2),
            branch7x7x3=self.chain(c, (192, 1), (192, ROW), (192, COLUMN), (192, 3), stride=2),
            branch_pool=nn.MaxPool2d(3, stride=2),
        )


class AuxiliaryClassifier(nn.Module):
    """Figure 8, with BatchNorm: (N, in_channels, H/16, W/16), at least 17 x 17 -> logits (N, K)."""

    def __init__(self, in_channels: int, build: Modules, num_classes: int) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, stride=3)
        self.conv0 = build.conv(in_channels, 128, 1)
        self.conv1 = ConvNorm(build.wide(128), build.wide(768), 5, valid=True)
        self.fc = nn.Linear(build.wide(768), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """See the class. Raises UsageError for a smaller map, of which its convolution would leave nothing."""
        height, width = x.shape[2:]
        if min(height, width) < 17:
            raise UsageError(
                "the auxiliary classifier needs maps of at least 17x17, as pictures of 299x299 give, got "
                f"{height}x{width}: create the network with aux=False, or give it larger pictures"
            )
        x = self.conv1(self.conv0(self.pool(x)))
        logits: Tensor = self.fc(x.mean(dim=(2, 3)))
        return logits


class InceptionV3(nn.Module):
    """Images (N, C, H, W) of at least 75 x 75 -> logits (N, K), or with `aux`, and at least 299 x 299, two of them.

    The features are the stem and the three stages: 192, 288, 768 and 2048 channels at H/4, H/8, H/16 and H/32.
    """

    smallest = 75  # one pixel is left in the last stage

    def __init__(self, config: InceptionV3Config) -> None:
        super().__init__()
        self.config = config
        build = PublishedModules(config.width)
        wide = build.wide
        self.stem = nn.Sequential(
            OrderedDict(
                conv1=ConvNorm(config.in_channels, wide(32), 3, stride=2),
                conv2=ConvNorm(wide(32), wide(32), 3, valid=True),
                conv3=ConvNorm(wide(32), wide(64), 3),
                pool=nn.MaxPool2d(3, stride=2),
                conv4=ConvNorm(wide(64), wide(80), 1),
                conv5=ConvNorm(wide(80), wide(192), 3, valid=True),
            )
        )
        modules_a = [partial(build.inception_a, pool_proj=channels) for channels in config.pool_proj]
        modules_b = [partial(build.inception_b, inner=channels) for channels in config.channels_7x7]
        five = nn.Sequential(nn.MaxPool2d(3, stride=2), *stack(wide(192), modules_a))
        six = stack(out_channels(five), [build.reduction_a, *modules_b])
        seven = stack(out_channels(six), [build.reduction_b, build.figure_7, build.figure_7])
        self.stages = nn.ModuleList([five, six, seven])  # the authors' names: Mixed_5a ... Mixed_7c
        self.feature_info = (
            FeatureInfo("stem", wide(192), 4),
            FeatureInfo("stages.0", out_channels(five), 8),
            FeatureInfo("stages.1", out_channels(six), 16),
            FeatureInfo("stages.2", out_channels(seven), 32),
        )
        self.head = PooledHead(out_channels(seven), config.num_classes, dropout=config.dropout)
        smaller: dict[nn.Module, float] = {}
        if config.aux:
            self.aux = AuxiliaryClassifier(out_channels(six), build, config.num_classes)
            smaller = {self.aux.conv1.conv: 0.01, self.aux.fc: 0.001}
        initialise(self, smaller)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the stem's and the stages' outputs, as `feature_info` says."""
        check_images(x, network="Inception v3", channels=self.config.in_channels, smallest=self.smallest)
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor | InceptionV3Output:
        """Images (N, C, H, W) -> logits (N, K); with `aux` always an InceptionV3Output.

        Raises UsageError for pictures too small for the auxiliary classifier; `features` takes them.
        """
        *_, six, seven = self.features(x)
        logits: Tensor = self.head(seven)
        return InceptionV3Output(logits, self.aux(six)) if self.config.aux else logits


def losses(network: InceptionV3, output: Tensor | InceptionV3Output, targets: Tensor) -> dict[str, Tensor]:
    """Cross-entropy of each image, and with `aux` that of the auxiliary classifier, weighted by 0.3.

    targets (N, K), each row a distribution over the classes -> named losses, each (N,), to be added up. The paper
    smooths its targets by 0.1 (Section 7): that is the task's `label_smoothing`.
    """
    return weighted_losses(output, targets, {"aux": AUX_WEIGHT})


def decode(output: Tensor | InceptionV3Output) -> Tensor:
    """The classifier's logits (N, K)."""
    return main_logits(output)

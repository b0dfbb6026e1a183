"""Inception-ResNet: Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on
Learning", AAAI 2017.

https://arxiv.org/abs/1602.07261 -- networks: Figure 15; v1: Figures 14, 10, 7, 11, 12 and 13; v2: Figures 3, 16, 7, 17,
18 and 19; reductions: Table 1; residual blocks: Section 3.2; their scaling: Section 3.3 and Figure 20.
`inception_resnet_v1` and `inception_resnet_v2_paper` are the paper's networks. In v2 the figures' last convolutions,
of 1154 and 2048 channels, do not fit what they are added to; here they have its channels, 1152 and 2144.
`inception_resnet_v2` is the network of the public weights, as in the authors' code (TensorFlow models, slim).
Deviations: the stem of Inception v3, with an Inception module after it, for that of Figure 3; twice as many blocks;
the last of them neither scaled nor rectified; after it a 1x1 convolution to 1536 channels.
From that code too, where the paper is silent: residuals scaled by 0.17, 0.10 and 0.20 (the paper: "between 0.1 and
0.3"), and the initialisation. BatchNorm, rows and columns, and what is open in it, are as in inception_v4.
Shapes: N images, C channels, H x W pixels, K classes. Where nothing is padded, a map loses its margin:
299 -> 149 -> 147 -> 73 -> 71 -> 35 -> 17 -> 8.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.pooled_head import PooledHead
from convatlas.models.classify.inception_v2 import COLUMN, ROW, Branches, Kernel, out_channels
from convatlas.models.classify.inception_v4 import SHORT_COLUMN, SHORT_ROW, Modules
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_positive,
    check_whole_numbers,
)

Form = Literal["v1", "v2", "public"]
Widths = tuple[tuple[int, ...], ...]  # the channels of each branch's convolutions, one after the other
LENGTHS = {"block_a": (1, 2, 3), "block_b": (1, 3), "reduction_b": (2, 2, 3), "block_c": (1, 3)}


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The numbers in the figures of one network. reduction_a: k, l, m and n of Table 1."""

    block_a: Widths
    reduction_a: tuple[int, int, int, int]
    block_b: Widths
    reduction_b: Widths
    block_c: Widths

    def __post_init__(self) -> None:
        check_whole_numbers(self, "reduction_a", count=4)
        for field, lengths in LENGTHS.items():
            rows: object = getattr(self, field)
            right = isinstance(rows, tuple) and all(isinstance(row, tuple) for row in rows)
            if not right or tuple(map(len, getattr(self, field))) != lengths:
                raise UsageError(f"Filters.{field} must be tuples of {lengths} channels, not {rows!r}")
            if not all(type(width) is int and width >= 1 for row in getattr(self, field) for width in row):
                raise UsageError(f"Filters.{field} must have whole numbers >= 1 only, not {rows!r}")


V1 = Filters(
    block_a=((32,), (32, 32), (32, 32, 32)),  # Figure 10
    reduction_a=(192, 192, 256, 384),
    block_b=((128,), (128, 128, 128)),  # Figure 11
    reduction_b=((256, 384), (256, 256), (256, 256, 256)),  # Figure 12
    block_c=((192,), (192, 192, 192)),  # Figure 13
)
V2 = Filters(
    block_a=((32,), (32, 32), (32, 48, 64)),  # Figure 16
    reduction_a=(256, 256, 384, 384),
    block_b=((192,), (128, 160, 192)),  # Figure 17
    reduction_b=((256, 384), (256, 288), (256, 288, 320)),  # Figure 18
    block_c=((192,), (192, 224, 256)),  # Figure 19
)


@dataclass(frozen=True, kw_only=True)
class InceptionResNetConfig:
    """form: "v1" has the stem of Figure 14, "v2" that of Figure 3; "public": what the file's head lists.

    depths: blocks at H/8, H/16 and H/32. scales: of their residuals.
    width: multiplies all channels, of which at least 16 stay.
    """

    form: Form
    filters: Filters
    depths: tuple[int, int, int] = (5, 10, 5)  # Figure 15
    scales: tuple[float, float, float] = (0.17, 0.10, 0.20)
    width: float = 1.0
    dropout: float = 0.2  # Figure 15: "keep 0.8"
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels", "num_classes")
        check_positive(self, "width")
        check_fraction(self, "dropout")
        check_whole_numbers(self, "depths", count=3)
        if self.form not in get_args(Form):
            raise UsageError(f'InceptionResNetConfig.form must be "v1", "v2" or "public", not {self.form!r}')
        if not isinstance(self.filters, Filters):
            raise UsageError(f"InceptionResNetConfig.filters must be a Filters, not {self.filters!r}")
        scales: object = self.scales
        numbers = isinstance(scales, tuple) and all(isinstance(each, int | float) and 0 < each <= 1 for each in scales)
        if not numbers or len(self.scales) != 3:
            raise UsageError(
                f"InceptionResNetConfig.scales must be three numbers above 0 and at most 1, not {scales!r}"
            )


CONFIGS = {
    "inception_resnet_v1": InceptionResNetConfig(form="v1", filters=V1),
    "inception_resnet_v2": InceptionResNetConfig(form="public", filters=V2, depths=(10, 20, 10)),
    "inception_resnet_v2_paper": InceptionResNetConfig(form="v2", filters=V2),
}


class InceptionResNetBlock(nn.Module):
    """relu(x + scale * expand(branches(x))): (N, C, H, W) -> the same shape; `linear`: without the ReLU.

    expand: a 1x1 convolution "without activation", back to C channels; no BatchNorm over the sum (Section 3.2).
    """

    def __init__(self, in_channels: int, branches: Branches, *, scale: float, linear: bool = False) -> None:
        super().__init__()
        self.branches = branches
        self.expand = nn.Conv2d(branches.out_channels, in_channels, 1)
        self.scale = scale
        self.relu = nn.Identity() if linear else nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.relu(x + self.scale * self.expand(self.branches(x)))
        return y


class ResidualModules(Modules):
    """Makes the parts of one network. `c`: channels of the input, `widths`: of the branches' convolutions."""

    def branch(self, c: int, widths: tuple[int, ...], *kernels: Kernel, stride: int = 1) -> nn.Sequential:
        """Convolutions one after the other, the last with the stride."""
        return self.chain(c, *zip(widths, kernels, strict=True), stride=stride)

    def short_stem(self, in_channels: int) -> nn.Sequential:
        """Figure 14 up to 71x71, which is Inception v3's stem: (N, in_channels, H, W) -> (N, 192, H/4, W/4)."""
        conv1 = self.conv(in_channels, 32, 3, stride=2)
        conv2 = self.conv(conv1.out_channels, 32, 3, valid=True)
        conv3 = self.conv(conv2.out_channels, 64, 3)
        conv4 = self.conv(conv3.out_channels, 80, 1)
        conv5 = self.conv(conv4.out_channels, 192, 3, valid=True)
        pool = nn.MaxPool2d(3, stride=2)
        return nn.Sequential(OrderedDict(conv1=conv1, conv2=conv2, conv3=conv3, pool=pool, conv4=conv4, conv5=conv5))

    def inception(self, c: int) -> Branches:
        """The public form's module at H/8, between stem and blocks; 320 channels."""
        return Branches(
            c,
            branch1x1=self.conv(c, 96, 1),
            branch5x5=self.chain(c, (48, 1), (64, 5)),
            branch3x3dbl=self.chain(c, (64, 1), (96, 3), (96, 3)),
            branch_pool=self.pooled(c, 64),
        )

    def block_a(self, c: int, widths: Widths) -> Branches:
        """The branches of Figures 10 and 16, at H/8."""
        (single,), two, three = widths
        return Branches(
            c,
            branch1x1=self.conv(c, single, 1),
            branch3x3=self.branch(c, two, 1, 3),
            branch3x3dbl=self.branch(c, three, 1, 3, 3),
        )

    def block_b(self, c: int, widths: Widths) -> Branches:
        """The branches of Figures 11 and 17, at H/16."""
        (single,), three = widths
        return Branches(c, branch1x1=self.conv(c, single, 1), branch7x7=self.branch(c, three, 1, ROW, COLUMN))

    def block_c(self, c: int, widths: Widths) -> Branches:
        """The branches of Figures 13 and 19, at H/32."""
        (single,), three = widths
        branch3x3 = self.branch(c, three, 1, SHORT_ROW, SHORT_COLUMN)
        return Branches(c, branch1x1=self.conv(c, single, 1), branch3x3=branch3x3)

    def four_way_reduction(self, c: int, widths: Widths) -> Branches:
        """H/16 to H/32: Reduction-B of Figures 12 and 18; 1792 channels in v1."""
        return Branches(
            c,
            branch3x3a=self.branch(c, widths[0], 1, 3, stride=2),
            branch3x3b=self.branch(c, widths[1], 1, 3, stride=2),
            branch3x3dbl=self.branch(c, widths[2], 1, 3, 3, stride=2),
            branch_pool=nn.MaxPool2d(3, stride=2),
        )


class InceptionResNet(nn.Module):
    """Images (N, C, H, W) of at least 75 x 75 -> logits (N, K).

    The features are the stem and the three stages, at H/4, H/8, H/16 and H/32: 192, 256, 896 and 1792 channels in v1,
    192, 320, 1088 and 1536 in the public v2, 192, 384, 1152 and 2144 in the paper's.
    """

    smallest = 75  # one pixel is left in the last stage

    def __init__(self, config: InceptionResNetConfig) -> None:
        super().__init__()
        self.config = config
        build, filters, public = ResidualModules(config.width), config.filters, config.form == "public"
        at_8, at_16, at_32 = config.depths
        scale_8, scale_16, scale_32 = config.scales

        self.stem = build.stem(config.in_channels) if config.form == "v2" else build.short_stem(config.in_channels)
        five = first_layers(build, out_channels(self.stem), config.form)
        c8 = out_channels(five)
        for _ in range(at_8):
            five.append(InceptionResNetBlock(c8, build.block_a(c8, filters.block_a), scale=scale_8))
        six = nn.Sequential(build.reduction_a(c8, filters.reduction_a))
        c16 = out_channels(six)
        for _ in range(at_16):
            six.append(InceptionResNetBlock(c16, build.block_b(c16, filters.block_b), scale=scale_16))
        seven = nn.Sequential(build.four_way_reduction(c16, filters.reduction_b))
        c32 = out_channels(seven)
        for number in range(1, at_32 + 1):
            last = public and number == at_32
            branches = build.block_c(c32, filters.block_c)
            seven.append(InceptionResNetBlock(c32, branches, scale=1.0 if last else scale_32, linear=last))
        if public:
            seven.append(build.conv(c32, 1536, 1))
            c32 = out_channels(seven)

        self.stages = nn.ModuleList([five, six, seven])
        self.feature_info = (
            FeatureInfo("stem", out_channels(self.stem), 4),
            FeatureInfo("stages.0", c8, 8),
            FeatureInfo("stages.1", c16, 16),
            FeatureInfo("stages.2", c32, 32),
        )
        self.head = PooledHead(c32, config.num_classes, dropout=config.dropout)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:  # drawing nothing is slow there
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the stem's and the stages' outputs, as `feature_info` says."""
        check_images(x, network="Inception-ResNet", channels=self.config.in_channels, smallest=self.smallest)
        maps = [self.stem(x)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits


def first_layers(build: ResidualModules, c: int, form: Form) -> nn.Sequential:
    """H/4 to H/8, before the first block: the end of Figure 14 or of Figure 3, or what the public form has there."""
    if form == "v1":
        return nn.Sequential(build.conv(c, 256, 3, stride=2))
    if form == "v2":
        return nn.Sequential(build.end_of_stem(c))
    return nn.Sequential(nn.MaxPool2d(3, stride=2), build.inception(c))

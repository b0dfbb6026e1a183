"""EfficientNetV2: Tan and Le, "EfficientNetV2: Smaller Models and Faster Training", ICML 2021.

https://arxiv.org/abs/2104.00298 -- blocks: Figure 2; EfficientNetV2-S: Table 4; training: Section 5.1, Table 6.
MBConv is EfficientNet's. From the authors' code (google/automl, efficientnetv2): the rows of M, L and XL, dropout,
survival that falls from 1 at the first block, BatchNorm's epsilon of 1e-3 and the initialisation. Table 6 lets dropout
grow in training, with the pictures: to 0.3, 0.4 and 0.5 for S, M and L; the code ends at 0.2, 0.3 and 0.4.
Training ends with smaller pictures than the network is tested on: 300 and 384 pixels a side for S, 384 and 480 for M
and L, 384 and 512 for XL. Nothing in the network depends on it.
Deviations, to match public weights: in S, M and L strided convolutions pad all sides alike. The authors' pad as
TensorFlow's SAME (`same_padding=True`), and so does XL, whose only public weights are theirs.
BatchNorm's averages move by 0.1 a step, not the paper's 0.01, which needs thousands of steps.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.layers.stochastic_depth import StochasticDepth
from convatlas.models.classify import efficientnet
from convatlas.models.classify.efficientnet import ConvNorm, EfficientNetConfig, Head, MBConv, initialise
from convatlas.models.contract import FeatureInfo, check_at_least, check_fraction, check_images, check_rows, check_share


@dataclass(frozen=True, kw_only=True)
class Stage(efficientnet.Stage):
    """A row of Table 4: `repeats` blocks, of which the first has the stride. Fused-MBConv4 has `fused`, `expand=4`."""

    fused: bool
    kernel: int = 3


# Table 4.
S = (
    Stage(fused=True, expand=1, out=24, repeats=2, stride=1),
    Stage(fused=True, expand=4, out=48, repeats=4, stride=2),
    Stage(fused=True, expand=4, out=64, repeats=4, stride=2),
    Stage(fused=False, expand=4, out=128, repeats=6, stride=2),
    Stage(fused=False, expand=6, out=160, repeats=9, stride=1),
    Stage(fused=False, expand=6, out=256, repeats=15, stride=2),
)
# The authors' code. The larger ones have another stage at the end.
M = (
    Stage(fused=True, expand=1, out=24, repeats=3, stride=1),
    Stage(fused=True, expand=4, out=48, repeats=5, stride=2),
    Stage(fused=True, expand=4, out=80, repeats=5, stride=2),
    Stage(fused=False, expand=4, out=160, repeats=7, stride=2),
    Stage(fused=False, expand=6, out=176, repeats=14, stride=1),
    Stage(fused=False, expand=6, out=304, repeats=18, stride=2),
    Stage(fused=False, expand=6, out=512, repeats=5, stride=1),
)
L = (
    Stage(fused=True, expand=1, out=32, repeats=4, stride=1),
    Stage(fused=True, expand=4, out=64, repeats=7, stride=2),
    Stage(fused=True, expand=4, out=96, repeats=7, stride=2),
    Stage(fused=False, expand=4, out=192, repeats=10, stride=2),
    Stage(fused=False, expand=6, out=224, repeats=19, stride=1),
    Stage(fused=False, expand=6, out=384, repeats=25, stride=2),
    Stage(fused=False, expand=6, out=640, repeats=7, stride=1),
)
XL = (
    Stage(fused=True, expand=1, out=32, repeats=4, stride=1),
    Stage(fused=True, expand=4, out=64, repeats=8, stride=2),
    Stage(fused=True, expand=4, out=96, repeats=8, stride=2),
    Stage(fused=False, expand=4, out=192, repeats=16, stride=2),
    Stage(fused=False, expand=6, out=256, repeats=24, stride=1),
    Stage(fused=False, expand=6, out=512, repeats=32, stride=2),
    Stage(fused=False, expand=6, out=640, repeats=8, stride=1),
)


@dataclass(frozen=True, kw_only=True)
class EfficientNetV2Config:
    """The stem has as many channels as the first stage. Raises UsageError naming the field that is impossible."""

    stages: tuple[Stage, ...]
    dropout: float
    survival: float = 0.8  # Section 5.1: the probability that the deepest block's branch is kept in training
    same_padding: bool = False
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_rows(self, "stages", Stage)
        check_at_least(self, 1, "in_channels", "num_classes")
        check_fraction(self, "dropout")
        check_share(self, "survival")

    @property
    def of_blocks(self) -> EfficientNetConfig:
        """What the blocks and the head of the first EfficientNet read."""
        return EfficientNetConfig(
            dropout=self.dropout, norm_eps=1e-3, same_padding=self.same_padding, num_classes=self.num_classes
        )


CONFIGS = {
    "efficientnet_v2_s": EfficientNetV2Config(stages=S, dropout=0.2),
    "efficientnet_v2_m": EfficientNetV2Config(stages=M, dropout=0.3),
    "efficientnet_v2_l": EfficientNetV2Config(stages=L, dropout=0.4),
    "efficientnet_v2_xl": EfficientNetV2Config(stages=XL, dropout=0.4, same_padding=True),
}


class FusedMBConv(nn.Module):
    """MBConv with one convolution for expansion and depthwise convolution (Figure 2), here without squeezing.

    Without expansion nothing is left to narrow: one convolution, with an activation (authors' code).
    (N, in_channels, H, W) -> (N, row.out, H/stride, W/stride). drop: the probability that training skips the branch.
    """

    def __init__(self, config: EfficientNetConfig, row: Stage, in_channels: int, *, stride: int, drop: float) -> None:
        super().__init__()
        hidden = in_channels * row.expand
        self.shortcut = stride == 1 and in_channels == row.out
        if row.expand > 1:
            self.expand: nn.Module = ConvNorm(config, in_channels, hidden, row.kernel, stride=stride)
            self.project = ConvNorm(config, hidden, row.out, kernel=1, linear=True)
        else:
            self.expand = nn.Identity()
            self.project = ConvNorm(config, in_channels, row.out, row.kernel, stride=stride)
        self.stochastic_depth = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        y: Tensor = self.project(self.expand(x))
        return x + self.stochastic_depth(y) if self.shortcut else y


class EfficientNetV2(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K).

    The features are the last of the stages at H/2, H/4, H/8, H/16 and H/32: 24, 48, 64, 160 and 256 channels in S.
    """

    smallest = 32  # the last stage has one pixel

    def __init__(self, config: EfficientNetV2Config) -> None:
        super().__init__()
        self.config = config
        channels = config.stages[0].out
        self.stem = ConvNorm(config.of_blocks, config.in_channels, channels, kernel=3, stride=2)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        total, scale = sum(row.repeats for row in config.stages), 2
        done = 0
        for index, row in enumerate(config.stages):
            block = FusedMBConv if row.fused else MBConv
            blocks = nn.Sequential()
            for repeat in range(row.repeats):
                drop = (1 - config.survival) * done / total
                stride = row.stride if repeat == 0 else 1
                blocks.append(block(config.of_blocks, row, channels, stride=stride, drop=drop))
                channels = row.out
                done += 1
            self.stages.append(blocks)
            scale *= row.stride
            # A stage that does not halve the picture takes the place of the one before it.
            others = self.feature_info if row.stride > 1 else self.feature_info[:-1]
            self.feature_info = (*others, FeatureInfo(f"stages.{index}", channels, scale))
        self.head = Head(config.of_blocks, channels)
        initialise(self)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="EfficientNetV2", channels=self.config.in_channels, smallest=self.smallest)
        x = self.stem(x)
        named = {}
        for index, stage in enumerate(self.stages):
            x = stage(x)
            named[f"stages.{index}"] = x
        return tuple(named[info.name] for info in self.feature_info)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

"""ShuffleNet V2: Ma et al., "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV 2018.

https://arxiv.org/abs/1807.11164 -- units: Figure 3 (c) and (d); networks: Table 5; `shufflenet_v2_50`: the appendix's
table of large models, whose first stage keeps the size of its maps.
From the authors' code (megvii-model/ShuffleNet-Series, ShuffleNetV2), where the paper is silent: dropout 0.2 before the
classifier of 2.0x; normal weights, deviation 0.01 in the stem and the classifier, elsewhere one over the input channels
of a group; BatchNorm's initial biases 0.0001.
Deviation, to match public weights: the classifier has a bias, which the authors' code lacks.
Shapes: N images, C channels, H x W pixels, K classes. An odd size is rounded up when it is halved.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.channel_shuffle import channel_shuffle
from convatlas.layers.conv_head import ConvHead
from convatlas.layers.conv_norm import ConvNorm
from convatlas.models.classify.shufflenet_v1 import Stem, initialise
from convatlas.models.contract import FeatureInfo, check_at_least, check_fraction, check_images, check_rows


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage of Table 5: `repeats` units, of which the first has the stride and changes the channels."""

    out: int
    repeats: int
    stride: int = 2

    def __post_init__(self) -> None:
        check_at_least(self, 2, "out")
        check_at_least(self, 1, "repeats")
        if self.out % 2:
            raise UsageError(f"Stage.out must be even, for two branches, not {self.out!r}")
        if self.stride not in (1, 2):
            raise UsageError(f"Stage.stride must be 1 or 2, not {self.stride!r}")


@dataclass(frozen=True, kw_only=True)
class ShuffleNetV2Config:
    """A column of Table 5. `stem`: channels of Conv1; `last`: of Conv5."""

    stem: int = 24
    stages: tuple[Stage, ...]
    last: int = 1024
    dropout: float = 0.0
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "stem", "last", "in_channels", "num_classes")
        check_fraction(self, "dropout")
        check_rows(self, "stages", Stage)


def table_5(*channels: int) -> tuple[Stage, ...]:
    """Stages 2, 3 and 4 with these channels."""
    return tuple(Stage(out=out, repeats=repeats) for out, repeats in zip(channels, (4, 8, 4), strict=True))


CONFIGS = {
    "shufflenet_v2_x0_5": ShuffleNetV2Config(stages=table_5(48, 96, 192)),
    "shufflenet_v2_x1_0": ShuffleNetV2Config(stages=table_5(116, 232, 464)),
    "shufflenet_v2_x1_5": ShuffleNetV2Config(stages=table_5(176, 352, 704)),
    "shufflenet_v2_x2_0": ShuffleNetV2Config(stages=table_5(244, 488, 976), last=2048, dropout=0.2),
    "shufflenet_v2_50": ShuffleNetV2Config(
        stem=64,
        stages=(
            Stage(out=244, repeats=3, stride=1),
            Stage(out=488, repeats=4),
            Stage(out=976, repeats=6),
            Stage(out=1952, repeats=3),
        ),
        last=2048,
    ),
}


class Branch(nn.Sequential):
    """1x1, depthwise 3x3 and 1x1 convolution, the right-hand branch of both units.

    (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride).
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = ConvNorm(in_channels, out_channels, kernel=1)
        self.depthwise = ConvNorm(out_channels, out_channels, kernel=3, stride=stride, groups=out_channels, linear=True)
        self.conv2 = ConvNorm(out_channels, out_channels, kernel=1)


class BasicUnit(nn.Module):
    """Half of the channels pass by, half go through the branch; a shuffle mixes them (Figure 3 (c)).

    (N, channels, H, W) -> (N, channels, H, W), channels even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = Branch(channels // 2, channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        kept, changed = x.chunk(2, dim=1)
        return channel_shuffle(torch.cat([kept, self.branch(changed)], dim=1), groups=2)


class DownsamplingUnit(nn.Module):
    """All channels go through two branches, of half of the new channels each (Figure 3 (d)).

    (N, in_channels, H, W) -> (N, out_channels, H/stride, W/stride).
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.shortcut = nn.Sequential()
        self.shortcut.depthwise = ConvNorm(
            in_channels, in_channels, kernel=3, stride=stride, groups=in_channels, linear=True
        )
        self.shortcut.conv = ConvNorm(in_channels, half, kernel=1)
        self.branch = Branch(in_channels, half, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return channel_shuffle(torch.cat([self.shortcut(x), self.branch(x)], dim=1), groups=2)


class ShuffleNetV2(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32 -> logits (N, K).

    The features are the stem at H/4, 24 channels, and Stages 2, 3, 4 at H/8, H/16, H/32: 116, 232, 464 channels in
    1.0x. In `shufflenet_v2_50` the first stage, which stays at H/4, takes the place of the stem.
    """

    smallest = 32  # the last stage has one pixel

    def __init__(self, config: ShuffleNetV2Config) -> None:
        super().__init__()
        self.config = config
        channels, scale = config.stem, 4
        self.stem = Stem(config.in_channels, channels)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = (FeatureInfo("stem", channels, scale),)
        for index, row in enumerate(config.stages):
            units = nn.Sequential(DownsamplingUnit(channels, row.out, stride=row.stride))
            for _ in range(row.repeats - 1):
                units.append(BasicUnit(row.out))
            self.stages.append(units)
            channels = row.out
            scale *= row.stride
            # A stage that does not halve the picture takes the place of the one before it.
            others = self.feature_info if row.stride > 1 else self.feature_info[:-1]
            self.feature_info = (*others, FeatureInfo(f"stages.{index}", channels, scale))
        self.head = ConvHead(channels, config.last, config.num_classes, dropout=config.dropout)
        initialise(self, self.stem, self.head.fc)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="ShuffleNetV2", channels=self.config.in_channels, smallest=self.smallest)
        x = self.stem(x)
        named = {"stem": x}
        for index, stage in enumerate(self.stages):
            x = stage(x)
            named[f"stages.{index}"] = x
        return tuple(named[info.name] for info in self.feature_info)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

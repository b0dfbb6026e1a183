"""NASNet-A: Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR 2018.

https://arxiv.org/abs/1707.07012 -- cells: Figure 4; how they are stacked: Figure 2; N @ P: Section 4; order of layers
and matching of shapes: Appendix A.4; scheduled drop path: A.5; auxiliary classifier: A.7; scores: Tables 1 to 3.
From the authors' code (TensorFlow models, slim/nets/nasnet), where the paper is silent: the stems, the factorised
reduction of a previous state that is larger, `previous_skips_reduction` in the large network, drop path that grows with
the cell too, survival, the auxiliary classifier's layers, BatchNorm's epsilon, padding as TensorFlow's SAME; weights
normal with variance 2.6 / fan-out, cut at two deviations, where a depthwise filter has the fan-out of one channel.
As there, the first cell takes the stem's output for the state that it lacks, as it is: only a real one is adjusted.
Deviation: BatchNorm's averages move by 0.1 a step, for ImageNet not by 0.0003, which needs thousands of steps.
Shapes: N images, C channels, H x W pixels, K classes; F filters. An odd size is rounded up when it is halved.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.same_conv import SameConv2d
from convatlas.models.contract import FeatureInfo, check_at_least, check_fraction, check_images

AUX_WEIGHT = 0.4  # A.7: "the loss of the auxiliary classifier is weighted by 0.4"
States = tuple[Tensor, Tensor]  # h_{i-1} and h_i, the outputs of the two cells before


@dataclass(frozen=True, kw_only=True)
class NASNetConfig:
    """`repeats` @ `penultimate` as Section 4 counts: normal cells in each stage, and channels before the classifier.

    stem_channels: of the first convolution. stem_cells: reduction cells before the first stage, 2 for ImageNet, 0 for
    CIFAR. previous_skips_reduction: the cell after a reduction takes for its previous state the one before the
    reduction's input, not that input. survival: the share of the last cell's paths that is kept at the end of training.
    aux: the network answers with the auxiliary classifier too (`NASNetOutput`), for training; aux_side: the side of the
    maps that its pooling leaves.
    """

    repeats: int
    penultimate: int
    stem_channels: int
    stem_cells: int = 2
    previous_skips_reduction: bool = False
    survival: float = 1.0
    dropout: float = 0.5
    norm_eps: float = 1e-3
    aux: bool = False
    aux_side: int = 4
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "repeats", "penultimate", "stem_channels", "aux_side", "in_channels", "num_classes")
        check_fraction(self, "dropout", "norm_eps")
        if self.penultimate % 96:
            raise UsageError(
                "NASNetConfig.penultimate must be a multiple of 96 (24 F, and F / 4 filters in a stem cell), not "
                f"{self.penultimate!r}"
            )
        if self.stem_cells not in (0, 2):
            raise UsageError(f"NASNetConfig.stem_cells must be 0 or 2, not {self.stem_cells!r}")
        if not (isinstance(self.survival, int | float) and 0 < self.survival <= 1):
            raise UsageError(f"NASNetConfig.survival must be above 0 and at most 1, not {self.survival!r}")

    @property
    def filters(self) -> int:
        """F of the first stage: the last cell's output is six states of 4 F."""
        return self.penultimate // 24


CONFIGS = {
    "nasnet_mobile": NASNetConfig(repeats=4, penultimate=1056, stem_channels=32),
    "nasnet_large": NASNetConfig(
        repeats=6, penultimate=4032, stem_channels=96, previous_skips_reduction=True, survival=0.7, aux_side=6
    ),
    "nasnet_cifar": NASNetConfig(
        repeats=6, penultimate=768, stem_channels=96, stem_cells=0, survival=0.6, dropout=0.0, norm_eps=1e-5,
        num_classes=10,
    ),
}  # fmt: skip


class NASNetOutput(NamedTuple):
    """Logits (N, K) of the classifier and of the auxiliary one."""

    logits: Tensor
    aux: Tensor


class ScheduledDropPath(nn.Module):
    """In training, drops a path for some images of the batch and scales it up for the others (A.5).

    The probability grows linearly in training, from 0 to `drop`; `progress` says how far it is: see
    `NASNet.set_progress`. Evaluation changes nothing.
    """

    progress: Tensor

    def __init__(self, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.register_buffer("progress", torch.zeros(()), persistent=False)

    def forward(self, path: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape; in training each image is all zeros or its input / (1 - probability)."""
        if not self.training or self.drop == 0:
            return path
        keep = 1 - self.drop * self.progress
        kept = torch.bernoulli(keep.expand(path.shape[0], 1, 1, 1))
        return path * (kept / keep).to(path.dtype)

    def extra_repr(self) -> str:
        """What `print(network)` shows."""
        return f"drop={self.drop:.3g}"


class MaxPool(nn.Module):
    """3x3 with stride 2, padded as TensorFlow's SAME: (N, C, H, W) -> (N, C, H/2, W/2)."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        # An odd side is padded at both ends, an even one at its end only, which is what rounding up does.
        return F.max_pool2d(x, 3, 2, padding=(x.shape[2] % 2, x.shape[3] % 2), ceil_mode=True)


class AveragePool(nn.Module):
    """3x3, of the pixels that are there, padded as TensorFlow's SAME: (N, C, H, W) -> (N, C, H/stride, W/stride)."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        padding = (1, 1) if self.stride == 1 else (x.shape[2] % 2, x.shape[3] % 2)
        return F.avg_pool2d(x, 3, self.stride, padding, ceil_mode=self.stride == 2, count_include_pad=False)


class FactorizedReduction(nn.Module):
    """Half of the channels from every second pixel, half from those between: (N, C, H, W) -> (N, F, H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int, eps: float) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.path1 = nn.Conv2d(in_channels, out_channels // 2, 1, stride=2, bias=False)
        self.path2 = nn.Conv2d(in_channels, out_channels // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.relu(x)
        shifted = F.pad(x, (-1, 1, -1, 1))  # zeros at the end for the pixel that is gone
        y: Tensor = self.bn(torch.cat([self.path1(x), self.path2(shifted)], dim=1))
        return y


def conv1x1(in_channels: int, out_channels: int, eps: float, *, relu: bool = True) -> nn.Sequential:
    """ReLU, 1x1 convolution, BatchNorm, in the order of A.4: (N, in_channels, H, W) -> (N, out_channels, H, W)."""
    layers: dict[str, nn.Module] = {
        "conv": nn.Conv2d(in_channels, out_channels, 1, bias=False),
        "bn": nn.BatchNorm2d(out_channels, eps=eps),
    }
    return nn.Sequential(OrderedDict({"relu": nn.ReLU(), **layers} if relu else layers))


class State(NamedTuple):
    """What a cell is told of one of its inputs: channels, and how often the picture's side was divided."""

    channels: int
    stride: int


class Cell(nn.Module):
    """What both cells begin with: bring the current and the previous state to F channels of the current one's size.

    previous: None where there is none; then the stem's output takes its place, as it is. drop: of the paths, at last.
    """

    def __init__(self, previous: State | None, current: State, filters: int, *, drop: float, eps: float) -> None:
        super().__init__()
        self.filters, self.drop, self.eps = filters, drop, eps
        self.current = conv1x1(current.channels, filters, eps)
        self.previous: nn.Module = nn.Identity()
        self.previous_channels = current.channels if previous is None else filters
        if previous is not None and previous.stride != current.stride:
            self.previous = FactorizedReduction(previous.channels, filters, eps)
        elif previous is not None and previous.channels != filters:
            self.previous = conv1x1(previous.channels, filters, eps)

    def separable(self, kernel: int, channels: int, *, stride: int = 1) -> nn.Sequential:
        """ReLU, depthwise and 1x1 convolution, BatchNorm, and all of it once more (A.4)."""
        layers: dict[str, nn.Module] = {}
        for step, (width, step_stride) in enumerate(((channels, stride), (self.filters, 1)), 1):
            layers |= {
                f"relu{step}": nn.ReLU(),
                f"depthwise{step}": SameConv2d(width, width, kernel, stride=step_stride, groups=width, bias=False),
                f"pointwise{step}": nn.Conv2d(width, self.filters, 1, bias=False),
                f"bn{step}": nn.BatchNorm2d(self.filters, eps=self.eps),
            }
        return nn.Sequential(OrderedDict(layers, drop_path=ScheduledDropPath(self.drop)))

    def pooled(self, pool: nn.Module, channels: int) -> nn.Sequential:
        """The pooling, and a 1x1 convolution where the number of channels does not fit (A.4)."""
        fit: dict[str, nn.Module] = {} if channels == self.filters else {"fit": self.fit(channels)}
        return nn.Sequential(OrderedDict({"pool": pool, **fit, "drop_path": ScheduledDropPath(self.drop)}))

    def fit(self, channels: int, *, relu: bool = False) -> nn.Module:
        """Nothing, or a 1x1 convolution where the number of channels does not fit (A.4)."""
        return nn.Identity() if channels == self.filters else conv1x1(channels, self.filters, self.eps, relu=relu)


class Block(nn.Module):
    """Two operations, and the sum of what they make of two states."""

    def __init__(self, left: nn.Module, right: nn.Module) -> None:
        super().__init__()
        self.left = left
        self.right = right

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Two states -> (N, F, H, W)."""
        y: Tensor = self.left(left) + self.right(right)
        return y


class NormalCell(Cell):
    """Figure 4, left: the last two states -> (the current one, a new one of 6 F channels at the same size)."""

    def __init__(self, previous: State | None, current: State, filters: int, *, drop: float, eps: float) -> None:
        super().__init__(previous, current, filters, drop=drop, eps=eps)
        f, p = filters, self.previous_channels
        self.block0 = Block(self.separable(5, f), self.separable(3, p))
        self.block1 = Block(self.separable(5, p), self.separable(3, p))
        self.block2 = Block(self.pooled(AveragePool(1), f), self.fit(p, relu=True))
        self.block3 = Block(self.pooled(AveragePool(1), p), self.pooled(AveragePool(1), p))
        self.block4 = Block(self.separable(3, f), nn.Identity())
        self.kept = self.fit(p)

    def forward(self, states: States) -> States:
        """See the class."""
        h, p = self.current(states[1]), self.previous(states[0])
        blocks = self.block0(h, p), self.block1(p, p), self.block2(h, p), self.block3(p, p), self.block4(h, h)
        return states[1], torch.cat([self.kept(p), *blocks], dim=1)


class ReductionCell(Cell):
    """Figure 4, right: the last two states -> (one of them, a new one of 4 F channels at half the size)."""

    def __init__(
        self, previous: State | None, current: State, filters: int, *, drop: float, eps: float, skip: bool
    ) -> None:
        super().__init__(previous, current, filters, drop=drop, eps=eps)
        self.skip = skip  # the next cell's previous state is this one's previous state too
        f, p = filters, self.previous_channels
        self.block0 = Block(self.separable(5, f, stride=2), self.separable(7, p, stride=2))
        self.block1 = Block(self.pooled(MaxPool(), f), self.separable(7, p, stride=2))
        self.block2 = Block(self.pooled(AveragePool(2), f), self.separable(5, p, stride=2))
        self.block3 = Block(nn.Identity(), self.pooled(AveragePool(1), f))
        self.block4 = Block(self.separable(3, f), self.pooled(MaxPool(), f))

    def forward(self, states: States) -> States:
        """See the class."""
        h, p = self.current(states[1]), self.previous(states[0])
        block0, block1, block2 = self.block0(h, p), self.block1(h, p), self.block2(h, p)
        block3, block4 = self.block3(block1, block0), self.block4(block0, h)
        return states[0 if self.skip else 1], torch.cat([block1, block2, block3, block4], dim=1)


class AuxiliaryClassifier(nn.Module):
    """A.7: a small network at two thirds of the way up: (N, in_channels, H, W) -> logits (N, K).

    The pooling, 5x5 with stride 3, must leave side x side pixels.
    """

    def __init__(self, in_channels: int, side: int, *, eps: float, num_classes: int) -> None:
        super().__init__()
        self.side = side
        self.relu = nn.ReLU()
        self.pool = nn.AvgPool2d(5, stride=3)
        self.conv1 = nn.Conv2d(in_channels, 128, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(128, eps=eps)
        self.conv2 = nn.Conv2d(128, 768, side, bias=False)
        self.bn2 = nn.BatchNorm2d(768, eps=eps)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        least = 3 * (self.side - 1) + 5
        if not all(least <= size < least + 3 for size in x.shape[2:]):
            raise UsageError(
                f"the auxiliary classifier needs maps of {least} to {least + 2} pixels a side, got {x.shape[2]}x"
                f"{x.shape[3]}: create the network with aux=False, or another aux_side"
            )
        x = self.relu(self.bn1(self.conv1(self.pool(self.relu(x)))))
        logits: Tensor = self.fc(self.relu(self.bn2(self.conv2(x))).flatten(1))
        return logits


class NASNet(nn.Module):
    """Images (N, C, H, W) of at least 32 x 32, for CIFAR's network 4 x 4 -> logits (N, K), or with `aux` two of them.

    The features are the outputs of the stages' last cells, not yet rectified: for ImageNet, after the first convolution
    at H/2, F at H/4 and 6 F, 12 F and 24 F channels at H/8, H/16 and H/32; for CIFAR the last three, at H, H/2 and H/4.
    """

    def __init__(self, config: NASNetConfig) -> None:
        super().__init__()
        self.config = config
        self.smallest = 32 if config.stem_cells else 4  # the last stage has one pixel
        stride, padding = (2, 0) if config.stem_cells else (1, 1)
        layers: dict[str, nn.Module] = {
            "conv": nn.Conv2d(config.in_channels, config.stem_channels, 3, stride, padding, bias=False),
            "bn": nn.BatchNorm2d(config.stem_channels, eps=config.norm_eps),
        }
        self.stem = nn.Sequential(OrderedDict(layers))
        self.stages = nn.ModuleList()
        states: tuple[State | None, State] = None, State(config.stem_channels, stride)
        self.feature_info: tuple[FeatureInfo, ...] = (FeatureInfo("stem", *states[1]),) if config.stem_cells else ()
        total, done = config.stem_cells + 3 * config.repeats + 2, 0
        for index, cells in enumerate(layout(config)):
            stage = nn.Sequential()
            for reduces, filters in cells:
                skip = config.previous_skips_reduction and reduces and done >= config.stem_cells
                done += 1
                drop = (1 - config.survival) * done / total
                if reduces:
                    stage.append(ReductionCell(*states, filters, drop=drop, eps=config.norm_eps, skip=skip))
                    new = State(4 * filters, 2 * states[1].stride)
                else:
                    stage.append(NormalCell(*states, filters, drop=drop, eps=config.norm_eps))
                    new = State(6 * filters, states[1].stride)
                states = states[0 if skip else 1], new
            self.stages.append(stage)
            self.feature_info += (FeatureInfo(f"stages.{index}", *states[1]),)
        self.head = nn.Sequential(
            OrderedDict(
                relu=nn.ReLU(),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                dropout=nn.Dropout(config.dropout),
                fc=nn.Linear(config.penultimate, config.num_classes),
            )
        )
        if config.aux:
            self.aux = AuxiliaryClassifier(
                config.penultimate // 2, config.aux_side, eps=config.norm_eps, num_classes=config.num_classes
            )
        initialise(self)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="NASNet", channels=self.config.in_channels, smallest=self.smallest)
        x = self.stem(x)
        maps = [x] if self.config.stem_cells else []
        states: States = x, x
        for stage in self.stages:
            states = stage(states)
            maps.append(states[1])
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor | NASNetOutput:
        """Images (N, C, H, W) -> logits (N, K); with `aux` always a NASNetOutput."""
        *_, middle, last = self.features(x)
        logits: Tensor = self.head(last)
        return NASNetOutput(logits, self.aux(middle)) if self.config.aux else logits

    def set_progress(self, progress: float) -> None:
        """Tell scheduled drop path how far training is, from 0 to 1. Until it is told, nothing is dropped."""
        if not 0 <= progress <= 1:
            raise UsageError(f"the progress of training must be from 0 to 1, not {progress!r}")
        for module in self.modules():
            if isinstance(module, ScheduledDropPath):
                module.progress.fill_(progress)


def layout(config: NASNetConfig) -> list[list[tuple[bool, int]]]:
    """(whether it reduces, F) of each cell of each stage, as Figure 2 stacks them.

    The filters double with each reduction; of the stem's cells, the second works for the first stage of normal cells.
    """
    f = config.filters
    normal = [[(False, filters)] * config.repeats for filters in (f, 2 * f, 4 * f)]
    stages = [normal[0], [(True, 2 * f), *normal[1]], [(True, 4 * f), *normal[2]]]
    if config.stem_cells:
        stages = [[(True, f // 4)], [(True, f // 2), *stages[0]], *stages[1:]]
    return stages


def initialise(network: NASNet) -> None:
    """See the file's head."""
    for module in network.modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or module.weight.is_meta:  # drawing nothing is slow there
            continue
        # A filter of (out, in / groups, k, k); TensorFlow counts a depthwise one as k x k from each channel to one.
        area = math.prod(module.weight.shape[2:])
        depthwise = isinstance(module, nn.Conv2d) and module.groups > 1
        std = math.sqrt(2.6 / (area * (1 if depthwise else module.weight.shape[0])))
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def losses(network: NASNet, output: Tensor | NASNetOutput, targets: Tensor) -> dict[str, Tensor]:
    """Cross-entropy of each image, and with `aux` that of the auxiliary classifier, weighted by 0.4.

    targets (N, K), each row a distribution over the classes -> named losses, each (N,), to be added up.
    """
    if isinstance(output, Tensor):
        return {"cross_entropy": F.cross_entropy(output, targets, reduction="none")}
    return {
        "cross_entropy": F.cross_entropy(output.logits, targets, reduction="none"),
        "aux": AUX_WEIGHT * F.cross_entropy(output.aux, targets, reduction="none"),
    }


def decode(output: Tensor | NASNetOutput) -> Tensor:
    """The classifier's logits (N, K): the auxiliary ones are for training."""
    return output if isinstance(output, Tensor) else output.logits

"""NASNet-A: Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR 2018.

https://arxiv.org/abs/1707.07012 -- how the cells of nasnet_cells.py are stacked: Figure 2; N @ P: Section 4; scheduled
drop path: A.5; auxiliary classifier: A.7; scores: Tables 1 to 3.
From the authors' code (TensorFlow models, slim/nets/nasnet), where the paper is silent: the stems, the factorised
reduction of a previous state that is larger, `previous_skips_reduction` in the large network, drop path that grows with
the cell too, survival, the auxiliary classifier's layers, BatchNorm's epsilon, padding as TensorFlow's SAME; weights
normal with variance 2.6 / fan-out, cut at two deviations, where a depthwise filter has the fan-out of one channel.
As there, the first cell takes the stem's output for the state that it lacks, as it is: only a real one is adjusted.
Deviation: BatchNorm's averages move by 0.1 a step, for ImageNet not by 0.0003, which needs thousands of steps.
As in TensorFlow, from which the public weights come, an average is of the pixels that are there. timm, which publishes
them, counts padding as black pixels where it pools with stride 2: our answers differ from its by 2e-3 to 4e-3 of the
largest (random weights, 331 pixels), and the score that it states was measured its way.
SAME pads a side by whether it is odd: the network can be exported with a dynamic N, not with dynamic H and W.
Shapes: N images, C channels, H x W pixels, K classes; F filters. An odd size is rounded up when it is halved.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.models.classify.auxiliary import main_logits, weighted_losses
from convatlas.models.classify.nasnet_cells import NormalCell, ReductionCell, ScheduledDropPath, State, States
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_epsilon,
    check_fraction,
    check_images,
    check_share,
)

AUX_WEIGHT = 0.4  # A.7: "the loss of the auxiliary classifier is weighted by 0.4"


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
        check_fraction(self, "dropout")
        check_share(self, "survival")
        check_epsilon(self, "norm_eps")
        if self.penultimate % 96:
            raise UsageError(
                "NASNetConfig.penultimate must be a multiple of 96 (24 F, and F / 4 filters in a stem cell), not "
                f"{self.penultimate!r}"
            )
        if self.stem_cells not in (0, 2):
            raise UsageError(f"NASNetConfig.stem_cells must be 0 or 2, not {self.stem_cells!r}")

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
        # A plain list, so that no tensor has a second name.
        self._drop_paths = [
            module for module in self.modules() if isinstance(module, ScheduledDropPath) and module.drop > 0
        ]
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
        for path in self._drop_paths:
            path.progress.fill_(progress)


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
    return weighted_losses(output, targets, {"aux": AUX_WEIGHT})


def decode(output: Tensor | NASNetOutput) -> Tensor:
    """The classifier's logits (N, K): the auxiliary ones are for training."""
    return main_logits(output)

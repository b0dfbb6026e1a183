"""DenseNet: Huang, Liu, van der Maaten, Weinberger, "Densely Connected Convolutional Networks", CVPR 2017.

https://arxiv.org/abs/1608.06993 -- dense connectivity, bottleneck layers (B), compression (C), networks of CIFAR:
Section 3; networks of ImageNet: Table 1, and densenet161 in the authors' code; dropout and initialisation: Section 4.2;
errors: Tables 2 and 3. From the authors' code (densenet.lua), where the paper is silent: a transition's dropout comes
before its pooling, and weights are normal with variance 2 / fan-out.
Memory-efficient mode: Pleiss et al., "Memory-Efficient Implementation of DenseNets", https://arxiv.org/abs/1707.06990.
Concatenations and normalised maps, whose size grows with the square of the depth, are not kept but computed once more
in the backward pass.
Shapes: N images, C channels, H x W pixels, K classes; k is the growth rate. An odd size is rounded down between blocks.
"""

import contextlib
import math
from collections import OrderedDict
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from convatlas.errors import UsageError
from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_share,
    check_whole_numbers,
)


@dataclass(frozen=True, kw_only=True)
class DenseNetConfig:
    """A row of Table 2, or a column of Table 1. Raises UsageError that names the field when a value is impossible.

    layers: dense layers of each block. stem_channels: those of the first convolution. stem_stride: 4 for ImageNet (7x7
    and a pooling), 1 for CIFAR (3x3). memory_efficient: train with less memory and more time; the answers are the same.
    """

    growth_rate: int
    layers: tuple[int, ...]
    stem_channels: int
    stem_stride: int = 4
    bottleneck: bool = True
    compression: float = 0.5  # the paper's theta: the share of its channels that a transition layer keeps
    dropout: float = 0.0  # Section 4.2: 0.2 after each convolution but the first where pictures are not augmented
    memory_efficient: bool = False
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "growth_rate", "stem_channels", "in_channels", "num_classes")
        check_whole_numbers(self, "layers")
        check_fraction(self, "dropout")
        if self.stem_stride not in (1, 4):
            raise UsageError(f"DenseNetConfig.stem_stride must be 1 or 4, not {self.stem_stride!r}")
        check_share(self, "compression")


def _imagenet(*layers: int, growth_rate: int = 32) -> DenseNetConfig:
    return DenseNetConfig(growth_rate=growth_rate, layers=layers, stem_channels=2 * growth_rate)


def _cifar(depth: int, growth_rate: int, *, bc: bool) -> DenseNetConfig:
    """Depth counts the first convolution, the two transitions, the dense layer, and one or two for each layer."""
    return DenseNetConfig(
        growth_rate=growth_rate,
        layers=((depth - 4) // (6 if bc else 3),) * 3,
        stem_channels=2 * growth_rate if bc else 16,
        stem_stride=1,
        bottleneck=bc,
        compression=0.5 if bc else 1.0,
        num_classes=10,
    )


CONFIGS = {
    "densenet121": _imagenet(6, 12, 24, 16),
    "densenet161": _imagenet(6, 12, 36, 24, growth_rate=48),
    "densenet169": _imagenet(6, 12, 32, 32),
    "densenet201": _imagenet(6, 12, 48, 32),
    "densenet264": _imagenet(6, 12, 64, 48),
    "densenet40_k12_cifar": _cifar(40, 12, bc=False),
    "densenet100_k12_cifar": _cifar(100, 12, bc=False),
    "densenet100_k24_cifar": _cifar(100, 24, bc=False),
    "densenet_bc100_k12_cifar": _cifar(100, 12, bc=True),
    "densenet_bc250_k24_cifar": _cifar(250, 24, bc=True),
    "densenet_bc190_k40_cifar": _cifar(190, 40, bc=True),
}


class DenseLayer(nn.Module):
    """BatchNorm, ReLU, convolution on all maps of the block before it: k new maps of (N, channels, H, W) each.

    A bottleneck layer first makes 4k maps by 1x1. maps: what the block has so far -> (N, k, H, W).
    """

    def __init__(self, config: DenseNetConfig, in_channels: int) -> None:
        super().__init__()
        self.memory_efficient = config.memory_efficient
        k = config.growth_rate
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU()
        if config.bottleneck:
            self.conv1 = nn.Conv2d(in_channels, 4 * k, 1, bias=False)
            wide: dict[str, nn.Module] = {
                "dropout1": nn.Dropout(config.dropout),
                "norm2": nn.BatchNorm2d(4 * k),
                "relu2": nn.ReLU(),
                "conv2": nn.Conv2d(4 * k, k, 3, padding=1, bias=False),
            }
        else:
            self.conv1 = nn.Conv2d(in_channels, k, 3, padding=1, bias=False)
            wide = {}
        self.rest = nn.Sequential(OrderedDict(wide, dropout=nn.Dropout(config.dropout)))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """See the class."""
        # A compiler chooses by itself what to compute again; without gradients nothing is kept anyway.
        if self.memory_efficient and torch.is_grad_enabled() and not torch.compiler.is_compiling():
            first = checkpoint(
                self.first, *maps, use_reentrant=False, preserve_rng_state=False, context_fn=self._contexts
            )
        else:
            first = self.first(*maps)
        new: Tensor = self.rest(first)
        return new

    def first(self, *maps: Tensor) -> Tensor:
        """Concatenation, BatchNorm, ReLU and the first convolution: cheap to compute again, all but the last."""
        y: Tensor = self.conv1(self.relu1(self.norm1(torch.cat(maps, dim=1))))
        return y

    def _contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return contextlib.nullcontext(), WithoutStatistics(self.norm1)


class WithoutStatistics(AbstractContextManager[None]):
    """Inside, copies take the place of the layer's running averages, so that the same batch does not count twice.

    It can be entered again: each backward pass through the same graph computes the maps once more.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        self.norm = norm
        self.averages: dict[str, Tensor] = {}

    def __enter__(self) -> None:
        self.averages = dict(self.norm.named_buffers())
        self._put({name: average.clone() for name, average in self.averages.items()})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._put(self.averages)

    def _put(self, averages: dict[str, Tensor]) -> None:
        for name, average in averages.items():
            setattr(self.norm, name, average)


class DenseBlock(nn.ModuleList):
    """Each layer sees the maps of all before it: (N, in_channels, H, W) -> (N, in_channels + layers * k, H, W)."""

    def __init__(self, config: DenseNetConfig, in_channels: int, layers: int) -> None:
        super().__init__(DenseLayer(config, in_channels + index * config.growth_rate) for index in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        maps = [x]
        for layer in self:
            maps.append(layer(maps))
        return torch.cat(maps, dim=1)


class Transition(nn.Sequential):
    """Between blocks: fewer channels, half the sides: (N, in_channels, H, W) -> (N, out_channels, H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int, *, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.pool = nn.AvgPool2d(2)


class Head(nn.Sequential):
    """The last block's maps are normalised and averaged: (N, channels, H, W) -> logits (N, K)."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(channels, num_classes)


class DenseNet(nn.Module):
    """Images (N, C, H, W) of at least 29 x 29, for CIFAR's networks of 4 x 4 -> logits (N, K).

    The features are the outputs of the dense blocks, before the normalisation that follows: in densenet121 256, 512,
    1024 and 1024 channels at H/4, H/8, H/16 and H/32; for CIFAR at H, H/2 and H/4.
    """

    def __init__(self, config: DenseNetConfig) -> None:
        super().__init__()
        self.config = config
        halvings = 2 ** (len(config.layers) - 1)
        self.smallest = halvings if config.stem_stride == 1 else 4 * halvings - 3  # the last block has one pixel
        self.stem = stem(config)
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        channels = config.stem_channels
        for index, layers in enumerate(config.layers):
            stage = nn.Sequential()
            if index:
                kept = max(1, math.floor(channels * config.compression))
                stage.add_module("transition", Transition(channels, kept, dropout=config.dropout))
                channels = kept
            stage.add_module("block", DenseBlock(config, channels, layers))
            channels += layers * config.growth_rate
            self.stages.append(stage)
            self.feature_info += (FeatureInfo(f"block{index + 1}", channels, config.stem_stride * 2**index),)
        self.head = Head(channels, config.num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # drawing nothing is slow there
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.head.fc.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> one tensor for each of `feature_info`: (N, channels, H/stride, W/stride)."""
        check_images(x, network="DenseNet", channels=self.config.in_channels, smallest=self.smallest)
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


def stem(config: DenseNetConfig) -> nn.Sequential:
    """Images -> (N, stem_channels, H/4, W/4), for CIFAR (N, stem_channels, H, W)."""
    channels = config.stem_channels
    if config.stem_stride == 1:
        return nn.Sequential(OrderedDict(conv=nn.Conv2d(config.in_channels, channels, 3, padding=1, bias=False)))
    layers: dict[str, nn.Module] = {
        "conv": nn.Conv2d(config.in_channels, channels, 7, stride=2, padding=3, bias=False),
        "norm": nn.BatchNorm2d(channels),
        "relu": nn.ReLU(),
        "pool": nn.MaxPool2d(3, stride=2, padding=1),
    }
    return nn.Sequential(OrderedDict(layers))

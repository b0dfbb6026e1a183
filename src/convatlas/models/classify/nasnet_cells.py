"""NASNet-A's cells: Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", CVPR 2018.

https://arxiv.org/abs/1707.07012 -- cells: Figure 4; order of layers and matching of shapes: Appendix A.4; scheduled
drop path: A.5. What is from the authors' code is said in nasnet.py, which stacks the cells.
Shapes: N images, C channels, H x W pixels; F filters. An odd size is rounded up when it is halved.
"""

from collections import OrderedDict
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.layers.same_conv import SameConv2d

States = tuple[Tensor, Tensor]  # h_{i-1} and h_i, the outputs of the two cells before


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

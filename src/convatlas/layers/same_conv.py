"""Convolution padded as TensorFlow pads "SAME", for weights that were trained so."""

import torch.nn.functional as F
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """(N, C, H, W) -> (N, out_channels, ceil(H / stride), ceil(W / stride)), with just the padding that this needs.

    An odd pixel of padding goes below and to the right. A strided convolution on an even picture therefore looks one
    pixel further right and down than one with symmetric padding. kernel: odd, at least as large as the stride.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = True
    ) -> None:
        # At stride 1 the padding is the same on all sides, so the convolution itself can add it.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        if self.stride[0] > 1:
            top, bottom = self._before_and_after(x.shape[2])
            left, right = self._before_and_after(x.shape[3])
            x = F.pad(x, (left, right, top, bottom))
        return super().forward(x)

    def _before_and_after(self, size: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        places = (size + stride - 1) // stride
        total = (places - 1) * stride + kernel - size
        return total // 2, total - total // 2

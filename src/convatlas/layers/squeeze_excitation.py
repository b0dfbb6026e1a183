"""Squeeze-and-excitation: Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018. https://arxiv.org/abs/1709.01507."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Weighs each channel by what all channels' means say (Figure 2, Equations 2 to 4): (N, C, H, W) -> (N, C, H, W).

    squeezed: units of the bottleneck, C over the paper's reduction ratio r. Its dense layers are 1x1 convolutions here.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        means = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.excite(F.relu(self.squeeze(means))))

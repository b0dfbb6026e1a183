"""A convolution with BatchNorm and ReLU, as MnasNet, ShuffleNet V1, V2 and V2 Large build everything of."""

from torch import nn


class ConvNorm(nn.Sequential):
    """Convolution, BatchNorm and, unless `linear`, ReLU: (N, C, H, W) -> (N, out_channels, H/stride, W/stride)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        if not linear:
            self.relu = nn.ReLU()

"""The classifier of mobile networks that widen their last maps before they pool them."""

from torch import nn

from convatlas.layers.conv_norm import ConvNorm


class ConvHead(nn.Sequential):
    """A 1x1 convolution with BatchNorm and ReLU, average pooling, dropout and the dense layer.

    (N, in_channels, H, W) -> logits (N, num_classes). As ShuffleNetV2's Table 5 ends, and MnasNet.
    """

    def __init__(self, in_channels: int, channels: int, num_classes: int, *, dropout: float) -> None:
        super().__init__()
        self.last = ConvNorm(in_channels, channels, kernel=1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)

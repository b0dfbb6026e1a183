"""The classifier that follows the last maps of most networks since GoogLeNet."""

from torch import nn


class PooledHead(nn.Sequential):
    """Global average pooling, dropout and the dense layer: (N, channels, H, W) -> logits (N, num_classes)."""

    def __init__(self, channels: int, num_classes: int, *, dropout: float) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)

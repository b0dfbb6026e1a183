"""Animations with the numbers that explain best, by name."""

from collections.abc import Mapping
from typing import Final

from convatlas.report.animations.animation import Animation
from convatlas.report.animations.channels import Channels
from convatlas.report.animations.convolution import Convolution
from convatlas.report.animations.pooling import Pooling
from convatlas.report.animations.suppression import Suppression
from convatlas.report.animations.transposed import TransposedConvolution
from convatlas.report.animations.windows import ConvolutionalWindows, SlidingWindow

PRESETS: Final[Mapping[str, Animation]] = {
    "convolution": Convolution(),
    "padding": Convolution(padding=1, seconds=0.8),
    "stride": Convolution(size=7, stride=2),
    "dilation": Convolution(size=7, dilation=2),
    "transposed": TransposedConvolution(),
    "channels": Channels(),
    "pooling": Pooling(),
    "sliding-window": SlidingWindow(),
    "convolutional-windows": ConvolutionalWindows(),
    "nms": Suppression(),
}

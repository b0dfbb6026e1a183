"""Networks worked by hand, layer by layer from their papers' tables: LeNet-5, AlexNet, VGG, GoogLeNet's stem.

For the layers of any network that runs, see `convatlas.arithmetic.tracing.trace`.
"""

from collections.abc import Sequence
from typing import Final

from convatlas.arithmetic.axes import whole
from convatlas.arithmetic.layers import (
    Layer,
    batch_norm,
    convolution,
    dense,
    partial_convolution,
    pooling,
    subsampling,
)
from convatlas.arithmetic.sizes import convolution_size, pooling_size
from convatlas.errors import UsageError, did_you_mean

# Table I of LeCun et al. 1998: the maps of S2 that each of the 16 maps of C3 reads.
LENET5_C3: Final = (
    *((first, (first + 1) % 6, (first + 2) % 6) for first in range(6)),  # three neighbours
    *((first, (first + 1) % 6, (first + 2) % 6, (first + 3) % 6) for first in range(6)),  # four neighbours
    *((first, first + 1, (first + 3) % 6, (first + 4) % 6) for first in range(3)),  # four, not all neighbours
    tuple(range(6)),  # all
)

# Convolutions between one max pooling and the next: columns A, B, D and E of the paper's Table 1.
VGG_DEPTHS: Final = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}


def lenet5_layers() -> tuple[Layer, ...]:
    """LeNet-5 on 32 x 32 pixels (LeCun et al. 1998, Section II.B): 60,000 parameters, 340,908 connections.

    The last layer compares with fixed codes: it has connections, but nothing to train.
    """
    codes = dense(84, 10, bias=False)
    return (
        convolution((32, 32), in_channels=1, out_channels=6, kernel=5, name="C1"),
        subsampling((28, 28), channels=6, name="S2"),
        partial_convolution((14, 14), sees=LENET5_C3, in_channels=6, kernel=5, name="C3"),
        subsampling((10, 10), channels=16, name="S4"),
        convolution((5, 5), in_channels=16, out_channels=120, kernel=5, name="C5"),
        dense(120, 84, name="F6"),
        Layer(
            kind="radial basis",
            name="output",
            inputs=(84,),
            outputs=(10,),
            weights=0,
            biases=0,
            parameters_formula="0",
            connections=codes.connections,
            connections_formula=codes.connections_formula,
            macs=0,
        ),
    )


def alexnet_layers(size: int = 227, *, groups: int = 2, num_classes: int = 1000) -> tuple[Layer, ...]:
    """AlexNet (Krizhevsky et al. 2012): the second, fourth and fifth convolution have `groups`.

    The paper prints 224 x 224 pixels; its 55 x 55 maps need 227.
    """
    layers = [convolution((size, size), in_channels=3, out_channels=96, kernel=11, stride=4, name="conv1")]

    def pool(name: str) -> None:
        channels, *pixels = layers[-1].outputs
        layers.append(pooling(pixels, channels=channels, kernel=3, stride=2, name=name))

    def convolve(name: str, out_channels: int, kernel: int, groups: int) -> None:
        channels, *pixels = layers[-1].outputs
        layers.append(
            convolution(
                pixels,
                in_channels=channels,
                out_channels=out_channels,
                kernel=kernel,
                padding=kernel // 2,
                groups=groups,
                name=name,
            )
        )

    pool("pool1")
    convolve("conv2", 256, 5, groups)
    pool("pool2")
    convolve("conv3", 384, 3, 1)
    convolve("conv4", 384, 3, groups)
    convolve("conv5", 256, 3, groups)
    pool("pool5")
    return (*layers, *_dense_head(layers[-1].neurons, num_classes))


def vgg_layers(
    name: str = "vgg16", size: int = 224, *, num_classes: int = 1000, batch_norms: bool = False
) -> tuple[Layer, ...]:
    """VGG (Simonyan and Zisserman 2015, Table 1): convolutions of 3x3, poolings, three dense layers.

    name: "vgg11", "vgg13", "vgg16" or "vgg19". The layers are named as in the paper's own: conv1_1, pool1, fc6.
    """
    if name not in VGG_DEPTHS:
        raise UsageError(f'name must be one of {", ".join(VGG_DEPTHS)}, not "{name}".{did_you_mean(name, VGG_DEPTHS)}')
    layers: list[Layer] = []
    channels = 3
    pixels: tuple[int, ...] = (whole("size", size, 1),) * 2
    for stage, depth in enumerate(VGG_DEPTHS[name], 1):
        width = min(64 * 2 ** (stage - 1), 512)
        for number in range(1, depth + 1):
            layers.append(
                convolution(
                    pixels,
                    in_channels=channels,
                    out_channels=width,
                    kernel=3,
                    padding=1,
                    name=f"conv{stage}_{number}",
                )
            )
            channels = width
            if batch_norms:
                layers.append(batch_norm(channels, pixels, name=f"bn{stage}_{number}"))
        layers.append(pooling(pixels, channels=channels, kernel=2, name=f"pool{stage}"))
        pixels = pooling_size(pixels, kernel=2)
    return (*layers, *_dense_head(layers[-1].neurons, num_classes))


def googlenet_stem(size: int = 224) -> tuple[tuple[str, int], ...]:
    """The side after each layer before GoogLeNet's first inception module, as torchvision's code pads them.

    (("conv1", 112), ("maxpool1", 56), ("conv2", 56), ("conv3", 56), ("maxpool2", 28)) for 224 pixels.
    """
    conv1 = convolution_size(size, kernel=7, stride=2, padding=3)
    maxpool1 = pooling_size(conv1, kernel=3, stride=2, ceil_mode=True)
    conv2 = convolution_size(maxpool1, kernel=1)
    conv3 = convolution_size(conv2, kernel=3, padding=1)
    maxpool2 = pooling_size(conv3, kernel=3, stride=2, ceil_mode=True)
    return ("conv1", conv1), ("maxpool1", maxpool1), ("conv2", conv2), ("conv3", conv3), ("maxpool2", maxpool2)


def total_parameters(layers: Sequence[Layer]) -> int:
    """The parameters of all layers."""
    return sum(layer.parameters for layer in layers)


def _dense_head(in_features: int, num_classes: int) -> tuple[Layer, ...]:
    return (
        dense(in_features, 4096, name="fc6"),
        dense(4096, 4096, name="fc7"),
        dense(4096, whole("num_classes", num_classes, 1), name="fc8"),
    )

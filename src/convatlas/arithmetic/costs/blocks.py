"""What the ways of building a block, a head or a whole network cost, each beside the way that it replaced.

Each function compares two of them, with the numbers of the notes unless others are given. Biases are left out unless
parameters are counted. Raises UsageError for a count below 1.
"""

import math

from convatlas.arithmetic import notes
from convatlas.arithmetic.axes import whole
from convatlas.arithmetic.costs.comparison import Comparison, Side, side
from convatlas.arithmetic.sizes import convolution_size, pooling_size
from convatlas.arithmetic.worked import alexnet_layers, total_parameters, vgg_layers
from convatlas.errors import UsageError


def bottleneck_or_basic(channels: int = 256, reduced: int = 64) -> Comparison:
    """ResNet's bottleneck (1x1 down, 3x3, 1x1 up) for two 3x3 convolutions at full width."""
    wide, narrow = whole("channels", channels, 1), whole("reduced", reduced, 1)
    return Comparison(
        name="bottleneck",
        title=f"A bottleneck of {narrow} instead of two 3x3 at {wide} channels",
        counted="weights",
        dearer=side("two 3x3", (2, 3, 3, wide, wide)),
        cheaper=side("bottleneck", (wide, narrow), (3, 3, narrow, narrow), (narrow, wide)),
        said=f"{notes.ARCHITECTURES} prints 11796496, a slip for 1,179,648, and 69632",
    )


def inverted_or_bottleneck(
    wide: int = 1024, reduced: int = 256, narrow: int = 64, expand: int = 6, kernel: int = 3
) -> Comparison:
    """MobileNetV2's inverted residual (narrow ends, wide depthwise middle) for ResNet's bottleneck (wide ends)."""
    wide, reduced = whole("wide", wide, 1), whole("reduced", reduced, 1)
    narrow, taps = whole("narrow", narrow, 1), (whole("kernel", kernel, 1),) * 2
    middle = narrow * whole("expand", expand, 1)
    return Comparison(
        name="inverted-residual",
        title=f"Inverted residual {narrow}-{middle}-{narrow} instead of bottleneck {wide}-{reduced}-{wide}",
        counted="weights",
        dearer=side("bottleneck", (wide, reduced), (*taps, reduced, reduced), (reduced, wide)),
        cheaper=side("inverted residual", (narrow, middle), (*taps, middle), (middle, narrow)),
        said=f"1.1M and 52k in {notes.MODELS}: 1024-256-1024 and 64-384-64, whose ends differ in width as well",
    )


def inverted_residual_macs(
    size: int = 14, in_channels: int = 64, out_channels: int = 64, kernel: int = 3, expand: int = 6
) -> Comparison:
    """What an inverted residual computes, h w t d (d + k² + d'), for a full convolution at its middle's width."""
    places = (whole("size", size, 1),) * 2
    entered, left = whole("in_channels", in_channels, 1), whole("out_channels", out_channels, 1)
    taps, middle = (whole("kernel", kernel, 1),) * 2, in_channels * whole("expand", expand, 1)
    return Comparison(
        name="inverted-residual-macs",
        title=f"The middle of an inverted residual, {middle} channels on {size} x {size} places: depthwise",
        counted="multiply-accumulates",
        dearer=side(
            "with a full middle", (*places, middle, entered), (*places, *taps, middle, middle), (*places, left, middle)
        ),
        cheaper=side(
            "with a depthwise middle", (*places, middle, entered), (*places, *taps, middle), (*places, left, middle)
        ),
        said=f'{notes.OVERVIEW} leaves the formula open ("can be calculated as ."): h w t d (d + k² + d\')',
    )


def fire_or_3x3(in_channels: int = 96, squeeze: int = 16, expand: int = 64) -> Comparison:
    """SqueezeNet's fire module (1x1 to few channels, then 1x1 and 3x3 side by side) for one 3x3 convolution."""
    entered, few, each = (
        whole("in_channels", in_channels, 1),
        whole("squeeze", squeeze, 1),
        whole("expand", expand, 1),
    )
    return Comparison(
        name="fire",
        title=f"A fire module instead of a 3x3: {entered} to {2 * each} channels",
        counted="weights",
        dearer=side("3x3", (3, 3, entered, 2 * each)),
        cheaper=side("fire module", (entered, few), (few, each), (3, 3, few, each)),
        said=f"told without numbers in {notes.MODELS}; these are of SqueezeNet's fire2",
    )


def vgg_head_or_body(name: str = "vgg19") -> Comparison:
    """Where VGG's parameters are: its three dense layers beside all its convolutions."""
    layers = vgg_layers(name)
    head = [layer for layer in layers if layer.kind == "dense"]
    body = [layer for layer in layers if layer.kind == "convolution"]
    return Comparison(
        name="vgg-head",
        title=f"The three dense layers of {name.upper()} beside its {len(body)} convolutions",
        counted="parameters",
        dearer=side(
            "dense layers", *((layer.inputs[0], layer.outputs[0]) for layer in head), *(layer.outputs for layer in head)
        ),
        cheaper=Side(
            name="convolutions",
            value=total_parameters(body),
            formula=" + ".join(f"{layer.parameters:,}" for layer in body) + f" = {total_parameters(body):,}",
        ),
        said=f"1.2億 (120 million) weights in the last three layers, {notes.MODELS}",
    )


def dense_head_or_average(
    channels: int = 512, size: int = 7, hidden: int = 4096, num_classes: int = 1000
) -> Comparison:
    """Global average pooling and one dense layer, for a head of three dense layers as VGG's."""
    maps, pixels = whole("channels", channels, 1), whole("size", size, 1)
    units, classes = whole("hidden", hidden, 1), whole("num_classes", num_classes, 1)
    return Comparison(
        name="average-pooling-head",
        title=f"Global average pooling and one dense layer instead of three, on {pixels} x {pixels} x {maps}",
        counted="parameters",
        dearer=side(
            "three dense layers",
            (pixels, pixels, maps, units),
            (units,),
            (units, units),
            (units,),
            (units, classes),
            (classes,),
        ),
        cheaper=side("average and one dense layer", (maps, classes), (classes,)),
        said=f"told without numbers in {notes.MODELS}: the pooling itself has no weights",
    )


def alexnet_connections() -> Comparison:
    """Where AlexNet's connections are: its five convolutions use each weight at many places, the dense layers once."""
    both = sum(layer.macs for layer in alexnet_layers())
    return _alexnet(
        "alexnet-connections",
        "connections",
        f"~600 million in {notes.OVERVIEW}; both together are {both:,} without biases",
    )


def alexnet_weights() -> Comparison:
    """Where AlexNet's weights are: nearly all in its three dense layers."""
    return _alexnet(
        "alexnet-weights", "weights", f"~60 million parameters in {notes.OVERVIEW}; the dense layers have most"
    )


def crops_or_one_pass(picture: int = 16, window: int = 14) -> Comparison:
    """OverFeat's convolutional sliding window: the whole picture once, for every crop by itself.

    The notes' small network: a 5x5 convolution to 16 maps, 2x2 pooling, dense layers of 400, 400 and 4 units as
    convolutions. The pooling makes the windows stand 2 pixels apart.

    picture, window: sides in pixels, 6 or more. The window is even: of an odd one the pooling would leave a row unread,
    and the pass would find places for the window that is a pixel smaller.

    Raises UsageError for other sides, and for a window larger than the picture.
    """
    if whole("window", window, 6) % 2:
        raise UsageError(
            f"window must be even, as 2x2 pooling halves what the 5x5 convolution leaves of it, not {window}"
        )
    if window > whole("picture", picture, 6):
        raise UsageError(f"window {window} must not be larger than picture {picture}")
    before, after = _sliding(window, window), _sliding(picture, window)
    crops = pooling_size(picture - window + 1, kernel=1, stride=2) ** 2
    once = sum(math.prod(term) for term in before)
    return Comparison(
        name="sliding-window",
        title=f"One pass over {picture} x {picture} pixels instead of {crops} crops of {window} x {window}",
        counted="multiply-accumulates",
        dearer=Side(name=f"{crops} crops", value=crops * once, formula=f"{crops}·{once} = {crops * once:,}"),
        cheaper=side("one pass", *after),
        said=f"{notes.OVERVIEW}, at OverFeat: what overlaps is computed once; the larger the picture the more that is",
    )


def _sliding(picture: int, window: int) -> list[tuple[int, ...]]:
    """The multiply-accumulates of the layers: places, taps, channels in and out."""
    maps = convolution_size(picture, kernel=5)
    pooled = pooling_size(maps, kernel=2)
    kernel = pooling_size(convolution_size(window, kernel=5), kernel=2)  # the first dense layer covers a window's map
    places = convolution_size(pooled, kernel=kernel)
    return [
        (maps, maps, 5, 5, 3, 16),
        (places, places, kernel, kernel, 16, 400),
        (places, places, 400, 400),
        (places, places, 400, 4),
    ]


def _alexnet(name: str, counted: str, said: str) -> Comparison:
    layers = alexnet_layers()

    def part(title: str, kind: str) -> Side:
        counts = [layer.macs if counted == "connections" else layer.weights for layer in layers if layer.kind == kind]
        return Side(
            name=title, value=sum(counts), formula=" + ".join(f"{count:,}" for count in counts) + f" = {sum(counts):,}"
        )

    convolutions, dense = part("five convolutions", "convolution"), part("three dense layers", "dense")
    dearer, cheaper = (convolutions, dense) if counted == "connections" else (dense, convolutions)
    return Comparison(
        name=name,
        title=f"AlexNet's {counted}: convolutions and dense layers",
        counted=counted,
        dearer=dearer,
        cheaper=cheaper,
        said=said,
    )

"""What one layer holds and does, in closed form: neurons, weights, parameters, connections, multiply-accumulates.

Definitions, for one picture:
- neurons: output values.
- weights, biases: trainable numbers; parameters are both.
- connections: for each neuron the values that it reads, and one more for its bias, as LeCun et al. 1998 count them.
- macs: multiplications by a weight of a convolution or dense layer. Biases, BatchNorm and pooling count nothing here,
  so that this is also the number of connections where biases are left out.

With C input channels, M output maps of W x H, a kernel of K x K and g groups:

                  dense, map to map     convolution
    neurons       W H M                 W H M
    weights       W² H² C M             K² C M / g
    connections   W² H² C M             W H K² C M / g        (+ W H M with biases)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from convatlas.arithmetic.axes import Padding, PerAxis, axes_of, per_axis, whole
from convatlas.arithmetic.sizes import convolution_size, pooling_size, transposed_size
from convatlas.arithmetic.written import Written
from convatlas.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer's counts for one picture; the formulas have its own numbers in them."""

    kind: str  # "convolution", "dense", "max pooling", …
    inputs: tuple[int, ...]  # (channels, *size), or (features,)
    outputs: tuple[int, ...]
    weights: int
    biases: int
    parameters_formula: str  # "9·64·128 + 128 = 73,856"
    connections: int
    connections_formula: str
    macs: int
    name: str = ""  # in a network: "C1", "fc6"

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights + self.biases

    @property
    def neurons(self) -> int:
        """Output values."""
        return math.prod(self.outputs)


def convolution(
    size: PerAxis,
    *,
    in_channels: int,
    out_channels: int,
    kernel: PerAxis,
    stride: PerAxis = 1,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    bias: bool = True,
    name: str = "",
) -> Layer:
    """A convolution over any number of axes; groups=in_channels makes it depthwise.

    convolution((224, 224), in_channels=64, out_channels=128, kernel=3, padding=1).parameters_formula is
    "9·64·128 + 128 = 73,856".

    Raises UsageError for values below 1, groups that do not divide both channel counts, and what `convolution_size`
    refuses.
    """
    pixels = axes_of("size", size)
    maps = convolution_size(pixels, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    check_groups(groups, in_channels, out_channels)
    weights = (math.prod(per_axis("kernel", kernel, len(pixels))), in_channels // groups, out_channels)
    return _shared_weights(
        "convolution", (in_channels, *pixels), (out_channels, *maps), weights, math.prod(maps), bias, name
    )


def transposed_convolution(
    size: PerAxis,
    *,
    in_channels: int,
    out_channels: int,
    kernel: PerAxis,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
    groups: int = 1,
    bias: bool = True,
    name: str = "",
) -> Layer:
    """A transposed convolution: every input pixel is multiplied by the whole kernel, so its places are the input's.

    What falls on padding is counted as well, as the usual counters do. Raises UsageError as `convolution` does.
    """
    pixels = axes_of("size", size)
    maps = transposed_size(
        pixels, kernel=kernel, stride=stride, padding=padding, output_padding=output_padding, dilation=dilation
    )
    check_groups(groups, in_channels, out_channels)
    weights = (math.prod(per_axis("kernel", kernel, len(pixels))), in_channels, out_channels // groups)
    return _shared_weights(
        "transposed convolution", (in_channels, *pixels), (out_channels, *maps), weights, math.prod(pixels), bias, name
    )


def separable_convolution(
    size: PerAxis,
    *,
    in_channels: int,
    out_channels: int,
    kernel: PerAxis,
    stride: PerAxis = 1,
    padding: Padding = 0,
    multiplier: int = 1,
    bias: bool = True,
) -> tuple[Layer, Layer]:
    """A depthwise convolution with `multiplier` maps for each channel, then a pointwise (1x1) one."""
    pixels = axes_of("size", size)
    channels = whole("in_channels", in_channels, 1) * whole("multiplier", multiplier, 1)
    depthwise = convolution(
        pixels,
        in_channels=in_channels,
        out_channels=channels,
        kernel=kernel,
        stride=stride,
        padding=padding,
        groups=in_channels,
        bias=bias,
        name="depthwise",
    )
    pointwise = convolution(
        depthwise.outputs[1:], in_channels=channels, out_channels=out_channels, kernel=1, bias=bias, name="pointwise"
    )
    return depthwise, pointwise


def locally_connected(
    size: PerAxis,
    *,
    in_channels: int,
    out_channels: int,
    kernel: PerAxis,
    stride: PerAxis = 1,
    padding: Padding = 0,
    bias: bool = True,
    name: str = "",
) -> Layer:
    """A convolution that shares nothing: other weights and another bias at every place (DeepFace's last layers)."""
    pixels = axes_of("size", size)
    maps = convolution_size(pixels, kernel=kernel, stride=stride, padding=padding)
    whole("in_channels", in_channels, 1)
    whole("out_channels", out_channels, 1)
    weights = (math.prod(maps), math.prod(per_axis("kernel", kernel, len(pixels))), in_channels, out_channels)
    biases = (math.prod(maps), out_channels)
    return _layer(
        "locally connected", (in_channels, *pixels), (out_channels, *maps), weights, biases if bias else (), name
    )


def partial_convolution(
    size: PerAxis, *, sees: Sequence[Sequence[int]], in_channels: int, kernel: PerAxis, name: str = ""
) -> Layer:
    """A convolution whose map m reads only the input maps sees[m], as LeNet-5's C3 (Table I of its paper); with biases.

    Raises UsageError when a map reads nothing, the same twice, or one that is not there.
    """
    pixels = axes_of("size", size)
    maps = convolution_size(pixels, kernel=kernel)
    for number, seen in enumerate(sees):
        if not seen or len(set(seen)) != len(seen) or not set(seen) <= set(range(whole("in_channels", in_channels, 1))):
            raise UsageError(
                f"sees: map {number} must read one or more different maps of 0 to {in_channels - 1}, not {tuple(seen)}"
            )
    if not sees:
        raise UsageError("sees must name the input maps of one output map or more")
    links = sum(map(len, sees))
    weights = (math.prod(per_axis("kernel", kernel, len(pixels))), links)
    return _shared_weights(
        "partial convolution", (in_channels, *pixels), (len(sees), *maps), weights, math.prod(maps), True, name
    )


def dense(in_features: int, out_features: int, *, bias: bool = True, name: str = "") -> Layer:
    """A fully connected layer. dense(25088, 4096).parameters_formula is "25088·4096 + 4096 = 102,764,544"."""
    weights = (whole("in_features", in_features, 1), whole("out_features", out_features, 1))
    return _layer("dense", (in_features,), (out_features,), weights, (out_features,) if bias else (), name)


def batch_norm(channels: int, size: PerAxis = 1, *, name: str = "") -> Layer:
    """Batch normalisation: a scale and a shift for each channel, so 2C parameters. Each neuron reads one value."""
    pixels = axes_of("size", size)
    shape = (whole("channels", channels, 1), *pixels)
    return Layer(
        kind="batch norm",
        name=name,
        inputs=shape,
        outputs=shape,
        weights=channels,
        biases=channels,
        parameters_formula=str(Written((2, channels))),
        connections=2 * math.prod(shape),
        connections_formula=str(Written((2, *shape))),
        macs=0,
    )


def pooling(
    size: PerAxis,
    *,
    channels: int,
    kernel: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    average: bool = False,
    name: str = "",
) -> Layer:
    """A max or average pooling: nothing is trained; each neuron reads its window."""
    pixels = axes_of("size", size)
    maps = pooling_size(pixels, kernel=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode)
    taps = math.prod(per_axis("kernel", kernel, len(pixels)))
    connections = Written((math.prod(maps), whole("channels", channels, 1), taps))
    return Layer(
        kind="average pooling" if average else "max pooling",
        name=name,
        inputs=(channels, *pixels),
        outputs=(channels, *maps),
        weights=0,
        biases=0,
        parameters_formula="0",
        connections=connections.value,
        connections_formula=str(connections),
        macs=0,
    )


def global_average_pooling(channels: int, size: PerAxis, *, name: str = "") -> Layer:
    """The mean of each map: (channels, *size) -> (channels, 1, …); nothing is trained."""
    return pooling(size, channels=channels, kernel=size, average=True, name=name)


def subsampling(size: PerAxis, *, channels: int, kernel: PerAxis = 2, name: str = "") -> Layer:
    """LeNet's trainable pooling: the sum of each window times a coefficient plus a bias, one pair for each map."""
    pixels = axes_of("size", size)
    maps = pooling_size(pixels, kernel=kernel)
    taps = math.prod(per_axis("kernel", kernel, len(pixels)))
    connections = Written((math.prod(maps), whole("channels", channels, 1), taps + 1))
    return Layer(
        kind="subsampling",
        name=name,
        inputs=(channels, *pixels),
        outputs=(channels, *maps),
        weights=channels,
        biases=channels,
        parameters_formula=str(Written((2, channels))),
        connections=connections.value,
        connections_formula=str(connections),
        macs=0,
    )


def check_groups(groups: int, in_channels: int, out_channels: int) -> None:
    """Raise UsageError unless groups, at least 1, divides both channel counts, each at least 1."""
    whole("groups", groups, 1)
    for field, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if whole(field, channels, 1) % groups:
            raise UsageError(f"groups {groups} must divide {field} {channels}")


def _shared_weights(
    kind: str,
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    weights: tuple[int, ...],
    places: int,
    bias: bool,
    name: str,
) -> Layer:
    """The same weights at each of `places`; a bias for each output map, added at each of its pixels."""
    biases = ((outputs[0],),) if bias else ()
    added = (outputs,) if bias else ()
    return _counted(kind, inputs, outputs, weights, biases, Written((places, *weights), *added), places, name)


def _layer(
    kind: str,
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    weights: tuple[int, ...],
    biases: tuple[int, ...],
    name: str,
) -> Layer:
    """Every weight and bias is used once."""
    terms = (biases,) if biases else ()
    return _counted(kind, inputs, outputs, weights, terms, Written(weights, *terms), 1, name)


def _counted(
    kind: str,
    inputs: tuple[int, ...],
    outputs: tuple[int, ...],
    weights: tuple[int, ...],
    biases: tuple[tuple[int, ...], ...],
    connections: Written,
    uses: int,
    name: str,
) -> Layer:
    return Layer(
        kind=kind,
        name=name,
        inputs=inputs,
        outputs=outputs,
        weights=math.prod(weights),
        biases=Written(*biases).value,
        parameters_formula=str(Written(weights, *biases)),
        connections=connections.value,
        connections_formula=str(connections),
        macs=uses * math.prod(weights),
    )

"""What a unit of a layer sees of the picture: the record of a receptive field, and its closed form for a chain.

Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019,
https://distill.pub/2019/computing-receptive-fields/. No torch.

Pixels are counted from 0. What lies before the first pixel or behind the last is padding: a field may begin at -3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from convatlas.arithmetic.axes import PerAxis, axes_of, per_axis, whole


@dataclass(frozen=True, kw_only=True)
class AxisField:
    """The field along one axis of the picture: the unit at place u sees start + u * jump and size - 1 pixels more.

    size: from the first to the last pixel that counts; what lies between may have gaps, as with dilation.
    jump: pixels between the fields of neighbouring units, the product of the strides (Araujo's effective stride); None
    where the layer has no places along this axis, as after global pooling.
    start: the first pixel that the unit at place 0 sees.
    whole: each unit also depends on the whole picture, or the fields cover it; with a gate (squeeze-excitation) or
    attention beside a local path, size, jump and start are the local path's.
    Transposed convolution, interpolation and adaptive pooling make halves and other fractions: the pixels seen are the
    whole numbers in the interval.
    """

    size: Fraction
    jump: Fraction | None
    start: Fraction
    whole: bool = False

    @property
    def centre(self) -> Fraction:
        """The middle of the field of the unit at place 0, in pixels; a half lies between two pixels."""
        return self.start + (self.size - 1) / 2

    def seen(self, place: int, pixels: int) -> range:
        """The pixels of an axis of `pixels` that the unit at this place sees; empty when it sees padding alone.

        The last few are among them also where a stride leaves them unread, since the field is the same at every place.
        What lies in the padding counts as zeros: of a padding that copies pixels (reflect, replicate) those that were
        copied are not among them, unless the field reaches them itself.
        """
        if self.whole:
            return range(pixels)
        first = self.start + place * (self.jump or 0)
        return range(max(math.ceil(first), 0), min(math.floor(first + self.size - 1) + 1, pixels))


@dataclass(frozen=True, kw_only=True)
class ReceptiveField:
    """What the units of a tensor see of the picture; `axes` are height and width of an ordinary picture.

    unknown: why it cannot be said, such as an operation that is not known here; `axes` is then empty.
    """

    axes: tuple[AxisField, ...] = ()
    unknown: str = ""

    @property
    def whole(self) -> bool:
        """Whether each unit depends on the whole picture."""
        return bool(self.axes) and all(axis.whole for axis in self.axes)

    def __str__(self) -> str:
        """`212 x 212, jump 32, from -90`; a number stands once where the axes agree."""
        if self.unknown:
            return f"unknown: {self.unknown}"
        local = (
            f"{' x '.join(number(axis.size) for axis in self.axes)}, "
            f"jump {numbers([axis.jump for axis in self.axes])}, from {numbers([axis.start for axis in self.axes])}"
        )
        if all(axis.jump is None for axis in self.axes):
            return "the whole picture" if self.whole else local
        return f"{local}; sees the whole picture" if self.whole else local


_LEAST = {"kernel": 1, "stride": 1, "padding": 0, "dilation": 1}


@dataclass(frozen=True, kw_only=True)
class WindowLayer:
    """A layer that slides a window: a convolution or a pooling. Whole numbers, or one for each axis of the picture.

    padding: before the first pixel; what stands behind the last does not move the field.
    Raises UsageError naming the field for a kernel, stride or dilation below 1 or a padding below 0.
    """

    kernel: PerAxis
    stride: PerAxis = 1
    padding: PerAxis = 0
    dilation: PerAxis = 1

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            axes_of(name, getattr(self, name), least)

    def along(self, axes: int) -> list[tuple[int, int, int, int]]:
        """(kernel, stride, padding, dilation) of each of so many axes; UsageError where they are given for others."""
        kernel, stride, padding, dilation = (
            per_axis(name, getattr(self, name), axes, least) for name, least in _LEAST.items()
        )
        return list(zip(kernel, stride, padding, dilation, strict=True))


def field_of_chain(layers: Sequence[WindowLayer], *, axes: int = 2) -> ReceptiveField:
    """The field of the last of these layers, first layer first; of no layer at all, one pixel.

    With kernels k, strides s, paddings p, dilations d, and j_l the product of the strides before layer l:

        size = 1 + sum of (k_l - 1) d_l j_l,  jump = product of all s_l,  start = -sum of p_l j_l

    Araujo et al., the closed forms of r_0, S_0 and -P_0; a dilated kernel spans (k - 1) d + 1.

    Raises UsageError for axes below 1, and for layers that are given for another number of axes.
    """
    whole("axes", axes, 1)
    along = [layer.along(axes) for layer in layers]
    return ReceptiveField(axes=tuple(_chain_along([each[axis] for each in along]) for axis in range(axes)))


def _chain_along(layers: Sequence[tuple[int, int, int, int]]) -> AxisField:
    size, jump, start = 1, 1, 0
    for kernel, stride, padding, dilation in layers:
        size += (kernel - 1) * dilation * jump
        start -= padding * jump
        jump *= stride
    return AxisField(size=Fraction(size), jump=Fraction(jump), start=Fraction(start))


def number(value: Fraction | None) -> str:
    """A field's number for people: 32, 0.5, 1.667; a dash for none."""
    if value is None:
        return "-"
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.4g}"


def numbers(values: Sequence[Fraction | None]) -> str:
    """A number for each axis, `16 x 8`; `16` where they agree."""
    texts = [number(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else " x ".join(texts)

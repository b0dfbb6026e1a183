"""What a unit of a layer sees of the picture: the record of a receptive field, and its closed form for a chain.

Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019,
https://distill.pub/2019/computing-receptive-fields/. No torch.

Pixels are counted from 0. What lies before the first pixel or behind the last is padding: a field may begin at -3.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from convatlas.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class AxisField:
    """The field along one axis of the picture: the unit at place u sees start + u * jump and size - 1 pixels more.

    size: from the first to the last pixel that counts; what lies between may have gaps, as with dilation.
    jump: pixels between the fields of neighbouring units, the product of the strides; None where the layer has no
    places along this axis, as after global pooling.
    start: the first pixel that the unit at place 0 sees.
    whole: each unit also depends on the whole picture, or the fields cover it; with a gate (squeeze-excitation) or
    attention beside a local path, size, jump and start are the local path's.
    Transposed convolution and interpolation make halves and other fractions: the pixels seen are the whole numbers in
    the interval.
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


@dataclass(frozen=True, kw_only=True)
class Window:
    """A layer that slides a window: a convolution or a pooling. Whole numbers, or one for each axis of the picture.

    padding: before the first pixel; what stands behind the last does not move the field.
    Raises UsageError naming the field for a kernel, stride or dilation below 1 or a padding below 0.
    """

    kernel: int | tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: int | tuple[int, ...] = 0
    dilation: int | tuple[int, ...] = 1

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
            value = getattr(self, name)
            for one in value if isinstance(value, tuple) and value else (value,):
                if isinstance(one, bool) or not isinstance(one, int) or one < least:
                    raise UsageError(f"{name}: expected whole numbers of at least {least}, got {value!r}")

    def along(self, axis: int) -> tuple[int, int, int, int]:
        """(kernel, stride, padding, dilation) of one axis; raises UsageError for an axis that a tuple lacks."""
        kernel, stride, padding, dilation = (
            self._of_axis(name, axis) for name in ("kernel", "stride", "padding", "dilation")
        )
        return kernel, stride, padding, dilation

    def _of_axis(self, name: str, axis: int) -> int:
        value: int | tuple[int, ...] = getattr(self, name)
        if isinstance(value, int):
            return value
        if axis >= len(value):
            raise UsageError(f"{name}: expected a number for each axis of the picture, got {value!r}")
        return value[axis]


def field_of_chain(layers: Sequence[Window], *, axes: int = 2) -> ReceptiveField:
    """The field of the last of these layers, first layer first; of no layer at all, one pixel.

    With kernels k, strides s, paddings p, dilations d, and j_l the product of the strides before layer l:

        size = 1 + sum of (k_l - 1) d_l j_l,  jump = product of all s_l,  start = -sum of p_l j_l

    Araujo et al., the closed forms of r_0, S_0 and -P_0; a dilated kernel spans (k - 1) d + 1.
    """
    return ReceptiveField(axes=tuple(_chain_along([layer.along(axis) for layer in layers]) for axis in range(axes)))


def _chain_along(layers: list[tuple[int, int, int, int]]) -> AxisField:
    strides = [stride for _, stride, _, _ in layers]
    jumps = [math.prod(strides[:index]) for index in range(len(layers))]
    return AxisField(
        size=Fraction(1 + sum((layer[0] - 1) * layer[3] * jump for layer, jump in zip(layers, jumps, strict=True))),
        jump=Fraction(math.prod(strides)),
        start=Fraction(-sum(layer[2] * jump for layer, jump in zip(layers, jumps, strict=True))),
    )


def number(value: Fraction | None) -> str:
    """A field's number for people: 32, 0.5, 1.667; a dash for none."""
    if value is None:
        return "-"
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.4g}"


def numbers(values: Sequence[Fraction | None]) -> str:
    """A number for each axis, `16 x 8`; `16` where they agree."""
    texts = [number(value) for value in values]
    return texts[0] if len(set(texts)) == 1 else " x ".join(texts)

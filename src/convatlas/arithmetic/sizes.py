"""How large the output of a convolution or a pooling is, along each axis.

With N pixels, padding p on each side, a kernel of F taps, dilation d and stride s, a window is d (F - 1) + 1 wide, and

    convolution, pooling    floor((N + 2p - (d (F - 1) + 1)) / s) + 1
    transposed              (N - 1) s - 2p + d (F - 1) + output_padding + 1

Source: Dumoulin, Visin, "A guide to convolution arithmetic for deep learning", https://arxiv.org/abs/1603.07285; the
rules of ceil mode are those of torch.nn.MaxPool2d. What torch refuses is refused here, with the field's name.
Paddings may differ before and after, see `convatlas.arithmetic.axes`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from convatlas.arithmetic.axes import Padding, PerAxis, Size, axes_of, axis_name, like, pairs, per_axis
from convatlas.errors import UsageError


def window_extent(kernel: Size, *, dilation: PerAxis = 1) -> Size:
    """The pixels from a window's first tap to its last: d (F - 1) + 1. window_extent(3, dilation=2) -> 5."""
    taps = axes_of("kernel", kernel)
    steps = per_axis("dilation", dilation, len(taps))
    return like(kernel, [step * (tap - 1) + 1 for tap, step in zip(taps, steps, strict=True)])


def convolution_size(
    size: Size, *, kernel: PerAxis, stride: PerAxis = 1, padding: Padding = 0, dilation: PerAxis = 1
) -> Size:
    """The output size of a convolution. convolution_size(32, kernel=5) -> 28.

    Raises UsageError for a size, kernel, stride or dilation below 1, a negative padding, and a window that is larger
    than the padded input.
    """
    slides = list(_slides(size, kernel, stride, padding, dilation))
    for slide in slides:
        slide.check_window(slide.room)
    return like(size, [slide.room // slide.stride + 1 for slide in slides])


def pooling_size(
    size: Size,
    *,
    kernel: PerAxis,
    stride: PerAxis | None = None,
    padding: Padding = 0,
    dilation: PerAxis = 1,
    ceil_mode: bool = False,
) -> Size:
    """The output size of a max or average pooling. pooling_size(112, kernel=3, stride=2, ceil_mode=True) -> 56.

    stride: that of the kernel when it is None.
    ceil_mode: a last window that reaches over the end counts too, unless it would start in the padding after the last
    pixel. A window somewhat larger than the padded input, by less than the stride, then gives one output, as in torch.

    Raises UsageError as `convolution_size` does, and for a padding larger than half the kernel.
    """
    outputs = []
    for slide in _slides(size, kernel, kernel if stride is None else stride, padding, dilation):
        if max(slide.before, slide.after) > slide.kernel // 2:
            raise UsageError(
                f"padding of a pooling must be at most half of kernel {slide.kernel}, that is {slide.kernel // 2}, not "
                f"{max(slide.before, slide.after)}{slide.where}"
            )
        room = slide.room + (slide.stride - 1 if ceil_mode else 0)
        slide.check_window(room)
        output = room // slide.stride + 1
        starts_behind_the_end = (output - 1) * slide.stride >= slide.before + slide.size
        outputs.append(output - 1 if ceil_mode and starts_behind_the_end else output)
    return like(size, outputs)


def transposed_size(
    size: Size,
    *,
    kernel: PerAxis,
    stride: PerAxis = 1,
    padding: Padding = 0,
    output_padding: PerAxis = 0,
    dilation: PerAxis = 1,
) -> Size:
    """The output size of a transposed convolution. transposed_size(28, kernel=2, stride=2) -> 56.

    It undoes `convolution_size` for the same kernel, stride, padding and dilation. Where several inputs give the same
    output there, `output_padding` says how many pixels more than the smallest of them.

    Raises UsageError for values below their least, an output_padding that is not smaller than the larger of stride and
    dilation, and a padding that leaves no output.
    """
    pixels = axes_of("size", size)
    axes = len(pixels)
    extents = window_extent(per_axis("kernel", kernel, axes), dilation=dilation)
    strides, steps = per_axis("stride", stride, axes), per_axis("dilation", dilation, axes)
    extras = per_axis("output_padding", output_padding, axes, least=0)
    outputs = []
    for axis, (before, after) in enumerate(pairs("padding", padding, axes)):
        if extras[axis] >= max(strides[axis], steps[axis]):
            raise UsageError(
                f"output_padding must be smaller than stride {strides[axis]} or dilation {steps[axis]}, not "
                f"{extras[axis]}{axis_name(axis, axes)}"
            )
        full = (pixels[axis] - 1) * strides[axis] + extents[axis] + extras[axis]
        if full <= before + after:
            raise UsageError(
                f"padding cuts {before + after} pixels from an output of {full}{axis_name(axis, axes)}: nothing is left"
            )
        outputs.append(full - before - after)
    return like(size, outputs)


def unread_pixels(
    size: Size, *, kernel: PerAxis, stride: PerAxis = 1, padding: Padding = 0, dilation: PerAxis = 1
) -> Size:
    """Pixels at the end of the padded input that no window reaches: 0 where the stride fits, (N + 2p - F) / s whole.

    unread_pixels(7, kernel=3, stride=3) -> 1. Raises UsageError as `convolution_size` does.
    """
    slides = list(_slides(size, kernel, stride, padding, dilation))
    for slide in slides:
        slide.check_window(slide.room)
    return like(size, [slide.room % slide.stride for slide in slides])


@dataclass(frozen=True, kw_only=True)
class _Slide:
    """A window that slides along one axis."""

    size: int
    kernel: int
    dilation: int
    stride: int
    before: int  # padding
    after: int
    where: str  # the axis, for messages

    @property
    def extent(self) -> int:
        return self.dilation * (self.kernel - 1) + 1

    @property
    def room(self) -> int:
        """The pixels that the window can move by; negative when it does not fit."""
        return self.before + self.size + self.after - self.extent

    def check_window(self, room: int) -> None:
        if room < 0:
            dilated = f" with dilation {self.dilation}" if self.dilation > 1 else ""
            raise UsageError(
                f"kernel {self.kernel}{dilated} needs {self.extent} pixels{self.where}: size {self.size} with padding "
                f"{self.before} + {self.after} has {self.before + self.size + self.after}"
            )


def _slides(size: PerAxis, kernel: PerAxis, stride: PerAxis, padding: Padding, dilation: PerAxis) -> Iterator[_Slide]:
    sizes = axes_of("size", size)
    axes = len(sizes)
    kernels, strides = per_axis("kernel", kernel, axes), per_axis("stride", stride, axes)
    dilations, paddings = per_axis("dilation", dilation, axes), pairs("padding", padding, axes)
    for axis in range(axes):
        yield _Slide(
            size=sizes[axis],
            kernel=kernels[axis],
            dilation=dilations[axis],
            stride=strides[axis],
            before=paddings[axis][0],
            after=paddings[axis][1],
            where=axis_name(axis, axes),
        )

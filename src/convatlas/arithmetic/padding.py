"""How much to pad: nothing (valid), so much that the size stays (same), so much that every overlap counts (full).

Each answers with a pair (before the first pixel, after the last), or a pair for each axis: what the `padding` of
`convatlas.arithmetic.sizes` takes. The two differ by one where the total is odd, as with even kernels; the extra pixel
then stands after the last, as torch and TensorFlow put it.
"""

from typing import overload

from convatlas.arithmetic.axes import Pair, PerAxis, axes_of, per_axis


@overload
def valid_padding(kernel: int) -> Pair: ...
@overload
def valid_padding(kernel: tuple[int, ...]) -> tuple[Pair, ...]: ...
def valid_padding(kernel: int | tuple[int, ...]) -> Pair | tuple[Pair, ...]:
    """No padding: windows lie wholly on real pixels, and F - 1 of them are lost. valid_padding(3) -> (0, 0)."""
    return _halves(kernel, [0 for _ in axes_of("kernel", kernel)])


@overload
def same_padding(kernel: int, *, dilation: PerAxis = 1) -> Pair: ...
@overload
def same_padding(kernel: tuple[int, ...], *, dilation: PerAxis = 1) -> tuple[Pair, ...]: ...
def same_padding(kernel: int | tuple[int, ...], *, dilation: PerAxis = 1) -> Pair | tuple[Pair, ...]:
    """The padding that keeps the size at stride 1: d (F - 1) in all, so p = (F - 1) / 2 without dilation.

    same_padding(3) -> (1, 1); same_padding(4) -> (1, 2). It is that of torch's `padding="same"`.
    """
    return _halves(kernel, _spans(kernel, dilation))


@overload
def full_padding(kernel: int, *, dilation: PerAxis = 1) -> Pair: ...
@overload
def full_padding(kernel: tuple[int, ...], *, dilation: PerAxis = 1) -> tuple[Pair, ...]: ...
def full_padding(kernel: int | tuple[int, ...], *, dilation: PerAxis = 1) -> Pair | tuple[Pair, ...]:
    """The padding with which the first window touches one pixel: d (F - 1) on each side. full_padding(3) -> (2, 2)."""
    return _halves(kernel, [2 * span for span in _spans(kernel, dilation)])


@overload
def size_keeping_padding(size: int, *, kernel: PerAxis, stride: PerAxis = 1, dilation: PerAxis = 1) -> Pair: ...
@overload
def size_keeping_padding(
    size: tuple[int, ...], *, kernel: PerAxis, stride: PerAxis = 1, dilation: PerAxis = 1
) -> tuple[Pair, ...]: ...
def size_keeping_padding(
    size: int | tuple[int, ...], *, kernel: PerAxis, stride: PerAxis = 1, dilation: PerAxis = 1
) -> Pair | tuple[Pair, ...]:
    """The padding that keeps the size at any stride: N (s - 1) + F - s in all, so p = (N (s - 1) + F - s) / 2.

    size_keeping_padding(5, kernel=3, stride=2) -> (3, 3). At stride 1 it is `same_padding`. F is the window's extent,
    d (F - 1) + 1 of a kernel with dilation d.
    """
    sizes, strides, extents = _windows(size, kernel, stride, dilation)
    return _halves(
        size,
        [pixels * (step - 1) + extent - step for pixels, step, extent in zip(sizes, strides, extents, strict=True)],
    )


@overload
def tensorflow_same_padding(size: int, *, kernel: PerAxis, stride: PerAxis = 1, dilation: PerAxis = 1) -> Pair: ...
@overload
def tensorflow_same_padding(
    size: tuple[int, ...], *, kernel: PerAxis, stride: PerAxis = 1, dilation: PerAxis = 1
) -> tuple[Pair, ...]: ...
def tensorflow_same_padding(
    size: int | tuple[int, ...], *, kernel: PerAxis, stride: PerAxis = 1, dilation: PerAxis = 1
) -> Pair | tuple[Pair, ...]:
    """TensorFlow's SAME: the least padding that gives ceil(N / s) outputs, max((ceil(N / s) - 1) s + F - N, 0) in all.

    tensorflow_same_padding(224, kernel=3, stride=2) -> (0, 1): where the total is odd, only the end gets the rest, so
    that the same kernel sees other pixels than with torch's padding of 1.
    """
    sizes, strides, extents = _windows(size, kernel, stride, dilation)
    return _halves(
        size,
        [
            max((-(-pixels // step) - 1) * step + extent - pixels, 0)
            for pixels, step, extent in zip(sizes, strides, extents, strict=True)
        ],
    )


def _windows(
    size: PerAxis, kernel: PerAxis, stride: PerAxis, dilation: PerAxis
) -> tuple[tuple[int, ...], tuple[int, ...], list[int]]:
    """Sizes, strides and the extents of the windows, each for every axis."""
    sizes = axes_of("size", size)
    kernels = per_axis("kernel", kernel, len(sizes))
    return sizes, per_axis("stride", stride, len(sizes)), [span + 1 for span in _spans(kernels, dilation)]


def _spans(kernel: PerAxis, dilation: PerAxis) -> list[int]:
    """d (F - 1) of each axis: the pixels that an unpadded convolution loses."""
    kernels = axes_of("kernel", kernel)
    dilations = per_axis("dilation", dilation, len(kernels))
    return [step * (taps - 1) for taps, step in zip(kernels, dilations, strict=True)]


def _halves(asked: PerAxis, totals: list[int]) -> Pair | tuple[Pair, ...]:
    """Each total in two halves, the odd pixel after the end; one pair where one number was asked about."""
    halves = tuple((total // 2, total - total // 2) for total in totals)
    return halves if isinstance(asked, list | tuple) else halves[0]

"""Where a kernel lies on its input, for convolution and pooling alike, along any number of axes.

Along one axis a kernel of `kernel` taps, `dilation` apart, covers dilation * (kernel - 1) + 1 places: its extent.
With `padding` places added at both ends it starts at 0, stride, 2 * stride, ... as often as it fits:

    out = floor((size + 2 * padding - extent) / stride) + 1

so that tap `a` of window `p` lies on place `stride * p + dilation * a - padding` of the input. All that follows in this
room is this one line, read forwards (`cut`: what does each window see?) or backwards (`put_back`: whom did it see?).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from convatlas.arithmetic.axes import PerAxis, per_axis
from convatlas.arithmetic.scratch.checks import Array, shaped
from convatlas.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Window:
    """A kernel and how it moves, one number for each axis of space. `window` makes one from what a user gives."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """The places that the kernel covers along each axis, from its first tap to its last."""
        return tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))

    def out(self, size: Sequence[int]) -> tuple[int, ...]:
        """How many windows an input of this size has along each axis; UsageError when not even one fits."""
        padded = tuple(s + 2 * p for s, p in zip(size, self.padding, strict=True))
        if any(extent > room for extent, room in zip(self.extent, padded, strict=True)):
            raise UsageError(
                f"kernel: {_times(self.kernel)}, which covers {_times(self.extent)} places with dilation "
                f"{_times(self.dilation)}, is larger than the padded input, {_times(padded)}"
            )
        return tuple((r - e) // s + 1 for r, e, s in zip(padded, self.extent, self.stride, strict=True))

    def pad(self, x: Array, value: float = 0.0) -> Array:
        """(N, C, *size) -> (N, C, *(size + 2 padding)): the input with `value` around it."""
        if not any(self.padding):
            return x
        return np.pad(x, [(0, 0), (0, 0), *((p, p) for p in self.padding)], constant_values=value)

    def cut(self, x: Array, value: float = 0.0) -> Array:
        """(N, C, *size) -> (N, C, *out, *kernel): what each window sees. A view, not to be written to.

        Padding apart, no number is copied: NumPy only reads the same memory with other steps.
        """
        self.out(x.shape[2:])
        axes = tuple(range(2, x.ndim))
        every_place: Array = np.lib.stride_tricks.sliding_window_view(self.pad(x, value), self.extent, axis=axes)
        return every_place[(slice(None), slice(None), *map(_step, self.stride), *map(_step, self.dilation))]

    def put_back(self, windows: Array, size: Sequence[int]) -> Array:
        """(N, C, *out, *kernel) -> (N, C, *size): adds each number to the place that `cut` took it from.

        The transpose of `cut`, as of a matrix: a place that many windows see receives from each of them, and what
        falls on the padding is dropped.
        """
        out = self.out(size)
        windows = shaped("windows", windows, (*windows.shape[:2], *out, *self.kernel))
        padded_size = (s + 2 * p for s, p in zip(size, self.padding, strict=True))
        padded = np.zeros((*windows.shape[:2], *padded_size), windows.dtype)
        for tap in np.ndindex(*self.kernel):  # a few steps, each of which adds a whole picture at once
            places = tuple(
                slice(d * a, d * a + s * (o - 1) + 1, s)
                for a, d, s, o in zip(tap, self.dilation, self.stride, out, strict=True)
            )
            padded[(slice(None), slice(None), *places)] += windows[(..., *tap)]
        inside = tuple(slice(p, p + s) for p, s in zip(self.padding, size, strict=True))
        return padded[(slice(None), slice(None), *inside)]


def window(kernel: Sequence[int], *, stride: PerAxis = 1, padding: PerAxis = 0, dilation: PerAxis = 1) -> Window:
    """A window whose kernel has these taps along each axis; the others are one number for all axes, or one for each.

    Raises UsageError for a kernel, stride or dilation below 1 and for a padding below 0.
    """
    axes = len(kernel)
    return Window(
        kernel=per_axis("kernel", tuple(kernel), axes, least=1),
        stride=per_axis("stride", stride, axes, least=1),
        padding=per_axis("padding", padding, axes, least=0),
        dilation=per_axis("dilation", dilation, axes, least=1),
    )


def _step(step: int) -> slice:
    return slice(None, None, step)


def _times(numbers: Sequence[Any]) -> str:
    return "x".join(map(str, numbers))

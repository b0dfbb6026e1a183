"""How often each pixel is visited: by the windows of a layer, by the paths through a chain, by the fields of a network.

Pixels at the border are visited less, and with a stride larger than the kernel some not at all. A picture's map is the
product of its axes, since a window is a rectangle. No torch.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from convatlas.arithmetic.field.closed import AxisField, ReceptiveField, WindowLayer
from convatlas.arithmetic.sizes import convolution_size, pooling_size
from convatlas.errors import UsageError

Counts = NDArray[np.int64]
Number = TypeVar("Number", np.int64, np.float64)


def visits_along(
    pixels: int, *, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1, ceil_mode: bool = False
) -> Counts:
    """How many windows of one layer lie on each of `pixels` along one axis: (pixels,) counts.

    Raises UsageError naming the field for impossible numbers, or a window that is larger than the padded picture.
    """
    if ceil_mode:
        places = pooling_size(pixels, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=True)
    else:
        places = convolution_size(pixels, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    return _visited(pixels, np.ones(places, dtype=np.int64), kernel, stride, padding, dilation)


def _visited(
    pixels: int, windows: NDArray[Number], kernel: int, stride: int, padding: int, dilation: int
) -> NDArray[Number]:
    """How often each pixel is visited where each window counts so often: tap k of window u lies on s u - p + d k."""
    counts = np.zeros(pixels, dtype=windows.dtype)
    for tap in range(kernel):
        x = stride * np.arange(len(windows)) - padding + dilation * tap  # each pixel at most once
        inside = (x >= 0) & (x < pixels)
        counts[x[inside]] += windows[inside]
    return counts


def window_visits(size: tuple[int, int], window: WindowLayer, *, ceil_mode: bool = False) -> Counts:
    """How many windows of one layer lie on each pixel of a picture of `size` (height, width): (height, width) counts.

    It is the gradient of a sum pooling's total with respect to its input.
    """
    down, across = (
        visits_along(pixels, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
        for pixels, (kernel, stride, padding, dilation) in zip(size, window.along(2), strict=True)
    )
    return np.outer(down, across)


def path_visits(size: tuple[int, int], layers: Sequence[WindowLayer]) -> NDArray[np.float64]:
    """How many paths lead from each pixel to the units of the last of these layers, first layer first: (height, width).

    It is the gradient of the total of sum poolings one after the other, for one layer `window_visits`; exact to 2^53.
    """
    along = [layer.along(2) for layer in layers]
    down, across = (_paths_along(pixels, [each[axis] for each in along]) for axis, pixels in enumerate(size))
    return np.outer(down, across)


def _paths_along(pixels: int, layers: Sequence[tuple[int, int, int, int]]) -> NDArray[np.float64]:
    sizes = [pixels]
    for kernel, stride, padding, dilation in layers:
        sizes.append(convolution_size(sizes[-1], kernel=kernel, stride=stride, padding=padding, dilation=dilation))
    counts = np.ones(sizes[-1])
    for before, layer in zip(reversed(sizes[:-1]), reversed(layers), strict=True):
        counts = _visited(before, counts, *layer)
    return counts


def field_visits(size: tuple[int, int], places: tuple[int, int], field: ReceptiveField) -> Counts:
    """In how many units' fields each pixel lies: (height, width) counts, for a map of `places` (height, width).

    Raises UsageError for a field that is unknown, or not of a picture with height and width.
    """
    if len(field.axes) != 2:
        raise UsageError(f"field: that of a picture with height and width is needed, this is {field}")
    down, across = (_views_along(*each) for each in zip(size, places, field.axes, strict=True))
    return np.outer(down, across)


def _views_along(pixels: int, places: int, field: AxisField) -> Counts:
    changes = np.zeros(pixels + 1, dtype=np.int64)
    for place in range(places):
        seen = field.seen(place, pixels)
        if len(seen):
            changes[seen.start] += 1
            changes[seen.stop] -= 1
    return np.cumsum(changes)[:-1]

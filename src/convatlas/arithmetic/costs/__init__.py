"""The comparisons of the notes by name, in the order of their subjects: filters, blocks, heads, networks."""

from collections.abc import Callable
from functools import partial
from typing import Final

from convatlas.arithmetic.costs import blocks, filters
from convatlas.arithmetic.costs.comparison import Comparison
from convatlas.errors import UsageError, did_you_mean

COMPARISONS: Final[dict[str, Callable[[], Comparison]]] = {
    "two-3x3": filters.two_3x3_or_5x5,
    "three-3x3": filters.three_3x3_or_7x7,
    "separable": filters.separable_or_full,
    "depthwise": filters.depthwise_or_full,
    "grouped": filters.grouped_or_full,
    "mobilenet": filters.mobilenet_layer,
    "width-multiplier": filters.width_multiplier,
    "resolution-multiplier": filters.resolution_multiplier,
    "one-by-one": filters.one_by_one_reduction,
    "same-filter": filters.unshared_or_shared,
    "shared-weights": filters.dense_or_convolution,
    "sparse-connections": partial(filters.dense_or_convolution, count="connections"),
    "bottleneck": blocks.bottleneck_or_basic,
    "inverted-residual": blocks.inverted_or_bottleneck,
    "inverted-residual-macs": blocks.inverted_residual_macs,
    "fire": blocks.fire_or_3x3,
    "vgg-head": blocks.vgg_head_or_body,
    "average-pooling-head": blocks.dense_head_or_average,
    "alexnet-connections": blocks.alexnet_connections,
    "alexnet-weights": blocks.alexnet_weights,
    "sliding-window": blocks.crops_or_one_pass,
}


def compare_costs(name: str | None = None) -> tuple[Comparison, ...]:
    """All comparisons of the notes with the notes' numbers, or the one of this name.

    compare_costs("two-3x3")[0].ratio -> 1.3888888888888888. For other numbers call the function itself, as in
    `convatlas.arithmetic.separable_or_full(in_channels=64, out_channels=128)`.

    Raises UsageError for an unknown name, with the nearest ones.
    """
    if name is None:
        return tuple(compare() for compare in COMPARISONS.values())
    if name not in COMPARISONS:
        near = did_you_mean(name, COMPARISONS)
        raise UsageError(f'no comparison is named "{name}".{near} `convatlas costs` lists them all')
    return (COMPARISONS[name](),)

"""How the fields grow in operations that slide a window: convolution, pooling, padding, interpolation.

Each rule takes an operation and the places of its first argument, and gives the places of its result.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import cast

from convatlas.arithmetic.field.places import ZERO, Atom, Places, single, spread
from convatlas.arithmetic.tracing.trace import Op, TensorRef

Rule = Callable[[Op, Places], Places]


def slid(places: Places, dim: int, *, step: Fraction, first: Fraction, last: Fraction, count: int) -> Places:
    """Unit u of `count` sees those from step * u + first to step * u + last along a dimension.

    For a convolution step is the stride, first the padding's negative, last = first + (kernel - 1) dilation.
    """
    if step == 1 and first == last == 0 and places.shape[dim] == count:
        return places
    places = single(places, dim)
    jumps = places.dims[dim][0].jumps
    moved = places.moved(jumps, first, last)
    return moved.with_dim(dim, (Atom(count, tuple(step * jump for jump in jumps)),))


def convolution(op: Op, x: Places) -> Places:
    """A convolution, dilated, grouped or transposed; all channels count as seen, those of another group too."""
    _, weight, _, strides, paddings, dilations, transposed = op.args[:7]
    assert isinstance(weight, TensorRef)
    kernel = weight.shape[2:]
    shape = op.outputs[0].shape
    stride, padding, dilation = (_numbers(value, len(kernel)) for value in (strides, paddings, dilations))
    x = spread(x, [1])
    x = x.with_dim(1, (x.still(shape[1]),))
    for axis, taps in enumerate(kernel):
        reach, before = (taps - 1) * dilation[axis], padding[axis]
        if transposed:  # o = stride * i - padding + dilation * k, solved for i
            step = Fraction(1, stride[axis])
            first, last = (before - reach) * step, before * step
        else:
            step, first, last = Fraction(stride[axis]), Fraction(-before), Fraction(reach - before)
        x = slid(x, axis + 2, step=step, first=first, last=last, count=shape[axis + 2])
    return x


def pooling(op: Op, x: Places) -> Places:
    """Max or average pooling; the stride is the kernel's where none is given."""
    rank = _rank(op)
    kernel = _numbers(op.args[1], rank)
    stride = _numbers(op.args[2], rank) if len(op.args) > 2 and op.args[2] else kernel
    padding = _numbers(op.args[3], rank) if len(op.args) > 3 else (0,) * rank
    dilated = "max" in op.kind and len(op.args) > 4
    dilation = _numbers(op.args[4], rank) if dilated else (1,) * rank
    for axis, dim in enumerate(range(len(x.dims) - rank, len(x.dims))):
        first = Fraction(-padding[axis])
        last = first + (kernel[axis] - 1) * dilation[axis]
        x = slid(x, dim, step=Fraction(stride[axis]), first=first, last=last, count=op.outputs[0].shape[dim])
    return x


def adaptive_pooling(op: Op, x: Places) -> Places:
    """Unit u of m sees the pixels from floor(u n / m) to ceil((u + 1) n / m) - 1 of n."""
    rank = _rank(op)
    for dim in range(len(x.dims) - rank, len(x.dims)):
        count = op.outputs[0].shape[dim]
        if count == 1:
            x = spread(x, [dim])
            x = x.with_dim(dim, (x.still(1),))
            continue
        step = Fraction(x.shape[dim], count)
        rounding = 1 - Fraction(1, step.denominator)
        x = slid(x, dim, step=step, first=-rounding, last=step - 1 + rounding, count=count)
    return x


def padding(op: Op, x: Places) -> Places:
    """Zeros, the edge or a mirror image around: what is added counts where it lies, not where it was copied from.

    Negative paddings crop.
    """
    pads = cast("Sequence[int]", op.args[1])
    for index in range(len(pads) // 2):
        dim = len(x.dims) - 1 - index
        before = Fraction(-pads[2 * index])
        x = slid(x, dim, step=Fraction(1), first=before, last=before, count=op.outputs[0].shape[dim])
    return x


def interpolation(op: Op, x: Places) -> Places:
    """Nearest, linear or cubic; unit u looks around step * (u + 1/2) - 1/2, with aligned corners around step * u."""
    rank = _rank(op)
    kind = op.kind.removeprefix("_")
    for axis, dim in enumerate(range(len(x.dims) - rank, len(x.dims))):
        before, count = x.shape[dim], op.outputs[0].shape[dim]
        step = _step(op, axis, rank, before, count)
        if kind.startswith("upsample_nearest"):
            offset = step / 2 if "exact" in kind else ZERO
            rounding = 1 - Fraction(1, math.lcm(step.denominator, offset.denominator))
            first, last = offset - rounding, offset
        else:
            aligned = op.args[2] is True
            if aligned:
                step = Fraction(before - 1, max(count - 1, 1))
            offset = ZERO if aligned else (step - 1) / 2
            reach = Fraction(2 if "cubic" in kind else 1) * (max(step, Fraction(1)) if kind.endswith("_aa") else 1)
            parts = math.lcm(step.denominator, offset.denominator)
            within = Fraction(math.ceil(reach * parts) - 1, parts)  # the last place with a weight above 0
            first, last = offset - within, offset + within
        x = slid(x, dim, step=step, first=first, last=last, count=count)
    return x


def _step(op: Op, axis: int, rank: int, before: int, count: int) -> Fraction:
    """Pixels of the input a pixel of the output: from the factor where one is given, else from the sizes."""
    factors = op.args[-1] if isinstance(op.args[-1], list | tuple) else op.args[-rank:]
    factor = factors[axis] if len(factors) == rank else None
    if isinstance(factor, float) and factor > 0:
        return 1 / Fraction(factor).limit_denominator(10_000)
    return Fraction(before, count)


def _numbers(value: object, rank: int) -> tuple[int, ...]:
    numbers = tuple(cast("Sequence[int]", value)) if isinstance(value, list | tuple) else (cast("int", value),)
    return numbers * rank if len(numbers) == 1 else numbers


def _rank(op: Op) -> int:
    """The spatial axes that the operation's name tells: max_pool2d_with_indices -> 2."""
    return next(rank for rank in (1, 2, 3) if f"{rank}d" in op.kind)


WINDOWS: Mapping[str, Rule] = {
    "convolution": convolution,
    **dict.fromkeys(["avg_pool2d", "avg_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices"], pooling),
    **{f"{kind}_pool{rank}d": adaptive_pooling for kind in ("_adaptive_avg", "adaptive_max") for rank in (2, 3)},
    "constant_pad_nd": padding,
    **{f"{kind}_pad{rank}d": padding for kind in ("reflection", "replication") for rank in (1, 2, 3)},
    **{
        name: interpolation
        for rank in (1, 2, 3)
        for name in (f"upsample_nearest{rank}d", f"_upsample_nearest_exact{rank}d")
    },
    **dict.fromkeys(
        ["upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d"], interpolation
    ),
    **dict.fromkeys(["_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"], interpolation),
}

"""How the places move in operations that only look at a tensor in another way: views, slices, shuffles, joins.

Each rule takes an operation and the places of its first argument, and gives the places of its results.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from typing import cast

from convatlas.arithmetic.field.places import Atom, Places, regrouped, single
from convatlas.arithmetic.tracing.trace import Op, TensorRef

Rule = Callable[[Op, Places], Places | list[Places]]


def expanded(x: Places, shape: Sequence[int]) -> Places:
    """Broadcast to a shape: dimensions in front, and those of one place, are repeated."""
    dims = ((x.still(1),),) * (len(shape) - len(x.dims)) + x.dims
    x = replace(x, dims=dims)
    for index, count in enumerate(shape):
        if x.shape[index] == 1 and count != 1:
            x = x.with_dim(index, (x.still(count),))
    return x


def cut(x: Places, dim: int, start: int, count: int, step: int = 1) -> Places:
    """`count` places of a dimension, from `start` on, every `step`-th."""
    if (start, count, step) == (0, x.shape[dim], 1):
        return x
    x = single(x, dim)
    jumps = x.dims[dim][0].jumps
    x = x.moved(jumps, Fraction(start), Fraction(start))
    return x.with_dim(dim, (Atom(count, tuple(step * jump for jump in jumps)),))


def joined(parts: Sequence[tuple[int, Places]], dim: int, total: int) -> list[Places]:
    """Each part as it lies in a joined dimension of `total`: (index of its first, its places)."""
    within = []
    for begin, part in parts:
        if all(atom.still for atom in part.dims[dim]):
            within.append(part.with_dim(dim, (part.still(total),)))
            continue
        part = single(part, dim)  # noqa: PLW2901
        jumps = part.dims[dim][0].jumps
        part = part.moved(jumps, Fraction(-begin), Fraction(-begin))  # noqa: PLW2901
        within.append(part.with_dim(dim, (Atom(total, jumps),)))
    return within


def _dim(op: Op, index: int, x: Places, default: int = 0) -> int:
    """The dimension that is argument `index`, counted from the front."""
    dim = cast("int", op.args[index]) if len(op.args) > index else default
    return dim % len(x.dims)


def _same(_op: Op, x: Places) -> Places:
    return x


def _view(op: Op, x: Places) -> Places:
    return regrouped(x, op.outputs[0].shape)


def _expand(op: Op, x: Places) -> Places:
    return expanded(x, op.outputs[0].shape)


def _permute(op: Op, x: Places) -> Places:
    return replace(x, dims=tuple(x.dims[dim] for dim in cast("Sequence[int]", op.args[1])))


def _transpose(op: Op, x: Places) -> Places:
    order = list(range(len(x.dims)))
    a, b = (_dim(op, 1, x), _dim(op, 2, x)) if op.kind == "transpose" else (0, -1)
    order[a], order[b] = order[b], order[a]
    return replace(x, dims=tuple(x.dims[dim] for dim in order))


def _select(op: Op, x: Places) -> Places:
    dim = _dim(op, 1, x)
    x = cut(x, dim, cast("int", op.args[2]) % x.shape[dim], 1)
    return replace(x, dims=x.dims[:dim] + x.dims[dim + 1 :])


def _slice(op: Op, x: Places) -> Places:
    dim = _dim(op, 1, x)
    start, end, step = (cast("int | None", each) for each in (*op.args[2:5], None, None, None)[:3])
    places = range(x.shape[dim])[slice(start, end, step)]
    return cut(x, dim, places.start, len(places), places.step)


def _split(op: Op, x: Places) -> list[Places]:
    dim = _dim(op, 2, x)
    sizes = [output.shape[dim] for output in op.outputs]
    return [cut(x, dim, begin, size) for begin, size in zip(accumulate([0, *sizes[:-1]]), sizes, strict=True)]


def _unbind(op: Op, x: Places) -> list[Places]:
    dim = _dim(op, 1, x)
    parts = [cut(x, dim, index, 1) for index in range(x.shape[dim])]
    return [replace(part, dims=part.dims[:dim] + part.dims[dim + 1 :]) for part in parts]


def _flip(op: Op, x: Places) -> Places:
    for index in cast("Sequence[int]", op.args[1]):
        dim = index % len(x.dims)
        x = cut(x, dim, x.shape[dim] - 1, x.shape[dim], -1)
    return x


def _roll(op: Op, x: Places) -> Places:
    """Rolled places lie `shift` further on, but for those that come round: by them the whole axis counts as seen."""
    shifts, dims = (cast("Sequence[int]", value) for value in op.args[1:3])
    for shift, index in zip(shifts, dims, strict=True):
        dim = index % len(x.dims)
        if any(not atom.still for atom in x.dims[dim]) and shift % x.shape[dim]:
            x = single(x, dim)
            jumps = x.dims[dim][0].jumps
            x = x.moved(jumps, Fraction(-shift), Fraction(-shift)).with_whole(map(bool, jumps))
    return x


def _unfold(op: Op, x: Places) -> Places:
    """Windows of `size` every `step` places, as one more dimension."""
    dim, size, step = _dim(op, 1, x), cast("int", op.args[2]), cast("int", op.args[3])
    x = single(x, dim)
    jumps = x.dims[dim][0].jumps
    x = x.with_dim(dim, (Atom(op.outputs[0].shape[dim], tuple(step * jump for jump in jumps)),))
    return replace(x, dims=(*x.dims, (Atom(size, jumps),)))


def _pixel_shuffle(op: Op, x: Places) -> Places:
    """(..., C r r, H, W) -> (..., C, H r, W r), or back: the steps of torch's own description."""
    factor, *front = cast("int", op.args[1]), *x.shape[:-3]
    channels, height, width = x.shape[-3:]
    rank = len(front)
    if op.kind == "pixel_shuffle":
        apart = [*front, channels // factor**2, factor, factor, height, width]
        order = [0, 3, 1, 4, 2]
    else:
        apart = [*front, channels, height // factor, factor, width // factor, factor]
        order = [0, 2, 4, 1, 3]
    x = regrouped(x, apart)
    x = replace(x, dims=x.dims[:rank] + tuple(x.dims[rank + each] for each in order))
    return regrouped(x, op.outputs[0].shape)


def _chosen(op: Op, x: Places) -> Places:
    """index_select: any order is fine along a dimension without places; along another it is not known."""
    dim = _dim(op, 1, x)
    if not all(atom.still for atom in x.dims[dim]):
        raise NotImplementedError
    return x.with_dim(dim, (x.still(op.outputs[0].shape[dim]),))


def _indexed(op: Op, x: Places) -> Places:
    """x[:, [2, 1, 0]]: a list along one dimension without places, such as channels; other lists pick elements."""
    lists = [(dim, each) for dim, each in enumerate(cast("Sequence[object]", op.args[1])) if each is not None]
    (dim, chosen), *more = lists
    if more or len(cast("TensorRef", chosen).shape) != 1 or not all(atom.still for atom in x.dims[dim]):
        return _picked(op, x)
    return x.with_dim(dim, (x.still(op.outputs[0].shape[dim]),))


def _repeated(op: Op, x: Places) -> Places:
    """Copies side by side along dimensions without places, such as a grey picture's for three channels."""
    shape = op.outputs[0].shape
    x = replace(x, dims=((x.still(1),),) * (len(shape) - len(x.dims)) + x.dims)
    for dim, times in enumerate(cast("Sequence[int]", op.args[1])):
        if times != 1 and not all(atom.still for atom in x.dims[dim]):
            raise NotImplementedError
        x = x if times == 1 else x.with_dim(dim, (x.still(shape[dim]),))
    return x


def _picked(op: Op, x: Places) -> Places:
    """Any choice of elements: where no step moves the field, as behind global pooling, all have the same one."""
    if any(not atom.still and atom.count > 1 for dim in x.dims for atom in dim):
        raise NotImplementedError
    return replace(x, dims=tuple((x.still(count),) for count in op.outputs[0].shape))


REARRANGED: Mapping[str, Rule] = {
    **dict.fromkeys(["clone", "_to_copy", "detach", "alias", "lift_fresh", "lift_fresh_copy"], _same),
    **dict.fromkeys(["bernoulli", "channel_shuffle"], _same),
    **dict.fromkeys(["view", "_unsafe_view", "_reshape_alias", "unsqueeze", "squeeze"], _view),
    "expand": _expand,
    "permute": _permute,
    **dict.fromkeys(["transpose", "t"], _transpose),
    "select": _select,
    "slice": _slice,
    **dict.fromkeys(["split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes"], _split),
    "unbind": _unbind,
    "unfold": _unfold,
    "flip": _flip,
    "roll": _roll,
    **dict.fromkeys(["pixel_shuffle", "pixel_unshuffle"], _pixel_shuffle),
    "index_select": _chosen,
    "index": _indexed,
    "repeat": _repeated,
    **dict.fromkeys(["as_strided", "gather", "repeat_interleave", "take"], _picked),
}

"""How the fields join in operations that mix places or tensors: sums, normalisations, products, attention, additions.

Each rule takes an operation and a function from an argument to its places, None for what does not depend on the
picture, as weights do not.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch

from convatlas.arithmetic.field.places import Places, spread, united
from convatlas.arithmetic.field.views import cut, expanded, joined
from convatlas.arithmetic.tracing.trace import Op, TensorRef

Of = Callable[[object], Places | None]
Rule = Callable[[Op, Of], Places | None]


# Elementwise too, though ATen does not mark them so.
_ELEMENTWISE = {"hardswish", "_prelu_kernel", "rrelu_with_noise", "log_sigmoid_forward", "floor_divide"}
_ELEMENTWISE |= {"complex", "polar"}


@functools.cache
def is_elementwise(kind: str) -> bool:
    """Whether each result of the operation depends on the elements at its own place alone."""
    if kind in _ELEMENTWISE:
        return True
    operation = getattr(torch.ops.aten, kind, None)
    return operation is not None and any(
        torch.Tag.pointwise in getattr(operation, overload).tags for overload in operation.overloads()
    )


def elementwise(op: Op, of: Of) -> Places | None:
    """An addition, a gate, an activation: the union of what the operands see, with broadcasting."""
    x = union(of(each) for each in op.inputs)
    return None if x is None else expanded(x, op.outputs[0].shape)


def union(parts: Iterable[Places | None]) -> Places | None:
    """What all of them see; None of none."""
    there = [part for part in parts if part is not None]
    return functools.reduce(united, there) if there else None


def _cat(op: Op, of: Of) -> Places | None:
    refs = [ref for ref in cast("Sequence[TensorRef]", op.args[0]) if ref.shape != (0,)]  # torch passes over those
    shape = op.outputs[0].shape
    dim = (cast("int", op.args[1]) if len(op.args) > 1 else 0) % len(shape)
    begins = [sum(ref.shape[dim] for ref in refs[:index]) for index in range(len(refs))]
    parts = [(begin, places) for begin, ref in zip(begins, refs, strict=True) if (places := of(ref)) is not None]
    return union(joined(parts, dim, shape[dim]))


def _stack(op: Op, of: Of) -> Places | None:
    shape = op.outputs[0].shape
    dim = (cast("int", op.args[1]) if len(op.args) > 1 else 0) % len(shape)
    x = union([of(ref) for ref in cast("Sequence[TensorRef]", op.args[0])])
    return None if x is None else replace(x, dims=(*x.dims[:dim], (x.still(shape[dim]),), *x.dims[dim:]))


def _reduction(op: Op, of: Of) -> Places | None:
    """A sum, mean, largest value … over dimensions, kept with one place or gone."""
    x = of(op.args[0])
    if x is None or (len(op.args) > 1 and isinstance(op.args[1], TensorRef)):  # max(a, b) is elementwise
        return elementwise(op, of)
    given = op.args[2 if op.kind == "linalg_vector_norm" else 1 :][:1]
    dims = _dims(given[0] if given else None, len(x.dims))
    x = spread(x, dims)
    if len(op.outputs[0].shape) == len(x.dims):
        for dim in dims:
            x = x.with_dim(dim, (x.still(1),))
        return x
    return replace(x, dims=tuple(dim for index, dim in enumerate(x.dims) if index not in dims))


def _along(op: Op, of: Of) -> Places | None:
    """A softmax or a running sum: each result sees what the others along one dimension see."""
    x = of(op.args[0])
    return None if x is None else spread(x, _dims(op.args[1], len(x.dims)))


def _glu(op: Op, of: Of) -> Places | None:
    """The first half of a dimension, gated by the second."""
    x = of(op.args[0])
    if x is None:
        return None
    dim = cast("int", op.args[1]) % len(x.dims)
    half = x.shape[dim] // 2
    return united(cut(x, dim, 0, half), cut(x, dim, half, half))


def _layer_norm(op: Op, of: Of) -> Places | None:
    """The mean and deviation are taken over the last dimensions."""
    rank = len(cast("Sequence[int]", op.args[1]))
    return _with_statistics(of(op.args[0]), range(-rank, 0))


def _group_norm(op: Op, of: Of) -> Places | None:
    """The mean and deviation are taken over the whole map: each unit depends on all of the picture."""
    x = of(op.args[0])
    return None if x is None else _with_statistics(x, range(1, len(x.dims)))


def _batch_norm(op: Op, of: Of) -> Places | None:
    """Stored statistics in evaluation; the map's own in training, and for instance normalisation."""
    x = of(op.args[0])
    if x is None or op.kind.endswith("_no_training") or op.args[5 if len(op.args) > 6 else 3] is False:
        return x
    return _with_statistics(x, [dim for dim in range(len(x.dims)) if dim != 1])


def _with_statistics(x: Places | None, dims: Sequence[int]) -> Places | None:
    return None if x is None else united(x, spread(x, [dim % len(x.dims) for dim in dims]))


def _product(op: Op, of: Of) -> Places | None:
    """A matrix product, batched or not, plus what is added: row of the first, column of the second."""
    *added, a, b = (of(each) for each in op.args[: 3 if op.kind in ("addmm", "baddbmm", "addmv") else 2])
    shape = op.outputs[0].shape
    if a is not None:
        a = spread(a, [len(a.dims) - 1])
        a = replace(a, dims=(*a.dims[:-1], (a.still(shape[-1]),))) if op.kind not in ("mv", "addmv") else _less(a, -1)
    if b is not None:
        vector = len(b.dims) == 1
        b = spread(b, [len(b.dims) - (1 if vector else 2)])
        b = replace(b, dims=((b.still(shape[-1]),),)) if vector else b.with_dim(-2 % len(b.dims), (b.still(shape[-2]),))
    x = union([*added, a, b])
    return None if x is None else expanded(x, shape)


def _less(x: Places, dim: int) -> Places:
    kept = [each for index, each in enumerate(x.dims) if index != dim % len(x.dims)]
    return replace(x, dims=tuple(kept))


def _attention(op: Op, of: Of) -> Places | None:
    """Queries, keys and values (…, tokens, features): each query sees all keys and values."""
    query, key, value = (of(each) for each in op.args[:3])
    shape = op.outputs[0].shape
    parts = []
    for part, dims in ((query, [-1]), (key, [-1, -2]), (value, [-1, -2])):
        if part is not None:
            seen = spread(part, [dim % len(part.dims) for dim in dims])
            for dim in dims:
                seen = seen.with_dim(dim % len(seen.dims), (seen.still(shape[dim]),))
            parts.append(seen)
    return union(parts)


def _dims(value: object, rank: int) -> list[int]:
    """The dimensions that an argument names; None, an empty list or none at all means every one."""
    if isinstance(value, bool) or value is None or value in ([], ()):
        return list(range(rank))
    return [dim % rank for dim in cast("Sequence[int]", value if isinstance(value, list | tuple) else [value])]


# Operations that torch makes of others, such as linear and layer_norm, arrive as those.
MIXING: Mapping[str, Rule] = {
    "cat": _cat,
    "stack": _stack,
    **dict.fromkeys(["mean", "sum", "amax", "amin", "max", "min", "var", "std", "var_mean", "std_mean"], _reduction),
    **dict.fromkeys(["prod", "logsumexp", "linalg_vector_norm", "argmax", "argmin", "any", "all"], _reduction),
    **dict.fromkeys(["_softmax", "_log_softmax", "_safe_softmax", "cumsum", "cumprod"], _along),
    "glu": _glu,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    **dict.fromkeys(
        ["native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"], _batch_norm
    ),
    **dict.fromkeys(["mm", "bmm", "addmm", "baddbmm", "mv", "addmv"], _product),
    "scaled_dot_product_attention": _attention,
}

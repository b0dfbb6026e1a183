"""The outputs of ordinary operations on the meta device, by closed form.

torch answers nearly all of them in Python there, and imports its compiler for the first: a second to wait, and then ten
times as long for each. Here are those that the networks of the catalog are made of, in their plain form: tensors of one
type that are not empty, in memory in order. All else, and all that is wrong, is left to torch, which has the words for
it: a form that is not sure gives NotImplemented. The meta device lets pass two mistakes that no other device does, an
axis that is not there and writing to one number in many places; they are refused here.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from convatlas.arithmetic.sizes import convolution_size, pooling_size, transposed_size
from convatlas.errors import UsageError

aten = torch.ops.aten


def quick_output(func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What `func(*args, **options)` gives on the meta device, or NotImplemented where torch has to be asked."""
    quick = _QUICK.get(func)
    if quick is None or options not in _PLAIN_OPTIONS or not all(map(_is_plain, args)):
        return NotImplemented
    with contextlib.suppress(UsageError, TypeError):  # impossible sizes; another number of arguments
        return quick(*args)
    return NotImplemented


_PLAIN_OPTIONS: tuple[dict[str, object], ...] = ({}, {"approximate": "none"}, {"approximate": "tanh"})
_TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def _is_plain(value: object) -> bool:
    if isinstance(value, Tensor):
        ours = type(value) in (Tensor, torch.nn.Parameter) and value.is_meta
        return ours and value.dtype in _TYPES and value.numel() > 0
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not isinstance(value, complex)  # which would make the output complex


def _new(like: Tensor, shape: Sequence[int]) -> Tensor:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return torch.empty_strided(tuple(shape), strides[::-1], dtype=like.dtype, device="meta")


def _fit(*tensors: Tensor | None) -> bool:
    there = [tensor for tensor in tensors if tensor is not None]
    return all(tensor.dtype == there[0].dtype and _in_order(tensor) for tensor in there)


def _in_order(x: Tensor) -> bool:
    """Whether memory follows the dimensions, as after a slice but not a transposition: the output then does so too."""
    strides = [stride for stride, size in zip(x.stride(), x.shape, strict=True) if size != 1]
    return strides == sorted(strides, reverse=True)


def _spread(numbers: Sequence[int], axes: int) -> tuple[int, ...]:
    """A number for each axis. Raises UsageError for another count."""
    if len(numbers) not in (1, axes):
        raise UsageError(f"expected 1 or {axes} numbers, got {len(numbers)}")
    return tuple(numbers) * (axes if len(numbers) == 1 else 1)


# --- Activations and sums


def _same(x: Tensor, *_settings: object) -> Any:
    return _new(x, x.shape) if _in_order(x) else NotImplemented


def _clamped(x: Tensor, low: float = -1, high: float = 1) -> Any:
    return _same(x) if low <= high else NotImplemented


def _softmax(x: Tensor, dim: int, to_float: bool) -> Any:
    if x.dim() == 0 or to_float:
        return NotImplemented
    x.size(dim)  # raises IndexError
    return _same(x)


def _in_place(x: Tensor, *_settings: object) -> Any:
    if any(stride == 0 and size > 1 for stride, size in zip(x.stride(), x.shape, strict=True)):
        raise RuntimeError("cannot write in place to an expanded tensor: several of its numbers are one in memory")
    return x


def _clamped_in_place(x: Tensor, low: float = -1, high: float = 1) -> Any:
    return _in_place(x) if low <= high else NotImplemented


def _binary(x: Tensor, y: Tensor | float) -> Any:
    if not isinstance(x, Tensor):
        return NotImplemented
    if not isinstance(y, Tensor):
        return NotImplemented if isinstance(y, bool) else _same(x)  # torch takes no truth from a number
    if not _fit(x, y):
        return NotImplemented
    longer = max(x.dim(), y.dim())
    pairs = zip((1,) * (longer - x.dim()) + tuple(x.shape), (1,) * (longer - y.dim()) + tuple(y.shape), strict=True)
    shape = []
    for one, other in pairs:
        if one != other and 1 not in (one, other):
            return NotImplemented
        shape.append(other if one == 1 else one)
    return _new(x, shape)


def _binary_in_place(x: Tensor, y: Tensor | float) -> Any:
    if not isinstance(x, Tensor):
        return NotImplemented
    _in_place(x)
    if isinstance(y, Tensor) and y is not x and x.untyped_storage()._cdata == y.untyped_storage()._cdata:
        return NotImplemented  # they may overlap
    out = _binary(x, y)
    return x if isinstance(out, Tensor) and out.shape == x.shape else NotImplemented


# --- Layers with weights


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Any:
    axes = x.dim() - 2
    if axes not in (2, 3) or weight.dim() != x.dim() or not _fit(x, weight, bias) or groups < 1:
        return NotImplemented  # of one axis the closed forms read two numbers as those before and after
    given = weight.shape[0] if transposed else weight.shape[1] * groups
    made = weight.shape[1] * groups if transposed else weight.shape[0]
    if x.shape[1] != given or given % groups or made % groups or (bias is not None and bias.shape != (made,)):
        return NotImplemented
    window = {"kernel": tuple(weight.shape[2:]), "stride": _spread(stride, axes), "dilation": _spread(dilation, axes)}
    window["padding"] = _spread(padding, axes)
    sizes = tuple(x.shape[2:])
    if transposed:
        out = transposed_size(sizes, **window, output_padding=_spread(output_padding, axes))
    elif any(output_padding):
        return NotImplemented
    else:
        out = convolution_size(sizes, **window)
    return _new(x, (x.shape[0], made, *out))


def _batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor | None,
    variance: Tensor | None,
    training: bool,
    _momentum: float,
    _epsilon: float,
) -> Any:
    per_channel = [each for each in (weight, bias, mean, variance) if each is not None]
    if training or mean is None or variance is None or x.dim() < 2 or not _fit(x, *per_channel):
        return NotImplemented
    if any(each.shape != x.shape[1:2] for each in per_channel):
        return NotImplemented
    return _new(x, x.shape), _new(x, mean.shape), _new(x, mean.shape)


def _layer_norm(x: Tensor, shape: list[int], weight: Tensor | None, bias: Tensor | None, _epsilon: float) -> Any:
    outer = x.dim() - len(shape)
    if not shape or outer < 0 or not _fit(x, weight, bias):
        return NotImplemented
    if any(each is not None and list(each.shape) != shape for each in (weight, bias)):
        return NotImplemented
    if list(x.shape[outer:]) != shape or x.dtype not in (
        torch.float32,
        torch.float64,
    ):  # means of halves are not halves
        return NotImplemented
    places = (*x.shape[:outer], *(1 for _ in shape))
    return _new(x, x.shape), _new(x, places), _new(x, places)


def _addmm(bias: Tensor, x: Tensor, y: Tensor) -> Any:
    if not bias.dtype == x.dtype == y.dtype or x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[0]:
        return NotImplemented
    return _new(x, (x.shape[0], y.shape[1])) if bias.shape == y.shape[1:] else NotImplemented


# --- Poolings and joins


def _cat(tensors: list[Tensor], dim: int = 0) -> Any:
    first = tensors[0]
    if not -first.dim() <= dim < first.dim() or not _fit(*tensors) or len({each.dim() for each in tensors}) != 1:
        return NotImplemented
    dim %= first.dim()
    if len({(*each.shape[:dim], 0, *each.shape[dim + 1 :]) for each in tensors}) != 1:
        return NotImplemented
    return _new(first, (*first.shape[:dim], sum(each.shape[dim] for each in tensors), *first.shape[dim + 1 :]))


def _mean(x: Tensor, dims: list[int] | None, keepdim: bool = False) -> Any:
    if not dims or not _in_order(x) or not all(-x.dim() <= dim < x.dim() for dim in dims):
        return NotImplemented
    gone = {dim % x.dim() for dim in dims}
    if len(gone) != len(dims):
        return NotImplemented
    return _new(x, [1 if axis in gone else size for axis, size in enumerate(x.shape) if keepdim or axis not in gone])


def _adaptive_pool(x: Tensor, size: list[int]) -> Any:
    fits = x.dim() == 4 and _in_order(x) and len(size) == 2 and min(size) > 0
    return _new(x, (*x.shape[:2], *size)) if fits else NotImplemented


def _max_pool(
    x: Tensor,
    kernel: list[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> Any:
    out = _pooled(x, kernel, stride, padding, dilation, ceil_mode)
    if out is NotImplemented:
        return out
    return out, torch.empty_strided(tuple(out.shape), out.stride(), dtype=torch.int64, device="meta")


def _average_pool(
    x: Tensor,
    kernel: list[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    ceil_mode: bool = False,
    _count_include_pad: bool = True,
    divisor: int | None = None,
) -> Any:
    return _pooled(x, kernel, stride, padding, (1,), ceil_mode) if divisor is None else NotImplemented


def _pooled(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Any:
    if x.dim() != 4 or not _in_order(x):
        return NotImplemented
    kernel, stride, padding, dilation = (_spread(each, 2) for each in (kernel, stride or kernel, padding, dilation))
    size = pooling_size(
        tuple(x.shape[2:]), kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    return _new(x, (*x.shape[:2], *size))


def quick_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: object = None,
    dropout: object = 0.0,
    is_causal: object = False,
    scale: object = None,
    grouped: object = False,
) -> Any:
    """What `scaled_dot_product_attention` gives on the meta device, or NotImplemented: (N, H, L, E) -> (N, H, L, V)."""
    if mask is not None or (dropout, is_causal, scale, grouped) != (0.0, False, None, False):
        return NotImplemented
    if not all(_is_plain(each) and each.dim() == 4 and each.dtype == query.dtype for each in (query, key, value)):
        return NotImplemented
    if key.shape[:3] != value.shape[:3] or query.shape[:2] != key.shape[:2] or query.shape[3] != key.shape[3]:
        return NotImplemented
    batch, heads, length, _ = query.shape
    return _new(query, (batch, length, heads, value.shape[3])).transpose(1, 2)  # as torch's fused kernels lay it out


_ELEMENTWISE = ("relu", "hardswish", "hardsigmoid", "silu", "sigmoid", "tanh", "elu", "leaky_relu")
_QUICK: dict[Any, Callable[..., Any]] = {
    **{getattr(aten, name).default: _same for name in (*_ELEMENTWISE, "gelu")},
    **{getattr(aten, f"{name}_").default: _in_place for name in _ELEMENTWISE},
    aten.hardtanh.default: _clamped,
    aten.hardtanh_.default: _clamped_in_place,
    aten.pow.Tensor_Scalar: _same,
    aten._softmax.default: _softmax,
    **{getattr(aten, name).Tensor: _binary for name in ("add", "sub", "mul", "div")},
    **{getattr(aten, name).Tensor: _binary_in_place for name in ("add_", "sub_", "mul_", "div_")},
    aten.convolution.default: _convolution,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_layer_norm.default: _layer_norm,
    aten.addmm.default: _addmm,
    aten.cat.default: _cat,
    aten.mean.dim: _mean,
    aten._adaptive_avg_pool2d.default: _adaptive_pool,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.avg_pool2d.default: _average_pool,
}

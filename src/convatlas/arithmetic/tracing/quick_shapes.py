"""The outputs of ordinary operations on the meta device, by closed form.

torch answers nearly all of them in Python there, and imports its compiler for the first: a second to wait, and then ten
times as long for each. Here are those that pictures meet in a network, in their plain form: tensors of one type, in
memory in order. All else, and all that is wrong, is left to torch, which has the words for it.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from convatlas.arithmetic.sizes import convolution_size, pooling_size, transposed_size
from convatlas.errors import UsageError

aten = torch.ops.aten


def quick_output(func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What `func(*args)` gives on the meta device, or NotImplemented where torch has to be asked."""
    quick = _QUICK.get(func)
    if quick is None or not all(map(_is_plain, args)):
        return NotImplemented
    if options not in _PLAIN_OPTIONS:
        return NotImplemented
    with contextlib.suppress(UsageError, TypeError):  # impossible sizes; another number of arguments
        return quick(*args)
    return NotImplemented


_PLAIN_OPTIONS: tuple[dict[str, object], ...] = (
    {},
    {"memory_format": torch.contiguous_format},
    {"approximate": "none"},
    {"approximate": "tanh"},
)


def _is_plain(value: object) -> bool:
    if isinstance(value, Tensor):
        return value.is_meta and type(value) in (Tensor, torch.nn.Parameter) and value.is_floating_point()
    return all(map(_is_plain, value)) if isinstance(value, list) else True


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


def _same(x: Tensor, *_settings: object) -> Any:
    return _new(x, x.shape) if _in_order(x) else NotImplemented


def _in_place(x: Tensor, *_settings: object) -> Any:
    return x


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
    given = weight.shape[0] if transposed else weight.shape[1] * groups
    made = weight.shape[1] * groups if transposed else weight.shape[0]
    if not _fit(x, weight, bias) or axes < 1 or weight.dim() != x.dim() or x.shape[1] != given or made % groups:
        return NotImplemented
    if bias is not None and bias.shape != (made,):
        return NotImplemented
    if axes == 1:  # of one axis the closed forms read two numbers as those before and after
        return NotImplemented
    spread = [tuple(each) * (axes if len(each) == 1 else 1) for each in (stride, padding, dilation, output_padding)]
    window = {"kernel": tuple(weight.shape[2:]), "stride": spread[0], "padding": spread[1], "dilation": spread[2]}
    sizes = tuple(x.shape[2:])
    if transposed:
        out = transposed_size(sizes, **window, output_padding=spread[3])
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
    *_settings: object,
) -> Any:
    if training or not _fit(x, weight, bias, mean, variance):
        return NotImplemented
    return _new(x, x.shape), _new(x, (0,)), _new(x, (0,))


def _layer_norm(x: Tensor, shape: list[int], weight: Tensor | None, bias: Tensor | None, _epsilon: float) -> Any:
    if not _fit(x, weight, bias) or list(x.shape[x.dim() - len(shape) :]) != list(shape):
        return NotImplemented
    places = (*x.shape[: x.dim() - len(shape)], *(1 for _ in shape))
    return _new(x, x.shape), _new(x, places), _new(x, places)


def _binary(x: Tensor, y: Tensor | float) -> Any:
    if not isinstance(y, Tensor):
        return _same(x)
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


def _binary_in_place(x: Tensor, y: Tensor) -> Any:
    out = _binary(x, y)
    return x if isinstance(out, Tensor) and out.shape == x.shape else NotImplemented


def _addmm(bias: Tensor, x: Tensor, y: Tensor) -> Any:
    out = _mm(x, y)
    fits = isinstance(out, Tensor) and _fit(bias, out) and bias.shape == out.shape[1:]
    return out if fits else NotImplemented


def _mm(x: Tensor, y: Tensor) -> Any:
    if x.dtype != y.dtype or x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[0]:
        return NotImplemented
    return _new(x, (x.shape[0], y.shape[1]))


def _bmm(x: Tensor, y: Tensor) -> Any:
    if x.dtype != y.dtype or x.dim() != 3 or y.dim() != 3 or (x.shape[0], x.shape[2]) != tuple(y.shape[:2]):
        return NotImplemented
    return _new(x, (*x.shape[:2], y.shape[2]))


def _cat(tensors: list[Tensor], dim: int = 0) -> Any:
    first = tensors[0]
    dim = dim % first.dim()
    others = {(*each.shape[:dim], *each.shape[dim + 1 :]) for each in tensors}
    alike = len({(each.dtype, each.dim()) for each in tensors}) == len(others) == 1
    if not alike or (first.dim() in (4, 5) and not _fit(*tensors)):  # pictures may be stored with channels last
        return NotImplemented
    return _new(first, (*first.shape[:dim], sum(each.shape[dim] for each in tensors), *first.shape[dim + 1 :]))


def _mean(x: Tensor, dims: list[int] | None, keepdim: bool = False) -> Any:
    if not dims or not _in_order(x):
        return NotImplemented
    gone = {dim % x.dim() for dim in dims}
    shape = [1 if axis in gone else size for axis, size in enumerate(x.shape) if keepdim or axis not in gone]
    return _new(x, shape)


def _adaptive_pool(x: Tensor, size: list[int]) -> Any:
    return _new(x, (*x.shape[:-2], *size)) if x.dim() == 4 and _in_order(x) and min(size) > 0 else NotImplemented


def _max_pool(
    x: Tensor,
    kernel: list[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
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
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    *_settings: object,
) -> Any:
    return _pooled(x, kernel, stride, padding, (1, 1), ceil_mode)


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
    kernel, stride, padding, dilation = (
        tuple(each) * (2 if len(each) == 1 else 1) for each in (kernel, stride or kernel, padding, dilation)
    )
    size = pooling_size(
        tuple(x.shape[2:]), kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode
    )
    return _new(x, (*x.shape[:2], *size))


def _padded(x: Tensor, pad: list[int], *_value: object) -> Any:
    shape = list(x.shape)
    for index, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        shape[-1 - index] += before + after
    return _new(x, shape) if _in_order(x) and min(shape) > 0 else NotImplemented


def _copied(x: Tensor) -> Any:
    return _new(x, x.shape)


def _reshaped(x: Tensor, shape: list[int]) -> Any:
    return _new(x, shape) if min(shape) >= 0 and math.prod(shape) == x.numel() else NotImplemented


def quick_attention(query: Tensor, key: Tensor, value: Tensor, *_settings: object) -> Any:
    """What `scaled_dot_product_attention` gives on the meta device, or NotImplemented: (N, H, L, E) -> (N, H, L, V)."""
    if not all(_is_plain(each) and each.dim() == 4 and each.dtype == query.dtype for each in (query, key, value)):
        return NotImplemented
    if key.shape[:3] != value.shape[:3] or query.shape[:2] != key.shape[:2] or query.shape[3] != key.shape[3]:
        return NotImplemented
    return _new(query, (*query.shape[:3], value.shape[3]))


_ELEMENTWISE = (
    ("relu", "hardtanh", "hardswish", "hardsigmoid", "silu", "sigmoid", "tanh", "elu", "leaky_relu"),
    ("gelu", "_softmax"),  # these have no in-place form
)
_QUICK: dict[Any, Callable[..., Any]] = {
    **{getattr(aten, name).default: _same for names in _ELEMENTWISE for name in names},
    aten.pow.Tensor_Scalar: _same,
    **{getattr(aten, f"{name}_").default: _in_place for name in _ELEMENTWISE[0]},
    **{getattr(aten, name).Tensor: _binary for name in ("add", "sub", "mul", "div")},
    **{getattr(aten, name).Tensor: _binary_in_place for name in ("add_", "sub_", "mul_", "div_")},
    aten.convolution.default: _convolution,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_layer_norm.default: _layer_norm,
    aten.addmm.default: _addmm,
    aten.mm.default: _mm,
    aten.bmm.default: _bmm,
    aten.cat.default: _cat,
    aten.mean.dim: _mean,
    aten._adaptive_avg_pool2d.default: _adaptive_pool,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.avg_pool2d.default: _average_pool,
    aten.constant_pad_nd.default: _padded,
    aten._unsafe_view.default: _reshaped,
    aten.clone.default: _copied,
}

"""What one recorded operation costs and how it is told: its products, its connections, its formula, its settings."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convatlas.arithmetic.tracing.trace import Op, TensorRef

# Operations that give the numbers of their input, in another order or another shape; VIEWS in the same memory.
VIEWS = frozenset(
    (
        *("view", "_unsafe_view", "_reshape_alias", "permute", "transpose", "t", "unsqueeze", "squeeze", "expand"),
        *("as_strided", "unfold", "diagonal", "slice", "select", "narrow", "split", "split_with_sizes", "chunk"),
        *("unbind", "unsafe_split", "unsafe_split_with_sizes", "alias", "detach", "lift_fresh"),
        *("real", "imag", "view_as_real", "view_as_complex", "_conj", "_neg_view"),
    )
)
REARRANGING = VIEWS | {"clone", "copy_", "_to_copy", "empty"}
REARRANGING |= {"roll", "flip", "index", "repeat"}
SEVERAL = frozenset(  # whose outputs are all meant
    ["split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "chunk", "unbind"]
)
_ATTENTION = (
    "scaled_dot_product_attention",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_cudnn_attention",
)
_MATRICES = {"mm": 0, "addmm": 1, "bmm": 0, "baddbmm": 1, "mv": 0, "addmv": 1}  # which argument is the first factor


@dataclass(frozen=True)
class Products:
    """The multiply-accumulates of an operation, and which of its tensors they are of.

    factors: the two that are multiplied; of attention none, for there both are made from the input.
    bias: what is added to the products, where something is.
    """

    macs: int
    factors: tuple[TensorRef, TensorRef] | None = None
    bias: TensorRef | None = None


def products(op: Op) -> Products | None:
    """The products of a convolution, matrix product or attention, as torch.utils.flop_counter counts; else None."""
    if op.kind == "convolution":
        return _convolution(op)
    if op.kind in _MATRICES:
        return _matrices(op, _MATRICES[op.kind])
    return _attention(op) if op.kind in _ATTENTION else None


def _attention(op: Op) -> Products | None:
    """Of each query (…, E) with all keys (…, S, E), then of its S weights with the values (…, S, Ev).

    There are as many queries as the output (…, Ev) has places: groups of heads share keys, batches are broadcast.
    """
    query, key, value = op.args[:3]
    if not isinstance(query, TensorRef) or not isinstance(key, TensorRef) or not isinstance(value, TensorRef):
        return None
    queries = math.prod(op.outputs[0].shape[:-1])
    return Products(queries * key.shape[-2] * (query.shape[-1] + value.shape[-1]))


def _convolution(op: Op) -> Products | None:
    x, weight, bias = op.args[:3]
    if not isinstance(x, TensorRef) or not isinstance(weight, TensorRef):
        return None
    places = x.shape if op.args[6] else op.outputs[0].shape  # a transposed one applies its kernel at each input
    count = x.shape[0] * math.prod(places[2:]) * math.prod(weight.shape)
    return Products(count, (x, weight), bias if isinstance(bias, TensorRef) else None)


def _matrices(op: Op, first: int) -> Products | None:
    left, right = op.args[first : first + 2]
    if not isinstance(left, TensorRef) or not isinstance(right, TensorRef):
        return None
    count = math.prod(left.shape) * (right.shape[-1] if len(right.shape) > 1 else 1)
    bias = op.args[0] if first else None
    return Products(count, (left, right), bias if isinstance(bias, TensorRef) else None)


def connections(op: Op, is_constant: Callable[[TensorRef], bool]) -> int:
    """For each output the inputs that it reads by a weight or in a window, and one for its bias.

    Counted as LeCun et al. 1998 do, for convolutions, dense layers, poolings and learned or fixed offsets; a mean is a
    pooling, and so is a sum, largest or smallest value of each map (N, C, H, W). Batch, layer, group and instance
    normalisation count 2 for each output alike, with parameters or without: the value that it scales, and the shift;
    what their statistics read counts none. Nor does what two tensors made from the input do to each other (attention,
    gates, shortcuts).
    """
    made = math.prod(op.outputs[0].shape) if op.outputs else 0
    found = products(op)
    if found is not None:
        layer = op.kind == "convolution" or any(map(is_constant, found.factors or ()))
        return found.macs + (made if found.bias is not None else 0) if layer else 0
    if op.kind in _WINDOWS:
        return made * math.prod(_window(op))
    if op.kind.strip("_").startswith("adaptive_"):
        return _in_adaptive_windows(op)
    if op.kind == "mean" or _reduces_maps(op):  # each input in one window
        return math.prod(op.inputs[0].shape)
    if any(norm in op.kind for norm in ("batch_norm", "layer_norm", "group_norm")):  # an instance norm is a batch norm
        return 2 * made
    offset = op.kind.removesuffix("_") in ("add", "sub") and any(map(is_constant, op.inputs))
    return made if offset else 0


def _reduces_maps(op: Op) -> bool:
    """Whether it makes one number of each map. A sum over one dimension may be anything, such as a distance's."""
    if op.kind not in ("sum", "amax", "amin") or len(op.args) < 2:
        return False
    rank = len(op.inputs[0].shape)
    return rank > 3 and {dim % rank for dim in _numbers(op.args[1])} == set(range(2, rank))


def parameter_terms(
    op: Op, parameters: Sequence[TensorRef], made_of: Callable[[TensorRef], frozenset[int]]
) -> tuple[tuple[int, ...], ...] | None:
    """What these parameters of a known operation count, as a sum of products: ((9, 64, 128), (128,)); else None.

    made_of: the ids of the parameters that a tensor is made of; a normalised weight of two, say.
    """
    found = products(op)
    if found is not None and found.factors is not None:
        return tuple(_weight(op, each, found.factors, made_of) for each in parameters)
    shapes = [_without_ones(each.shape) for each in parameters]
    if "norm" in op.kind and len(shapes) == 2 and shapes[0] == shapes[1]:
        return ((2, *shapes[0]),)
    known = "norm" in op.kind or op.kind.removesuffix("_") in _OF_OWN_SHAPE
    return tuple(shapes) if known else None


_OF_OWN_SHAPE = ("add", "sub", "mul", "cat", "embedding", "_embedding_bag", "_prelu_kernel", *_ATTENTION)


def _weight(
    op: Op, parameter: TensorRef, factors: tuple[TensorRef, TensorRef], made_of: Callable[[TensorRef], frozenset[int]]
) -> tuple[int, ...]:
    """A weight as its layer's closed form has it, inputs before outputs; what is none, such as a bias, by its shape."""
    factor = next((each for each in factors if parameter.id in made_of(each)), None)
    shape, count = parameter.shape, math.prod(parameter.shape)
    if factor is None or len(shape) < 2:
        return _without_ones(shape)
    if op.kind == "convolution":
        kernel = factor.shape[2:]
        if shape[-len(kernel) :] != kernel:
            return _without_ones(shape)
        channels = shape[: -len(kernel)]  # out, in; of a transposed one in, out
        channels = channels if op.args[6] else channels[::-1]
        return _without_ones((math.prod(kernel), *channels))
    for batch in (factor.shape[:-2], ()):  # a matrix for each of a batch; one, broadcast
        if math.prod(batch) * math.prod(factor.shape[-2:]) == count:
            return (*(size for size in batch if size > 1), *factor.shape[-2:])
    return _without_ones(shape[::-1] if shape[-1] == factor.shape[-2] else shape)  # a part of it


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size > 1) or (1,)


# --- Settings, in words

_WINDOWS = {  # which arguments: kernel, stride, padding, dilation, ceil mode
    **{f"max_pool{axes}d_with_indices": (1, 2, 3, 4, 5) for axes in (1, 2, 3)},
    **{f"max_pool{axes}d": (1, 2, 3, 4, 5) for axes in (1, 2, 3)},
    **{f"avg_pool{axes}d": (1, 2, 3, None, 4) for axes in (1, 2, 3)},
}


def _numbers(value: object) -> tuple[int, ...]:
    if isinstance(value, tuple):
        return tuple(int(each) for each in value if isinstance(each, int))
    return (value,) if isinstance(value, int) else ()


def _window(op: Op) -> tuple[int, ...]:
    axes = int(op.kind[8])  # max_pool2d, avg_pool2d
    kernel = _numbers(op.args[1])
    return kernel * axes if len(kernel) == 1 else kernel


def _in_adaptive_windows(op: Op) -> int:
    """All values that the windows of an adaptive pooling read. Window i of m over n: from i·n // m up to ⌈(i+1)·n / m⌉.

    They overlap where n is not a multiple of m.
    """
    axes = int(op.kind[-2])  # adaptive_max_pool2d
    sizes, made = op.inputs[0].shape, op.outputs[0].shape
    read = (
        sum(-(-(i + 1) * n // m) - i * n // m for i in range(m))
        for n, m in zip(sizes[-axes:], made[-axes:], strict=True)
    )
    return math.prod(sizes[:-axes]) * math.prod(read)


def settings(op: Op, layer: str = "") -> str:
    """Kernel and what is not as usual, such as `3x3, stride 2, padding 1, groups 32`; empty for other operations.

    layer: the class of the layer, which may say already that it is transposed.
    """
    if op.kind == "convolution":
        x, weight = op.inputs[:2]
        kernel = weight.shape[2:]
        stride, padding, dilation, more = (_spread(_numbers(op.args[index]), len(kernel)) for index in (3, 4, 5, 7))
        groups = op.args[8] if isinstance(op.args[8], int) else 1
        depthwise = groups > 1 and groups == x.shape[1]
        words = [_by(kernel), _unusual("stride", stride, 1), _unusual("padding", padding, 0)]
        words += [_unusual("output padding", more, 0), _unusual("dilation", dilation, 1)]
        words += ["depthwise" if depthwise else f"groups {groups}" if groups > 1 else ""]
        words += ["transposed" if op.args[6] and "transpose" not in layer.lower() else ""]
        return ", ".join(filter(None, words))
    if op.kind in _WINDOWS:
        kernel = _window(op)
        places = _WINDOWS[op.kind]
        stride, padding = (_spread(_numbers(op.args[index]), len(kernel)) for index in places[1:3] if index)
        dilation = _spread(_numbers(op.args[places[3]]), len(kernel)) if places[3] else ()
        ceil = "ceil" if op.args[places[4] or 0] else ""
        words = [_by(kernel), _unusual("stride", stride or kernel, 1), _unusual("padding", padding, 0)]
        return ", ".join(filter(None, [*words, _unusual("dilation", dilation, 1), ceil]))
    if op.kind.startswith(("_adaptive_avg_pool", "adaptive_max_pool")):
        return f"to {_by(_numbers(op.args[1]))}"
    return ""


def _spread(numbers: tuple[int, ...], axes: int) -> tuple[int, ...]:
    return numbers * axes if len(numbers) == 1 else numbers


def _by(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def _unusual(word: str, numbers: Sequence[int], usual: int) -> str:
    if all(number == usual for number in numbers):
        return ""
    return f"{word} {numbers[0] if len(set(numbers)) == 1 else _by(numbers)}"

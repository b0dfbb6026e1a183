"""An operation, and a layer, in the few words that fit into a box: `3x3, 64, /2`, `max pool 3x3, /2`, `ReLU6`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from convatlas.arithmetic.tracing.operations import REARRANGING, SEVERAL
from convatlas.arithmetic.tracing.trace import Op, TensorRef

Role = Literal[
    "convolution", "dense", "pooling", "join", "attention", "gate", "other", "norm", "activation", "shape", "block"
]
TIMES: Final = "\N{MULTIPLICATION SIGN}"
SMALL: Final = ("norm", "activation", "shape")  # what belongs to the box of the layer beside it

_ACTIVATIONS: Final = {
    "relu": "ReLU",
    "silu": "SiLU",
    "hardswish": "h-swish",
    "hardsigmoid": "h-sigmoid",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "gelu": "GELU",
    "elu": "ELU",
    "celu": "CELU",
    "mish": "Mish",
    "softplus": "softplus",
    "leaky_relu": "leaky ReLU",
    "prelu_kernel": "PReLU",
    "rrelu_with_noise": "RReLU",
    "softmax": "softmax",
    "log_softmax": "log softmax",
}
_JOINS: Final = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "cat": "concat", "stack": "stack"}
_NORMS: Final = {"batch_norm": "BN", "layer_norm": "LN", "group_norm": "GN", "instance_norm": "IN", "rms_norm": "RMS"}
_PRODUCTS: Final = {"mm": (0, 1), "addmm": (1, 2), "bmm": (0, 1), "baddbmm": (1, 2), "mv": (0, 1), "addmv": (1, 2)}


@dataclass(frozen=True, kw_only=True)
class Told:
    """role: what kind of box it makes. text: in words, empty for what need not be told. coarse: without its sizes."""

    role: Role
    text: str = ""
    coarse: str = ""


def told(op: Op, live: Sequence[TensorRef]) -> Told:
    """An operation in words. live: those of its inputs that depend on the network's input."""
    kind = op.kind.strip("_")
    for found in (_product(op, kind, live), _window(op, kind), _resized(op, kind), _pointwise(op, kind, live)):
        if found is not None:
            return found
    norm = next((short for name, short in _NORMS.items() if name in kind), None)
    if norm is not None:
        return Told(role="norm", text=norm, coarse=norm)
    if op.kind in SEVERAL:
        return Told(role="other" if len(op.outputs) > 1 else "shape", text="split", coarse="split")
    if op.kind in REARRANGING or kind in ("constant_pad_nd", "lift_fresh", "pad", "reshape", "flatten"):
        return Told(role="shape", text="pad" if "pad" in kind else "", coarse="pad" if "pad" in kind else "")
    text = kind.replace("_", " ")
    return Told(role="join" if len({ref.id for ref in live}) > 1 else "other", text=text, coarse=text)


def _product(op: Op, kind: str, live: Sequence[TensorRef]) -> Told | None:
    if op.kind == "convolution":
        return _convolution(op)
    if "scaled_dot_product" in kind:
        heads = op.inputs[0].shape[-3] if len(op.inputs[0].shape) > 3 else 1
        return Told(
            role="attention", text=f"attention, {heads} heads" if heads > 1 else "attention", coarse="attention"
        )
    if op.kind in _PRODUCTS:
        factors = [op.args[place] for place in _PRODUCTS[op.kind]]
        ids = {ref.id for ref in live}
        if all(isinstance(each, TensorRef) and each.id in ids for each in factors):
            return Told(role="join", text="matrix product", coarse="matrix product")
        return Told(role="dense", text=f"dense {op.outputs[0].shape[-1]:,}", coarse="dense")
    return None


def _convolution(op: Op) -> Told:
    x, weight = op.inputs[:2]
    kernel = weight.shape[2:]
    stride, dilation = (_spread(op.args[place], len(kernel)) for place in (3, 5))
    groups = op.args[8] if isinstance(op.args[8], int) else 1
    depthwise = groups > 1 and groups == x.shape[1]
    words = [by(kernel) + (" transposed" if op.args[6] else "") + (" depthwise" if depthwise else "")]
    words.append(f"{op.outputs[0].shape[1]:,}")
    words += [f"{groups} groups"] if groups > 1 and not depthwise else []
    words += [f"dilation {same(dilation)}"] if set(dilation) != {1} else []
    words += [(TIMES if op.args[6] else "/") + same(stride)] if set(stride) != {1} else []
    size = "larger" if len(set(kernel)) == 1 and kernel[0] > 1 else by(kernel)
    coarse = size + (" depthwise" if depthwise else "")
    return Told(role="convolution", text=", ".join(words), coarse=coarse)


def _window(op: Op, kind: str) -> Told | None:
    if kind.startswith(("max_pool", "avg_pool")):
        axes = int(kind[8])
        kernel = _spread(op.args[1], axes)
        stride = _spread(op.args[2], axes) or kernel
        name = "max pool" if kind.startswith("max") else "average pool"
        text = f"{name} {by(kernel)}" + (f", /{same(stride)}" if set(stride) != {1} else "")
        return Told(role="pooling", text=text, coarse=name)
    adaptive = kind.startswith(("adaptive_avg_pool", "adaptive_max_pool"))
    shape = op.inputs[0].shape if op.inputs else ()
    made = op.outputs[0].shape if op.outputs else ()
    whole = kind in ("mean", "amax") and len(shape) > 3 and made[:2] == shape[:2] and set(made[2:]) <= {1}
    if not adaptive and not whole:
        return None
    name = "max pool" if "max" in kind else "average pool"
    text = f"global {name}" if set(made[2:]) <= {1} else f"{name} to {by(made[2:])}"
    return Told(role="pooling", text=text, coarse=name)


def _resized(op: Op, kind: str) -> Told | None:
    if not kind.startswith(("upsample", "pixel_shuffle")):
        return None
    before, after = op.inputs[0].shape[2:], op.outputs[0].shape[2:]
    factors = [f"{new / old:.3g}" for old, new in zip(before, after, strict=True)]
    how = "pixel shuffle" if kind.startswith("pixel") else f"{kind.split('_')[1].rstrip('123d')} upsampling"
    return Told(role="other", text=f"{how} {TIMES}{TIMES.join(dict.fromkeys(factors))}", coarse=how)


def _pointwise(op: Op, kind: str, live: Sequence[TensorRef]) -> Told | None:
    if kind == "hardtanh":
        low, high = (float(each) if isinstance(each, int | float) else 0.0 for each in op.args[1:3])
        text = "ReLU6" if (low, high) == (0, 6) else f"hardtanh({low:g}, {high:g})"
        return Told(role="activation", text=text, coarse="hardtanh")
    if kind in _ACTIVATIONS:
        return Told(role="activation", text=_ACTIVATIONS[kind], coarse=_ACTIVATIONS[kind])
    if kind in _JOINS:
        if len({ref.id for ref in live}) > 1:
            return Told(role="join", text=_JOINS[kind], coarse=_JOINS[kind])
        if kind in ("cat", "stack"):
            return (
                Told(role="other", text=_JOINS[kind], coarse=_JOINS[kind]) if len(op.inputs) > 1 else Told(role="shape")
            )
        return Told(role="norm", text="scale" if kind in ("mul", "div") else "offset", coarse="scale")
    return None


def by(sizes: Sequence[int]) -> str:
    """`(3, 3)` -> "3x3", with the sign of multiplication."""
    return TIMES.join(map(str, sizes))


def same(sizes: Sequence[int]) -> str:
    """`(2, 2)` -> "2"; `(2, 1)` -> "2x1"."""
    return str(sizes[0]) if len(set(sizes)) == 1 else by(sizes)


def humanised(kind: str) -> str:
    """A class's name in words: "SqueezeExcitation" -> "squeeze excitation"; short forms such as MBConv stay."""
    words = re.findall(r"[A-Z]+(?![a-z])\w*|[A-Z][a-z0-9]+|[^\WA-Z]+", kind)
    return " ".join(each if sum(map(str.isupper, each)) > 1 else each.lower() for each in words).replace("_", " ")


def _spread(numbers: object, axes: int) -> tuple[int, ...]:
    found = tuple(int(each) for each in numbers if isinstance(each, int)) if isinstance(numbers, tuple) else (numbers,)
    found = tuple(each for each in found if isinstance(each, int))
    return found * axes if len(found) == 1 else found

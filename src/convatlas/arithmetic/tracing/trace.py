"""What a network does, call by call: every module call and every ATen operation of one run, with all shapes.

The network is copied onto torch's meta device, where tensors have a shape and no numbers, so that nothing is computed
and nothing of the network's own is touched: not its mode, buffers, gradients or hooks, however the run ends.
What does not run there is run on fake tensors, and what does not run on those, for real on the processor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from convatlas.errors import ConvatlasError

How = Literal["meta", "fake", "cpu"]


@dataclass(frozen=True)
class TensorRef:
    """A tensor that passed by. The same id is the same tensor; a view, or what an operation gives, is another."""

    id: int
    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True, kw_only=True)
class Op:
    """One ATen call, in order of execution. Attention in one call is `scaled_dot_product_attention`, however it runs.

    kind: ATen's name without overload: "convolution", "max_pool2d_with_indices", "add", "relu_", "cat".
    path, call: the innermost module that issued it ("" is the network itself), and which of its calls that was, from 0.
    args: ATen's positional arguments, defaults filled in by its schema, tensors as TensorRef, also those within lists.
    inputs: all tensors among the arguments, those given by keyword too. outputs: what it gave; in place, its input.
    """

    kind: str
    path: str
    call: int
    args: tuple[object, ...]
    inputs: tuple[TensorRef, ...]
    outputs: tuple[TensorRef, ...]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a module, in the order in which they begin.

    path: its dotted path. kind: its class. call: which of its calls, from 0. depth: how many calls it is within.
    begin, end: the operations trace.ops[begin:end] are its own and its children's.
    children: how many module calls it made itself.
    stated_macs: what the module's own `multiply_accumulates(output)` says, where it has it.
    """

    path: str
    kind: str
    call: int
    depth: int
    inputs: tuple[TensorRef, ...]
    outputs: tuple[TensorRef, ...]
    begin: int
    end: int
    children: int
    stated_macs: int | None = None


@dataclass(frozen=True, kw_only=True)
class State:
    """A parameter or buffer of the network; one that several modules share is there once, under its first name."""

    ref: TensorRef
    name: str
    kind: Literal["parameter", "buffer"]
    trainable: bool


@dataclass(frozen=True, kw_only=True)
class Trace:
    """All that happened in one run.

    inputs, outputs: the network's own. parameters: TensorRef.id of a parameter or buffer -> its dotted name.
    how: on what it was run: "meta", "fake", or "cpu", for real. notes: what the reader must know of it, in words.
    stopped: whether it failed before its end. stopped_in: in which call, an index of `calls`, where it was in one.
    """

    inputs: tuple[TensorRef, ...]
    outputs: tuple[TensorRef, ...]
    ops: tuple[Op, ...]
    calls: tuple[Call, ...]
    parameters: Mapping[int, str]
    states: tuple[State, ...]
    how: How
    network: str  # its class
    notes: tuple[str, ...] = ()
    stopped: bool = False
    stopped_in: int | None = None


class TraceError(ConvatlasError):
    """A network that stopped half-way.

    partial: what it had done until then. path, kind: the innermost module that was at work. got: the shapes it got.
    """

    def __init__(self, reason: str, *, partial: Trace, path: str, kind: str, got: tuple[tuple[int, ...], ...]) -> None:
        where = f"{path} ({kind})" if path else kind
        shapes = " and ".join("x".join(map(str, shape)) or "one number" for shape in got) or "no tensor"
        super().__init__(f"{partial.network} stopped in {where}, which got {shapes}: {reason}")
        self.reason = reason
        self.partial = partial
        self.path = path
        self.kind = kind
        self.got = got


def trace(network: nn.Module, *inputs: object) -> Trace:
    """Run the network once, in evaluation mode, and record it.

    inputs: what its `forward` takes: tensors, or tuples, lists and dicts of them. Only their shape and type count, so
    tensors on the meta device do (`torch.empty(1, 3, 224, 224, device="meta")`); their numbers are used where the
    network has to run for real, where they have any.

    A copy is run, and functions that the network keeps and that enclose its modules run those of the copy; the network
    itself stays as it is. Where a function reaches it all the same, as a global variable, its tensors are put back.
    Hooks that torch's own tools registered (weight norm, pruning) are called, other forward hooks are not: they could
    change what they have recorded. Lazy layers take their sizes from the inputs, in the copy. The notes tell where any
    of this happened. In several threads, one trace is made after the other.

    Raises TraceError, with what was done until then, for a network that fails on these inputs; a ConvatlasError that
    the network raises itself is its cause.
    """
    from convatlas.arithmetic.tracing.recording import record  # noqa: PLC0415 - these dataclasses are its words

    return record(network, inputs)


def tensors_in(value: object) -> tuple[Tensor, ...]:
    """All tensors in a value, in order: itself, or within tuples, lists, dicts, or the attributes of an object."""
    if isinstance(value, Tensor):
        return (value,)
    if isinstance(value, Mapping):
        return tuple(tensor for each in value.values() for tensor in tensors_in(each))
    if isinstance(value, list | tuple | set | frozenset):
        return tuple(tensor for each in value for tensor in tensors_in(each))
    if isinstance(value, type | nn.Module) or callable(value):
        return ()
    attributes = getattr(value, "__dict__", {})
    return tuple(tensor for each in attributes.values() if isinstance(each, Tensor | list) for tensor in _plainly(each))


def _plainly(value: object) -> tuple[Tensor, ...]:
    """Tensors, and those in a list of them: no deeper, for objects may lead in circles."""
    if isinstance(value, Tensor):
        return (value,)
    return tuple(each for each in value if isinstance(each, Tensor)) if isinstance(value, list) else ()

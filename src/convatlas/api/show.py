"""The layer table of a network: ours by name, anybody's by `module:function` or as it is, a trained one by folder."""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from convatlas.api.target import Target, find_network
from convatlas.arithmetic.tables.table import LayerTable, layer_table
from convatlas.arithmetic.tracing.trace import Trace, TraceError, tensors_in, trace
from convatlas.errors import UsageError

Input = str | Tensor | Sequence[object] | Mapping[str, object]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "int64": torch.int64}


def show(
    target: str | Path | nn.Module,
    *inputs: Input,
    depth: int | None = None,
    changes: Mapping[str, object] | None = None,
) -> LayerTable:
    """A row for each layer of a network: shape, parameters with their formula, multiply-accumulates, receptive field.

    print(convatlas.show("resnet50", depth=2)); convatlas.show(my_network, (3, 224, 224)).totals.macs

    target: the name of a network of the atlas; a run's or bundle's folder; `module:function`, a function without
    arguments in a module of the current folder that returns a network; or a network, which stays as it is.
    inputs: what the network's forward takes, each as the shape of one picture or other sample, without the batch:
    (3, 224, 224) or "3x224x224", of numbers "float32" unless another follows, as in "77:int64"; or as it is: a tensor,
    or a list, tuple or dict of tensors. By name and for a bundle they may be left out.
    depth: one row for what modules at this depth do together; 1 are the network's own.
    changes: fields of the config of a network of the atlas, such as {"num_classes": 7}.

    Raises UsageError for what cannot be found or meant, and TraceError, with the table's trace until then as `partial`,
    for a network that fails on these inputs.
    """
    return folded(table_of(find_network(target, changes or {}), inputs), depth)


def folded(table: LayerTable, depth: int | None) -> LayerTable:
    """The table folded at this depth; as it is for None. Raises UsageError for a negative depth."""
    if depth is None:
        return table
    if depth < 0:
        raise UsageError(f"depth: expected a whole number of at least 0, got {depth}")
    return table.folded(depth)


def table_of(target: Target, inputs: Sequence[Input]) -> LayerTable:
    """The whole table. Raises as `show` does."""
    return dataclasses.replace(layer_table(trace_of(target, inputs)), network=target.name)


def trace_of(target: Target, inputs: Sequence[Input]) -> Trace:
    """The network's trace on inputs that are given as to `show`. Raises as `show` does."""
    if not inputs and target.picture is None:
        raise UsageError(
            f"{target.name}: what does it take? Give the shape of one picture, channels first: --input "
            f"{_guess(target.network)} (in Python, show(network, (3, 224, 224)))"
        )
    network = target.network
    dtype = next((each.dtype for each in network.parameters() if each.is_floating_point()), torch.get_default_dtype())
    given = [_given(each, dtype) for each in inputs or (target.picture or (),)]
    _check_count(target, given)
    try:
        return trace(network, *given)
    except TraceError as error:
        if isinstance(error.__cause__, UsageError) and not error.partial.ops:  # it refuses the input in plain words
            raise error.__cause__ from None
        raise


def partial_table(error: TraceError) -> LayerTable:
    """The table until a network stopped."""
    return layer_table(error.partial)


def _check_count(target: Target, given: Sequence[object]) -> None:
    """Raise UsageError where forward takes another number of inputs."""
    forward = target.network.forward
    try:
        takes = inspect.signature(forward)
    except (TypeError, ValueError):  # it is not written in Python
        return
    try:
        takes.bind(*given)
    except TypeError as error:
        raise UsageError(
            f"{target.name}: {error}: its forward is forward{takes}; give --input once for each thing that it needs"
        ) from None


def _given(given: Input, dtype: torch.dtype) -> object:
    """A batch of one of this shape, without numbers; what holds tensors as it is."""
    if tensors_in(given):
        return given
    shape, kind = parse_input(given) if isinstance(given, str) else (tuple(given), None)
    sizes = [size for size in shape if isinstance(size, int) and size > 0]
    if isinstance(given, Mapping) or len(sizes) != len(shape):
        raise UsageError(f"input: expected whole numbers of at least 1, such as (3, 224, 224), got {given!r}")
    strides = [1]
    for size in reversed(sizes):
        strides.insert(0, strides[0] * size)
    return torch.empty_strided((1, *sizes), strides, dtype=DTYPES[kind] if kind else dtype, device="meta")


def parse_input(text: str) -> tuple[tuple[int, ...], str | None]:
    """`"3x224x224"` -> (3, 224, 224), None; `"77:int64"` -> (77,), "int64". Raises UsageError for anything else."""
    sizes, colon, kind = text.strip().lower().partition(":")
    parts = sizes.split("x")
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 10**9 for part in parts):
        raise UsageError(
            f"input {text}: expected a shape without the batch, such as 3x224x224: channels, height, width"
        )
    if colon and kind not in DTYPES:
        raise UsageError(f"input {text}: expected one of {', '.join(DTYPES)} after the colon")
    return tuple(map(int, parts)), kind if colon else None


def _guess(network: nn.Module) -> str:
    """A shape that the first layer would take, to show how one is written."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return f"{module.in_channels}x224x224"
        if isinstance(module, nn.Linear):
            return str(module.in_features)
    return "3x224x224"

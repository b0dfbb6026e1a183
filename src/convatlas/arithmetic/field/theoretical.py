"""What the units of every layer see of the picture, for any network, through branches: its theoretical receptive field.

Followed forward over a trace of the network, operation by operation, as Araujo, Norris and Sim do over its graph
(https://distill.pub/2019/computing-receptive-fields/): windows widen the field, strides multiply the jump, and where
branches meet, the union of what they see counts, misaligned ones included. An operation that is not known here makes
what follows from it unknown, and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import nn

from convatlas.arithmetic.field.closed import ReceptiveField
from convatlas.arithmetic.field.feature_maps import FeatureMaps, check_layer, feature_names
from convatlas.arithmetic.field.mixing import MIXING, elementwise, is_elementwise
from convatlas.arithmetic.field.places import Places, as_field, of_picture
from convatlas.arithmetic.field.views import REARRANGED
from convatlas.arithmetic.field.windows import WINDOWS
from convatlas.arithmetic.tracing.operations import VIEWS
from convatlas.arithmetic.tracing.trace import Op, TensorRef, Trace, TraceError, trace
from convatlas.errors import ConvatlasError, UsageError

# What has the shape of its argument, or tells it, and nothing of its content.
_OF_SHAPE_ALONE = frozenset(
    f"{kind}_like" for kind in ("empty", "zeros", "ones", "full", "rand", "randn", "randint")
) | {"new_empty", "new_zeros", "new_ones", "new_full", "new_empty_strided", "zero_", "fill_", "sym_size"}

Seen = Places | str  # a string says why it is not known


@dataclass(frozen=True, kw_only=True)
class LayerField:
    """A layer's receptive field. shape: of the tensor it gives for one picture, (1, C, H, W) for a map."""

    layer: str
    shape: tuple[int, ...]
    field: ReceptiveField


@overload
def receptive_field(
    network: nn.Module, image: tuple[int, ...] = ..., *, layer: None = None
) -> dict[str, ReceptiveField]: ...
@overload
def receptive_field(network: nn.Module, image: tuple[int, ...] = ..., *, layer: str) -> ReceptiveField: ...


def receptive_field(
    network: nn.Module, image: tuple[int, ...] = (3, 224, 224), *, layer: str | None = None
) -> ReceptiveField | dict[str, ReceptiveField]:
    """What the units of a layer see of a picture; without a layer, of each of the network's modules, in order of work.

    image: (channels, height, width) of the picture; padding that depends on the size, and what covers all of it, do.
    layer: the name of one of the network's features ("conv5" of vgg16), or the dotted path of a module. A module that
    is called several times counts as after its last call; one that gives several tensors, by its first.

    Padding counts where it lies, outside the picture. Where it copies pixels (reflect, replicate), a unit at the edge
    also sees those that were copied, which may lie beyond its field; behind a circular padding, fields are unknown.

    The network is left as it was. Raises UsageError for a layer that there is not, or that does not see the picture,
    TraceError for a network that does not run on such a picture, and the network's own error where it refuses it.
    """
    if layer is None:
        return {each.layer: each.field for each in _module_fields(network, image)}
    return layer_fields(network, image, [layer])[0].field


def layer_fields(
    network: nn.Module, image: tuple[int, ...] = (3, 224, 224), layers: Sequence[str] = ()
) -> tuple[LayerField, ...]:
    """The fields of these layers, named as for `receptive_field`; without any, of the network's features, and of a
    network that names none, of all its modules.
    """
    features = feature_names(network)
    for layer in layers:
        check_layer(network, layer)
    wanted = list(layers) or list(features)
    known = {each.layer: each for each in _feature_fields(network, image)} if set(wanted) & set(features) else {}
    if not wanted or set(wanted) - set(known):
        known = {each.layer: each for each in _module_fields(network, image)} | known
    for layer in wanted:
        if layer not in known:
            raise UsageError(f"layer: {layer!r} of {type(network).__name__} is not called, or does not see the picture")
    return tuple(known[layer] for layer in wanted or known)


def _feature_fields(network: nn.Module, image: tuple[int, ...]) -> list[LayerField]:
    traced = _traced(network, FeatureMaps(network), image)
    fields = receptive_fields(traced)
    return [
        LayerField(layer=name, shape=output.shape, field=fields[output.id])
        for name, output in zip(feature_names(network), traced.outputs, strict=True)
    ]


def _module_fields(network: nn.Module, image: tuple[int, ...]) -> list[LayerField]:
    traced = _traced(network, network, image)
    return [
        LayerField(layer=call.path, shape=call.outputs[0].shape, field=field)
        for call, field in zip(traced.calls, fields_of_calls(traced), strict=True)
        if field is not None and call.path
    ]


def receptive_fields(
    traced: Trace, *, picture: int = 0, axes: Sequence[int] | None = None
) -> Mapping[int, ReceptiveField]:
    """The field of every tensor of a trace that depends on the picture: `TensorRef.id` -> field.

    picture: which of the trace's inputs it is. axes: which of its dimensions are places; by default those along which
    the first convolution slides, 2 and 3 of (N, C, H, W), 1 and 2 of one picture (C, H, W) without a batch; where none
    is reached, all behind images and channels. A tensor that is written in place counts as it is at the end.
    """
    walk = _walk(traced, picture, axes)
    for op in traced.ops:
        walk.follow(op)
    return {key: _field(state) for key, state in walk.known.items()}


def fields_of_calls(
    traced: Trace, *, picture: int = 0, axes: Sequence[int] | None = None
) -> tuple[ReceptiveField | None, ...]:
    """For each call of a trace, the field of its first output as it was when the call ended.

    None for a call that gives no tensor, or one that does not depend on the picture. picture, axes: see
    `receptive_fields`.
    """
    walk = _walk(traced, picture, axes)
    ending: dict[int, list[int]] = {}
    for index, call in enumerate(traced.calls):
        ending.setdefault(call.end, []).append(index)
    fields: list[ReceptiveField | None] = [None] * len(traced.calls)
    for done in range(len(traced.ops) + 1):
        for index in ending.get(done, ()):
            outputs = traced.calls[index].outputs
            state = walk.known.get(outputs[0].id) if outputs else None
            fields[index] = None if state is None else _field(state)
        if done < len(traced.ops):
            walk.follow(traced.ops[done])
    return tuple(fields)


def _field(state: Seen) -> ReceptiveField:
    return ReceptiveField(unknown=state) if isinstance(state, str) else as_field(state)


def _walk(traced: Trace, picture: int, axes: Sequence[int] | None) -> "_Walk":
    """At the beginning of a trace, with the picture alone known."""
    ref = traced.inputs[picture]
    return _Walk(ref, _slid_along(traced, ref) if axes is None else axes)


def _slid_along(traced: Trace, picture: TensorRef) -> Sequence[int]:
    """The dimensions of the picture along which the first convolution slides, wherever they were moved before it."""
    walk = _Walk(picture, range(len(picture.shape)))  # as if each dimension were a place
    for op in traced.ops:
        x = walk.known.get(op.inputs[0].id) if op.kind == "convolution" else None
        if isinstance(x, Places):
            atoms = [atom for dim in x.dims[2:] for atom in dim]
            return [axis for axis in range(len(picture.shape)) if any(atom.jumps[axis] for atom in atoms)]
        walk.follow(op)
    return range(2, len(picture.shape))


class _Walk:
    """What is known of the tensors so far: `known` has those that depend on the picture."""

    def __init__(self, picture: TensorRef, axes: Sequence[int]) -> None:
        self.known: dict[int, Seen] = {picture.id: of_picture(picture.shape, axes)}
        self._views: dict[int, set[int]] = {}  # tensors that may share memory, by each one's id

    def follow(self, op: Op) -> None:
        """Add what one operation gives."""
        if op.kind.removesuffix("_") in VIEWS and op.inputs:
            shared = self._views.setdefault(op.inputs[0].id, {op.inputs[0].id})
            shared.update(output.id for output in op.outputs)
            self._views.update((output.id, shared) for output in op.outputs)
        if op.kind in _OF_SHAPE_ALONE or not any(ref.id in self.known for ref in op.inputs):
            return
        before = {output.id: self.known.get(output.id) for output in op.outputs}
        for output, state in zip(op.outputs, self._states(op), strict=True):
            self.known[output.id] = state
        written = [output.id for output in op.outputs if any(output.id == ref.id for ref in op.inputs)]
        for key in written:
            if isinstance(self.known[key], str) or self.known[key] != before[key]:
                for other in self._views.get(key, {key}) - {key}:
                    self.known[other] = "it is written in place, through a view of a part"

    def _states(self, op: Op) -> Sequence[Seen]:
        reasons = [state for ref in op.inputs if isinstance(state := self.known.get(ref.id), str)]
        if reasons:
            return reasons[:1] * len(op.outputs)
        unknown = f"the operation {op.kind} is not known here"
        try:
            result = self._result(op)
        except (NotImplementedError, IndexError, ValueError, TypeError, AssertionError, StopIteration):
            result = None  # arguments of a kind that the rule does not know
        if result is None:
            return [unknown] * len(op.outputs)
        each = result if isinstance(result, list) else [result] * len(op.outputs)
        return [
            places if places.shape == output.shape else unknown for places, output in zip(each, op.outputs, strict=True)
        ]

    def _result(self, op: Op) -> Places | list[Places] | None:
        kind = op.kind.removesuffix("_")
        mixing = MIXING.get(kind)
        if mixing is not None:
            return mixing(op, self._places)
        if kind == "copy":
            source = self._places(op.args[1])
            return None if source is None else elementwise(op, lambda ref: source if ref is op.args[1] else None)
        if is_elementwise(kind) or is_elementwise(op.kind):
            return elementwise(op, self._places)
        x = self._places(op.args[0])
        if x is None or any(ref.id in self.known for ref in op.inputs if ref is not op.args[0]):
            return None  # such as a convolution whose weights are made from the picture
        if kind in REARRANGED:
            return REARRANGED[kind](op, x)
        return WINDOWS[kind](op, x) if kind in WINDOWS else None

    def _places(self, value: object) -> Places | None:
        state = self.known.get(value.id) if isinstance(value, TensorRef) else None
        assert not isinstance(state, str)
        return state


def _traced(network: nn.Module, run: nn.Module, image: tuple[int, ...]) -> Trace:
    """A trace of `run` on a picture of the network's own type; a network's own words for what it refuses."""
    types = (each.dtype for each in network.parameters() if each.is_floating_point())
    picture = torch.empty(1, *image, device="meta", dtype=next(types, torch.get_default_dtype()))
    try:
        return trace(run, picture)
    except TraceError as error:
        if isinstance(error.__cause__, ConvatlasError):
            raise error.__cause__ from None
        raise

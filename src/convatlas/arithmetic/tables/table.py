"""The layer table: a row for each layer of a network, with what it holds, costs and sees, and the sums.

Counts are those of the picture that was traced: trace one image for the numbers that papers print.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from convatlas.arithmetic.field.closed import ReceptiveField
from convatlas.arithmetic.field.places import NO_PLACES
from convatlas.arithmetic.field.theoretical import fields_of_calls, receptive_fields
from convatlas.arithmetic.tables.ledger import Ledger, parts
from convatlas.arithmetic.tracing.operations import REARRANGING, SEVERAL, settings
from convatlas.arithmetic.tracing.trace import Call, Op, State, TensorRef, Trace

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One call of a layer, or an operation between layers that costs, joins, changes the shape or makes new memory.

    path: the module's dotted path, "" for the network itself. call: which of its calls, from 0.
    operation: the module's class, or the operation's name as ATen calls it, with kernel, stride and so on.
    parameters: those that are used here first; `trainable` of them are trained. formula: how they come about,
    `9·64·128 + 128 = 73,856`; empty for those of a layer that is not known here.
    connections: as LeCun et al. 1998 count them, see `operations.connections`.
    macs: multiply-accumulates of convolutions and dense layers, as the cards state them. torch_macs: those of every
    matrix product, attention's too: half of what torch.utils.flop_counter counts, and those of what torch runs as one
    operation that its counter does not know, such as an LSTM.
    activation_bytes: new memory of all that its operations make from the input, as if nothing were freed: what training
    holds, nearly. Views and what is written in place make none. Attention in one operation makes its output alone.
    field: what its units see of the picture. calls: the chain of module calls that it is within, for folding.
    """

    path: str
    call: int
    operation: str
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    parameters: int = 0
    trainable: int = 0
    formula: str = ""
    connections: int = 0
    macs: int = 0
    torch_macs: int = 0
    activation_bytes: int = 0
    field: ReceptiveField | None = None
    calls: tuple[int, ...] = dataclasses.field(default=(), repr=False)


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Of the whole network; a parameter that modules share counts once.

    buffers: numbers that the network keeps and nothing trains, such as BatchNorm's means. state_bytes: of both.
    """

    parameters: int
    trainable: int
    buffers: int
    state_bytes: int
    connections: int
    macs: int
    torch_macs: int
    activation_bytes: int


@dataclass(frozen=True, kw_only=True)
class LayerTable:
    """The table of one network on one input. how: "meta", "fake" or "cpu", see `Trace`; notes: what to know of it."""

    network: str
    inputs: tuple[Shape, ...]
    rows: tuple[Row, ...]
    totals: Totals
    how: str
    notes: tuple[str, ...] = ()
    _calls: tuple[Call, ...] = dataclasses.field(default=(), repr=False)
    _fields: tuple[ReceptiveField | None, ...] = dataclasses.field(default=(), repr=False)

    def __str__(self) -> str:
        from convatlas.arithmetic.tables.text import to_text  # noqa: PLC0415 - it writes what is defined here

        return to_text(self)

    def folded(self, depth: int) -> "LayerTable":
        """The same with one row for each call at this depth, 1 being those that the network makes itself."""
        rows: list[Row] = []
        for key, group in itertools.groupby(self.rows, key=lambda row: row.calls[depth : depth + 1] or row):
            members = list(group)
            rows += [self._joined(key[0], members)] if isinstance(key, tuple) and len(members) > 1 else members
        return dataclasses.replace(self, rows=tuple(rows))

    def _joined(self, index: int, rows: Sequence[Row]) -> Row:
        call = self._calls[index]
        return Row(
            path=call.path,
            call=call.call,
            operation=f"{call.kind} ({len(rows)} rows)",
            inputs=_shapes(call.inputs),
            outputs=_shapes(call.outputs),
            **{name: sum(getattr(row, name) for row in rows) for name in _SUMS},
            field=self._fields[index] if self._fields else None,
            calls=rows[0].calls[: rows[0].calls.index(index) + 1],
        )


_SUMS = ("parameters", "trainable", "connections", "macs", "torch_macs", "activation_bytes")


def layer_table(traced: Trace) -> LayerTable:
    """The table of a trace, also of one that stopped half-way."""
    fields = fields_of_calls(traced) if traced.inputs else (None,) * len(traced.calls)
    rows = _Rows(traced, fields).all()
    return LayerTable(
        network=traced.network,
        inputs=_shapes(traced.inputs),
        rows=rows,
        totals=_totals(traced.states, rows),
        how=traced.how,
        notes=(*_notes(traced), *_unknown(traced.network, rows)),
        _calls=traced.calls,
        _fields=fields,
    )


def _notes(traced: Trace) -> tuple[str, ...]:
    if len(traced.inputs) < 2:
        return traced.notes
    return (*traced.notes, f"the receptive fields are those in the first of its {len(traced.inputs)} inputs")


def _unknown(network: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """From where on nobody can say what the units see, and why."""
    for row in rows:
        if row.field is not None and row.field.unknown not in ("", NO_PLACES):
            where = f"{row.path or network} ({row.operation})"
            return (f"receptive fields are not known from {where} on: {row.field.unknown}",)
    return ()


class _Rows:
    """Goes through a trace in order, and makes the rows."""

    def __init__(self, traced: Trace, fields: Sequence[ReceptiveField | None]) -> None:
        self._traced = traced
        self._of_calls = fields
        self._of_tensors = receptive_fields(traced) if traced.inputs else {}
        self._ledger = Ledger(traced)
        self._chains = _chains(traced.calls)
        self._index = {(call.path, call.call): index for index, call in enumerate(traced.calls)}

    def all(self) -> tuple[Row, ...]:
        rows: list[Row] = []
        moved: list[Op] = []  # operations between layers that only rearrange, one after the other
        filled = 0  # the new memory of these
        for part in parts(self._traced):
            if isinstance(part, Op) and part.kind in REARRANGING and not self._ledger.spends(part):
                if moved and (moved[0].path, moved[0].call) != (part.path, part.call):
                    rows += self._rearranged(moved, filled)
                    moved, filled = [], 0
                spent = self._ledger.enter(part)
                if not self._ledger.is_constant(part.outputs):
                    moved.append(part)
                    filled += spent.activation_bytes
                continue
            rows += self._rearranged(moved, filled)
            moved, filled = [], 0
            rows += self._between(part) if isinstance(part, Op) else [self._layer(part)]
        rows += self._rearranged(moved, filled)
        rows += self._stopped_between(rows)
        rows += [
            Row(
                path=name,
                call=0,
                operation="not reached" if self._traced.stopped else "not used by this input",
                inputs=(),
                outputs=(),
                parameters=count,
                trainable=trainable,
            )
            for name, count, trainable in self._ledger.unused()
        ]
        return tuple(rows)

    def _layer(self, index: int) -> Row:
        call = self._traced.calls[index]
        ops = self._traced.ops[call.begin : call.end]
        spent = self._ledger.enter(index)
        told = "" if call.children else next((words for op in ops if (words := settings(op, call.kind))), "")
        here = index == self._traced.stopped_in
        parameters, trainable = self._ledger.rest_of(call.path) if here else (0, 0)
        return Row(
            path=call.path,
            call=call.call,
            operation=f"{call.kind} {told}".rstrip() + (_stopped(call) if here else ""),
            inputs=_shapes(call.inputs),
            outputs=_shapes(call.outputs),
            parameters=spent.parameters + parameters,
            trainable=spent.trainable + trainable,
            formula="" if parameters else spent.formula,
            connections=spent.connections,
            macs=spent.macs,
            torch_macs=spent.torch_macs,
            activation_bytes=spent.activation_bytes,
            field=self._of_calls[index],
            calls=self._chains[index],
        )

    def _stopped_between(self, rows: Sequence[Row]) -> list[Row]:
        """The row of a module with parts that stopped in its own words, after the rows of its parts."""
        index = self._traced.stopped_in
        if index is None or any(row.calls and row.calls[-1] == index and "(stopped" in row.operation for row in rows):
            return []
        call = self._traced.calls[index]
        parameters, trainable = self._ledger.rest_of(call.path)
        return [
            Row(
                path=call.path,
                call=call.call,
                operation=f"{call.kind}{_stopped(call)}",
                inputs=_shapes(call.inputs),
                outputs=(),
                parameters=parameters,
                trainable=trainable,
                calls=self._chains[index],
            )
        ]

    def _between(self, op: Op) -> list[Row]:
        """The row of an operation that a module with parts does itself; none where a reader would not miss it."""
        made_from = [ref for ref in op.inputs if not self._ledger.is_constant((ref,))]
        spent = self._ledger.enter(op)
        outputs = op.outputs if op.kind in SEVERAL else op.outputs[:1]
        changes = bool(made_from and outputs) and outputs[0].shape != made_from[0].shape
        joins = len({ref.id for ref in made_from}) > 1
        if not outputs or not (spent or changes or joins):
            return []
        return [
            Row(
                path=op.path,
                call=op.call,
                operation=f"{_told(op.kind)} {settings(op)}".rstrip(),
                inputs=_shapes(made_from or op.inputs),
                outputs=_shapes(outputs),
                parameters=spent.parameters,
                trainable=spent.trainable,
                formula=spent.formula,
                connections=spent.connections,
                macs=spent.macs,
                torch_macs=spent.torch_macs,
                activation_bytes=spent.activation_bytes,
                field=self._of_tensors.get(outputs[0].id),
                calls=self._chain(op),
            )
        ]

    def _rearranged(self, ops: Sequence[Op], filled: int) -> list[Row]:
        """One row for all of these, where they fill new memory or the shape is another one in the end."""
        if not ops:
            return []
        inputs, outputs = ops[0].inputs[:1], ops[-1].outputs
        if not filled and inputs[0].shape == outputs[0].shape:
            return []
        return [
            Row(
                path=ops[0].path,
                call=ops[0].call,
                operation=", ".join(dict.fromkeys(_told(op.kind) for op in ops)),
                inputs=_shapes(inputs),
                outputs=_shapes(outputs),
                activation_bytes=filled,
                field=self._of_tensors.get(outputs[0].id),
                calls=self._chain(ops[0]),
            )
        ]

    def _chain(self, op: Op) -> tuple[int, ...]:
        index = self._index.get((op.path, op.call))
        return () if index is None else self._chains[index]


def _chains(calls: Sequence[Call]) -> list[tuple[int, ...]]:
    """For each call those that it is within, from the network's own, and itself."""
    chains: list[tuple[int, ...]] = []
    chain: tuple[int, ...] = ()
    for index, call in enumerate(calls):
        chain = (*chain[: call.depth], index)
        chains.append(chain)
    return chains


def _totals(states: Sequence[State], rows: Sequence[Row]) -> Totals:
    parameters = [state for state in states if state.kind == "parameter"]
    buffers = [state for state in states if state.kind == "buffer"]
    return Totals(
        parameters=sum(_numbers(state.ref) for state in parameters),
        trainable=sum(_numbers(state.ref) for state in parameters if state.trainable),
        buffers=sum(_numbers(state.ref) for state in buffers),
        state_bytes=_bytes([state.ref for state in states]),
        connections=sum(row.connections for row in rows),
        macs=sum(row.macs for row in rows),
        torch_macs=sum(row.torch_macs for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
    )


def _bytes(refs: Sequence[TensorRef]) -> int:
    return sum(_numbers(ref) * ref.dtype.itemsize for ref in refs)


def _numbers(ref: TensorRef) -> int:
    return math.prod(ref.shape)


def _shapes(refs: Sequence[TensorRef]) -> tuple[Shape, ...]:
    return tuple(ref.shape for ref in refs)


def _stopped(call: Call) -> str:
    got = " and ".join("x".join(map(str, ref.shape)) or "one number" for ref in call.inputs) or "no tensor"
    return f" (stopped here, got {got})"


def _told(kind: str) -> str:
    return "attention" if kind.strip("_").startswith("scaled_dot_product") else kind.strip("_")

"""What each operation of a trace spends: products, connections, new memory, and the parameters that it uses first.

Tensors are followed from the input and from the parameters: what is made of those alone (a transposed weight, a
normalised one) still stands for them, so that a product with it is a layer's, and a product of two others attention's.
What a layer makes of fixed numbers (a network for the bias of each position) is its output like any other.

Memory is followed from its first number that is made from the input: there it is counted, once and whole. A view, and
what is written in place, thus add none; zeros that rows are then written into count when the first is written. What an
operation notes beside its result (the places of maxima, a norm's means) counts where something reads it.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from convatlas.arithmetic.tracing.operations import VIEWS, connections, parameter_terms, products
from convatlas.arithmetic.tracing.trace import Op, State, TensorRef, Trace
from convatlas.arithmetic.written import Written

_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What some operations spend.

    macs: convolutions and products with weights; torch_macs: every product. activation_bytes: memory that they are the
    first to fill with something made from the input.
    """

    parameters: int = 0
    trainable: int = 0
    formula: str = ""
    connections: int = 0
    macs: int = 0
    torch_macs: int = 0
    activation_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(
            self.parameters or self.formula or self.connections or self.macs or self.torch_macs or self.activation_bytes
        )


def parts(traced: Trace) -> Iterator[Op | int]:
    """A trace in order: calls that are told as one, by their index, and the operations between them.

    As one are told layers, which call no others, and modules that state their own multiply-accumulates, with all that
    they call. The network itself is one of these only if it states them.
    """
    at, told = 0, None
    for index, call in enumerate(traced.calls):
        if told is not None and call.depth > told:
            continue
        told = None
        if call.stated_macs is not None or (call.depth and not call.children):
            yield from traced.ops[at : call.begin]
            yield index
            at, told = call.end, call.depth
    yield from traced.ops[at:]


class Ledger:
    """Takes the parts of a trace in their order."""

    def __init__(self, traced: Trace) -> None:
        self._traced = traced
        self._parameters = {state.ref.id: state for state in traced.states if state.kind == "parameter"}
        self._unspent = dict(self._parameters)
        self._order = {key: place for place, key in enumerate(self._parameters)}
        self._made_of = {state.ref.id: frozenset({state.ref.id}) for state in traced.states}
        self._of_input = {ref.id for ref in traced.inputs}  # memories, each by the tensor that it was made for
        self._views: dict[int, int] = {}  # tensor -> the memory that it looks into
        self._bytes: dict[int, int] = {}  # of the memories that operations make
        self._read = {ref.id for op in traced.ops for ref in op.inputs} | {ref.id for ref in traced.outputs}

    def is_constant(self, refs: Sequence[TensorRef]) -> bool:
        """Whether all of these are made of parameters, buffers and fixed numbers alone, not of the input."""
        return not any(self._memory(ref) in self._of_input for ref in refs)

    def spends(self, op: Op) -> bool:
        """Whether it would join parameters that nothing has used yet with what is made of the input."""
        return not self.is_constant(op.inputs) and any(key in self._unspent for key in self._used(op))

    def enter(self, part: Op | int) -> Spent:
        """Take the next of `parts`. What a module states in its own words counts instead of what it was seen to do."""
        if isinstance(part, Op):
            return self._enter(part)
        call = self._traced.calls[part]
        spent = self._enter(*self._traced.ops[call.begin : call.end])
        if call.stated_macs is None:
            return spent
        links = spent.connections - spent.macs + call.stated_macs
        return dataclasses.replace(spent, macs=call.stated_macs, connections=links)

    def _enter(self, *ops: Op) -> Spent:
        fresh: dict[int, State] = {}
        again = False
        told: list[tuple[int, tuple[tuple[int, ...], ...] | None]] = []
        links = macs = torch_macs = filled = 0
        for op in ops:
            self._locate(op)
            found = products(op)
            constant = self.is_constant(op.inputs)
            if constant and (found is None or op.kind in ("mv", "addmv")):
                made_of = self._used(op)
                self._made_of.update((output.id, made_of) for output in op.outputs)
                continue
            used = self._used(op) & self._parameters.keys()
            again = again or bool(used - self._unspent.keys() - fresh.keys())
            first = {
                key: self._unspent.pop(key) for key in sorted(used & self._unspent.keys(), key=self._order.__getitem__)
            }
            fresh |= first
            if first:
                terms = parameter_terms(op, [state.ref for state in first.values()], self._made_from)
                told.append((self._order[next(iter(first))], terms))
            if found is not None:
                torch_macs += found.macs
                of_weights = op.kind == "convolution" or any(self.is_constant((each,)) for each in found.factors or ())
                macs += found.macs if of_weights else 0
            links += connections(op, lambda ref: self.is_constant((ref,)))
            if not constant:
                filled += self._fill(op)
        count = _count(fresh.values())
        return Spent(
            parameters=count,
            trainable=_count(state for state in fresh.values() if state.trainable),
            formula=_formula([terms for _, terms in sorted(told, key=lambda each: each[0])], again),
            connections=links,
            macs=macs,
            torch_macs=torch_macs,
            activation_bytes=filled,
        )

    def rest_of(self, path: str) -> tuple[int, int]:
        """Parameters of this module itself that no operation has used, and how many are trained; spent from now on."""
        found = [key for key, state in self._unspent.items() if state.name.rpartition(".")[0] == path]
        states = [self._unspent.pop(key) for key in found]
        return _count(states), _count(state for state in states if state.trainable)

    def unused(self) -> list[tuple[str, int, int]]:
        """Parameters that no operation has used: their module's path, how many, and how many of them are trained."""
        by_module: dict[str, list[State]] = {}
        for state in self._unspent.values():
            by_module.setdefault(state.name.rpartition(".")[0], []).append(state)
        return [
            (path, _count(states), _count(state for state in states if state.trainable))
            for path, states in by_module.items()
        ]

    def _memory(self, ref: TensorRef) -> int:
        return self._views.get(ref.id, ref.id)

    def _locate(self, op: Op) -> None:
        """Note in which memory its outputs are: that of its input, or one of their own."""
        if op.kind in VIEWS and op.inputs:
            self._views.update((output.id, self._memory(op.inputs[0])) for output in op.outputs)
            return
        given = {ref.id for ref in op.inputs}
        self._bytes.update(
            (output.id, math.prod(output.shape) * output.dtype.itemsize)
            for output in op.outputs
            if output.id not in given  # in place
        )

    def _fill(self, op: Op) -> int:
        """Its outputs are made from the input now: the bytes of those memories that were not before."""
        filled = 0
        for place, output in enumerate(op.outputs):
            memory = self._memory(output)
            if memory not in self._of_input and (place == 0 or output.id in self._read):
                filled += self._bytes.get(memory, 0)
            self._of_input.add(memory)
        return filled

    def _used(self, op: Op) -> frozenset[int]:
        return frozenset().union(*map(self._made_from, op.inputs))

    def _made_from(self, ref: TensorRef) -> frozenset[int]:
        return self._made_of.get(ref.id, _NONE)


def _count(states: Iterable[State]) -> int:
    return sum(math.prod(state.ref.shape) for state in states)


def _formula(told: Sequence[tuple[tuple[int, ...], ...] | None], again: bool) -> str:
    """Each operation's first parameters as products, where all are known."""
    if not told:
        return "counted above" if again else ""
    return "" if None in told else str(Written(*(term for terms in told if terms is not None for term in terms)))

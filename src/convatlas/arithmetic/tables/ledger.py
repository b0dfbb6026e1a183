"""What each operation of a trace spends: products, connections, and the parameters that it is the first to use.

Tensors are followed from the input and from the parameters: what is made of those alone (a transposed weight, a
normalised one) still stands for them, so that a product with it is a layer's, and a product of two others attention's.
What a layer makes of fixed numbers (a network for the bias of each position) is its output like any other.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from convatlas.arithmetic.tracing.operations import connections, parameter_terms, products
from convatlas.arithmetic.tracing.trace import Op, State, TensorRef, Trace
from convatlas.arithmetic.written import Written

_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What some operations spend. macs: convolutions and products with weights; torch_macs: every product."""

    parameters: int = 0
    trainable: int = 0
    formula: str = ""
    connections: int = 0
    macs: int = 0
    torch_macs: int = 0

    def __bool__(self) -> bool:
        return bool(self.parameters or self.formula or self.connections or self.torch_macs)


def parts(traced: Trace) -> Iterator[Op | int]:
    """A trace in order: calls of layers, which call none themselves, by their index, and the operations between."""
    at = 0
    for index, call in enumerate(traced.calls):
        if not call.children and call.depth:
            yield from traced.ops[at : call.begin]
            yield index
            at = call.end
    yield from traced.ops[at:]


class Ledger:
    """Takes the operations of a trace in their order."""

    def __init__(self, traced: Trace) -> None:
        self._parameters = {state.ref.id: state for state in traced.states if state.kind == "parameter"}
        self._unspent = dict(self._parameters)
        self._made_of = {state.ref.id: frozenset({state.ref.id}) for state in traced.states}
        self._of_input = {ref.id for ref in traced.inputs}

    def is_constant(self, refs: Sequence[TensorRef]) -> bool:
        """Whether all of these are made of parameters, buffers and fixed numbers alone, not of the input."""
        return not any(ref.id in self._of_input for ref in refs)

    def spends(self, op: Op) -> bool:
        """Whether it would join parameters that nothing has used yet with what is made of the input."""
        return not self.is_constant(op.inputs) and any(key in self._unspent for key in self._used(op))

    def enter(self, *ops: Op) -> Spent:
        """Take the next operations, as one."""
        fresh: dict[int, State] = {}
        again = False
        told: list[tuple[frozenset[int], tuple[tuple[int, ...], ...] | None]] = []
        links = macs = torch_macs = 0
        for op in ops:
            found = products(op)
            constant = self.is_constant(op.inputs)
            if constant and (found is None or op.kind in ("mv", "addmv")):
                made_of = self._used(op)
                self._made_of.update((output.id, made_of) for output in op.outputs)
                continue
            used = self._used(op) & self._parameters.keys()
            again = again or bool(used - self._unspent.keys() - fresh.keys())
            fresh |= {key: self._unspent.pop(key) for key in used & self._unspent.keys()}
            if used:
                learned = [ref for ref in op.inputs if self._made_of.get(ref.id, _NONE) & used]
                told.append((used, parameter_terms(op, learned)))
            if found is not None:
                torch_macs += found.macs
                of_weights = op.kind == "convolution" or any(self.is_constant((each,)) for each in found.factors or ())
                macs += found.macs if of_weights else 0
            links += connections(op, lambda ref: self.is_constant((ref,)))
            if not constant:  # also what is written into in place
                self._of_input.update(output.id for output in op.outputs)
        count = _count(fresh.values())
        return Spent(
            parameters=count,
            trainable=_count(state for state in fresh.values() if state.trainable),
            formula=_formula(count, [terms for used, terms in told if used & fresh.keys()], again),
            connections=links,
            macs=macs,
            torch_macs=torch_macs,
        )

    def unused(self) -> list[tuple[str, int, int]]:
        """Parameters that no operation has used: their module's path, how many, and how many of them are trained."""
        by_module: dict[str, list[State]] = {}
        for state in self._unspent.values():
            by_module.setdefault(state.name.rpartition(".")[0], []).append(state)
        return [
            (path, _count(states), _count(state for state in states if state.trainable))
            for path, states in by_module.items()
        ]

    def _used(self, op: Op) -> frozenset[int]:
        return frozenset().union(*(self._made_of.get(ref.id, _NONE) for ref in op.inputs))


def _count(states: Iterable[State]) -> int:
    return sum(math.prod(state.ref.shape) for state in states)


def _formula(count: int, told: list[tuple[tuple[int, ...], ...] | None], again: bool) -> str:
    """The products, where they are known and come to the count."""
    if not count:
        return "counted above" if again else ""
    if None in told:
        return ""
    written = Written(*(term for terms in told if terms is not None for term in terms))
    return str(written) if written.value == count else ""

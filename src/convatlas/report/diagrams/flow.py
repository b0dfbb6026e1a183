"""Which operation of a trace gets which tensor from which: followed through views and what is written in place.

What is made of parameters and fixed numbers alone is no part of the flow; the parameters in it count where it is used.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from convatlas.arithmetic.tracing.operations import VIEWS
from convatlas.arithmetic.tracing.trace import TensorRef, Trace

OUTPUT: Final = -1  # the consumer of what the network answers; its inputs are the producers -2, -3, …


def network_input(index: int) -> int:
    """The producer that stands for the network's input of this index."""
    return -2 - index


@dataclass(frozen=True, kw_only=True)
class Edge:
    """One tensor on its way: from the operation that made it to one that takes it, indices of `Trace.ops`."""

    source: int
    target: int
    tensor: TensorRef


@dataclass(frozen=True, kw_only=True)
class Flow:
    """All edges of a trace in order of the targets, the same by source, and by target.

    live: the operations that depend on the input. parameters: operation -> names of the parameters that it is the first
    to use.
    """

    edges: tuple[Edge, ...]
    of_source: dict[int, tuple[Edge, ...]]
    of_target: dict[int, tuple[Edge, ...]]
    live: tuple[int, ...]
    parameters: dict[int, tuple[str, ...]]


def flow(traced: Trace) -> Flow:
    """Follow the tensors of a trace."""
    follower = _Follower(traced)
    for index in range(len(traced.ops)):
        follower.enter(index)
    follower.leave(traced.outputs)
    by_source, by_target = defaultdict(list), defaultdict(list)
    for edge in follower.edges:
        by_source[edge.source].append(edge)
        by_target[edge.target].append(edge)
    return Flow(
        edges=tuple(follower.edges),
        of_source={key: tuple(edges) for key, edges in by_source.items()},
        of_target={key: tuple(edges) for key, edges in by_target.items()},
        live=tuple(follower.live),
        parameters=follower.first_used,
    )


class _Follower:
    def __init__(self, traced: Trace) -> None:
        self._traced = traced
        self._maker = {ref.id: network_input(index) for index, ref in enumerate(traced.inputs)}
        self._memory: dict[int, int] = {}  # a view -> the tensor whose memory it looks into
        self._written: dict[int, int] = {}  # such a tensor -> the last operation that wrote into its memory
        self._order = {key: place for place, key in enumerate(traced.parameters)}
        learned = {state.ref.id for state in traced.states if state.kind == "parameter"}
        self._made_of = {key: frozenset({key} & learned) for key in traced.parameters}
        self._used: set[int] = set()
        self.edges: list[Edge] = []
        self.live: list[int] = []
        self.first_used: dict[int, tuple[str, ...]] = {}

    def enter(self, index: int) -> None:
        """Take the next operation."""
        op = self._traced.ops[index]
        edges = self._edges(op.inputs, index)
        parameters = frozenset().union(*(self._made_of.get(ref.id, frozenset()) for ref in op.inputs))
        given = {ref.id for ref in op.inputs}
        if edges:
            self.live.append(index)
            self.edges += edges
            first = sorted(parameters - self._used, key=self._order.__getitem__)
            if first:
                self.first_used[index] = tuple(self._traced.parameters[key] for key in first)
                self._used.update(first)
        for output in op.outputs:
            if op.kind in VIEWS and op.inputs and output.id not in given:
                self._memory[output.id] = self._root(op.inputs[0].id)
            if edges:
                self._maker[output.id] = index
                if output.id in given:  # in place
                    self._written[self._root(output.id)] = index
            else:
                self._made_of[output.id] = parameters

    def leave(self, outputs: Sequence[TensorRef]) -> None:
        """Take what the network answers."""
        self.edges += self._edges(outputs, OUTPUT)

    def _edges(self, refs: Sequence[TensorRef], target: int) -> list[Edge]:
        edges: dict[tuple[int, int], Edge] = {}
        for ref in refs:
            made = self._maker.get(ref.id)
            written = self._written.get(self._root(ref.id))
            if written is not None and (made is None or written > made):
                edges[written, ref.id] = Edge(source=written, target=target, tensor=ref)
            if made is not None:
                edges[made, ref.id] = Edge(source=made, target=target, tensor=ref)
        return list(edges.values())

    def _root(self, key: int) -> int:
        return self._memory.get(key, key)

"""The calls of a trace as a tree of leaves and groups: a leaf is what one box may show, a group what could be opened.

BatchNorm, activations and changes of shape go into the leaf of the layer beside them, where the tensor between the two
goes nowhere else. A group of one leaf is that leaf, a `Sequential` of leaves is no part of its own unless it has a name
in the paper.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from convatlas.arithmetic.tracing.trace import Call, Trace
from convatlas.report.diagrams.flow import Flow
from convatlas.report.diagrams.words import SMALL, TIMES, Role, Told, by, humanised, told

_CONTAINERS: Final = ("Sequential", "ModuleList", "ModuleDict")


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """What one box shows. ops: indices of `Trace.ops`. texts: its words, each in one piece. coarse: without sizes.

    inside: the signature of the group that it closes.
    """

    path: str
    role: Role
    texts: tuple[str, ...]
    coarse: str
    ops: frozenset[int]
    inside: object = None

    @cached_property
    def signature(self) -> object:
        """Equal for leaves that look and work alike."""
        return self.role, self.texts, self.inside

    @property
    def leaves(self) -> int:
        """How many boxes it makes: one."""
        return 1


@dataclass(frozen=True, kw_only=True)
class Group:
    """A module call with what it does, in order of execution, each child a leaf or a group."""

    path: str
    kind: str
    children: "tuple[Node, ...]"
    wires: tuple[tuple[int, int], ...]  # which child gives a tensor to which

    @cached_property
    def ops(self) -> frozenset[int]:
        """All operations within."""
        return frozenset().union(*(child.ops for child in self.children))

    @cached_property
    def signature(self) -> object:
        """Equal for calls of one class that do the same with the same sizes, but for the channels that they get."""
        return self.kind, self.wires, tuple(child.signature for child in self.children)

    @cached_property
    def leaves(self) -> int:
        """How many boxes it makes when all of it is opened."""
        return sum(child.leaves for child in self.children)

    @cached_property
    def joins(self) -> bool:
        """Whether it joins tensors itself, as blocks with branches do and stages of blocks do not."""
        return any(isinstance(child, Leaf) and child.role == "join" for child in self.children)

    @cached_property
    def is_stage(self) -> bool:
        """Whether it is only a row of blocks, or of layers that the network holds in a row."""
        rows = self.kind in _CONTAINERS or any(isinstance(child, Group) for child in self.children)
        return rows and not self.joins


Node = Leaf | Group


def tree(traced: Trace, flow: Flow, part_names: Mapping[str, str], depth: int | None) -> Group:
    """The network's own group. depth: calls this deep are leaves; None leaves it to their structure."""
    return _Builder(traced, flow, part_names, depth).root()


class _Builder:
    def __init__(self, traced: Trace, flow: Flow, part_names: Mapping[str, str], depth: int | None) -> None:
        self._traced = traced
        self._flow = flow
        self._names = part_names
        self._depth = depth
        self._live = frozenset(flow.live)

    def root(self) -> Group:
        calls = self._traced.calls
        end = len(self._traced.ops)
        if calls and calls[0].depth == 0:
            children = self._children(0)
            kind = calls[0].kind
        else:
            children, kind = [self._own(each) for each in range(end) if each in self._live], self._traced.network
        if self._depth == 0 and children:
            children = [closed(self._group("", kind, children))]
        return self._group("", kind, self._merged(children))

    def _children(self, index: int) -> list[Node]:
        """What a call does, child calls built, operations of its own as leaves."""
        call = self._traced.calls[index]
        children: list[Node] = []
        at = call.begin
        for child in self._calls_of(index):
            inner = self._traced.calls[child]
            children += [self._own(each) for each in range(at, inner.begin) if each in self._live]
            children += self._built(child)
            at = inner.end
        children += [self._own(each) for each in range(at, call.end) if each in self._live]
        return children

    def _calls_of(self, index: int) -> Iterable[int]:
        depth = self._traced.calls[index].depth
        for child in range(index + 1, len(self._traced.calls)):
            found = self._traced.calls[child].depth
            if found <= depth:
                return
            if found == depth + 1:
                yield child

    def _built(self, index: int) -> list[Node]:
        call = self._traced.calls[index]
        live = [each for each in range(call.begin, call.end) if each in self._live]
        if not live:
            return []
        if not call.children:
            return self._layer(call, live)
        children = self._merged(self._children(index))
        if len(children) == 1 and isinstance(children[0], Leaf):
            named = children[0].path in self._names and call.path not in self._names  # conv1 alone in a Sequential
            return [children[0] if named else _at(children[0], call.path)]
        group = self._group(call.path, call.kind, children)
        if self._depth is not None:
            return [closed(group) if call.depth >= self._depth else group]
        if self._is_gate(group):
            return [self._gate(group)]
        only_leaves = all(isinstance(child, Leaf) for child in children)
        return children if call.path not in self._names and call.kind in _CONTAINERS and only_leaves else [group]

    def _layer(self, call: Call, live: Sequence[int]) -> list[Node]:
        """A call without calls: one leaf, or one for each operation of a module that is written as one function."""
        found = [self._told(each) for each in live]
        main = [each for each in found if each.role in ("convolution", "dense", "pooling", "attention", "join")]
        attention = next((each for each in main if each.role == "attention"), None)
        if "ResponseNorm" in call.kind:
            main, found = [], [Told(role="norm", text="LRN", coarse="LRN")]
        if attention is None and len(main) > 1 and not all(each.role == "pooling" for each in main):
            group = self._group(call.path, call.kind, self._merged([self._own(each) for each in live]))
            return [_at(child, call.path) for child in group.children] if len(group.children) == 1 else [group]
        others = [each for each in found if each.role == "other"]
        chief = attention or (main or others or [*[each for each in found if each.role != "shape"], *found])[0]
        texts = tuple(dict.fromkeys(each.text for each in ([chief] if main else found) if each.text))
        role = chief.role
        if not main and len([each for each in found if each.role != "shape"]) > 1:  # arithmetic with a name of its own
            texts = (humanised(call.kind),)
            activates = any(each.role == "activation" for each in found)
            role = "activation" if activates else "other" if others else "norm"
        elif not main and not texts and call.kind not in ("Flatten", "Unflatten", "Identity"):
            texts = (humanised(call.kind),)
        elif chief.role == "pooling" and any(each.role == "norm" for each in found):
            texts = (chief.text.replace(chief.coarse, humanised(call.kind)),)
        return [Leaf(path=call.path, role=role, texts=texts, coarse=chief.coarse, ops=frozenset(live))]

    def _own(self, index: int) -> Leaf:
        op, words = self._traced.ops[index], self._told(index)
        texts = (words.text,) if words.text else ()
        return Leaf(path=op.path, role=words.role, texts=texts, coarse=words.coarse, ops=frozenset({index}))

    def _told(self, index: int) -> Told:
        return told(self._traced.ops[index], [edge.tensor for edge in self._flow.of_target.get(index, ())])

    def _group(self, path: str, kind: str, children: Sequence[Node]) -> Group:
        place = {op: position for position, child in enumerate(children) for op in child.ops}
        wires = {
            (place[edge.source], place[op])
            for op in place
            for edge in self._flow.of_target[op]
            if place.get(edge.source, place[op]) != place[op]
        }
        return Group(path=path, kind=kind, children=tuple(children), wires=tuple(sorted(wires)))

    # --- Small operations go into the leaf beside them

    def _merged(self, children: Sequence[Node]) -> list[Node]:
        merged: list[Node] = []
        for child in children:
            if isinstance(child, Leaf) and child.role in SMALL:
                before = self._only_source(child, merged)
                if before is not None:
                    merged[merged.index(before)] = _together(before, child)
                    continue
            merged.append(child)
        for child in list(merged):
            if isinstance(child, Leaf) and child.role in SMALL:
                after = self._with(child, merged)
                if after is not None:
                    merged[after[0]] = after[1]
                    merged.remove(child)
        return merged

    def _only_source(self, child: Leaf, nodes: Sequence[Node]) -> Leaf | None:
        """The leaf whose tensor goes to this one alone, and all that this one gets."""
        sources = {edge.source for op in child.ops for edge in self._flow.of_target[op]} - child.ops
        leaf = next((node for node in nodes if isinstance(node, Leaf) and sources and sources <= node.ops), None)
        if leaf is None or self._targets(leaf) - child.ops:
            return None
        waits = child.role == "norm" and leaf.role in ("join", "pooling")  # for the layer that it prepares
        return None if waits else leaf

    def _with(self, child: Leaf, nodes: Sequence[Node]) -> tuple[int, Node] | None:
        """The node that all of this one's tensors go to, with this one in it, and its place; None for a join."""
        targets = self._targets(child)
        for place, node in enumerate(nodes):
            if not targets or not targets <= node.ops:
                continue
            if isinstance(node, Leaf):
                return None if node.role == "join" else (place, _together(child, node))
            inner = self._with(child, node.children)
            if inner is None:
                return None
            children = (*node.children[: inner[0]], inner[1], *node.children[inner[0] + 1 :])
            return place, dataclasses.replace(node, children=children)
        return None

    def _targets(self, node: Node) -> set[int]:
        return {edge.target for op in node.ops for edge in self._flow.of_source.get(op, ())} - node.ops

    # --- Groups that are one box

    def _is_gate(self, group: Group) -> bool:
        """Whether it ends with a product of what it got and of one number for each channel of it."""
        last = group.children[-1]
        if not isinstance(last, Leaf) or not last.texts or last.texts[0] != "multiply":
            return False
        factors = [edge.tensor.shape for edge in self._flow.of_target[max(last.ops)]]
        return any(set(shape[2:]) == {1} for shape in factors) and group.leaves <= 4

    def _gate(self, group: Group) -> Leaf:
        widths = [
            text.rpartition(" ")[2]
            for child in group.children
            if isinstance(child, Leaf) and child.role in ("convolution", "dense")
            for text in child.texts[:1]
        ]
        texts = (humanised(group.kind), *(["→".join([widths[-1], *widths])] if widths else []))
        return Leaf(path=group.path, role="gate", texts=texts, coarse="gate", ops=group.ops)


def closed(group: Group) -> Leaf:
    """A group as one box: its class, and what is in it where that is short."""
    inside = gist(group)
    kind = humanised(group.kind)
    texts = (inside,) if inside.endswith(kind) else (kind, *([inside] if inside else []))
    return Leaf(path=group.path, role="block", texts=texts, coarse=group.kind, ops=group.ops, inside=group.signature)


def gist(group: Group) -> str:
    """What is in a group, in a line: "1x1, 3x3, 1x1 + shortcut", "4 branches", "6 dense layers"."""
    inner = [place for place, child in enumerate(group.children) if isinstance(child, Group)]
    kinds = {child.kind for child in group.children if isinstance(child, Group)}
    if len(inner) > 1 and len(kinds) == 1 and (inner[0], inner[1]) in group.wires:
        (kind,) = kinds
        return f"{len(inner)} {humanised(kind)}s"
    last = len(group.children) - 1
    end = group.children[last]
    join = end.texts[0] if isinstance(end, Leaf) and end.role == "join" and end.texts else ""
    ends = [source for source, target in group.wires if target == last]
    if join == "concat":
        return f"{len(ends)} branches" if len(ends) > 1 else "concat with its input"
    branches = [_way_to(group, each) for each in ends] if join == "add" else []
    if branches and sum(map(len, branches)) == sum(child.leaves for child in group.children) - 1:
        told = [", ".join(_separable(branch)) for branch in branches]
        told = [f"({each})" if "," in each and len(told) > 1 else each for each in told]
        said = " + ".join(told if len(told) > 1 else [*told, "shortcut"])
        return said if len(said) < 60 else f"{group.leaves} parts"
    words = _separable([_short(leaf) for leaf in _leaves(group)])
    return ", ".join(words) if len(words) < 6 else f"{len(words)} parts"


def _way_to(group: Group, place: int) -> list[str]:
    """The words of the leaves on the one way to a child; up to where it branches."""
    words: list[str] = []
    while True:
        words = [*(_short(leaf) for leaf in _leaves(group.children[place])), *words]
        sources = [source for source, target in group.wires if target == place]
        if len(sources) != 1 or sum(source == sources[0] for source, _ in group.wires) > 1:
            return words
        place = sources[0]


def _separable(words: list[str]) -> list[str]:
    """A depthwise filter and the 1x1 after it as one, and the same in a row once, with its number."""
    told: list[str] = []
    for word in words:
        if word == by((1, 1)) and told and told[-1].endswith("depthwise"):
            told[-1] = told[-1].removesuffix("depthwise") + "separable"
        else:
            told.append(word)
    counted = [(word, len(list(same))) for word, same in itertools.groupby(told)]
    return [word if count == 1 else f"{count} {TIMES} {word}" for word, count in counted]


def _short(leaf: Leaf) -> str:
    """Its first words without channels and stride."""
    words = leaf.texts or (leaf.role,)
    first = next((each for each in words if leaf.role != "convolution" or TIMES in each), words[0])
    return first.partition(", ")[0]


def _leaves(node: Node) -> Iterable[Leaf]:
    if isinstance(node, Leaf):
        yield node
    else:
        for child in node.children:
            yield from _leaves(child)


def _at(node: Node, path: str) -> Node:
    if isinstance(node, Leaf):
        return dataclasses.replace(node, path=path)
    return node


def _together(first: Leaf, second: Leaf) -> Leaf:
    """Two leaves in one box, under the name of the layer among them."""
    chief = second if first.role in SMALL and second.role not in SMALL else first
    return Leaf(
        path=chief.path,
        role=chief.role,
        texts=(*first.texts, *second.texts),
        coarse=chief.coarse,
        ops=first.ops | second.ops,
        inside=(first.inside, second.inside),
    )

"""Which parts of a network are opened, which are one box, and which repeat: the drawing's boxes, frames and links.

A stage of blocks is a frame. The first block of each kind is opened to show its branches, shortcut and joins; a later
one of that kind is one box. Neighbours that do the same, each with what the one before it makes, are drawn once, with
their number. Between two boxes there is a link where a tensor goes from one to the other, whichever of the repeated
ones they are; what repeated parts give each other is told in words.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from convatlas.arithmetic.tracing.trace import Trace
from convatlas.report.diagrams.flow import OUTPUT, Flow, flow, network_input
from convatlas.report.diagrams.tree import Group, Leaf, Node, closed, tree
from convatlas.report.diagrams.words import humanised

_LARGEST_OPEN: Final = 16  # boxes of an opened block
_ALIKE: Final = 0.85  # share of their parts that two blocks of one kind have in common


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box of the drawing. name: the paper's name, or empty. texts: its words. run: how many in a row it
    stands for; times: how many in all, with the repetitions of the frames around it.
    paths: the modules that it stands for, one for each time. ops: the operations of all of them.
    parameters: the names of those that they use first. frame: the frame that it is in, an index, or None.
    """

    role: str
    name: str
    texts: tuple[str, ...]
    run: int
    times: int
    paths: tuple[str, ...]
    ops: frozenset[int]
    parameters: tuple[str, ...]
    frame: int | None


@dataclass(frozen=True, kw_only=True)
class Frame:
    """An opened part, around its boxes. note: what its repetitions give each other. parent: the frame around it.

    kind: its class. is_stage: whether it is only a row of blocks. run, times: as of a box. members: the operations of
    each repetition.
    """

    title: str
    note: str
    path: str
    kind: str
    is_stage: bool
    run: int
    times: int
    members: tuple[frozenset[int], ...]
    parent: int | None


@dataclass(frozen=True, kw_only=True)
class Link:
    """A tensor's way between two boxes, by their indices; several shapes where repeated boxes give different ones."""

    source: int
    target: int
    shapes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Folded:
    """All that is drawn, in order of execution."""

    boxes: tuple[Box, ...]
    frames: tuple[Frame, ...]
    links: tuple[Link, ...]


def fold(
    traced: Trace,
    *,
    part_names: Mapping[str, str],
    depth: int | None = None,
    shut: frozenset[str] = frozenset(),
    largest: int = _LARGEST_OPEN,
) -> Folded:
    """The boxes of a network.

    shut: paths of blocks that stay one box. largest: how many boxes an opened block may have.
    """
    followed = flow(traced)
    root = tree(traced, followed, part_names, depth)
    return _Folder(traced, followed, part_names, depth, shut, largest).fold(root)


# What a part is within: nothing but stages, a block that is opened with all that is in it, or but for its own blocks.
_Within = Literal["", "deep", "shallow"]


class _Folder:
    def __init__(
        self,
        traced: Trace,
        followed: Flow,
        part_names: Mapping[str, str],
        depth: int | None,
        shut: frozenset[str],
        largest: int,
    ) -> None:
        self._traced = traced
        self._flow = followed
        self._names = part_names
        self._depth = depth
        self._shut = shut
        self._largest = largest
        self._boxes: list[Box] = []
        self._frames: list[Frame] = []
        self._seen: dict[str, list[Counter[str]]] = {}

    def fold(self, root: Group) -> Folded:
        for index in range(len(self._traced.inputs)):
            word = "input" if len(self._traced.inputs) == 1 else f"input {index + 1}"
            self._terminal("input", word, network_input(index))
        self._enter([root], None, "")
        self._terminal("output", "output", OUTPUT)
        return Folded(boxes=tuple(self._boxes), frames=tuple(self._frames), links=self._links())

    def _terminal(self, role: str, word: str, op: int) -> None:
        self._boxes.append(
            Box(
                role=role,
                name="",
                texts=(word,),
                run=1,
                times=1,
                paths=(),
                ops=frozenset({op}),
                parameters=(),
                frame=None,
            )
        )

    def _enter(self, members: Sequence[Group], frame: int | None, within: "_Within") -> None:
        """Draw what groups that are alike do, child by child."""
        for run in self._runs(members[0]):
            nodes = [member.children[place] for member in members for place in run]
            self._draw(nodes, len(run), frame, within)

    def _runs(self, group: Group) -> list[list[int]]:
        """Places of children that are drawn as one."""
        runs: list[list[int]] = []
        wires = set(group.wires)
        for place in range(len(group.children)):
            before = runs[-1][-1] if runs else None
            if before is not None and (before, place) in wires and self._alike(group, before, place, wires):
                runs[-1].append(place)
            else:
                runs.append([place])
        return runs

    def _alike(self, group: Group, before: int, place: int, wires: set[tuple[int, int]]) -> bool:
        first, second = group.children[before], group.children[place]
        if type(first) is not type(second) or first.signature != second.signature:
            return False
        if self._name(first.path) != self._name(second.path):  # the paper tells them apart
            return False
        if isinstance(first, Group):
            return True
        # Of layers only those of a plain chain, and of joins none: how they are wired is what there is to see.
        return (
            first.role != "join"
            and {target for source, target in wires if source == before} == {place}
            and {source for source, target in wires if target == place} == {before}
        )

    def _draw(self, nodes: Sequence[Node], run: int, frame: int | None, within: "_Within") -> None:
        first = nodes[0]
        if isinstance(first, Leaf):
            self._box([node for node in nodes if isinstance(node, Leaf)], frame, run)
            return
        groups = [node for node in nodes if isinstance(node, Group)]
        opened = self._opened(first, within)
        if opened is None:
            note = self._note(groups[:run])
            leaves = [closed(group) for group in groups]
            self._box(leaves, frame, run, note)
        elif self._framed(first, run, within):
            self._frames.append(
                Frame(
                    title=self._name(first.path) or self._title(first),
                    note=self._note(groups[:run]),
                    path=first.path,
                    kind=first.kind,
                    is_stage=first.is_stage,
                    run=run,
                    times=self._times(run, frame),
                    members=tuple(group.ops for group in groups),
                    parent=frame,
                )
            )
            self._enter(groups, len(self._frames) - 1, opened)
        else:
            self._enter(groups, frame, opened)

    def _opened(self, group: Group, within: "_Within") -> "_Within | None":
        """Within what its children are when it is opened; None when it is one box."""
        if within:
            return "deep" if within == "deep" else None
        if self._depth is not None or not group.path or group.is_stage:
            return ""
        parts = Counter(_coarse([group.children[run[0]] for run in self._runs(group)]))
        seen = self._seen.setdefault(group.kind, [])
        known = any(_share(parts, other) >= _ALIKE for other in seen)
        seen.append(parts)
        if known or group.path in self._shut or len(self._runs(group)) > self._largest:
            return None
        return "deep" if self._boxes_of(group) <= self._largest else "shallow"

    def _boxes_of(self, group: Group) -> int:
        """Boxes that it makes when it is opened, and all that is in it."""
        return sum(
            self._boxes_of(child) if isinstance(child, Group) else 1
            for child in (group.children[run[0]] for run in self._runs(group))
        )

    def _framed(self, group: Group, run: int, within: "_Within") -> bool:
        """Whether a frame says something: a repetition, what the paper names, a block, or a stage of its own.

        A stage that the paper does not name is none of its own where the paper names what is in it.
        """
        if not group.path or run > 1 or self._name(group.path):
            return bool(group.path)
        if within:
            return False
        own = group.is_stage and not any(path.startswith(f"{group.path}.") for path in self._names)
        return group.joins or own or self._depth is not None

    def _times(self, run: int, frame: int | None) -> int:
        return run * (self._frames[frame].times if frame is not None else 1)

    def _name(self, path: str) -> str:
        return self._names.get(path, "") if path else ""

    def _title(self, group: Group) -> str:
        if group.is_stage and group.kind in ("Sequential", "ModuleList"):
            return group.path
        return humanised(group.kind)

    def _box(self, leaves: Sequence[Leaf], frame: int | None, run: int, note: str = "") -> None:
        ops = frozenset().union(*(leaf.ops for leaf in leaves))
        first = leaves[0]
        name = self._name(first.path)
        if frame is not None and self._frames[frame].path == first.path:  # an operation of the block's own
            name = ""
        texts = (first.texts[1:] or first.texts) if name and first.role == "block" else first.texts
        self._boxes.append(
            Box(
                role=first.role,
                name=name,
                texts=(*(texts or (() if name else (first.coarse or "reshape",))), *([note] if note else [])),
                run=run,
                times=self._times(run, frame),
                paths=tuple(leaf.path for leaf in leaves),
                ops=ops,
                parameters=tuple(each for op in sorted(ops) for each in self._flow.parameters.get(op, ())),
                frame=frame,
            )
        )

    def _note(self, members: Sequence[Group]) -> str:
        """What repeated parts get beside what the one before them makes."""
        if len(members) < 2:
            return ""
        place = {op: index for index, member in enumerate(members) for op in member.ops}
        reads = [
            {place[edge.source] for op in member.ops for edge in self._flow.of_target[op] if edge.source in place}
            - {index}
            for index, member in enumerate(members)
        ]
        if all(read <= {index - 1} for index, read in enumerate(reads)):
            return ""
        from_outside = any(edge.source not in place for op in members[-1].ops for edge in self._flow.of_target[op])
        if not from_outside and all(read <= {index - 1, index - 2} for index, read in enumerate(reads)):
            return "each gets the maps of the two before it"
        if len(members) > 2 and all(read == set(range(index)) for index, read in enumerate(reads)):
            return "each gets all the maps before it"
        return "each gets maps of others before it too"

    # --- Links

    def _links(self) -> tuple[Link, ...]:
        box_of = {op: index for index, box in enumerate(self._boxes) for op in box.ops}
        member_of = [
            {op: index for index, member in enumerate(frame.members) for op in member} for frame in self._frames
        ]
        batch = next((ref.shape[0] for ref in self._traced.inputs if ref.shape), 1)
        found: dict[tuple[int, int], dict[tuple[int, ...], None]] = {}
        for edge in self._flow.edges:
            source, target = box_of[edge.source], box_of[edge.target]
            if source == target or self._told(edge.source, edge.target, source, member_of):
                continue
            found.setdefault((source, target), {})[shape_of(edge.tensor.shape, batch)] = None
        return tuple(
            Link(source=source, target=target, shapes=tuple(shapes))
            for (source, target), shapes in sorted(found.items())
        )

    def _told(self, source: int, target: int, box: int, member_of: Sequence[Mapping[int, int]]) -> bool:
        """Whether a tensor goes from one repetition to another: the frame's number and note tell of it."""
        frame = self._boxes[box].frame
        while frame is not None:
            members = member_of[frame]
            if target in members and members[target] != members[source]:
                return True
            frame = self._frames[frame].parent
        return False


def shape_of(shape: tuple[int, ...], batch: int) -> tuple[int, ...]:
    """Of one picture: without the batch, where it comes first."""
    return shape[1:] if len(shape) > 1 and shape[0] == batch else shape


def _coarse(children: Sequence[Node]) -> list[str]:
    return [
        child.coarse if isinstance(child, Leaf) else child.kind
        for child in children
        if not isinstance(child, Leaf) or child.role not in ("shape", "activation", "norm")
    ]


def _share(one: Counter[str], other: Counter[str]) -> float:
    together = sum((one | other).values())
    return sum((one & other).values()) / together if together else 1.0

"""Where in the picture the places of a tensor lie: an affine map from its indices to pixels, as strides map to memory.

A dimension of a tensor is made of atoms, row-major: most have one; one that a view merged (tokens of height x width)
has several. A step along an atom moves the field by the atom's jump along each axis of the picture. The map always
*covers*: a unit sees no pixel outside; where an operation breaks the even spacing, the cover grows to stay true.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from convatlas.arithmetic.field.closed import AxisField, ReceptiveField

ZERO = Fraction(0)
NO_PLACES = "the input has no places, as a picture has"


@dataclass(frozen=True)
class Atom:
    """`count` places in a row, each `jumps` pixels after the one before, one jump for each axis of the picture."""

    count: int
    jumps: tuple[Fraction, ...]

    @property
    def still(self) -> bool:
        """Whether a step along it stays at the same place of the picture, as along channels."""
        return not any(self.jumps)


Dimension = tuple[Atom, ...]


@dataclass(frozen=True)
class Places:
    """The fields of a tensor's units: those at index 0 begin at `starts` and span `sizes`, one for each axis.

    whole: axes of which each unit also sees all, beside this local field. picture: pixels along each axis.
    """

    dims: tuple[Dimension, ...]
    starts: tuple[Fraction, ...]
    sizes: tuple[Fraction, ...]
    whole: tuple[bool, ...]
    picture: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return tuple(math.prod(atom.count for atom in dim) for dim in self.dims)

    def still(self, count: int) -> Atom:
        """An atom of so many indices that all mean the same place."""
        return Atom(count, (ZERO,) * len(self.picture))

    def with_dim(self, index: int, dim: Dimension) -> "Places":
        """The same with another dimension in one place."""
        return replace(self, dims=(*self.dims[:index], dim, *self.dims[index + 1 :]))

    def moved(self, jumps: Sequence[Fraction], first: Fraction, last: Fraction) -> "Places":
        """Each unit sees what those from `first` to `last` steps of these jumps away saw."""
        starts = [start + min(first * jump, last * jump) for start, jump in zip(self.starts, jumps, strict=True)]
        sizes = [size + (last - first) * abs(jump) for size, jump in zip(self.sizes, jumps, strict=True)]
        return replace(self, starts=tuple(starts), sizes=tuple(sizes))

    def with_whole(self, axes: Iterable[bool]) -> "Places":
        """The same, of which each unit also sees all of the given axes."""
        return replace(self, whole=tuple(a or b for a, b in zip(self.whole, axes, strict=True)))

    def covers(self, axis: int) -> bool:
        """Whether each unit sees all pixels of the axis."""
        if self.whole[axis]:
            return True
        reach = [(atom.count - 1) * atom.jumps[axis] for dim in self.dims for atom in dim]
        last_start = self.starts[axis] + sum(each for each in reach if each > 0)
        first_end = self.starts[axis] + self.sizes[axis] - 1 + sum(each for each in reach if each < 0)
        return last_start <= 0 and first_end >= self.picture[axis] - 1


def of_picture(shape: Sequence[int], axes: Sequence[int]) -> Places:
    """The picture itself: a pixel sees itself. axes: which dimensions are places (2 and 3 of N, C, H, W)."""
    dims = tuple(
        (Atom(count, tuple(Fraction(int(index == axis)) for axis in axes)),) for index, count in enumerate(shape)
    )
    nothing = len(axes) * (ZERO,)
    picture = tuple(shape[axis] for axis in axes)
    return Places(dims, nothing, tuple(one + 1 for one in nothing), (False,) * len(axes), picture)


def spread(places: Places, dims: Iterable[int]) -> Places:
    """Each unit sees what all units along these dimensions see, as in a sum over them; the dimensions stay."""
    for index in dims:
        for atom in places.dims[index]:
            places = places.moved(atom.jumps, ZERO, Fraction(atom.count - 1))
        places = places.with_dim(index, (places.still(math.prod(atom.count for atom in places.dims[index])),))
    return places


def single(places: Places, index: int) -> Places:
    """The dimension as one atom of even spacing, the fields grown to cover what is not evenly spaced."""
    while len(places.dims[index]) > 1:
        *front, outer, inner = places.dims[index]
        if outer.count == 1:
            places = places.with_dim(index, (*front, inner))
            continue
        jumps = tuple(jump / inner.count for jump in outer.jumps) if inner.count > 1 else outer.jumps
        uneven = tuple(own - even for own, even in zip(inner.jumps, jumps, strict=True))
        places = places.moved(uneven, ZERO, Fraction(inner.count - 1))
        places = places.with_dim(index, (*front, Atom(outer.count * inner.count, jumps)))
    return places


def regrouped(places: Places, shape: Sequence[int]) -> Places:
    """A view of another shape with the same elements in the same order."""
    atoms = _joined(atom for dim in places.dims for atom in dim if atom.count != 1)
    dims: list[Dimension] = []
    for count in shape:
        dim: list[Atom] = []
        wanted = count
        while wanted > 1:
            atom = atoms.pop(0)
            if wanted % atom.count == 0:
                dim.append(atom)
                wanted //= atom.count
            elif atom.count % wanted == 0:
                inner = atom.count // wanted
                dim.append(Atom(wanted, tuple(jump * inner for jump in atom.jumps)))
                atoms.insert(0, Atom(inner, atom.jumps))
                wanted = 1
            else:  # a cut across an atom: the places are lost, their cover stays
                covered = spread(places, range(len(places.dims)))
                return replace(covered, dims=tuple((covered.still(each),) for each in shape))
        dims.append(tuple(dim) or (places.still(count),))
    return _keeping_single_places(places, replace(places, dims=tuple(dims)))


def _joined(atoms: Iterable[Atom]) -> list[Atom]:
    """Neighbouring atoms that are evenly spaced across their border, as one."""
    joined: list[Atom] = []
    for atom in atoms:
        if joined and joined[-1].jumps == tuple(jump * atom.count for jump in atom.jumps):
            atom = Atom(joined.pop().count * atom.count, atom.jumps)  # noqa: PLW2901
        joined.append(atom)
    return joined


def _keeping_single_places(before: Places, after: Places) -> Places:
    """A dimension of one place keeps its jump where the view did not touch it: a map of 1 x 1 knows its stride."""
    if len(before.dims) == len(after.dims):
        for index, (old, new) in enumerate(zip(before.dims, after.dims, strict=True)):
            if sum(atom.count for atom in old) == len(old) and after.shape[index] == 1 and new != old:
                after = after.with_dim(index, old)
    return after


def united(first: Places, second: Places) -> Places:
    """Each unit sees what both saw, element by element with broadcasting, as in an addition or a gate."""
    rank = max(len(first.dims), len(second.dims))
    first, second = _padded(first, rank), _padded(second, rank)
    for index in range(rank):
        first, second = _same_atoms(first, second, index)
    for axis in range(len(first.picture)):
        first, second = _same_jumps(first, second, axis)
    starts = tuple(map(min, first.starts, second.starts))
    ends = [
        max(a + m, b + n) for a, m, b, n in zip(first.starts, first.sizes, second.starts, second.sizes, strict=True)
    ]
    return replace(
        first, starts=starts, sizes=tuple(end - start for start, end in zip(starts, ends, strict=True))
    ).with_whole(second.whole)


def _padded(places: Places, rank: int) -> Places:
    return replace(places, dims=((places.still(1),),) * (rank - len(places.dims)) + places.dims)


def _same_atoms(first: Places, second: Places, index: int) -> tuple[Places, Places]:
    """Both with the same counts of atoms along a dimension: broadcast, split where the other is, or made single."""
    a, b = first.dims[index], second.dims[index]
    counts = [atom.count for atom in a], [atom.count for atom in b]
    if counts[0] == counts[1]:
        return first, second
    sizes = [math.prod(each) for each in counts]
    if sizes[0] == 1:
        return first.with_dim(index, tuple(first.still(atom.count) for atom in b)), second
    if sizes[1] == 1:
        return first, second.with_dim(index, tuple(second.still(atom.count) for atom in a))
    if len(a) == 1:
        return first.with_dim(index, _split(a[0], counts[1])), second
    if len(b) == 1:
        return first, second.with_dim(index, _split(b[0], counts[0]))
    return single(first, index), single(second, index)


def _split(atom: Atom, counts: Sequence[int]) -> Dimension:
    steps = [math.prod(counts[index + 1 :]) for index in range(len(counts))]
    return tuple(
        Atom(count, tuple(jump * step for jump in atom.jumps)) for count, step in zip(counts, steps, strict=True)
    )


def _same_jumps(first: Places, second: Places, axis: int) -> tuple[Places, Places]:
    """Both with the same jumps along an axis of the picture, so that one map serves both.

    One that sees the whole axis anyway takes the other's places: the local field is kept beside it. Else an atom on
    which they differ loses its places in both.
    """
    if _jumps(first, axis) == _jumps(second, axis):
        return first, second
    if second.covers(axis) and not any(map(any, _jumps(second, axis))):
        return first.with_whole(_only(axis, first)), _taking(second, first, axis)
    if first.covers(axis) and not any(map(any, _jumps(first, axis))):
        return _taking(first, second, axis), second.with_whole(_only(axis, second))
    for index, (a, b) in enumerate(zip(first.dims, second.dims, strict=True)):
        for position, (one, other) in enumerate(zip(a, b, strict=True)):
            if one.jumps[axis] != other.jumps[axis]:
                first = _without(first, index, position, axis)
                second = _without(second, index, position, axis)
    return first, second


def _jumps(places: Places, axis: int) -> list[list[Fraction]]:
    return [[atom.jumps[axis] if atom.count > 1 else ZERO for atom in dim] for dim in places.dims]


def _only(axis: int, places: Places) -> list[bool]:
    return [index == axis for index in range(len(places.picture))]


def _taking(places: Places, other: Places, axis: int) -> Places:
    """`places` with the other's map along one axis."""
    dims = tuple(
        tuple(
            Atom(own.count, (*own.jumps[:axis], its.jumps[axis], *own.jumps[axis + 1 :]))
            for own, its in zip(dim, its_dim, strict=True)
        )
        for dim, its_dim in zip(places.dims, other.dims, strict=True)
    )
    starts = (*places.starts[:axis], other.starts[axis], *places.starts[axis + 1 :])
    sizes = (*places.sizes[:axis], other.sizes[axis], *places.sizes[axis + 1 :])
    return replace(places, dims=dims, starts=starts, sizes=sizes)


def _without(places: Places, index: int, position: int, axis: int) -> Places:
    """One atom spread along one axis: a step along it no longer moves the field there."""
    atom = places.dims[index][position]
    jumps = tuple(jump if each == axis else ZERO for each, jump in enumerate(atom.jumps))
    places = places.moved(jumps, ZERO, Fraction(atom.count - 1))
    left = Atom(atom.count, tuple(ZERO if each == axis else jump for each, jump in enumerate(atom.jumps)))
    dim = places.dims[index]
    return places.with_dim(index, (*dim[:position], left, *dim[position + 1 :]))


def as_field(places: Places) -> ReceptiveField:
    """The map as a receptive field: places that lie along several dimensions of the tensor have no one jump."""
    if not places.picture:
        return ReceptiveField(unknown=NO_PLACES)
    return ReceptiveField(axes=tuple(_axis_field(places, axis) for axis in range(len(places.picture))))


def _axis_field(places: Places, axis: int) -> AxisField:
    moving = [index for index, dim in enumerate(places.dims) if any(atom.jumps[axis] for atom in dim)]
    whole = places.covers(axis)
    if len(moving) > 1:  # windows or phases of a map: covered from the first to the last
        places, moving = spread(places, moving), []
    jump = None
    if moving:
        places = single(places, moving[0])
        jump = places.dims[moving[0]][0].jumps[axis]
    if jump is None and whole:  # no place, and all of it: what lies in the padding means nothing
        return AxisField(size=Fraction(places.picture[axis]), jump=None, start=ZERO, whole=True)
    return AxisField(size=places.sizes[axis], jump=jump, start=places.starts[axis], whole=whole)

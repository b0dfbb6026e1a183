"""Splitting by seed: the same seed and names give the same parts on every machine and with every library version.

Chance comes from SHA-256 of seed and name, not from a random generator, so adding a picture hardly moves the others.
Byte-equal pictures stay together. The stratification is the iterative one of Sechidis, Tsoumakas and Vlahavas, "On the
Stratification of Multi-Label Data", ECML 2011 (https://doi.org/10.1007/978-3-642-23808-6_10): the rarest class is dealt
out first, each picture to the part that lacks that class most. With one label a picture this gives exact proportions.
"""

import hashlib
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convatlas.data.duplicates import exact_duplicates
from convatlas.data.listing import quoted
from convatlas.data.picture_set import DataSplits, PictureSet
from convatlas.errors import DataError, UsageError

_TRAIN, _VAL, _TEST = range(3)


def stratified_split(pictures: PictureSet, *, seed: int, val: float, test: float = 0.0) -> DataSplits:
    """Deal the pictures out to train, val and, if `test` > 0, test, each with the classes in the same proportion.

    `val` and `test` are fractions of the distinct pictures of each class. Each class gets at least one picture in train
    and val, and one in test if it has three distinct ones. Raises UsageError for impossible fractions, DataError for a
    class that has too few pictures.
    """
    check_fractions(val=val, test=test)
    units = _units(pictures, seed)
    _check_enough(pictures, units)
    part_of = _deal(units.labels, val=val, test=test)
    dealt = np.empty(len(pictures), np.int8)
    dealt[units.heads] = part_of
    for group in units.groups:
        dealt[group] = dealt[group[0]]
    train, held_out, tested = (pictures.take(np.flatnonzero(dealt == part)) for part in (_TRAIN, _VAL, _TEST))
    _check_present(pictures, train, held_out)
    return DataSplits(
        train=train,
        val=held_out,
        test=tested if test else None,
        how=_how(pictures, tested, seed=seed, val=val, test=test),
    )


def check_fractions(*, val: float, test: float) -> None:
    """Raise UsageError unless 0 < val, 0 <= test and val + test < 1."""
    if not (math.isfinite(val) and 0 < val < 1):
        reason = "validation pictures choose the best checkpoint and fit the temperature"
        raise UsageError(f"val: expected a fraction above 0 and below 1 ({reason}), got {val}")
    if not (math.isfinite(test) and 0 <= test < 1):
        raise UsageError(f"test: expected a fraction from 0 to below 1, got {test}")
    if val + test >= 1:
        raise UsageError(f"val, test: together they are {val + test:g}; they must leave pictures to train on")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Units:
    """U units in an order of chance: single pictures, and groups of byte-equal ones that stay together.

    heads: (U,) a picture of each, the first of a group. labels: the classes of each. groups: those of two and more.
    """

    heads: NDArray[np.int64]
    labels: list[tuple[int, ...]]
    groups: list[list[int]]


def _units(pictures: PictureSet, seed: int) -> _Units:
    groups = exact_duplicates(pictures)
    follows = np.zeros(len(pictures), bool)
    for group in groups:
        follows[group[1:]] = True
    names = pictures.names
    first_name = {group[0]: min(names[index] for index in group) for group in groups}
    heads = np.flatnonzero(~follows)
    heads = heads[_by_chance([first_name.get(head) or names[head] for head in heads.tolist()], seed)]
    label_of = _labels(pictures)
    common = {group[0]: tuple(sorted({label for index in group for label in label_of[index]})) for group in groups}
    return _Units(heads=heads, labels=[common.get(head) or label_of[head] for head in heads.tolist()], groups=groups)


def _labels(pictures: PictureSet) -> list[tuple[int, ...]]:
    """The classes of each picture; one without any (multi-label) is of a class of its own, to be dealt out evenly."""
    if pictures.multilabel:
        none = len(pictures.classes)
        return [tuple(np.flatnonzero(row).tolist()) or (none,) for row in pictures.targets]
    single = [(label,) for label in range(len(pictures.classes))]
    return [single[target] for target in pictures.targets.tolist()]


def _by_chance(names: list[str], seed: int) -> NDArray[np.int64]:
    """The order of the names by SHA-256 of "SEED:NAME"."""
    digests = b"".join([hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in names])
    words = np.frombuffer(digests, ">u8").reshape(-1, 4)
    return np.lexsort(words.T[::-1])


def _deal(labels: list[tuple[int, ...]], *, val: float, test: float) -> NDArray[np.int8]:
    """The part of each unit."""
    with_label: dict[int, list[int]] = {}
    for position, several in enumerate(labels):
        for label in several:
            with_label.setdefault(label, []).append(position)
    wanted = {label: _shares(len(positions), val=val, test=test) for label, positions in with_label.items()}
    part_of = np.full(len(labels), -1, np.int8)
    bound = {label for several in labels if len(several) > 1 for label in several}
    for label in with_label.keys() - bound:  # nothing that is dealt to other classes is dealt to this one
        part_of[with_label[label]] = _turns(wanted[label])
    left = {label: len(with_label[label]) for label in bound}
    while left:
        rarest = min(left, key=lambda label: (left[label], label))
        for position in with_label[rarest]:
            if part_of[position] >= 0:
                continue
            # The part that lacks this class most; among equals the one that lacks the picture's other classes most.
            lacks = [(wanted[rarest][p], sum(wanted[label][p] for label in labels[position]), -p) for p in range(3)]
            part = lacks.index(max(lacks))
            part_of[position] = part
            for label in labels[position]:
                wanted[label][part] -= 1
                if label in left:
                    left[label] -= 1
        del left[rarest]
        left = {label: count for label, count in left.items() if count}
    return part_of


def _turns(shares: list[int]) -> NDArray[np.int8]:
    """The parts in the order in which a class of its own is dealt: each time to the one that lacks most, then first."""
    parts = np.repeat(np.arange(3, dtype=np.int8), shares)
    lacks = np.concatenate([np.arange(share, 0, -1) for share in shares])
    return parts[np.lexsort((parts, -lacks))]


def _shares(count: int, *, val: float, test: float) -> list[int]:
    """How many of a class's `count` units each part is to have."""
    if count < 2:  # only of pictures without a class; a class has two or more
        return [count, 0, 0]
    shares = [0, max(1, round(count * val)), 0]
    if test > 0 and count >= 3:
        shares[_TEST] = max(1, round(count * test))
    while sum(shares) >= count and max(shares) > 1:
        shares[shares.index(max(shares))] -= 1
    shares[_TRAIN] = count - sum(shares)
    return shares


def _check_enough(pictures: PictureSet, units: _Units) -> None:
    distinct = Counter(label for several in units.labels for label in several)
    for label, (name, count) in enumerate(zip(pictures.classes, pictures.counts(), strict=True)):
        if distinct[label] < 2:
            has = "no picture" if not count else "one picture" if count == 1 else f"{count} copies of one picture"
            raise DataError(
                f'{pictures.origin}: class "{name}" has {has}; training and validation need one each. '
                "Add pictures or remove the class"
            )


def _check_present(pictures: PictureSet, train: PictureSet, val: PictureSet) -> None:
    for part, counts in (("train", train.counts()), ("val", val.counts())):
        missing = [name for name, count in zip(pictures.classes, counts, strict=True) if not count]
        if missing:
            raise DataError(
                f"{pictures.origin}: no picture of {quoted(missing)} could be given to {part}, since their pictures "
                "belong to other classes too; add pictures, remove the class, or try another seed"
            )


def _how(pictures: PictureSet, tested: PictureSet, *, seed: int, val: float, test: float) -> str:
    shares = f"{1 - val - test:.0%} train, {val:.0%} val" + (f", {test:.0%} test" if test else "")
    text = f"split by seed {seed} into {shares}, stratified by class, byte-equal pictures kept together"
    if test:
        few = [name for name, count in zip(pictures.classes, tested.counts(), strict=True) if not count]
        if few:
            text += f"; too few pictures for the test part: {quoted(few)}"
    return text

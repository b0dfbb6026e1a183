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
    parts = _deal(units, val=val, test=test)
    train, held_out, tested = (pictures.take(sorted(parts[part])) for part in (_TRAIN, _VAL, _TEST))
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Unit:
    """Pictures that stay together: one, or several that are byte-equal."""

    members: tuple[int, ...]
    labels: tuple[int, ...]


def _units(pictures: PictureSet, seed: int) -> list[_Unit]:
    """All units in an order of chance."""
    groups = exact_duplicates(pictures)
    grouped = {index for group in groups for index in group}
    groups += [[index] for index in range(len(pictures)) if index not in grouped]
    # A picture without any class (multi-label) counts as of a class of its own, so that these are dealt out evenly too.
    none = len(pictures.classes)
    labels = (
        [tuple(np.flatnonzero(row).tolist()) or (none,) for row in pictures.targets]
        if pictures.multilabel
        else [(int(target),) for target in pictures.targets]
    )

    def chance(group: list[int]) -> bytes:
        name = min(pictures.names[index] for index in group)
        return hashlib.sha256(f"{seed}:{name}".encode()).digest()

    return [
        _Unit(members=tuple(group), labels=tuple(sorted({label for index in group for label in labels[index]})))
        for group in sorted(groups, key=chance)
    ]


def _deal(units: list[_Unit], *, val: float, test: float) -> dict[int, list[int]]:
    """Part -> indices of pictures."""
    with_label: dict[int, list[int]] = {}
    for position, unit in enumerate(units):
        for label in unit.labels:
            with_label.setdefault(label, []).append(position)
    wanted = {label: _shares(len(positions), val=val, test=test) for label, positions in with_label.items()}
    left = {label: len(positions) for label, positions in with_label.items()}
    part_of: dict[int, int] = {}
    while left:
        rarest = min(left, key=lambda label: (left[label], label))
        for position in with_label[rarest]:
            if position in part_of:
                continue
            labels = units[position].labels
            # The part that lacks this class most; among equals the one that lacks the picture's other classes most.
            part = max(range(3), key=lambda p: (wanted[rarest][p], sum(wanted[label][p] for label in labels), -p))
            part_of[position] = part
            for label in labels:
                wanted[label][part] -= 1
                if label in left:
                    left[label] -= 1
        del left[rarest]
        left = {label: count for label, count in left.items() if count}
    parts: dict[int, list[int]] = {_TRAIN: [], _VAL: [], _TEST: []}
    for position, part in part_of.items():
        parts[part] += units[position].members
    return parts


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


def _check_enough(pictures: PictureSet, units: list[_Unit]) -> None:
    distinct = Counter(label for unit in units for label in unit.labels)
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

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.data.picture_set import ArrayReader, DataSplits, PictureSet
from convatlas.data.split import stratified_split
from convatlas.errors import DataError, UsageError


def a_set(targets: Any, content: Any = None) -> PictureSet:
    """Pictures of 1 x 2 pixels; those with equal `content` are byte-equal."""
    targets = np.array(targets)
    count = len(targets)
    content = np.arange(count) if content is None else np.array(content)
    pixels = np.stack([content // 256, content % 256], axis=1).astype(np.uint8)[:, None, :]
    classes = tuple("abcdefgh"[: targets.shape[1] if targets.ndim == 2 else int(targets.max()) + 1])
    return PictureSet(
        origin="here",
        classes=classes,
        names=tuple(f"{i}.png" for i in range(count)),
        targets=targets.astype(np.uint8 if targets.ndim == 2 else np.int64),
        read=ArrayReader(pixels),
    )


def parts_of(data: DataSplits) -> list[set[str]]:
    return [set(part.names) if part is not None else set() for part in (data.train, data.val, data.test)]


counts_of_classes = st.lists(st.integers(2, 60), min_size=1, max_size=6)
fractions = st.tuples(st.floats(0.01, 0.45), st.sampled_from([0.0, 0.1, 0.15, 0.3, 0.5]))


@given(counts=counts_of_classes, shares=fractions, seed=st.integers(-5, 10**9))
@settings(max_examples=60)
def test_a_split_is_a_stratified_partition(counts: list[int], shares: tuple[float, float], seed: int) -> None:
    val, test = shares
    pictures = a_set(np.repeat(np.arange(len(counts)), counts))
    data = stratified_split(pictures, seed=seed, val=val, test=test)
    train, held, tested = parts_of(data)
    assert len(train) + len(held) + len(tested) == len(pictures)
    assert train | held | tested == set(pictures.names)
    assert (data.test is None) == (test == 0)
    for label, count in enumerate(counts):
        assert data.train.counts()[label] >= 1
        assert data.val.counts()[label] >= 1
        if count >= 10 and val + test < 0.8:
            assert abs(data.val.counts()[label] - count * val) <= max(0.5, 1 - count * val)
        if data.test is not None:
            assert (data.test.counts()[label] >= 1) == (count >= 3)


@given(
    content=st.lists(st.integers(0, 12), min_size=8, max_size=40),
    labels=st.randoms(use_true_random=False),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_byte_equal_pictures_stay_together(content: list[int], labels: Any, seed: int) -> None:
    pictures = a_set([labels.randrange(2) for _ in content[:-2]] + [0, 1], content)
    try:
        data = stratified_split(pictures, seed=seed, val=0.2, test=0.2)
    except DataError:
        return
    parts = parts_of(data)
    for value in set(content):
        same = {f"{i}.png" for i, other in enumerate(content) if other == value}
        assert sum(bool(same & part) for part in parts) == 1


def test_the_same_seed_gives_the_same_parts_another_seed_others() -> None:
    pictures = a_set(np.repeat([0, 1], 50))
    first, again, other = (stratified_split(pictures, seed=seed, val=0.2, test=0.2) for seed in (0, 0, 1))
    assert parts_of(first) == parts_of(again)
    assert parts_of(first) != parts_of(other)


def test_the_split_is_the_same_on_every_machine_and_version() -> None:
    data = stratified_split(a_set(np.repeat([0, 1], 10)), seed=7, val=0.2, test=0.1)
    assert data.test is not None
    # Within a class in the order of SHA-256 of "7:<name>". A class of 10 wants 7 + 2 + 1, and each picture goes to the
    # part that lacks most, train first: six to train, then val, train, val, test.
    for label, first in enumerate((0, 10)):
        names = [f"{i}.png" for i in range(first, first + 10)]
        order = sorted(names, key=lambda name: hashlib.sha256(f"7:{name}".encode()).digest())
        of_class = [set(part.take(np.flatnonzero(part.targets == label)).names) for part in (data.val, data.test)]
        assert of_class == [{order[6], order[8]}, {order[9]}]


def test_exact_shares_of_a_class() -> None:
    data = stratified_split(a_set(np.repeat([0, 1], [100, 40])), seed=0, val=0.15, test=0.25)
    assert data.train.counts().tolist() == [60, 24]
    assert data.val.counts().tolist() == [15, 6]
    assert data.test is not None
    assert data.test.counts().tolist() == [25, 10]
    assert data.how == (
        "split by seed 0 into 60% train, 15% val, 25% test, stratified by class, byte-equal pictures kept together"
    )


def test_two_pictures_of_a_class_leave_none_for_the_test_and_it_is_said() -> None:
    data = stratified_split(a_set([0, 0, 0, 0, 1, 1]), seed=0, val=0.25, test=0.25)
    assert data.test is not None
    assert data.test.counts().tolist() == [1, 0]
    assert data.how.endswith('too few pictures for the test part: "b"')


def test_one_picture_of_a_class_is_refused_by_name() -> None:
    with pytest.raises(DataError, match=r'class "b" has one picture.*Add pictures or remove the class'):
        stratified_split(a_set([0, 0, 0, 1]), seed=0, val=0.2)


def test_copies_of_one_picture_are_one_picture() -> None:
    with pytest.raises(DataError, match='class "b" has 3 copies of one picture'):
        stratified_split(a_set([0, 0, 0, 1, 1, 1], [1, 2, 3, 4, 4, 4]), seed=0, val=0.2)


def test_classes_that_share_all_their_pictures_can_still_be_split() -> None:
    data = stratified_split(a_set([0, 1, 0, 1, 0, 1], [1, 1, 2, 2, 3, 3]), seed=0, val=0.34)
    assert data.train.counts().tolist() == [2, 2]
    assert data.val.counts().tolist() == [1, 1]


@given(rows=st.lists(st.tuples(*[st.booleans()] * 3), min_size=30, max_size=80), seed=st.integers(0, 9))
@settings(max_examples=40)
def test_multi_label_parts_keep_the_proportions(rows: list[tuple[bool, ...]], seed: int) -> None:
    targets = np.array(rows, np.uint8)
    targets[:6] = np.eye(3, dtype=np.uint8)[[0, 1, 2, 0, 1, 2]]
    data = stratified_split(a_set(targets), seed=seed, val=0.3)
    assert parts_of(data)[0] | parts_of(data)[1] == {f"{i}.png" for i in range(len(rows))}
    share = data.val.counts() / targets.sum(axis=0)
    assert (np.abs(share - 0.3) <= 0.2 + 1 / targets.sum(axis=0)).all()


def dealt_one_by_one(pictures: PictureSet, units: list[list[int]], *, val: int, test: int) -> list[set[str]]:
    """The paper's algorithm with no short cut, in whole percents: rarest class first, each unit to what lacks most."""
    labels = [{int(pictures.targets[index]) for index in unit} for unit in units]
    wanted = {}
    for label in set().union(*labels):
        count = sum(label in each for each in labels)
        shares = [0, max(1, round(count * val / 100)), max(1, round(count * test / 100)) if test and count >= 3 else 0]
        while sum(shares) >= count and max(shares) > 1:
            shares[shares.index(max(shares))] -= 1
        wanted[label] = [count - sum(shares), *shares[1:]]
    parts: list[set[str]] = [set(), set(), set()]
    left = dict(enumerate(labels))
    while left:
        rarest = min(wanted, key=lambda label: (sum(label in each for each in left.values()) or np.inf, label))
        for position in [position for position, each in left.items() if rarest in each]:
            lacks = [(wanted[rarest][p], sum(wanted[label][p] for label in left[position]), -p) for p in range(3)]
            part = lacks.index(max(lacks))
            for label in left.pop(position):
                wanted[label][part] -= 1
            parts[part] |= {pictures.names[index] for index in units[position]}
    return parts


@given(
    targets=st.lists(st.integers(0, 4), min_size=12, max_size=50),
    variety=st.sampled_from([6, 30, 500]),
    chance=st.randoms(use_true_random=False),
    shares=st.tuples(st.integers(5, 40), st.sampled_from([0, 10, 30])),
)
@settings(max_examples=60)
def test_the_parts_are_those_of_dealing_one_by_one(
    targets: list[int], variety: int, chance: Any, shares: tuple[int, int]
) -> None:
    # Of few contents many pictures are equal across classes, of many none: both ways through the dealing.
    content = [chance.randrange(variety) for _ in targets]
    pictures = a_set(targets, content)
    val, test = shares
    try:
        data = stratified_split(pictures, seed=3, val=val / 100, test=test / 100)
    except DataError:
        return
    units = [[index for index, other in enumerate(content) if other == value] for value in dict.fromkeys(content)]
    first = {id(unit): min(pictures.names[index] for index in unit) for unit in units}
    units.sort(key=lambda unit: hashlib.sha256(f"3:{first[id(unit)]}".encode()).digest())
    assert parts_of(data) == dealt_one_by_one(pictures, units, val=val, test=test)


@pytest.mark.parametrize(
    ("val", "test", "field"),
    [
        (0.0, 0.1, "val"),
        (-0.1, 0.1, "val"),
        (1.0, 0.0, "val"),
        (float("nan"), 0.0, "val"),
        (0.1, -0.1, "test"),
        (0.1, 1.0, "test"),
        (0.1, float("inf"), "test"),
        (0.5, 0.5, "val, test"),
    ],
)
def test_impossible_fractions_name_their_field(val: float, test: float, field: str) -> None:
    with pytest.raises(UsageError, match=f"^{field}: "):
        stratified_split(a_set([0, 0, 1, 1]), seed=0, val=val, test=test)

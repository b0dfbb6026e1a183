"""Selective Search as a whole: its settings, the order of its boxes, and what they find."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.ops.proposals import felzenszwalb
from convatlas.ops.proposals import selective_search as module
from convatlas.ops.proposals.selective_search import (
    ALL_FOUR,
    FAST,
    QUALITY,
    SINGLE,
    SelectiveSearchConfig,
    groupings,
    selective_search,
)
from tests.ops.proposals.pictures import better_than_random, noise, scenes

pytestmark = pytest.mark.row("C-06")


def test_the_settings_have_as_many_strategies_as_the_paper_s():
    picture = noise(0, 24, 20)
    for config, count in ((SINGLE, 1), (FAST, 8), (QUALITY, 80)):
        hierarchies = list(groupings(picture, config))
        assert len(hierarchies) == count
        assert all(each.boxes[-1].tolist() == [0, 0, 20, 24] for each in hierarchies)


def test_the_order_is_section_3_3():
    picture = scenes(1)[0].pixels
    found = selective_search(picture, FAST, seed=5)
    value_of = {}
    random = np.random.default_rng(5)
    drawn = [(each, random.random(len(each.boxes))) for each in groupings(picture, FAST)]
    for each, values in drawn:
        for i, (box, value) in enumerate(zip(each.boxes[::-1].tolist(), values[::-1], strict=True), start=1):
            value_of[tuple(box)] = min(value_of.get(tuple(box), np.inf), i * value)
    assert {tuple(box) for box in found.boxes.tolist()} == set(value_of)
    assert len(found) == len(value_of)  # each once
    np.testing.assert_allclose(-found.scores, sorted(value_of.values()), rtol=1e-6)
    np.testing.assert_allclose(-found.scores, [value_of[tuple(box)] for box in found.boxes.tolist()], rtol=1e-6)


def test_a_seed_orders_the_same_boxes():
    picture = scenes(1)[0].pixels
    first, again, other = (selective_search(picture, SINGLE, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.boxes, other.boxes)
    assert sorted(first.boxes.tolist()) == sorted(other.boxes.tolist())


def test_threads_change_nothing_but_the_time():
    picture = noise(0, 40, 50)
    alone, together = (selective_search(picture, QUALITY, threads=threads) for threads in (1, 3))
    assert np.array_equal(alone.boxes, together.boxes)
    assert np.array_equal(alone.scores, together.scores)


def test_one_who_wants_the_first_grouping_alone_waits_for_no_other(monkeypatch):
    begun, closing, others = [], threading.Event(), set(threading.enumerate())

    def segment(smoothed, **given):
        begun.append(given)
        if len(begun) > 1:
            assert closing.wait(30)
        return felzenszwalb.segment(smoothed, **given)

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            closing.set()
            super().shutdown(wait=wait)

    monkeypatch.setattr(module, "segment", segment)
    monkeypatch.setattr(module, "ThreadPoolExecutor", Pool)
    every = groupings(noise(0, 40, 50), QUALITY, threads=1)
    next(every)
    every.close()
    assert len(begun) <= 2, "the one that is wanted, and one that had begun"
    assert not [thread for thread in set(threading.enumerate()) - others if "ThreadPoolExecutor" in thread.name]


def test_no_more_than_two_colour_spaces_are_segmented_ahead(monkeypatch):
    """What a picture needs of memory does not grow with the settings."""
    spaces = []
    convert = module.to_colour_space
    monkeypatch.setattr(
        module, "to_colour_space", lambda picture, space: spaces.append(space) or convert(picture, space)
    )
    per_space = len(QUALITY.thresholds) * len(QUALITY.similarities)
    for number, _ in enumerate(groupings(noise(0, 24, 20), QUALITY), start=1):
        assert spaces == list(QUALITY.spaces[: -(-number // per_space) + 1])


@pytest.mark.parametrize("threads", [0, 1.5, "2", None])
def test_threads_are_looked_at_before_the_first_grouping_is_asked_for(threads):
    with pytest.raises(UsageError, match="threads: expected a whole number of at least 1, got "):
        groupings(noise(0, 8, 8), threads=threads)


def test_finds_objects_better_than_chance_and_more_strategies_find_more():
    pictures = scenes(12)
    fast = [selective_search(each.pixels).boxes for each in pictures]
    found, chance = better_than_random(fast, pictures, 100)
    assert found > chance + 0.1
    single = [selective_search(each.pixels, SINGLE).boxes for each in pictures]
    assert better_than_random(fast, pictures, 10_000)[0] > better_than_random(single, pictures, 10_000)[0]


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 1), (5, 4, 1)])
def test_small_and_grey_pictures(shape):
    found = selective_search(noise(0, *shape))
    assert found.boxes.tolist() == [[0, 0, shape[1], shape[0]]]


def test_what_is_no_picture():
    with pytest.raises(TypeError, match="picture: expected uint8"):
        selective_search(np.zeros((4, 4, 3)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spaces": ()}, "spaces must be one value or more"),
        ({"spaces": ("hsv", "hsv")}, "each of them once"),
        ({"spaces": ("hsb",)}, "spaces must be among rgb"),
        ({"spaces": "hsv"}, "spaces must be one value or more"),
        ({"similarities": ()}, "similarities must be"),
        ({"thresholds": (0.5,)}, "thresholds must be at least 1"),
        ({"thresholds": (float("nan"),)}, "thresholds must be at least 1"),
    ],
)
def test_impossible_settings_name_the_field(changes, message):
    with pytest.raises(UsageError, match=message):
        SelectiveSearchConfig(**{"spaces": ("hsv",), "similarities": (ALL_FOUR,), "thresholds": (50,), **changes})

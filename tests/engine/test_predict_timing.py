"""Timing engines in turn: one that is far behind gives up its turns, those that are near keep them."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from convatlas.engine.predict import timing

PICTURE = np.zeros((1, 1, 2, 2), np.uint8)


class Clock:
    """A clock that stands still but for the engines' passes."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Taking:
    """An engine whose passes take these seconds, the last of them over and over."""

    name = "taking"

    def __init__(self, clock: Clock, *seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds
        self.passes = 0

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.clock.now += self.seconds[min(self.passes, len(self.seconds) - 1)]
        self.passes += 1
        return np.zeros((len(pixels), 1), np.float32)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of the timing; a turn is one pass that does not count and one that does."""
    clock = Clock()
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=clock.perf_counter))
    monkeypatch.setattr(timing, "WARMING", 0.0)
    monkeypatch.setattr(timing, "TIMED", 0.0)
    return clock


def turns(engines: dict[str, Taking]) -> dict[str, float]:
    return {name: engine.passes / 2 for name, engine in engines.items()}


def test_only_engines_near_the_quickest_take_every_turn(clock: Clock) -> None:
    engines = {"quick": Taking(clock, 0.005), "near": Taking(clock, 0.006), "slow": Taking(clock, 0.05)}
    medians = timing.milliseconds(engines, PICTURE)
    assert turns(engines) == {"quick": timing.ROUNDS, "near": timing.ROUNDS, "slow": timing.FEWEST}
    assert medians == pytest.approx({"quick": 5, "near": 6, "slow": 50})


def test_a_busy_moment_costs_no_turns(clock: Clock) -> None:
    engines = {"one": Taking(clock, 0.1, 0.1, 0.1, 0.5, 0.1), "other": Taking(clock, 0.11)}
    medians = timing.milliseconds(engines, PICTURE)
    assert min(turns(engines).values()) > timing.FEWEST
    assert medians == pytest.approx({"one": 100, "other": 110})


def test_slow_networks_get_fewer_rounds(clock: Clock) -> None:
    engines = {"one": Taking(clock, timing.SECONDS), "other": Taking(clock, timing.SECONDS)}
    timing.milliseconds(engines, PICTURE)
    assert turns(engines) == {"one": timing.FEWEST, "other": timing.FEWEST}


def test_one_engine_that_is_left_is_not_timed_on(clock: Clock) -> None:
    engines = {"quick": Taking(clock, 0.005), "slow": Taking(clock, 0.05)}
    assert timing.milliseconds(engines, PICTURE) == pytest.approx({"quick": 5, "slow": 50})
    assert turns(engines) == {"quick": timing.FEWEST, "slow": timing.FEWEST}
    assert timing.milliseconds({}, PICTURE) == {}

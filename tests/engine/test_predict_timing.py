"""Timing engines in turn: one that is far behind gives up its turns, those that are near keep them."""

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from convatlas.engine.predict import timing


class Waiting:
    """An engine that takes so many seconds and counts its passes."""

    name = "waiting"

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.passes = 0

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.passes += 1
        time.sleep(self.seconds)
        return np.zeros((len(pixels), 1), np.float32)


@pytest.fixture
def single_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn is one pass that does not count and one that does."""
    monkeypatch.setattr(timing, "WARMING", 0.0)
    monkeypatch.setattr(timing, "TIMED", 0.0)


def test_only_engines_near_the_quickest_take_every_turn(single_passes: None) -> None:
    engines = {"quick": Waiting(0.005), "near": Waiting(0.006), "slow": Waiting(0.05)}
    medians = timing.milliseconds(engines, np.zeros((1, 1, 2, 2), np.uint8))
    assert {name: engine.passes for name, engine in engines.items()} == {
        "quick": 2 * timing.ROUNDS,
        "near": 2 * timing.ROUNDS,
        "slow": 2 * timing.FEWEST,
    }
    assert medians["slow"] >= 50
    assert min(medians, key=lambda name: medians[name]) != "slow"


def test_slow_networks_get_fewer_rounds(single_passes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "SECONDS", 0.0)
    engines = {"one": Waiting(0.001), "other": Waiting(0.001)}
    timing.milliseconds(engines, np.zeros((1, 1, 2, 2), np.uint8))
    assert [engine.passes for engine in engines.values()] == [2 * timing.FEWEST] * 2

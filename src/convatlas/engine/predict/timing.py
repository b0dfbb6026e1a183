"""How long engines take for one picture, in turn in one process, so that a busy moment meets all alike."""

import statistics
import time
from collections.abc import Mapping
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from convatlas.engine.predict.engines import Engine

Key = TypeVar("Key", bound=str)

ROUNDS: Final = 15  # of a turn for each engine
FEWEST: Final = 2  # of each; behind them an engine takes part only while it is near the quickest
NEAR: Final = 1.5  # times the quickest
WARMING: Final = 0.05  # seconds of a turn that do not count: the threads of the engine before wait for more that long
TIMED: Final = 0.05  # seconds of a turn that do, of one pass at least
SECONDS: Final = 4.0  # in all; of slow networks fewer rounds


def milliseconds(engines: Mapping[Key, Engine], picture: NDArray[np.uint8]) -> dict[Key, float]:
    """The median pass of each engine over uint8 pixels (1, C, H, W)."""
    seconds: dict[Key, list[float]] = {name: [] for name in engines}
    medians: dict[Key, float] = {}
    began = time.perf_counter()
    for done in range(ROUNDS):
        if done >= FEWEST and time.perf_counter() - began > SECONDS:
            break
        for name, engine in engines.items():
            if done >= FEWEST and medians[name] > NEAR * min(medians.values()):
                continue
            _passes(engine, picture, WARMING)
            seconds[name] += _passes(engine, picture, TIMED)
        medians = {name: 1000 * statistics.median(passes) for name, passes in seconds.items()}
    return medians


def _passes(engine: Engine, picture: NDArray[np.uint8], most: float) -> list[float]:
    """The seconds of single passes, for about so long in all."""
    passes: list[float] = []
    while not passes or sum(passes) < most:
        before = time.perf_counter()
        engine(picture)
        passes.append(time.perf_counter() - before)
    return passes

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
FEWEST: Final = 2  # of each; behind them only engines near the quickest take part, and none alone
NEAR: Final = 1.5  # times the quickest, pass against pass: a busy moment makes a pass longer, none makes it shorter
WARMING: Final = 0.05  # seconds of a turn that do not count: the threads of the engine before wait for more that long
TIMED: Final = 0.05  # seconds of a turn that do, of one pass at least
SECONDS: Final = 4.0  # in all; of slow networks fewer rounds


def milliseconds(engines: Mapping[Key, Engine], picture: NDArray[np.uint8]) -> dict[Key, float]:
    """The median pass of each engine over uint8 pixels (1, C, H, W)."""
    seconds: dict[Key, list[float]] = {name: [] for name in engines}
    began = time.perf_counter()
    for done in range(ROUNDS):
        part = list(engines) if done < FEWEST else _near(seconds)
        if done >= FEWEST and (len(part) < 2 or time.perf_counter() - began > SECONDS):
            break
        for name in part:
            _passes(engines[name], picture, WARMING)
            seconds[name] += _passes(engines[name], picture, TIMED)
    return {name: 1000 * statistics.median(passes) for name, passes in seconds.items()}


def _near(seconds: Mapping[Key, list[float]]) -> list[Key]:
    quickest = {name: min(passes) for name, passes in seconds.items()}
    return [name for name, least in quickest.items() if least <= NEAR * min(quickest.values())]


def _passes(engine: Engine, picture: NDArray[np.uint8], most: float) -> list[float]:
    """The seconds of single passes, for about so long in all."""
    passes: list[float] = []
    while not passes or sum(passes) < most:
        before = time.perf_counter()
        engine(picture)
        passes.append(time.perf_counter() - before)
    return passes

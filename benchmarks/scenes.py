"""How fast embedded scenes are made, with all that is known of them: one process, one core."""

import statistics
import time
from typing import Any

from convatlas.data.scenes.scene import SceneConfig, compose

COUNT, RUNS = 500, 5
SIZES = (64, 128, 256)


def measure() -> dict[str, Any]:
    return {"scenes": COUNT, "runs": RUNS, "per_second": {str(size): _per_second(size) for size in SIZES}}


def lines(measured: dict[str, Any]) -> list[str]:
    return [
        f"scenes of {size} x {size} pixels: {statistics.median(rates):,.0f} a second "
        f"({min(rates):,.0f} to {max(rates):,.0f} over {len(rates)} runs)"
        for size, rates in measured["per_second"].items()
    ]


def _per_second(size: int, count: int = COUNT, runs: int = RUNS) -> list[float]:
    config = SceneConfig(height=size, width=size)
    for index in range(50):
        compose(index, seed=1, config=config)  # digits and pictures are read once
    rates = []
    for _ in range(runs):
        started = time.perf_counter()
        for index in range(count):
            compose(index, config=config)
        rates.append(round(count / (time.perf_counter() - started), 1))
    return rates

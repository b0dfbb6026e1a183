"""How many float32 operations a second the machine makes in a large matrix product: the measure of all the others.

A network's multiply-accumulates, twice, over its time is a rate too; the share of this one says how near the engine
comes to what the processor gives. Algorithms that need fewer operations than are counted (Winograd's for 3x3) may come
above it.
"""

import sys
import time
from typing import Any

from benchmarks.competitor import serve

SIDE = 2048  # 17 GFLOP a product: long enough for every core, and beyond the caches


def gigaflops(threads: int, seconds: float) -> float:
    """The best of the products made within so many seconds (at least three), in 10^9 operations a second."""
    import torch

    from benchmarks.machine import threads as limit

    with limit(threads), torch.inference_mode():
        left, right = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
        torch.mm(left, right)
        taken: list[float] = []
        while len(taken) < 3 or sum(taken) < seconds:
            started = time.perf_counter()
            torch.mm(left, right)
            taken.append(time.perf_counter() - started)
    return 2 * SIDE**3 / min(taken) / 1e9


def _main(threads: int) -> None:
    def answer(command: dict[str, Any]) -> float:
        return gigaflops(threads, command["seconds"])

    serve(answer)


if __name__ == "__main__":
    _main(int(sys.argv[1]))

"""Sliding windows, cut out one by one and as convolutions, in turn, two threads: the same scores, and how much sooner.

LeNet-5's layers pad nothing, so that both ways give each window of 32 x 32 the same scores but for rounding. A window
stands every 4 pixels, on every level of a pyramid whose levels are 1 / sqrt(2) as large as the one before.
"""

import statistics
import time
from typing import Any

from benchmarks.machine import threads

SIDES = (64, 128, 256, 512)
ROUNDS = 5


def measure(sides: tuple[int, ...] = SIDES, rounds: int = ROUNDS) -> dict[str, Any]:
    import numpy as np
    import torch
    from torch import nn

    from convatlas.models import create_model
    from convatlas.models.convolutional import convolutional
    from convatlas.ops.windows import slide, slide_maps

    torch.manual_seed(0)
    network = nn.Sequential(*create_model("lenet5_modern").children()).eval()  # without its check of the size
    windows = convolutional(network, torch.zeros(1, 1, 32, 32))

    def of_windows(cut: Any) -> Any:
        return network(torch.from_numpy(cut).permute(0, 3, 1, 2) / 255).numpy()

    def of_level(pixels: Any) -> Any:
        return windows(torch.from_numpy(pixels)[None].permute(0, 3, 1, 2) / 255)[0].permute(1, 2, 0).numpy()

    places = {"window": windows.window, "stride": windows.stride}
    cases = []
    with threads(2), torch.inference_mode():
        for side in sides:
            picture = np.random.default_rng(side).integers(0, 256, (side, side, 1), dtype=np.uint8)
            naive, maps = slide(picture, of_windows, **places), slide_maps(picture, of_level, **places)
            seconds: dict[str, list[float]] = {"naive": [], "convolutional": []}
            for _ in range(rounds):
                for name, way, score in (("naive", slide, of_windows), ("convolutional", slide_maps, of_level)):
                    started = time.perf_counter()
                    way(picture, score, **places)
                    seconds[name].append(round(time.perf_counter() - started, 5))
            cases.append(
                {
                    "side": side,
                    "windows": len(naive.boxes),
                    "same_boxes": bool((naive.boxes == maps.boxes).all()),
                    "difference": float(np.abs(naive.scores - maps.scores).max()),
                    "largest_score": float(np.abs(naive.scores).max()),
                    "seconds": seconds,
                }
            )
    return {"model": "lenet5_modern", "threads": 2, "cases": cases}


def lines(measured: dict[str, Any]) -> list[str]:
    found = []
    for case in measured["cases"]:
        naive, sliding = case["seconds"]["naive"], case["seconds"]["convolutional"]
        ratios = [slow / quick for slow, quick in zip(naive, sliding, strict=True)]
        found.append(
            f"LeNet-5 on the {case['windows']:,} windows of a picture of {case['side']} x {case['side']} and its "
            f"pyramid: cut out {statistics.median(naive):.3g} s, as convolutions {statistics.median(sliding):.3g} s: "
            f"{statistics.median(ratios):.1f} times as long ({min(ratios):.1f} to {max(ratios):.1f}); greatest "
            f"difference {case['difference']:.1g} of scores up to {case['largest_score']:.1f}"
        )
    return found

"""LeNet-5 of nothing but NumPy on the embedded digits: held-out accuracy and training time over seeds."""

import statistics
import time
from dataclasses import asdict
from typing import Any

from convatlas.arithmetic.scratch.lenet5 import Settings, accuracy, digits, train

SEEDS = (0, 1, 2)


def measure() -> dict[str, Any]:
    return {"settings": {**asdict(Settings()), "seed": list(SEEDS)}, "runs": [_one(seed) for seed in SEEDS]}


def lines(measured: dict[str, Any]) -> list[str]:
    accuracies = [run["accuracy"] for run in measured["runs"]]
    seconds = [run["training_seconds"] for run in measured["runs"]]
    return [
        f"LeNet-5 of NumPy alone, backward passes by hand, on 1,000 held-out digits, {len(accuracies)} seeds: "
        f"median {statistics.median(accuracies):.1%} ({min(accuracies):.1%} to {max(accuracies):.1%}), training "
        f"{statistics.median(seconds):.0f} s ({min(seconds):.0f} to {max(seconds):.0f})"
    ]


def _one(seed: int) -> dict[str, Any]:
    (pictures, targets), (unseen, answers) = digits()
    started = time.perf_counter()
    parameters = train(pictures, targets, Settings(seed=seed))
    return {
        "seed": seed,
        "accuracy": accuracy(parameters, unseen, answers),
        "training_seconds": round(time.perf_counter() - started, 2),
    }

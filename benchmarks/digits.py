"""LeNet-5 on the embedded digits: held-out accuracy and training time over seeds, the same 1,000 digits each time."""

import statistics
import tempfile
from pathlib import Path
from typing import Any

from convatlas.api.train import train

SEEDS = (0, 1, 2, 3, 4)
VAL = 0.05  # 200 of the 4,000 digits that are not for testing: enough to choose the epoch and fit one temperature
MODEL = "lenet5_modern"


def measure() -> dict[str, Any]:
    return {MODEL: [_one(seed) for seed in SEEDS]}


def lines(measured: dict[str, Any]) -> list[str]:
    accuracies = [run["accuracy"] for run in measured[MODEL]]
    seconds = [run["training_seconds"] for run in measured[MODEL]]
    return [
        f"{MODEL} on 1,000 held-out digits, {len(accuracies)} seeds: median {statistics.median(accuracies):.2%} "
        f"({min(accuracies):.2%} to {max(accuracies):.2%}), training {statistics.median(seconds):.0f} s "
        f"({min(seconds):.0f} to {max(seconds):.0f})"
    ]


def _one(seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run = train("digits", model=MODEL, out=Path(folder) / "run", val=VAL, changes={"seed": seed})
    assert run.test is not None
    assert run.parity is not None
    return {
        "seed": seed,
        "accuracy": run.test.top1,
        "training_seconds": round(run.training_seconds, 2),
        "calibration_error": round(run.test.ece, 5),
        "export_difference": run.parity.max_difference,
        "export_tolerance": run.parity.tolerance,
        "export_same_answer": f"{run.parity.same_top1} of {run.parity.pictures}",
    }

"""LeNet-5 on the embedded digits: held-out accuracy and training time over seeds, the same 1,000 digits each time."""

import statistics
import tempfile
from pathlib import Path
from typing import Any

from convatlas.api.train import train

SEEDS = (0, 1, 2, 3, 4)
MODELS = ("lenet5_modern", "lenet5")


def measure() -> dict[str, Any]:
    return {model: [_one(model, seed) for seed in SEEDS] for model in MODELS}


def lines(measured: dict[str, Any]) -> list[str]:
    said = []
    for model in MODELS:
        accuracies = [run["accuracy"] for run in measured[model]]
        seconds = [run["training_seconds"] for run in measured[model]]
        said.append(
            f"{model} on 1,000 held-out digits, {len(accuracies)} seeds: median {statistics.median(accuracies):.2%} "
            f"({min(accuracies):.2%} to {max(accuracies):.2%}), training {statistics.median(seconds):.0f} s "
            f"({min(seconds):.0f} to {max(seconds):.0f})"
        )
    return said


def _one(model: str, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run = train("digits", model=model, out=Path(folder) / "run", changes={"seed": seed})
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

"""From a fresh process to an answer: `convatlas predict` on an exported bundle against the same bundle on torch."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from convatlas.api.train import train
from convatlas.data.samples import write_samples
from convatlas.data.source import open_data

PAIRS = 7


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run = train("digits", out=Path(folder) / "run", changes={"epochs": 1})
        test = open_data("digits").test
        assert test is not None
        (picture,) = write_samples(test, Path(folder) / "digits", count=1).paths
        verbs = {
            "predict_onnx": ["predict", str(run.path), str(picture), "--engine", "onnx"],
            "predict_torch": ["predict", str(run.path), str(picture), "--engine", "torch"],
            "models": ["models"],
            "help": ["--help"],
        }
        times: dict[str, list[float]] = {name: [] for name in verbs}
        for _ in range(PAIRS):  # in turn, so that a busy moment of the machine meets all alike
            for name, arguments in verbs.items():
                times[name].append(_seconds(arguments))
    ratios = [torch / onnx for onnx, torch in zip(times["predict_onnx"], times["predict_torch"], strict=True)]
    return {
        "seconds": {name: [round(value, 3) for value in values] for name, values in times.items()},
        "torch_over_onnx": [round(ratio, 2) for ratio in ratios],
    }


def lines(measured: dict[str, Any]) -> list[str]:
    medians = {name: statistics.median(values) for name, values in measured["seconds"].items()}
    return [
        f"predict from a fresh process, exported bundle: median {medians['predict_onnx']:.2f} s; on torch "
        f"{medians['predict_torch']:.2f} s: {statistics.median(measured['torch_over_onnx']):.1f} times as long",
        f"convatlas models: median {medians['models']:.2f} s; convatlas --help: {medians['help']:.2f} s",
    ]


def _seconds(arguments: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "convatlas", *arguments], check=True, capture_output=True)
    return time.perf_counter() - started

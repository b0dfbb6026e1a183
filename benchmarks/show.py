"""`convatlas show` from a fresh process, beside what importing torch alone takes."""

import statistics
import subprocess
import sys
import time
from typing import Any

ROUNDS = 7
COMMANDS = {
    "import_torch": ("-c", "import torch"),
    "vgg16": ("-m", "convatlas", "show", "vgg16"),
    "nasnet_large": ("-m", "convatlas", "show", "nasnet_large"),
}


def measure() -> dict[str, Any]:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):  # in turn, so that a busy moment of the machine meets all alike
        for name, words in COMMANDS.items():
            times[name].append(_seconds(words))
    torch = times["import_torch"]
    return {
        "seconds": {name: [round(value, 3) for value in values] for name, values in times.items()},
        "vgg16_over_import": [round(each / alone, 3) for each, alone in zip(times["vgg16"], torch, strict=True)],
        "nasnet_beyond_import": [
            round(each - alone, 3) for each, alone in zip(times["nasnet_large"], torch, strict=True)
        ],
    }


def lines(measured: dict[str, Any]) -> list[str]:
    ratios, beyond = measured["vgg16_over_import"], measured["nasnet_beyond_import"]
    return [
        f"convatlas show vgg16 from a fresh process: median {statistics.median(ratios):.2f} times as long as importing "
        f"torch ({min(ratios):.2f} to {max(ratios):.2f}); show nasnet_large: {statistics.median(beyond):.1f} s "
        f"longer ({min(beyond):.1f} to {max(beyond):.1f})"
    ]


def _seconds(words: tuple[str, ...]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - started

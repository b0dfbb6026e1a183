"""What DenseNet's memory-efficient mode saves and costs: peak memory and time of a training step, against plain.

Each step runs in a fresh process, plain and memory-efficient in turn, so that a busy moment meets both alike. On a CUDA
device the peak is what torch has allocated; on a processor it is the process's largest resident size less that before
the first step. The answers of both modes are equal: the tests see to that.
"""

import json
import statistics
import subprocess
import sys
from typing import Any

# Network, pictures a batch, pixels a side, and where: the memory of a batch is what the mode is about.
CASES = (
    ("densenet_bc100_k12_cifar", 32, 32, "cpu"),
    ("densenet121", 8, 224, "cpu"),
    ("densenet_bc100_k12_cifar", 256, 32, "cuda"),
    ("densenet_bc190_k40_cifar", 64, 32, "cuda"),
    ("densenet121", 64, 224, "cuda"),
    ("densenet201", 64, 224, "cuda"),
)
PAIRS = 5
STEPS = 4  # the first is not counted: it allocates

# One process: name, pictures, side, device, mode, steps -> JSON on its last line.
ONE = """
import json, sys, time
import torch
from benchmarks.densenet_memory import one
name, pictures, side, device, mode, steps = sys.argv[1:]
print(json.dumps(one(name, int(pictures), int(side), device, memory_efficient=mode == "efficient", steps=int(steps))))
"""


def measure() -> dict[str, Any]:
    import torch

    cases = [case for case in CASES if case[3] == "cpu" or torch.cuda.is_available()]
    return {"cases": [_case(*case) for case in cases]}


def lines(measured: dict[str, Any]) -> list[str]:
    words = []
    for case in measured["cases"]:
        plain, efficient = (statistics.median(case["mebibytes"][mode]) for mode in ("plain", "efficient"))
        words.append(
            f"{case['name']}, {case['pictures']} pictures of {case['side']} x {case['side']} on {case['device']}: a "
            f"training step needs {efficient:.0f} MiB in the memory-efficient mode, {plain:.0f} MiB in the plain one "
            f"({statistics.median(case['plain_over_efficient']):.1f} times as many), and takes "
            f"{statistics.median(case['efficient_time_over_plain']):.2f} times as long"
        )
    return words


def one(name: str, pictures: int, side: int, device: str, *, memory_efficient: bool, steps: int) -> dict[str, float]:
    """Seconds of the quickest of the later steps, and the peak in MiB."""
    import time

    import torch
    from torch.nn import functional

    from convatlas.models import create_model

    torch.manual_seed(0)
    network = create_model(name, memory_efficient=memory_efficient).to(device).train()
    x = torch.randn(pictures, 3, side, side, device=device)
    labels = torch.randint(network.config.num_classes, (pictures,), device=device)
    before = 0.0 if device == "cuda" else _resident()
    seconds = []
    for _ in range(steps):
        if device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        network.zero_grad()
        functional.cross_entropy(network(x), labels).backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else _resident() - before
    return {"seconds": round(min(seconds[1:]), 4), "mebibytes": round(peak, 1)}


def _resident() -> float:
    """The largest size that this process had in memory, in MiB. Windows does not say."""
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _case(name: str, pictures: int, side: int, device: str) -> dict[str, Any]:
    results: dict[str, list[dict[str, float]]] = {"plain": [], "efficient": []}
    for _ in range(PAIRS):
        for mode, found in results.items():
            arguments = [name, str(pictures), str(side), device, mode, str(STEPS)]
            run = subprocess.run([sys.executable, "-c", ONE, *arguments], check=True, capture_output=True, text=True)
            found.append(json.loads(run.stdout.splitlines()[-1]))
    pairs = list(zip(results["plain"], results["efficient"], strict=True))
    return {
        "name": name,
        "pictures": pictures,
        "side": side,
        "device": device,
        "mebibytes": {mode: [each["mebibytes"] for each in found] for mode, found in results.items()},
        "seconds": {mode: [each["seconds"] for each in found] for mode, found in results.items()},
        "plain_over_efficient": [round(plain["mebibytes"] / efficient["mebibytes"], 3) for plain, efficient in pairs],
        "efficient_time_over_plain": [round(efficient["seconds"] / plain["seconds"], 3) for plain, efficient in pairs],
    }

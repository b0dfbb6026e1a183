"""What DenseNet's memory-efficient mode saves and costs: peak memory and time of a training step, against plain.

Each mode runs in a fresh process, plain and memory-efficient in turn, so that a busy moment meets both alike. Memory is
what the steps need beside the network and its pictures: the peak less what was held before them, after one step of one
picture that loads what torch loads late. On a CUDA device it is what torch has allocated; on a processor the process's
resident size, which Linux alone lets begin anew: elsewhere the memory is not known. The answers of both modes are
equal: the tests see to that.
"""

import json
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.memory import forget_peak, peak_memory

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
        slower = statistics.median(case["efficient_time_over_plain"])
        if case["plain_over_efficient"]:
            plain, efficient = (statistics.median(case["mebibytes"][mode]) for mode in ("plain", "efficient"))
            memory = (
                f"needs {efficient:.0f} MiB beside the network in the memory-efficient mode, {plain:.0f} MiB in the "
                f"plain one ({statistics.median(case['plain_over_efficient']):.1f} times as many)"
            )
        else:
            memory = "needs memory that only Linux can tell"
        words.append(
            f"{case['name']}, {case['pictures']} pictures of {case['side']} x {case['side']} on {case['device']}: a "
            f"training step {memory}, and takes {slower:.2f} times as long in the memory-efficient mode"
        )
    return words


def one(
    name: str, pictures: int, side: int, device: str, *, memory_efficient: bool, steps: int
) -> dict[str, float | None]:
    """Seconds of the quickest of the later steps, and MiB that the steps need; None where that cannot be had."""
    import time

    import torch
    from torch.nn import functional

    from convatlas.models import create_model

    torch.manual_seed(0)
    network = create_model(name, memory_efficient=memory_efficient).to(device).train()
    x = torch.randn(pictures, 3, side, side, device=device)
    labels = torch.randint(network.config.num_classes, (pictures,), device=device)
    cuda = device == "cuda"

    def step(count: int) -> None:
        network.zero_grad()
        functional.cross_entropy(network(x[:count]), labels[:count]).backward()

    step(1)  # imports and workspaces, no part of what is measured
    network.zero_grad()
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    known = cuda or forget_peak()
    before = _peak(cuda) if known else 0
    seconds = []
    for _ in range(steps):
        if cuda:
            torch.cuda.synchronize()
        started = time.perf_counter()
        step(pictures)
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    mebibytes = round((_peak(cuda) - before) / 2**20, 1) if known else None
    return {"seconds": round(min(seconds[1:]), 4), "mebibytes": mebibytes}


def _peak(cuda: bool) -> int:
    import torch

    return torch.cuda.max_memory_allocated() if cuda else peak_memory()


def _case(name: str, pictures: int, side: int, device: str) -> dict[str, Any]:
    results: dict[str, list[dict[str, Any]]] = {"plain": [], "efficient": []}
    for _ in range(PAIRS):
        for mode, found in results.items():
            arguments = [name, str(pictures), str(side), device, mode, str(STEPS)]
            run = subprocess.run([sys.executable, "-c", ONE, *arguments], check=True, capture_output=True, text=True)
            found.append(json.loads(run.stdout.splitlines()[-1]))
    pairs = list(zip(results["plain"], results["efficient"], strict=True))
    known = all(each["mebibytes"] is not None for found in results.values() for each in found)
    return {
        "name": name,
        "pictures": pictures,
        "side": side,
        "device": device,
        "mebibytes": {mode: [each["mebibytes"] for each in found] for mode, found in results.items()},
        "seconds": {mode: [each["seconds"] for each in found] for mode, found in results.items()},
        "plain_over_efficient": [
            round(plain["mebibytes"] / efficient["mebibytes"], 3) for plain, efficient in pairs if known
        ],
        "efficient_time_over_plain": [round(efficient["seconds"] / plain["seconds"], 3) for plain, efficient in pairs],
    }

"""How long it takes to build each network without memory for its weights: what a plan, a summary or a check pays."""

import time
from typing import Any

import torch

from convatlas.catalog import list_models
from convatlas.models import create_model


def measure() -> dict[str, Any]:
    with torch.device("meta"):
        create_model("lenet5_modern")  # what torch imports at the first is not counted
        return {"seconds": {name: _seconds(name) for name in list_models()}}


def lines(measured: dict[str, Any]) -> list[str]:
    seconds = measured["seconds"]
    slowest = max(seconds, key=lambda name: seconds[name])
    return [f"any of {len(seconds)} networks built on the meta device: {seconds[slowest]:.2f} s at most ({slowest})"]


def _seconds(name: str) -> float:
    create_model(name)
    started = time.perf_counter()
    create_model(name)
    return round(time.perf_counter() - started, 4)

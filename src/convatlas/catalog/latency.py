"""How long one picture takes each network, as `python -m benchmarks zoo` measured it last. No torch."""

import functools
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MeasuredLatency:
    """Seconds of one picture at the size on the network's card, in float32, by name; and the machine they are of."""

    seconds: Mapping[str, float]
    processor: str
    threads: int
    torch: str

    def __str__(self) -> str:
        return f"{self.threads} threads of {self.processor}, torch {self.torch}"


@functools.cache
def measured_latency() -> MeasuredLatency:
    """What `latency.json` holds, which follows from benchmarks/results/zoo.json (`python -m benchmarks.latency`)."""
    text = (importlib.resources.files("convatlas.catalog") / "latency.json").read_text(encoding="utf-8")
    return MeasuredLatency(**json.loads(text))

"""Which engine is quickest on this machine: measured once, remembered beside the bundle, told in a sentence."""

import contextlib
import importlib.metadata
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np

from convatlas.engine.bundle import ONNX, WEIGHTS, Bundle
from convatlas.engine.predict.engines import OF_THE_GRAPH, Engine, EngineKind, installed, load_engine, usual
from convatlas.engine.predict.prepared import onnxruntime_version, prepare_graph, prepared_graph
from convatlas.engine.predict.timing import milliseconds
from convatlas.engine.processor import processor_key
from convatlas.errors import ConvatlasError, EngineError, SaveError
from convatlas.files import write_text

RECORD: Final = "engines.json"
FORMAT_VERSION: Final = 1
# torch.compile is not tried: it would compile anew in every process that uses it, whatever it gains there.
TRIED: Final[tuple[EngineKind, ...]] = ("onnx", "openvino", "torch")
NEARLY: Final = 0.98  # the usual engine is kept unless another takes less than this part of its time
AGREEMENT: Final = 1e-4  # of logits, times the largest of them where that is more than 1, as for an export


@dataclass(frozen=True, kw_only=True)
class Fastest:
    """What was measured on one machine, of one picture.

    engine: the one to take. milliseconds: the median pass of each engine that answered. refused: why another did not.
    machine: the processor, threads, versions and graph that it holds for.
    """

    engine: EngineKind
    milliseconds: Mapping[str, float]
    refused: Mapping[str, str]
    machine: Mapping[str, object]

    def __str__(self) -> str:
        times = ", ".join(f"{name} {value:.3g} ms" for name, value in self.milliseconds.items())
        refused = "".join(f"; not {name}: {reason}" for name, reason in self.refused.items())
        return f"engine {self.engine}: one picture takes {times}, measured here{refused}"


def fastest(folder: Path, bundle: Bundle, threads: int | None) -> tuple[Fastest, bool]:
    """What is remembered for this machine, else what is measured now, some seconds; and whether it is remembered.

    A folder that cannot be written keeps nothing: the next process measures again.
    """
    machine = _machine(bundle, threads)
    for record in _read(folder / RECORD):
        if record.machine == machine:
            return record, True
    measured = _measure(folder, bundle, threads, machine)
    # The newest of each processor and number of threads; an earlier graph or version will not come back. Read anew, for
    # another process may have measured meanwhile.
    place = {name: machine[name] for name in ("processor", "cores", "threads")}
    others = [each for each in _read(folder / RECORD) if {name: each.machine.get(name) for name in place} != place]
    text = json.dumps({"format_version": FORMAT_VERSION, "machines": [asdict(each) for each in (*others, measured)]})
    try:
        write_text(folder / RECORD, text + "\n")
    except SaveError:
        return measured, False
    return measured, True


def _machine(bundle: Bundle, threads: int | None) -> dict[str, object]:
    return {
        "processor": processor_key(),
        "cores": os.cpu_count() or 1,
        "threads": threads,  # None: each engine's own choice
        "versions": {name: _version(name) for name in ("onnxruntime", "openvino", "torch")},
        "graph": bundle.files.get(ONNX, bundle.files[WEIGHTS]),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _measure(folder: Path, bundle: Bundle, threads: int | None, machine: dict[str, object]) -> Fastest:
    """Load the engines that are there and let them answer the same picture of noise in turn."""
    picture = np.random.default_rng(0).integers(0, 256, (1, *bundle.preprocess.shape), dtype=np.uint8)
    if installed("onnx") and bundle.exported and not _is_prepared(folder, bundle):
        with contextlib.suppress(SaveError, EngineError):  # the next process does without, or the engine says why
            prepare_graph(folder, bundle)
    engines: dict[EngineKind, Engine] = {}
    refused: dict[str, str] = {}
    expected: np.ndarray | None = None
    for kind in TRIED:
        if not installed(kind) or (kind in OF_THE_GRAPH and not bundle.exported):
            continue
        try:
            engine = load_engine(folder, bundle, kind, threads)
            logits = engine(picture)
        except ConvatlasError as error:
            refused[kind] = str(error)
            continue
        expected = logits if expected is None else expected
        if not np.allclose(logits, expected, rtol=0, atol=AGREEMENT * _largest(expected), equal_nan=True):
            apart = float(np.abs(logits - expected).max())
            refused[kind] = f"its logits are {apart:.2g} from those of {next(iter(engines))}"
            continue
        engines[kind] = engine
    if not engines:  # its own error says more than the list of them
        load_engine(folder, bundle, usual(bundle), threads)(picture)
    medians = milliseconds(engines, picture)
    return Fastest(
        engine=_chosen(medians, usual(bundle)),
        milliseconds={kind: round(value, 3) for kind, value in medians.items()},
        refused=refused,
        machine=machine,
    )


def _is_prepared(folder: Path, bundle: Bundle) -> bool:
    ready = prepared_graph(folder, bundle)
    return ready is not None and ready.onnxruntime == onnxruntime_version()


def _largest(logits: np.ndarray) -> float:
    """The largest absolute logit that is a number, at least 1."""
    return float(np.abs(logits).max(where=np.isfinite(logits), initial=1.0))


def _chosen(medians: Mapping[EngineKind, float], kept: EngineKind) -> EngineKind:
    best = min(medians, key=lambda kind: medians[kind])
    return kept if kept in medians and medians[best] >= NEARLY * medians[kept] else best


def _read(file: Path) -> list[Fastest]:
    """What earlier processes remembered; nothing where the file is missing, damaged or of another version."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format_version"] != FORMAT_VERSION:
            return []
        records = [
            Fastest(
                engine=cast("EngineKind", each["engine"]),
                milliseconds={str(name): float(value) for name, value in each["milliseconds"].items()},
                refused={str(name): str(reason) for name, reason in each["refused"].items()},
                machine=dict(each["machine"]),
            )
            for each in content["machines"]
        ]
    except (OSError, ValueError, OverflowError, TypeError, KeyError, AttributeError, RecursionError):
        return []
    return [each for each in records if each.engine in TRIED]

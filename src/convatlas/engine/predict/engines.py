"""The engines that answer a bundle's pictures, and which one is taken."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from convatlas.engine.bundle import ONNX, ONNX_DATA, ONNX_INT8, Bundle
from convatlas.engine.graph_records import Runtime
from convatlas.engine.predict.onnx_engine import OnnxEngine
from convatlas.engine.predict.openvino_engine import OpenVinoEngine
from convatlas.engine.predict.prepared import onnxruntime_version, prepared_graph
from convatlas.engine.predict.verify import verifying
from convatlas.engine.processor import saturates
from convatlas.errors import BundleError, EngineError, MissingExtra, UsageError, did_you_mean

EngineKind = Literal["onnx", "openvino", "torch", "compiled", "int8"]
EngineName = Literal["auto", "onnx", "openvino", "torch", "compiled", "int8"]
ENGINES: Final[tuple[EngineName, ...]] = get_args(EngineName)
OF_THE_GRAPH: Final = {  # package, extra
    "onnx": ("onnxruntime", "export"),
    "openvino": ("openvino", "openvino"),
    "int8": ("onnxruntime", "export"),
}
_IN_TURN: Final[tuple[EngineKind, ...]] = ("onnx", "torch")  # what is tried where another does not take the network
Say = Callable[[str], None]


class Engine(Protocol):
    """What answers: uint8 pixels (N, C, H, W) -> float32 logits (N, K)."""

    @property
    def name(self) -> str:
        """The name under which it can be chosen, an EngineKind."""

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of any number of pictures."""


def check_engine(engine: EngineName | None) -> None:
    """Raise UsageError for a name that no engine has."""
    if engine is not None and engine not in ENGINES:
        raise UsageError(
            f'engine: expected one of {", ".join(ENGINES)}, got "{engine}".{did_you_mean(engine, ENGINES)}'
        )


def usual(bundle: Bundle) -> EngineKind:
    """The engine that is taken where none is named: ONNX Runtime for an exported bundle, for it starts at once."""
    return "onnx" if bundle.exported and installed("onnx") else "torch"


def installed(kind: EngineKind) -> bool:
    """Whether the packages of an engine are there."""
    return kind not in OF_THE_GRAPH or importlib.util.find_spec(OF_THE_GRAPH[kind][0]) is not None


def load_engine(folder: Path, bundle: Bundle, kind: EngineKind, threads: int | None) -> Engine:
    """The engine of this kind for a bundle; the files that it reads are compared with their SHA-256.

    Raises UsageError where it needs an export that the bundle does not have, MissingExtra without its packages,
    EngineError for a network that it cannot use, and BundleError for a file that is altered.
    """
    if kind in OF_THE_GRAPH and not bundle.exported:
        raise UsageError(f"{folder}: is not exported to ONNX; first run: convatlas export {folder}")
    if kind == "int8" and not bundle.in_int8:
        raise UsageError(f"{folder}: has no int8 graph; first run: convatlas quantize {folder}")
    if not installed(kind):
        raise MissingExtra(f"predicting with {OF_THE_GRAPH[kind][0]}", OF_THE_GRAPH[kind][1])
    if kind == "onnx":
        return _on_onnx_runtime(folder, bundle, threads)
    if kind == "int8":  # never chosen by itself: its answers are not the network's own
        with verifying({folder / ONNX_INT8: bundle.files[ONNX_INT8]}):
            return on_runtime(_int8_runtime(bundle), folder / ONNX_INT8, threads, size=_size(bundle))
    if kind == "openvino":
        with verifying(_graph_files(folder, bundle)):
            return OpenVinoEngine(folder / ONNX, threads, size=_size(bundle))
    from convatlas.engine.predict.torch_engine import CompiledEngine, TorchEngine  # noqa: PLC0415 - seconds to import

    return CompiledEngine(folder, threads) if kind == "compiled" else TorchEngine(folder, threads)


def on_runtime(runtime: Runtime, graph: Path, threads: int | None, *, size: tuple[int, int]) -> Engine:
    """The engine "int8" for a quantised graph. Raises EngineError where the runtime does not take it."""
    if runtime == "openvino":
        return OpenVinoEngine(graph, threads, name="int8", size=size)
    return OnnxEngine(graph, threads, name="int8", size=size)


def can_share(bundle: Bundle, kind: EngineKind) -> bool:
    """Whether several threads may run one engine of this kind at once; others answer one call after another."""
    return kind == "onnx" or (kind == "int8" and bundle.in_int8 and _int8_runtime(bundle) == "onnxruntime")


def _int8_runtime(bundle: Bundle) -> Runtime:
    """What the int8 graph was measured on, where that is installed; ONNX Runtime keeps the bound, too."""
    measured_on = bundle.quantised.runtime if bundle.quantised is not None else "onnxruntime"
    return measured_on if measured_on == "onnxruntime" or installed("openvino") else "onnxruntime"


def load_or_fall_back(folder: Path, bundle: Bundle, kind: EngineKind, threads: int | None, say: Say) -> Engine:
    """The engine of this kind, or the next one that takes the network, which is then said.

    Raises what `load_engine` raises for this kind, but EngineError only where no other engine can be had.
    """
    others = [other for other in _IN_TURN if other != kind and installed(other)]
    usable = [other for other in others if bundle.exported or other not in OF_THE_GRAPH]
    refusals: list[BundleError] = []
    for each in (kind, *usable):
        try:
            engine = load_engine(folder, bundle, each, threads)
        except BundleError as error:
            if not refusals and not isinstance(error, EngineError):
                raise
            refusals.append(error)
            continue
        if refusals:
            say(f"{refusals[0]}: answering with {each} instead")
        elif each == "int8" and bundle.quantised is not None and bundle.quantised.runtime != _int8_runtime(bundle):
            say(
                f"{folder / ONNX_INT8}: was measured on OpenVINO, which is not installed "
                "(pip install 'convatlas[openvino]'): answering on ONNX Runtime instead"
            )
        if each == "int8" and bundle.quantised is not None and bundle.quantised.weight_bits == 8 and saturates():
            say(
                f"{folder / ONNX_INT8}: was made for a processor with VNNI, which this one does not have: its answers "
                "may lose more than was measured. Quantise again on this machine"
            )
        return engine
    raise refusals[0]


def _on_onnx_runtime(folder: Path, bundle: Bundle, threads: int | None) -> OnnxEngine:
    ready = prepared_graph(folder, bundle)
    if ready is not None:
        try:
            with verifying(ready.digests):  # begins before ONNX Runtime is imported
                if ready.onnxruntime == onnxruntime_version():
                    return OnnxEngine(ready.graph, threads, optimised=True)
        except BundleError:  # damaged, but no part of the bundle: the graph itself will do, only later
            pass
    with verifying(_graph_files(folder, bundle)):
        return OnnxEngine(folder / ONNX, threads, size=_size(bundle))


def _graph_files(folder: Path, bundle: Bundle) -> dict[Path, str]:
    return {folder / name: bundle.files[name] for name in (ONNX, ONNX_DATA) if name in bundle.files}


def _size(bundle: Bundle) -> tuple[int, int]:
    return bundle.preprocess.height, bundle.preprocess.width

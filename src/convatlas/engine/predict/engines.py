"""The engines that answer a bundle's pictures, and which one is taken."""

import importlib.util
from pathlib import Path
from typing import Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from convatlas.engine.bundle import Bundle
from convatlas.engine.predict.onnx_engine import OnnxEngine
from convatlas.engine.predict.openvino_engine import OpenVinoEngine
from convatlas.errors import MissingExtra, UsageError, did_you_mean

EngineKind = Literal["onnx", "openvino", "torch", "compiled"]
EngineName = Literal["auto", "onnx", "openvino", "torch", "compiled"]
ENGINES: Final[tuple[EngineName, ...]] = get_args(EngineName)
OF_THE_GRAPH: Final = {"onnx": ("onnxruntime", "export"), "openvino": ("openvino", "openvino")}  # package, extra


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
    """The engine of this kind for a bundle.

    Raises UsageError where it needs an export that the bundle does not have, MissingExtra without its packages, and
    BundleError for a graph that it cannot use.
    """
    if kind in OF_THE_GRAPH and not bundle.exported:
        raise UsageError(f"{folder}: is not exported to ONNX; first run: convatlas export {folder}")
    if not installed(kind):
        raise MissingExtra(f"predicting with {OF_THE_GRAPH[kind][0]}", OF_THE_GRAPH[kind][1])
    if kind == "onnx":
        return OnnxEngine(folder, threads)
    if kind == "openvino":
        return OpenVinoEngine(folder, threads)
    from convatlas.engine.predict.torch_engine import CompiledEngine, TorchEngine  # noqa: PLC0415 - seconds to import

    return CompiledEngine(folder, threads) if kind == "compiled" else TorchEngine(folder, threads)

"""The exported graph on OpenVINO: no torch. The extra `openvino`."""

import functools
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convatlas.engine.predict.onnx_engine import failed_run, first_line
from convatlas.errors import EngineError, MissingExtra

_CORE_LOCK = threading.Lock()


@functools.cache
def _core(_process: int) -> Any:
    """The one of this process, which never ends before it; a forked process has one and threads of its own.

    Where the processor has AMX, OpenVINO's plugin (seen in 2026.4) gives the thread that brings it a stack for signals,
    and frees that in whatever thread the last user goes: in another one, the next signal would then end the process.
    """
    import openvino  # noqa: PLC0415

    return openvino.Core()


class OpenVinoEngine:
    """uint8 pixels (N, C, H, W) -> float32 logits (N, K), on the processor, in float32 throughout."""

    def __init__(
        self,
        graph: Path,
        threads: int | None = None,
        *,
        name: str = "openvino",
        size: tuple[int, int] | None = None,
    ) -> None:
        """graph: an ONNX file. threads: None for OpenVINO's own choice. name: the kind of engine that it serves as.
        size: height and width of all pictures, for a graph of any size.

        Raises MissingExtra without OpenVINO, EngineError for a graph that it cannot use.
        """
        try:
            with _CORE_LOCK:
                self._core = _core(os.getpid())
        except ImportError as error:
            raise MissingExtra("predicting with OpenVINO", "openvino") from error
        except RuntimeError as error:
            raise EngineError(f"{graph}: OpenVINO cannot start ({first_line(error)})") from error
        self.path = graph
        self.name = name
        # Processors with bfloat16 would be used in bfloat16, which is another answer in the third digit.
        self._settings: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = threads
        try:
            self._model = self._core.read_model(self.path)
            if size is not None:
                self._model.reshape({"pixels": [*list(self._model.input("pixels").partial_shape)[:2], *size]})
            model = self._model.clone()
            # With the size known OpenVINO joins branches in place: a tenth of DenseNet-121's time.
            model.reshape({"pixels": [1, *list(model.input("pixels").partial_shape)[1:]]})
            self._one = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
        except RuntimeError as error:
            raise EngineError(f"{self.path}: OpenVINO cannot load it ({first_line(error)})") from error

    @functools.cached_property
    def _many(self) -> Any:
        """For any number of pictures; made when it is first needed."""
        return self._core.compile_model(self._model, "CPU", self._settings).create_infer_request()

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of any number of pictures; raises EngineError when the graph fails, OutOfMemoryError for too many."""
        try:
            request = self._one if len(pixels) == 1 else self._many
            (logits,) = request.infer({"pixels": pixels}).values()
        except (RuntimeError, MemoryError) as error:
            raise failed_run(error, f"{self.path}: OpenVINO") from error
        return np.array(logits, dtype=np.float32)  # a copy: the next call writes over it

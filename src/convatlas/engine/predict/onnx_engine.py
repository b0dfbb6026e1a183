"""The exported graph on ONNX Runtime: no torch."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convatlas.engine.bundle import SIZE_NAMES
from convatlas.engine.no_memory import out_of_memory
from convatlas.errors import ConvatlasError, EngineError, MissingExtra, OutOfMemoryError


class OnnxEngine:
    """uint8 pixels (N, C, H, W) -> float32 logits (N, K), on the processor."""

    def __init__(
        self,
        graph: Path,
        threads: int | None = None,
        *,
        optimised: bool = False,
        name: str = "onnx",
        size: tuple[int, int] | None = None,
    ) -> None:
        """graph: an ONNX file. threads: None for ONNX Runtime's own choice, one for each physical core.

        optimised: the graph is what ONNX Runtime made of another on this machine, and is taken as it is.
        name: the kind of engine that it serves as. size: height and width of all pictures, for a graph of any size.
        Raises MissingExtra without ONNX Runtime, EngineError for a graph that it cannot use.
        """
        try:
            import onnxruntime  # noqa: PLC0415
        except ImportError as error:
            raise MissingExtra("predicting with ONNX Runtime", "export") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 4  # errors are raised; they need not be printed, too
        for length, of in zip(size or (), SIZE_NAMES, strict=False):
            options.add_free_dimension_override_by_name(of, length)
        if optimised:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self.path = graph
        self.name = name
        try:
            self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no narrower class
            raise EngineError(f"{graph}: ONNX Runtime cannot load it ({first_line(error)})") from error
        named = {
            "input": [(value.name, value.type) for value in self.session.get_inputs()],
            "output": [(value.name, value.type) for value in self.session.get_outputs()],
        }
        if named != {"input": [("pixels", "tensor(uint8)")], "output": [("logits", "tensor(float)")]}:
            raise EngineError(f"{graph}: expected uint8 pixels -> float logits, found {named}")

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of any number of pictures; raises EngineError when the graph fails, OutOfMemoryError for too many."""
        try:
            (logits,) = self.session.run(["logits"], {"pixels": pixels})
        except Exception as error:  # as above
            raise failed_run(error, f"{self.path}: ONNX Runtime") from error
        return np.asarray(logits, dtype=np.float32)


def first_line(error: Exception) -> str:
    """The first line of what a runtime says, or the error's class where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def failed_run(error: Exception, what: str) -> ConvatlasError:
    """An error of ours for one that a runtime raised over pictures: none of them has a class for want of memory."""
    if out_of_memory(error):
        return OutOfMemoryError(f"{what} has no memory for it")
    return EngineError(f"{what} cannot run it ({first_line(error)})")

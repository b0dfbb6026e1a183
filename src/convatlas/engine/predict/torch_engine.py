"""The network itself on torch: for a bundle that is not exported."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from convatlas.engine.deploy import load_deployed
from convatlas.engine.predict.onnx_engine import failed_run, first_line
from convatlas.errors import EngineError


class TorchEngine:
    """uint8 pixels (N, C, H, W) -> float32 logits (N, K), on the processor."""

    name = "torch"

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        """folder: a bundle. threads: of the whole process, for torch knows no other; None leaves them as they are.

        Raises BundleError for tensors that do not fit their network.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        self.bundle, self.network = load_deployed(folder)

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of any number of pictures; raises EngineError when it fails, OutOfMemoryError for too many."""
        return self._run(self.network, pixels)

    def _run(self, network: Callable[[Tensor], Tensor], pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            with torch.inference_mode():
                logits: NDArray[np.float32] = network(torch.from_numpy(pixels)).float().numpy()
        except (RuntimeError, MemoryError) as error:
            raise failed_run(error, f"{self.bundle.model}: torch") from error
        return logits


class CompiledEngine(TorchEngine):
    """The same through torch.compile, which waits for a C++ compiler, half a minute or more."""

    name = "compiled"

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        """As TorchEngine. Raises EngineError for what torch cannot compile here: without a compiler, all."""
        super().__init__(folder, threads)
        self._compiled = torch.compile(self.network, dynamic=True)
        try:
            self(np.zeros((1, *self.bundle.preprocess.shape), dtype=np.uint8))
        except Exception as error:  # dynamo, inductor and the compiler share no narrower class
            raise EngineError(f"{folder}: torch cannot compile it ({first_line(error)})") from error

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As TorchEngine."""
        return self._run(self._compiled, pixels)

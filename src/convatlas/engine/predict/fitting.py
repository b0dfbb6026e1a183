"""An engine for several threads that answers in smaller batches where large ones do not fit into memory."""

import contextlib
import threading

import numpy as np
from numpy.typing import NDArray

from convatlas.engine.predict.engines import Engine, Say
from convatlas.errors import OutOfMemoryError


class FittingEngine:
    """uint8 pixels (N, C, H, W) -> float32 logits (N, K), from any thread.

    A batch that does not fit into memory is halved until it does; later ones are then of that size from the start, and
    `say` is told.
    """

    def __init__(self, engine: Engine, *, say: Say, in_turn: bool) -> None:
        """in_turn: one thread at a time, for an engine that cannot be run by several at once, or uses all cores."""
        self.engine = engine
        self.most: int | None = None  # pictures that fit, once a batch did not
        self._say = say
        self._turn: contextlib.AbstractContextManager[object] = (
            threading.Lock() if in_turn else contextlib.nullcontext()
        )
        self._lowering = threading.Lock()

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of any number of pictures. Raises OutOfMemoryError where not even one fits."""
        parts: list[NDArray[np.float32]] = []
        done, refused = 0, 0
        while done < len(pixels) or not parts:
            size = len(pixels) - done if self.most is None else min(self.most, len(pixels) - done)
            try:
                with self._turn:
                    parts.append(self.engine(pixels[done : done + size]))
            except (OutOfMemoryError, MemoryError) as error:
                if size <= 1:
                    raise _of_one(pixels, error) from error
                with self._lowering:
                    self.most = min(self.most or size, size // 2)
                refused = refused or size
                continue
            done += size
            if refused:
                self._say(f"a batch of {refused} pictures does not fit into memory: answering {self.most} at a time")
                refused = 0
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _of_one(pixels: NDArray[np.uint8], error: Exception) -> OutOfMemoryError:
    _, channels, height, width = pixels.shape
    return OutOfMemoryError(
        f"not even one picture of {channels} x {height} x {width} fits into memory ({error}); close other programs, "
        "or take a smaller network"
    )

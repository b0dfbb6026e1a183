"""An engine for several threads that answers in smaller batches where large ones do not fit into memory."""

import contextlib
import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from convatlas.engine.predict.engines import Engine, Say
from convatlas.errors import OutOfMemoryError


class FittingEngine:
    """uint8 pixels (N, C, H, W) -> float32 logits (N, K), from any thread.

    A batch that does not fit into memory is halved until it does; later ones are then of that size from the start. A
    picture that does not fit beside those of other threads is answered alone, and so are later batches, one after
    another. `say` is told.
    """

    def __init__(self, engine: Engine, *, say: Say, at_once: int) -> None:
        """at_once: how many threads may run it; 1 for an engine that several cannot run, or that uses all cores."""
        self.engine = engine
        self.most: int | None = None  # pictures that fit, once a batch did not
        self._say = say
        self._places = _Places(at_once)
        self._lowering = threading.Lock()

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits of any number of pictures. Raises OutOfMemoryError where not even one fits."""
        parts: list[NDArray[np.float32]] = []
        done, refused, parted = 0, 0, False
        while done < len(pixels) or not parts:
            size = len(pixels) - done if self.most is None else min(self.most, len(pixels) - done)
            alone = False
            try:
                with self._places.one() as alone:
                    parts.append(self.engine(pixels[done : done + size]))
            except (OutOfMemoryError, MemoryError) as error:
                if size > 1:
                    with self._lowering:
                        self.most = min(self.most or size, size // 2)
                    refused = refused or size
                elif alone:
                    raise _of_one(pixels, error) from error
                else:  # others hold their batches meanwhile
                    parted = self._places.lower_to_one() or parted
                continue
            done += size
            if refused:
                self._say(f"a batch of {refused} pictures does not fit into memory: answering {self.most} at a time")
                refused = 0
            if parted:
                self._say("several batches side by side do not fit into memory: answering one after another")
                parted = False
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class _Places:
    """As many as threads may run an engine at once."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def one(self) -> Iterator[bool]:
        """Wait for a place and hold it. Gives whether nobody else can have one meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._taken < self._count)
            self._taken += 1
            alone = self._count == 1
        try:
            yield alone
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify()

    def lower_to_one(self) -> bool:
        """From now on one thread after another; False where that is so already."""
        with self._changed:
            several = self._count > 1
            self._count = 1
        return several


def _of_one(pixels: NDArray[np.uint8], error: Exception) -> OutOfMemoryError:
    _, channels, height, width = pixels.shape
    return OutOfMemoryError(
        f"not even one picture of {channels} x {height} x {width} fits into memory ({error}); close other programs, "
        "or take a smaller network"
    )

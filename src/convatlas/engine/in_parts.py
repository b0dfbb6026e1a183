"""Pictures that are answered in smaller batches where large ones do not fit into memory."""

import warnings
from collections.abc import Callable

import torch
from accelerate.utils.memory import clear_device_cache
from torch import Tensor, nn

from convatlas.engine.no_memory import out_of_memory
from convatlas.errors import OutOfMemoryError

Say = Callable[[str], None]


def warn(words: str) -> None:
    """Say it where nobody listens."""
    warnings.warn(words, stacklevel=3)


class InParts(nn.Module):
    """Pictures (N, ...) -> what `answer` gives for them, (N, ...). For answers that do not depend on the batch.

    A batch that does not fit into memory is halved until it does; later ones are then of that size from the start, and
    `say` is told.
    """

    def __init__(self, answer: Callable[[Tensor], Tensor], *, what: str, say: Say) -> None:
        """answer: a network in evaluation mode, or a function. what: is said of what it is for."""
        super().__init__()
        self.answer = answer
        self.training = isinstance(answer, nn.Module) and answer.training
        self.most: int | None = None  # pictures that fit, once a batch did not
        self._what = what
        self._say = say

    def forward(self, pictures: Tensor) -> Tensor:
        """Raises OutOfMemoryError where not even one picture fits."""
        parts: list[Tensor] = []
        done, refused = 0, 0
        while done < len(pictures) or not parts:
            size = len(pictures) - done if self.most is None else min(self.most, len(pictures) - done)
            part = self._try(pictures[done : done + size])
            if part is None:
                clear_device_cache(garbage_collection=True)  # not before the error is gone, which holds the batch
                self.most = size // 2
                refused = refused or size
                continue
            parts.append(part)
            done += size
            if refused:
                self._say(
                    f"{self._what}: a batch of {refused} pictures does not fit into memory, going on with {self.most} "
                    "at a time; the answers are the same"
                )
                refused = 0
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _try(self, pictures: Tensor) -> Tensor | None:
        """The answer, or None where so many do not fit."""
        try:
            return self.answer(pictures)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if len(pictures) > 1:
                return None
            raise OutOfMemoryError(
                f"{self._what}: not even one picture of {' x '.join(map(str, pictures.shape[1:]))} fits into memory "
                f"({error}). Close other programs, or take a smaller size or a smaller network"
            ) from error

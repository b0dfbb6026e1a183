"""How torch, the engines and Python say that memory has run out. Without torch, for those who predict without it."""

import contextlib
from collections.abc import Iterator

from convatlas.errors import OutOfMemoryError

WORDS = (
    "out of memory",  # CUDA, MPS, XPU, HIP
    "not enough memory",  # torch's allocator on Windows
    "can't allocate",  # and elsewhere
    "cannot allocate",
    "failed to allocate",  # ONNX Runtime
    "bad_alloc",  # C++
    "bad allocation",  # C++ on Windows
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "could not create a memory object",  # oneDNN
)
WHOLE = "could not create a primitive"  # oneDNN, too; with more behind, it is what oneDNN cannot do


def out_of_memory(error: BaseException) -> bool:
    """Whether this error is one of memory: most have no class of their own, and are known by their words alone."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or said == WHOLE or any(words in said for words in WORDS)


@contextlib.contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Raise OutOfMemoryError, which says what the memory was for, in the place of torch's or Python's own error."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        said = str(error).partition("\n")[0] or type(error).__name__
        raise OutOfMemoryError(
            f"{what} does not fit into memory ({said}). Close other programs, or take a smaller size or a "
            "smaller network"
        ) from error

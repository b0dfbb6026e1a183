"""How torch, the engines and Python say that memory has run out. Without torch, for those who predict without it."""

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


def out_of_memory(error: BaseException) -> bool:
    """Whether this error is one of memory: most have no class of their own, and are known by their words alone."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in WORDS)

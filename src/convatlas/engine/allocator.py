"""Freed memory is kept for the next step, where the C library would give it back to the system.

A training step frees its activations and takes them again. Each page that comes anew from the system is cleared first,
and on a processor that was up to a third of a step. glibc on Linux has settings for it; elsewhere nothing is changed.
"""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST = 32 << 20  # bytes of a block that is kept: more glibc does not allow; larger ones go back, as they always do


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """While the block runs; what is free at its end goes back to the system."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is None or not hasattr(libc, "mallopt") or not hasattr(libc, "malloc_trim"):
        yield
        return
    libc.mallopt(M_MMAP_THRESHOLD, LARGEST)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        libc.mallopt(M_TRIM_THRESHOLD, 2 * LARGEST)  # what glibc arrives at by itself once such a block was freed
        libc.malloc_trim(0)

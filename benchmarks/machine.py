"""The machine that a result was measured on; it says nothing of whose it is."""

import contextlib
import os
import platform
from collections.abc import Iterator
from importlib import metadata


def machine() -> dict[str, object]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("torch", "onnxruntime", "numpy")},
    }


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """While the block runs torch has so many threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123  # a device of the kernel, not a file
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()

"""The machine that a result was measured on; it says nothing of whose it is."""

import contextlib
import os
import platform
from collections.abc import Iterator
from importlib import metadata

from convatlas.engine.processor import processor_name


def machine() -> dict[str, object]:
    return {
        "processor": processor_name(),
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

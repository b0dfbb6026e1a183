"""The machine that a result was measured on; it says nothing of whose it is."""

import contextlib
import os
import platform
from collections.abc import Iterator
from importlib import metadata

from convatlas.engine.processor import processor_name

PACKAGES = ("torch", "torchvision", "timm", "onnxruntime", "openvino", "numpy", "pillow")  # ours and the peers'


def machine() -> dict[str, object]:
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{name: version for name in PACKAGES if (version := _version(name))},
    }


def _version(package: str) -> str:
    """ "" where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


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

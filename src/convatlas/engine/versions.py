"""Which versions of what decided a run's outcome. No torch: installed packages are asked, not imported."""

import importlib.util
import platform
from importlib import metadata

PACKAGES = ("convatlas", "torch", "numpy", "pillow", "accelerate")
EXPORT_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide a run's outcome, by name."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}


def can_export() -> bool:
    """Whether the packages of the extra `export` are installed."""
    return all(importlib.util.find_spec(name) is not None for name in EXPORT_PACKAGES)

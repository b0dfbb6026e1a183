"""Which versions of what decided a run's outcome. No torch: installed packages are asked, not imported."""

import platform
from importlib import metadata

PACKAGES = ("convatlas", "torch", "numpy", "pillow", "accelerate")


def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide a run's outcome, by name."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}

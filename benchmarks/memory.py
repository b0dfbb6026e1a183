"""The most memory that this process has held."""

import contextlib
import sys
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # Linux


def forget_peak() -> None:
    """Let the peak begin anew from what is held now. Only Linux can: elsewhere it stays that of the whole process."""
    if _CLEAR.exists():
        with contextlib.suppress(OSError):
            _CLEAR.write_text("5", encoding="ascii")


def peak_memory() -> int | None:
    """In bytes; None on a system that does not tell (Windows).

    Not getrusage on Linux: a process starts there with the peak of the one that started it.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

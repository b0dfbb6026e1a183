"""The memory that this process holds, and the most that it has held."""

from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # Linux


def is_told() -> bool:
    """Whether the system tells of memory at all: only Linux does."""
    return _STATUS.exists()


def forget_peak() -> bool:
    """Let the peak begin anew from what is held now; False where that cannot be had: only Linux knows how."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak_memory() -> int:
    """In bytes, since the process began or `forget_peak`. Linux only: getrusage starts with the parent's peak there."""
    return _told("VmHWM:")


def held_memory() -> int:
    """In bytes, now. Linux only."""
    return _told("VmRSS:")


def _told(name: str) -> int:
    for line in _STATUS.read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} does not tell {name}")

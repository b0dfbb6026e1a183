"""The memory that this process and its workers hold, and the most that it has held."""

import multiprocessing
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


def workers_memory() -> int | None:
    """In bytes, now: what the processes that `multiprocessing` started hold, less all that they share with another.

    0 without such processes; None where the system does not tell, or where one has just ended.
    """
    rollups = [Path(f"/proc/{worker.pid}/smaps_rollup") for worker in multiprocessing.active_children()]
    try:
        return sum(_of(rollup, f"Private_{kind}:") for rollup in rollups for kind in ("Clean", "Dirty", "Hugetlb"))
    except OSError:
        return None


def _told(name: str) -> int:
    return _of(_STATUS, name)


def _of(file: Path, name: str) -> int:
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise OSError(f"{file} does not tell {name}")

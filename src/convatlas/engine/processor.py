"""Which processor this is: what is measured or prepared on one machine does not hold for another."""

import functools
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")  # Linux


@functools.cache
def processor_name() -> str:
    """The processor's model, of which `platform` knows no more than the kind ("x86_64") on Linux."""
    return _from_cpuinfo("model name") or platform.processor() or platform.machine()


def has_vnni() -> bool | None:
    """Whether the processor multiplies int8 with VNNI; None where the system does not say (Linux on x86 does)."""
    flags = _from_cpuinfo("flags")
    return "vnni" in flags if flags else None


def _from_cpuinfo(field: str) -> str:
    """The first processor's value of a field of /proc/cpuinfo; "" where there is none, or no Linux."""
    try:
        with _CPUINFO.open(encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith(field))
    except (OSError, StopIteration):
        return ""

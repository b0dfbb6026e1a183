"""Which processor this is: what is measured or prepared on one machine does not hold for another."""

import functools
import hashlib
import platform
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")  # Linux


@functools.cache
def processor_name() -> str:
    """The processor's model, of which `platform` knows no more than the kind ("x86_64") on Linux."""
    return _from_cpuinfo("model name") or platform.processor() or platform.machine()


@functools.cache
def processor_key() -> str:
    """The processor's model and a digest of what it can do: a virtual machine's model names many generations."""
    can = _from_cpuinfo("flags") or _from_cpuinfo("Features")  # on x86; on ARM
    return f"{processor_name()}, {platform.machine()}, {hashlib.sha256(can.encode()).hexdigest()[:16]}"


def has_vnni() -> bool | None:
    """Whether the processor multiplies int8 with VNNI; None where the system does not say (Linux on x86 does)."""
    flags = _from_cpuinfo("flags")
    return "vnni" in flags if flags else None


def saturates() -> bool:
    """Whether sums of int8 products may saturate: on x86 without VNNI, or where that is not known."""
    return platform.machine().lower() in ("x86_64", "amd64") and has_vnni() is not True


def _from_cpuinfo(field: str) -> str:
    """The first processor's value of a field of /proc/cpuinfo; "" where there is none, or no Linux."""
    try:
        with _CPUINFO.open(encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith(field))
    except (OSError, StopIteration):
        return ""

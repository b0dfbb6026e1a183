"""Reading a JSON document that may be broken, or larger than the memory."""

import json
from pathlib import Path

from convatlas.data.detection.finding import check_regular, is_file
from convatlas.data.pictures import printable
from convatlas.errors import DataError

_OBJECTS_PER_BYTE = 8  # what parsed annotations take, measured on COCO's: numbers and keys become objects of Python
_HEAD = 2**20  # bytes, in which the first entry of a list is looked for
_ALWAYS_READ = 64 * 2**20  # bytes: smaller files are not asked for


def load_json(path: Path) -> object:
    """The document; raises DataError that names the file and says why it cannot be read.

    A file that would not fit into the memory that is free is refused before it is read. NaN and Infinity, which are no
    JSON but which tools write, are read as the numbers, so that their annotation can be named.
    """
    name = printable(path)
    check_regular(path, name)
    try:
        size = path.stat().st_size
        if size == 0:
            raise DataError(f"{name}: is empty (0 bytes)")
        _check_fits(name, size)
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise DataError(f"{name}: is not JSON (line {error.lineno}, column {error.colno}: {error.msg})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: is not JSON (byte {error.start} is not UTF-8)") from error
    except ValueError as error:
        raise DataError(f"{name}: holds a number of more digits than can be read") from error
    except RecursionError as error:
        raise DataError(f"{name}: is nested too deep to be annotations") from error
    except MemoryError as error:
        raise DataError(f"{name}: does not fit into memory; split it into files of fewer pictures") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error})") from error


def first_entry(path: Path) -> object:
    """The first entry of a JSON list, of which only the beginning is read; None for all else, also for a broken one."""
    if not is_file(path):
        return None
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD).decode("utf-8-sig", "ignore").lstrip()
        entry: object = json.JSONDecoder().raw_decode(head[1:].lstrip())[0] if head.startswith("[") else None
    except (OSError, ValueError, RecursionError):
        return None
    return entry


def free_memory() -> int | None:
    """Bytes that can be had without swapping, on Linux and in its containers; None where the system does not say."""
    found = [free for free in (_free_on_machine(), _free_in_container()) if free is not None]
    return min(found, default=None)


def _free_on_machine(path: Path = Path("/proc/meminfo")) -> int | None:
    try:
        for line in path.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def _free_in_container(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What a control group leaves of its limit; file pages that it holds count as free."""
    try:
        limit = int((group / "memory.max").read_text(encoding="ascii"))  # "max" where there is none
        used = int((group / "memory.current").read_text(encoding="ascii"))
        words = (group / "memory.stat").read_text(encoding="ascii").split()
        return limit - used + int(words[words.index("inactive_file") + 1])
    except (OSError, ValueError, IndexError):
        return None


def _check_fits(name: str, size: int) -> None:
    free = free_memory()
    needed = size * _OBJECTS_PER_BYTE
    if size > _ALWAYS_READ and free is not None and needed > free:
        raise DataError(
            f"{name}: is {size / 1e9:.1f} GB; reading it takes about {needed / 1e9:.0f} GB of memory, of which "
            f"{free / 1e9:.1f} GB are free. Split it into files of fewer pictures, or use a machine with more memory"
        )

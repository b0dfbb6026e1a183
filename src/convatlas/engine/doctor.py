"""What this machine offers: the packages, whether they import, the devices, room for runs.

Nothing here raises for what is missing or broken: that is the answer.
"""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from convatlas.engine.processor import processor_name
from convatlas.engine.run import ROOT

State = Literal["ok", "missing", "old", "broken"]

# One interpreter imports them all in turn and says of each how it went, so that one that crashes is named too.
_PROBE = """
import importlib, json, sys
def tell(module, problem):
    print("\\n@probe", json.dumps([module, problem]), flush=True)
for module in sys.argv[1:]:
    tell(module, None)
    try:
        importlib.import_module(module)
    except BaseException as error:
        tell(module, f"{type(error).__name__}: {error}")
    else:
        tell(module, "")
"""
_PROBE_SECONDS = 300
# Distributions whose module has another name.
_MODULES = {
    "markdown-it-py": "markdown_it",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package that convatlas uses.

    extra: the extra that asks for it, None for the core. wanted: the condition on its version, such as ">=2.6".
    version: what is installed, None when it is missing. problem: why it does not import, when it is broken.
    """

    name: str
    extra: str | None
    wanted: str
    version: str | None
    state: State
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Device:
    """Something that networks run on: `name` as `--device` takes it (cpu, cuda, mps), `description` in words."""

    name: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What `diagnose` found. Sizes are in bytes; `torch_problem` is empty when torch works."""

    convatlas: str
    python: str
    platform: str
    cpu_cores: int
    torch_threads: int | None
    packages: tuple[Package, ...]
    devices: tuple[Device, ...]
    torch_problem: str
    runs: Path
    runs_writable: bool
    disk_free: int

    @property
    def core_works(self) -> bool:
        """Whether every package of the core is installed, new enough and imports."""
        core = [package.state for package in self.packages if package.extra is None]
        return bool(core) and not self.torch_problem and all(state == "ok" for state in core)

    @property
    def extras(self) -> dict[str, bool]:
        """Each extra, and whether all of it works."""
        names = dict.fromkeys(package.extra for package in self.packages if package.extra is not None)
        return {
            name: all(package.state == "ok" for package in self.packages if package.extra == name) for name in names
        }


def diagnose(runs: str | Path = ROOT) -> Diagnosis:
    """Look at this machine: takes some seconds, for every package is imported, in another process.

    runs: the folder that runs would be written to; it need not exist and is not made.
    """
    wanted = requirements()
    installed = [name for name, _, _ in wanted if _version(name) is not None]
    problems = import_problems([_module(name) for name in installed])
    packages = tuple(
        _package(name, extra, condition, problems.get(_module(name), "")) for name, extra, condition in wanted
    )
    devices, threads, torch_problem = _devices()
    runs = Path(runs).resolve()
    nearest = next(place for place in (runs, *runs.parents) if place.exists())
    return Diagnosis(
        convatlas=_version("convatlas") or "not installed",
        python=f"{platform.python_version()} ({sys.executable})",
        platform=platform.platform(),
        cpu_cores=os.cpu_count() or 1,
        torch_threads=threads,
        packages=packages,
        devices=devices,
        torch_problem=torch_problem,
        runs=runs,
        runs_writable=nearest.is_dir() and os.access(nearest, os.W_OK),
        disk_free=shutil.disk_usage(nearest).free,
    )


def requirements() -> tuple[tuple[str, str | None, str], ...]:
    """(package, extra or None for the core, condition on its version), as convatlas itself declares them.

    The extras `all` and `dev`, which repeat the others, are left out. Empty when convatlas is not installed.
    """
    try:
        declared = importlib.metadata.requires("convatlas") or []
    except importlib.metadata.PackageNotFoundError:
        return ()
    found: list[tuple[str, str | None, str]] = []
    for line in declared:
        requirement, _, marker = line.partition(";")
        name, condition = _split(requirement.strip())
        extra = re.search(r"""extra == ['"]([\w-]+)['"]""", marker)
        if extra is None:
            found.append((name, None, condition))
        elif extra[1] not in ("all", "dev"):
            found.append((name, extra[1], condition))
    return tuple(found)


def import_problems(modules: list[str]) -> dict[str, str]:
    """Why each module does not import in a fresh interpreter: "" where it does."""
    problems: dict[str, str] = {}
    rest = modules
    while rest:
        # -P: a file of the user's named like a package must not be taken for it.
        command = [sys.executable, "-P", "-c", _PROBE, *rest]
        try:
            run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            return {**problems, **dict.fromkeys(rest, f"not imported within {_PROBE_SECONDS} s")}
        told = dict(json.loads(line[len("@probe") :]) for line in run.stdout.splitlines() if line.startswith("@probe"))
        if not told:
            return {**problems, **dict.fromkeys(rest, "the interpreter did not start")}
        crash = f"the import ended the interpreter (exit {run.returncode})"
        problems |= {module: crash if problem is None else problem for module, problem in told.items()}
        rest = [module for module in rest if module not in problems]
    return problems


def _devices() -> tuple[tuple[Device, ...], int | None, str]:
    """The devices that torch sees, its number of threads, and why torch does not work, if so."""
    try:
        import torch  # noqa: PLC0415 - here alone, so that a torch that does not import is an answer
    except Exception as error:  # a broken install fails in many ways: ImportError, OSError, RuntimeError
        return (), None, f"{type(error).__name__}: {error}"
    devices = [Device(name="cpu", description=processor_name())]
    all_properties = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    gpus = [f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB" for properties in all_properties]
    if gpus:
        count = f"{len(gpus)} GPUs: " if len(gpus) > 1 else ""
        devices.append(Device(name="cuda", description=count + "; ".join(gpus)))
    if torch.backends.mps.is_available():
        devices.append(Device(name="mps", description="Apple GPU"))
    return tuple(devices), torch.get_num_threads(), ""


def _package(name: str, extra: str | None, condition: str, problem: str) -> Package:
    version = _version(name)
    state: State = "ok"
    if version is None:
        state = "missing"
    elif problem:
        state = "broken"
    elif not _new_enough(version, condition):
        state = "old"
    return Package(name=name, extra=extra, wanted=condition, version=version, state=state, problem=problem)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _module(name: str) -> str:
    return _MODULES.get(name, name.replace("-", "_"))


def _split(requirement: str) -> tuple[str, str]:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    name = match[0] if match else requirement
    return name, requirement.removeprefix(name).strip()


def _new_enough(version: str, condition: str) -> bool:
    """Whether "2.10.1" meets ">=2.6"; convatlas declares only lower bounds."""
    return _release(version) >= _release(condition.removeprefix(">="))


def _release(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()

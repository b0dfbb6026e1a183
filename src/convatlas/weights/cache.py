"""Where weight files lie on this machine, and whether they are still what they should be."""

import importlib.util
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from convatlas.errors import MissingExtra, WeightsError
from convatlas.files import sha256, write_json
from convatlas.weights.weight_set import WeightSet

Basis = Literal["stated", "first 8 digits stated", "recorded at first download", "nothing"]


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A weight set's file on this machine.

    basis: what its digest was held against. problem: "" for a file that is right.
    """

    key: str
    path: Path
    sha256: str
    basis: Basis
    problem: str = ""


def cache_folder() -> Path:
    """The folder of convatlas's cache: $CONVATLAS_CACHE, else the system's place for a user's caches."""
    chosen = os.environ.get("CONVATLAS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "convatlas" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "convatlas"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "convatlas"


def cached_path(weights: WeightSet) -> Path:
    """Where the file of a set that has an address lies, or would."""
    return cache_folder() / "weights" / weights.source / weights.file_name


def packaged_path(weights: WeightSet) -> Path:
    """The file inside the installed package that carries it; the package is found, not imported.

    Raises MissingExtra when it is not installed, WeightsError when it has no such file.
    """
    package, member = str(weights.package), str(weights.member)
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(weights.key, str(weights.extra))
    path = Path(spec.submodule_search_locations[0], *member.split("/"))
    if not path.is_file():
        raise WeightsError(f"{path}: the installed package {package} has no such file; install it anew")
    return path


def check_file(weights: WeightSet, path: Path) -> WeightFile:
    """Hold a file against the digest that its source states, and the one recorded when it was first brought."""
    digest = sha256(path)
    recorded = _recorded(path)
    basis: Basis = "nothing"
    if len(weights.sha256) == 64:
        basis = "stated"
    elif weights.sha256:
        basis = "first 8 digits stated"
    elif recorded:
        basis = "recorded at first download"
    problem = ""
    for expected in (weights.sha256, recorded):
        if not digest.startswith(expected):
            problem = f"its SHA-256 is {digest}, expected {expected}"
    return WeightFile(key=weights.key, path=path, sha256=digest, basis=basis, problem=problem)


def expected_sha256(weights: WeightSet) -> str:
    """The most that is known of the digest: all of it, its first digits, or ""."""
    return max(weights.sha256, _recorded(cached_path(weights)), key=len)


def record(weights: WeightSet, path: Path, digest: str) -> None:
    """Note beside the file what it was when it was first brought."""
    write_json(_record_path(path), {"key": weights.key, "address": weights.address, "sha256": digest})


def _record_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _recorded(path: Path) -> str:
    place = _record_path(path)
    if not place.exists():
        return ""
    try:
        return str(json.loads(place.read_text(encoding="utf-8"))["sha256"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise WeightsError(
            f"{place}: cannot be read ({error}); remove it, and `convatlas weights fetch` again"
        ) from error

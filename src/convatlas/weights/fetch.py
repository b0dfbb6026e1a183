"""Bringing a weight set to this machine: from a package, from the cache, or by download."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from convatlas.errors import DownloadError, MissingExtra, UsageError, WeightsError
from convatlas.weights import list_weights, weight_set
from convatlas.weights.cache import (
    WeightFile,
    cached_path,
    check_file,
    expected_sha256,
    packaged_path,
    record,
)
from convatlas.weights.download import Patience, Progress, download
from convatlas.weights.weight_set import WeightSet

_YES = ("1", "true", "yes", "on")
_NO = ("", "0", "false", "no", "off")


def fetch_weights(
    which: str | WeightSet,
    *,
    offline: bool | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> WeightFile:
    """The set's file on this machine, its digest checked; downloaded if the cache has none or an altered one.

    which: a key that `list_weights()` gives, or the set. offline: never touch the network; None: as the environment's
    CONVATLAS_OFFLINE says. progress: called with (bytes here, bytes in all or None).
    Raises UsageError for an unknown key, MissingExtra where the package that carries the set is not installed,
    DownloadError when the file is not here and cannot be brought (it says how to bring it by hand), and WeightsError
    when it is here but is not what it should be.
    """
    weights = weight_set(which) if isinstance(which, str) else which
    if weights.address is None:
        return _right(check_file(weights, packaged_path(weights)))
    path = cached_path(weights)
    offline = _offline() if offline is None else offline
    if path.is_file():
        found = check_file(weights, path)
        if not found.problem:
            if found.basis == "nothing":  # brought by hand: from now on it must stay what it is
                record(weights, path, found.sha256)
            return found
        if offline:
            return _right(found)
    elif offline:
        raise DownloadError(
            f"{weights.key}: {path} is not there, and working offline nothing is downloaded. {_by_hand(weights)}"
        )
    try:
        digest = download(
            weights.address,
            path,
            expected_sha256=expected_sha256(weights),
            max_bytes=_most_bytes(weights),
            patience=patience,
            progress=progress,
        )
    except DownloadError as error:
        raise DownloadError(f"{weights.key}: {error}. {_by_hand(weights)}") from error
    record(weights, path, digest)
    return check_file(weights, path)


def on_this_machine(weights: WeightSet) -> bool:
    """Whether the set's file is here, right or not. Raises MissingExtra where its package is not installed."""
    return (packaged_path(weights) if weights.address is None else cached_path(weights)).is_file()


def verify_weights(keys: Sequence[str] = ()) -> tuple[WeightFile, ...]:
    """Check the digests of the files that are here: those of `keys`, or all that the cache and packages have.

    A file that is not right has a `problem`. Raises UsageError for an unknown key, and WeightsError or
    MissingExtra for a set that is asked for and not here.
    """
    if keys:
        return tuple(check_file(each, _place(each)) for each in map(weight_set, keys))
    here = []
    for each in list_weights():
        with contextlib.suppress(WeightsError, MissingExtra):  # not on this machine
            here.append((each, _place(each)))
    return tuple(check_file(each, path) for each, path in here)


def _place(weights: WeightSet) -> Path:
    path = packaged_path(weights) if weights.address is None else cached_path(weights)
    if not path.is_file():
        raise WeightsError(f"{weights.key}: {path} is not there: `convatlas weights fetch {weights.key}`")
    return path


def _right(found: WeightFile) -> WeightFile:
    if found.problem:
        raise WeightsError(f"{found.path}: {found.problem}; remove it and fetch {found.key} anew")
    return found


def _by_hand(weights: WeightSet) -> str:
    return (
        f"By hand: download {weights.address} on any machine, save it as {cached_path(weights)}, and check it with "
        f"`convatlas weights verify {weights.key}`. CONVATLAS_CACHE names another cache folder"
    )


def _most_bytes(weights: WeightSet) -> int:
    """A tenth more than the stated size, which is rounded; 4 GiB where none is stated."""
    if weights.mebibytes is None:
        return 4 << 30
    return int((weights.mebibytes * 1.1 + 1) * (1 << 20))


def _offline() -> bool:
    value = os.environ.get("CONVATLAS_OFFLINE", "").strip().lower()
    if value not in _YES + _NO:
        raise UsageError(f"CONVATLAS_OFFLINE={value}: expected 1 or 0")
    return value in _YES

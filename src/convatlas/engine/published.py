"""Predicting by name: a network's name or a weight set's key -> a bundle in the cache, made once.

A bundle that is there is found without torch.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from convatlas.catalog import list_cards, resolve
from convatlas.engine.bundle import Bundle, bundle_folder, read_bundle
from convatlas.errors import BundleError, SaveError, UsageError, did_you_mean
from convatlas.files import new_folder
from convatlas.weights import WeightSet, default_weights, imagenet_classes, list_weights, weight_set
from convatlas.weights.cache import cache_folder, cached_path, expected_sha256
from convatlas.weights.preprocess import preprocess_of

if TYPE_CHECKING:
    from convatlas.weights.download import Progress

DEFAULT_MODEL = "efficientnet_lite0"  # small, quick, and its weights come with a package: nothing to download

Say = Callable[[str], None]


def is_known_name(word: str) -> bool:
    """Whether the word is a network's name or alias, or a weight set's key; what lies here is not looked at."""
    try:
        resolve(word)
    except UsageError:
        return word.strip().lower() in (each.key.lower() for each in list_weights())
    return True


def near_names(word: str) -> str:
    """` Did you mean "resnet50"?` among the networks, or for a word with a slash among the keys; or nothing."""
    if "/" in word:
        return did_you_mean(word, [each.key for each in list_weights()])
    return did_you_mean(word.replace("-", "_"), [name for card in list_cards() for name in (card.name, *card.aliases)])


def find_bundle(
    named: str | Path, *, offline: bool | None = None, progress: "Progress | None" = None, say: Say | None = None
) -> Path:
    """The folder of the bundle that is meant: a path (a bundle, or a run that holds one), or else a published name.

    What lies here goes before a name, and a Path is never a name. Raises what `bundle_folder` and `published_bundle`
    raise; the UsageError for what is neither has the nearest names.
    """
    if isinstance(named, str) and not Path(named).exists():
        if is_known_name(named):
            return published_bundle(named, offline=offline, progress=progress, say=say)
        if near := near_names(named):
            raise UsageError(f"{named}: no such folder, and not the name of a network or a weight set.{near}")
    return bundle_folder(Path(named))


def published_bundle(
    name_or_key: str, *, offline: bool | None = None, progress: "Progress | None" = None, say: Say | None = None
) -> Path:
    """The folder of the bundle of published weights; made when there is none, or when the one there is damaged.

    Making it takes torch, some seconds and the weights (`fetch_weights`, to which offline and progress go). It is
    exported to ONNX where the extra `export` is installed, and compared with the network on photographs.
    name_or_key: a network's name or alias, which stands for its `default_weights`, or a key of `list_weights()`.
    say: called with words for people when something takes time.
    Raises UsageError for an unknown name and for a network without published weights, all that `fetch_weights` raises,
    and SaveError when the cache cannot be written.
    """
    weights = _weights(name_or_key)
    say = say or _silent
    digest = expected_sha256(weights)
    if digest:  # else its file has never been here
        folder = _folder(weights, digest)
        problem = _problem(folder, weights)
        if not problem:
            _export_late(folder, weights, say)
            return folder
        if folder.exists():
            say(f"{problem}: making the bundle anew")
    from convatlas.weights.fetch import fetch_weights  # noqa: PLC0415 - not at each start: it brings TLS and HTTP

    if not offline and weights.address is not None and not cached_path(weights).is_file():
        say(f"{weights.key} is not on this machine; it lies at {weights.address}")
    file = fetch_weights(weights, offline=offline, progress=progress)
    folder = _folder(weights, file.sha256)
    say(f"preparing {weights.model} once; the next start is quick")
    try:
        _make(folder, weights, file.path, file.sha256)
    except SaveError as error:
        if _problem(folder, weights):  # otherwise another process has just put the same bundle there
            raise SaveError(f"{error}. CONVATLAS_CACHE names another cache folder") from error
    return folder


def describe(weights: WeightSet, sha256: str = "") -> Bundle:
    """The description of a weight set's bundle before it is exported. sha256: of the file of weights."""
    place = {"package": weights.package} if weights.address is None else {"address": weights.address}
    return Bundle(
        task="classify",
        model=weights.model,
        changes=weights.changes,
        classes=imagenet_classes(),
        preprocess=preprocess_of(weights.transform),
        mean=weights.transform.mean,
        std=weights.transform.std,
        provenance={
            "weights": weights.key,
            **place,
            "sha256": sha256,
            **terms(weights),
            "published": {"top1": weights.top1, "top5": weights.top5, "source": weights.score_source},
        },
    )


def terms(weights: WeightSet) -> dict[str, object]:
    """On what terms the weights come: kept in every bundle that starts from them."""
    return {
        "weights_licence": weights.licence,
        "weights_licence_note": weights.licence_note,
        "weights_data": weights.data,
        "weights_data_terms": weights.data_terms,
    }


def _weights(name_or_key: str) -> WeightSet:
    if "/" in name_or_key:
        return weight_set(name_or_key)
    name = resolve(name_or_key)
    found = default_weights(name)
    if found is None:
        raise UsageError(
            f"{name} has no published weights. Train it first, then name the run: "
            f"convatlas train DATA --model {name} --out runs/{name}"
        )
    return found


def _folder(weights: WeightSet, sha256: str) -> Path:
    return cache_folder() / "bundles" / f"{weights.key.replace('/', '-')}-{sha256[:8]}"


def _problem(folder: Path, weights: WeightSet) -> str:
    """Why a bundle of the cache is of no use: missing, damaged, or other than it would be made today; "" if it is."""
    try:
        found = read_bundle(folder)
    except (BundleError, UsageError) as error:
        return str(error)
    wanted = describe(weights)
    for name in ("model", "changes", "classes", "preprocess", "mean", "std"):
        if getattr(found, name) != getattr(wanted, name):
            return f"{folder}: its {name} is not what {weights.key} has now"
    return ""


def _make(folder: Path, weights: WeightSet, file: Path, sha256: str) -> None:
    from convatlas.engine.prepare import prepare_bundle  # noqa: PLC0415 - torch

    with tempfile.TemporaryDirectory(prefix="convatlas-", ignore_cleanup_errors=True) as temporary:
        made = Path(temporary) / "bundle"
        prepare_bundle(made, describe(weights, sha256), file, weights.naming)
        if not _problem(folder, weights):
            return  # another process was quicker, and someone may be reading its bundle
        with new_folder(folder) as whole:
            for path in made.iterdir():
                shutil.move(path, whole / path.name)


def _export_late(folder: Path, weights: WeightSet, say: Say) -> None:
    """Add the graph to a bundle that was made before the extra `export` was installed."""
    bundle = read_bundle(folder, verify=False)
    if bundle.exported or "not_exported" in bundle.provenance:
        return
    from convatlas.engine.versions import can_export  # noqa: PLC0415 - not at each start

    if not can_export():
        return
    from convatlas.engine.prepare import add_graph  # noqa: PLC0415 - torch

    say(f"exporting {weights.model} once; the next start is quick")
    with contextlib.suppress(SaveError):  # a cache that is read only: it works on torch
        add_graph(folder)


def _silent(words: str) -> None:
    pass

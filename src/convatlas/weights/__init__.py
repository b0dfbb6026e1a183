"""Where published weights live: address, hash, licence, transform, score. This file needs no torch.

`load.py` puts weights into a network, `fetch.py` brings them to this machine, `keys/` knows other libraries' names.
"""

import fnmatch
import functools
import importlib.resources
from collections.abc import Mapping

from convatlas.catalog import resolve
from convatlas.errors import UsageError, did_you_mean
from convatlas.weights.weight_set import Source, Transform, WeightSet, read_sets

__all__ = ["Source", "Transform", "WeightSet", "default_weights", "imagenet_classes", "list_weights", "weight_set"]

# Fields of a config that weights do not depend on, or are adapted to.
FREE_FIELDS = (
    "num_classes",
    "in_channels",
    "image_size",
    "dropout",
    "survival",
    "aux",
    "init_std",
    "memory_efficient",
)
_FILES = ("packaged.toml", "torchvision.toml", "timm.toml")


@functools.cache
def _sets() -> Mapping[str, WeightSet]:
    folder = importlib.resources.files(__name__) / "sets"
    return {each.key: each for file in _FILES for each in read_sets(folder / file)}


def weight_set(key: str) -> WeightSet:
    """The weight set of a key such as "torchvision/resnet50/IMAGENET1K_V2", in any case.

    Raises UsageError for an unknown key, with the nearest ones, or with the keys of the network that it names.
    """
    keys = {each.lower(): each for each in _sets()}
    found = keys.get(key.strip().lower())
    if found is not None:
        return _sets()[found]
    of_model = [each.key for each in _sets().values() if each.model == key.strip().lower().replace("-", "_")]
    hint = f" {key} has: {', '.join(of_model)}." if of_model else did_you_mean(key, keys.values())
    raise UsageError(f"unknown weight set {key!r}.{hint} `convatlas weights list` lists them all")


def list_weights(
    pattern: str | None = None, *, model: str | None = None, licence: str | None = None
) -> tuple[WeightSet, ...]:
    """The weight sets that meet every condition given: first what packages carry, then torchvision's, then timm's.

    pattern: part of a key ("resnet50"), or with wildcards the whole of one ("torchvision/*_V2"), in any case.
    model: a network's name or alias. licence: one of the licences that sets have, "unstated" among them.
    Raises UsageError for a network or a licence that is not known.
    """
    licences = sorted({each.licence for each in _sets().values()})
    if licence is not None and licence.lower() not in (known.lower() for known in licences):
        raise UsageError(
            f"unknown licence {licence!r}.{did_you_mean(licence, licences)} There is: {', '.join(licences)}"
        )
    name = None if model is None else resolve(model)
    return tuple(
        each
        for each in _sets().values()
        if (pattern is None or _matches(each.key, pattern))
        and (name is None or each.model == name)
        and (licence is None or each.licence.lower() == licence.lower())
    )


def default_weights(model: str, changes: Mapping[str, object] | None = None) -> WeightSet | None:
    """The set that a network's name alone stands for: the first by the order below.

    changes: how its config differs from the name's. In order: a licence that allows commercial use,
    pictures of the changes' `image_size`, the package, torchvision and timm, the highest published top-1 accuracy. None
    where none is published.
    """
    fixed = {name: value for name, value in (changes or {}).items() if name not in FREE_FIELDS}
    of_that_size = fixed | {name: value for name, value in (changes or {}).items() if name == "image_size"}
    sets = [each for each in list_weights(model=model) if dict(each.changes) in (of_that_size, fixed)]
    sources = ("timm", "torchvision", "package")

    def worth(each: WeightSet) -> tuple[bool, bool, int, float]:
        fits = dict(each.changes) == of_that_size
        return "-NC" not in each.licence, fits, sources.index(each.source), each.top1 or 0.0

    return max(sets, key=worth, default=None)


@functools.cache
def imagenet_classes() -> tuple[str, ...]:
    """The names of ImageNet-1k's 1,000 classes, in the order of every published network's outputs.

    Source: torchvision (BSD-3-Clause), the `categories` of its weights; each is the first word of the class's WordNet
    synset, and no two are alike.
    """
    text = (importlib.resources.files(__name__) / "imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if not line.startswith("#"))


def _matches(key: str, pattern: str) -> bool:
    wanted = pattern.lower()
    if not any(sign in wanted for sign in "*?["):
        wanted = f"*{wanted}*"
    return fnmatch.fnmatchcase(key.lower(), wanted)

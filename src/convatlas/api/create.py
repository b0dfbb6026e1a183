"""A network by its name, freshly initialised or with weights."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from convatlas import models
from convatlas.catalog import resolve
from convatlas.errors import UsageError
from convatlas.weights import WeightSet, default_weights, list_weights, weight_set
from convatlas.weights.load import load_backbone, load_weight_set, load_weights
from convatlas.weights.names import follows
from convatlas.weights.read import SUFFIXES, read_state_dict

DEFAULT = "default"


def create_model(
    name: str,
    *,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    offline: bool | None = None,
    **changes: object,
) -> nn.Module:
    """Build a network by its name: images (N, in_channels, H, W) -> logits (N, num_classes) for a classifier.

    name: a name or alias that `list_models()` gives, such as "resnet50".
    weights: None: freshly initialised as the paper says. "default": the network's published weights
    (`default_weights`). A key of `list_weights()`, such as "torchvision/resnet50/IMAGENET1K_V1", whose config (its
    `changes`) is taken over. A file of weights in our own names (.safetensors, .pth), or named tensors; `load_weights`
    takes those with other libraries' names.
    offline: download nothing; None: as the environment's CONVATLAS_OFFLINE says. Only "default" and keys can download.
    changes: fields of the network's config to change, such as `in_channels=1`, `num_classes=7`. With another class
    count than the weights' the classifier is fresh, all the rest is loaded; with other input channels the first
    convolution is adapted.

    Raises UsageError for an unknown name, field, key or file, with the nearest ones, for an impossible value, and for
    "default" where nothing is published; MissingExtra, DownloadError and WeightsError for weights that are not to be
    had, altered, or of another network.
    """
    if weights is None:
        return models.create_model(name, **changes)
    if isinstance(weights, str):
        published = _published(name, weights, changes)
        if published is not None and published.model != resolve(name):
            raise UsageError(f"weights: {published.key} are of {published.model}, not of {resolve(name)}")
        if published is not None:
            network = models.create_model(name, **{**published.changes, **changes})
            other_classes = changes.get("num_classes", published.num_classes) != published.num_classes
            load_weight_set(network, published, new_head=other_classes, offline=offline)
            return network
    network = models.create_model(name, **changes)
    state = weights if isinstance(weights, Mapping) else read_state_dict(Path(weights))
    # Asked for another class count: only then is a classifier that does not fit no mistake.
    load = load_backbone if "num_classes" in changes and not _head_fits(network, state) else load_weights
    load(network, state)
    return network


def _published(name: str, weights: str, changes: Mapping[str, object]) -> WeightSet | None:
    """The set that is meant, or None for a file. Raises UsageError for what is neither."""
    if weights == DEFAULT:
        found = default_weights(name, models.real_changes(name, changes))
        if found is None:
            raise UsageError(f"{resolve(name)} has no published weights; weights=None initialises it freshly")
        return found
    if Path(weights).suffix in SUFFIXES and not Path(weights).exists():
        raise UsageError(f"weights: there is no file {weights}")
    is_key = weights.lower() in (each.key.lower() for each in list_weights())
    return weight_set(weights) if is_key or not Path(weights).exists() else None


def _head_fits(network: nn.Module, state: Mapping[str, Tensor]) -> bool:
    own = network.state_dict()
    return all(name in state and state[name].shape == own[name].shape for name in follows(network, "num_classes"))

"""Renaming a state dict to our names, and which names depend on an option of the network."""

import dataclasses
from collections.abc import Iterable
from typing import get_args

import torch
from torch import nn

from convatlas.errors import UsageError, did_you_mean
from convatlas.weights.keys import NAMES
from convatlas.weights.weight_set import Source


def our_names(network: nn.Module, theirs: Iterable[str], source: Source) -> dict[str, str]:
    """{their name of a tensor: ours}, for every name in `theirs`; one that the source does not use gets "".

    Raises UsageError for an unknown source, and for a network whose names in it are not known.
    """
    if source not in get_args(Source):
        choices = ", ".join(get_args(Source))
        raise UsageError(f"unknown source {source!r}.{did_you_mean(source, get_args(Source))} There is: {choices}")
    if source == "convatlas":
        return {name: name for name in theirs}
    family = NAMES[source].get(type(network))
    if family is None:
        known = ", ".join(each.__name__ for each in NAMES[source])
        raise UsageError(f"the names that {source} uses in {type(network).__name__} are not known, only in {known}")
    modules = family(network)
    renamed = {}
    for name in theirs:
        module, _, leaf = name.rpartition(".")
        renamed[name] = modules.get(name, f"{modules[module]}.{leaf}" if module in modules else "")
    return renamed


def auxiliary(network: nn.Module) -> frozenset[str]:
    """The names of the tensors of auxiliary classifiers, which the network has with `aux=True` only."""
    config = getattr(network, "config", None)
    if not dataclasses.is_dataclass(config) or isinstance(config, type) or not hasattr(config, "aux"):
        return frozenset()
    try:
        changed = dataclasses.replace(config, aux=not config.aux)
    except UsageError:  # too short for auxiliary classifiers
        return frozenset()
    with torch.device("meta"):
        other = type(network)(changed)
    return frozenset(other.state_dict()) ^ frozenset(network.state_dict())


def follows(network: nn.Module, *fields: str) -> tuple[str, ...]:
    """The names of the tensors whose shape depends on one of these fields of the network's config.

    Found by building the network once more, without memory, with twice the values: no list to keep for each family.
    """
    config = getattr(network, "config", None)
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        return ()
    changes = {field: 2 * getattr(config, field) for field in fields if hasattr(config, field)}
    if not changes:
        return ()
    try:
        changed = dataclasses.replace(config, **changes)
    except UsageError:  # the paper fixes it, as LeNet-5's ten classes
        return ()
    with torch.device("meta"):
        other = type(network)(changed).state_dict()
    return tuple(name for name, tensor in network.state_dict().items() if tensor.shape != other[name].shape)

"""Which network of the atlas a state dict is of, told by its names and shapes."""

from collections.abc import Mapping
from typing import get_args

import torch
from torch import Tensor, nn

from convatlas.models import create_model, network_class
from convatlas.weights import list_weights
from convatlas.weights.keys import NAMES, as_convolutions
from convatlas.weights.names import auxiliary, follows, our_names
from convatlas.weights.weight_set import Source


def looks_like(state: Mapping[str, Tensor]) -> tuple[str, Source] | None:
    """The network, and whose names the tensors have; None for what no network with published weights has.

    Any number of classes and input channels and any size of pictures will do: what depends on them is not compared.
    """
    foreign: set[tuple[type[nn.Module], Source]] = set()  # families that have not even their first tensor in common
    for model, width in {(each.model, each.changes.get("width")): None for each in list_weights()}:
        family = network_class(model)
        named = [source for source in get_args(Source) if source == "convatlas" or family in NAMES[source]]
        possible = [source for source in named if (family, source) not in foreign]
        if not possible:
            continue
        with torch.device("meta"):
            network = create_model(model) if width is None else create_model(model, width=width)
        renamed = {source: our_names(network, state, source) for source in possible}
        fitting = [source for source in possible if _has_first(network, renamed[source])]
        foreign |= {(family, source) for source in possible if source not in fitting}
        left_out = auxiliary(network) if fitting else frozenset()
        for source in fitting:
            names = {theirs: ours for theirs, ours in renamed[source].items() if ours not in left_out}
            if _same(state, network, names, as_convolutions(network, source)):
                return (model if width is None else f"{model} with width={width}"), source
    return None


def _has_first(network: nn.Module, names: Mapping[str, str]) -> bool:
    first, _ = next(network.named_parameters())
    return first in names.values()


def _same(
    state: Mapping[str, Tensor], network: nn.Module, names: Mapping[str, str], kernels: Mapping[str, int]
) -> bool:
    own = network.state_dict()
    found = {ours: _shape(state[theirs], kernels.get(ours)) for theirs, ours in names.items() if ours in own}
    if len(found) < len(names) or any(name not in found for name, _ in network.named_parameters()):
        return False
    differ = {name for name, shape in found.items() if shape != own[name].shape}
    return not differ or differ <= set(follows(network, "num_classes", "in_channels", "image_size"))


def _shape(tensor: Tensor, kernel: int | None) -> torch.Size:
    """The tensor's shape in our network, whose dense layer may be a convolution of this kernel in the file."""
    if kernel is not None and tensor.dim() == 4 and tensor.shape[2:] == (kernel, kernel):
        return tensor.flatten(1).shape
    return tensor.shape

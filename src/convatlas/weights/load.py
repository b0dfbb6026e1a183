"""Putting weights into a network: every name and every shape must fit, or nothing is changed."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from convatlas.errors import UsageError, WeightsError
from convatlas.layers.positions import resize_positions
from convatlas.models import model_config
from convatlas.weights import FREE_FIELDS, weight_set
from convatlas.weights.download import Progress
from convatlas.weights.fetch import fetch_weights
from convatlas.weights.keys import as_convolutions
from convatlas.weights.names import auxiliary, follows, our_names
from convatlas.weights.read import read_state_dict
from convatlas.weights.recognise import looks_like
from convatlas.weights.weight_set import Source, WeightSet


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What became of the network's tensors that did not come from the file as they are.

    fresh: names that keep their initial values. adapted: names of first convolutions that were made to fit the
    network's number of channels, and of position embeddings that were made to fit the size of its pictures.
    """

    fresh: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()


def load_weights(
    network: nn.Module, weights: Mapping[str, Tensor] | Path | str, *, source: Source = "convatlas"
) -> Loaded:
    """Put all weights into the network, whose class count is theirs.

    weights: named tensors, or a .safetensors, .pth, .pt or .bin file of them. source: whose names they have.
    Where only the number of input channels differs, the first convolution is adapted (`adapt_input_channels`); where
    only the size of the pictures does, which matters to a ViT alone, its position embeddings (`resize_positions`).
    Auxiliary classifiers that only the weights have are left out; those that only the network has stay `fresh`.
    Raises WeightsError, and changes nothing, for names that are missing or unexpected and shapes that differ: it lists
    them, and says which network the weights are of if the atlas knows it. `load_backbone` takes other class counts.
    """
    return _load(network, weights, source, with_head=True)


def load_backbone(
    network: nn.Module, weights: Mapping[str, Tensor] | Path | str, *, source: Source = "convatlas"
) -> Loaded:
    """As `load_weights`, but for the classifiers: what depends on the number of classes keeps its initial values.

    The names that were left are in the answer's `fresh`. The weights may be for any number of classes, or none.
    """
    return _load(network, weights, source, with_head=False)


def load_weight_set(
    network: nn.Module,
    which: str | WeightSet,
    *,
    new_head: bool = False,
    offline: bool | None = None,
    progress: Progress | None = None,
) -> Loaded:
    """Fetch a published set (`fetch_weights`) and put it into the network; with new_head all but the classifier.

    Raises WeightsError for a network that is built otherwise than the set's, naming the options that differ, although
    the shapes may fit; and the errors of `fetch_weights` and `load_weights`.
    """
    weights = weight_set(which) if isinstance(which, str) else which
    _check_architecture(network, weights)
    file = fetch_weights(weights, offline=offline, progress=progress)
    load = load_backbone if new_head else load_weights
    return load(network, file.path, source=weights.naming)


def adapt_input_channels(weight: Tensor, channels: int) -> Tensor:
    """A first convolution (out, in, h, w) for another number of channels: (out, channels, h, w).

    For one channel the kernels are added up: a grey picture gives what the same picture in all `in` channels gave.
    For more they are repeated in turn and scaled by in / channels, which keeps the size of the sums. Either is where
    training starts from: channels that mean something else (depth, infrared) have to be learnt.
    """
    known = weight.shape[1]
    if channels == known:
        return weight
    if channels == 1:
        return weight.sum(dim=1, keepdim=True)
    return weight[:, [channel % known for channel in range(channels)]] * (known / channels)


def _load(network: nn.Module, weights: Mapping[str, Tensor] | Path | str, source: Source, *, with_head: bool) -> Loaded:
    label = "the weights" if isinstance(weights, Mapping) else str(weights)
    given = dict(weights) if isinstance(weights, Mapping) else read_state_dict(Path(weights))
    own = network.state_dict()
    on_meta = [name for name, tensor in own.items() if tensor.is_meta]
    if on_meta:
        raise UsageError(f"the network is on the meta device and has no memory for {on_meta[0]}: create it on another")
    names = our_names(network, given, source)
    sides = auxiliary(network)
    names = {theirs: ours for theirs, ours in names.items() if ours in own or ours not in sides}
    head = follows(network, "num_classes")
    left = () if with_head else head
    if sides.isdisjoint(names.values()):  # most files lack them: they are for training
        left += tuple(name for name in own if name in sides and name not in left)
    taken = {ours: given[theirs] for theirs, ours in names.items() if ours in own and ours not in left}
    _make_dense(taken, as_convolutions(network, source))
    adapted = _adapt(taken, own, follows(network, "in_channels")) + _resize(taken, own, follows(network, "image_size"))
    problems = _problems(taken, own, names, left)
    if problems:
        raise WeightsError(f"{label}: {'; '.join(problems)}. {_hint(given, taken, own, head)}")
    network.load_state_dict(taken, strict=False)
    return Loaded(fresh=left, adapted=adapted)


def _adapt(taken: dict[str, Tensor], own: Mapping[str, Tensor], first: tuple[str, ...]) -> tuple[str, ...]:
    """Adapt the first convolutions in `taken` whose input channels, and nothing else, differ; return their names."""
    adapted = []
    for name in first:
        if name in taken and taken[name].dim() == 4 and taken[name].shape[1] != own[name].shape[1]:
            taken[name] = adapt_input_channels(taken[name], own[name].shape[1])
            adapted.append(name)
    return tuple(adapted)


def _resize(taken: dict[str, Tensor], own: Mapping[str, Tensor], positions: tuple[str, ...]) -> tuple[str, ...]:
    """Resize the position embeddings in `taken` whose grid, and nothing else, differs; return their names."""
    resized = []
    for name in positions:
        wanted, given = own[name].shape, taken[name].shape if name in taken else ()
        if len(given) == 3 and given[1] != wanted[1] and given[2] == wanted[2] and _is_grid(given[1] - 1):
            taken[name] = resize_positions(taken[name], math.isqrt(wanted[1] - 1))
            resized.append(name)
    return tuple(resized)


def _is_grid(patches: int) -> bool:
    return patches > 0 and math.isqrt(patches) ** 2 == patches


def _make_dense(taken: dict[str, Tensor], kernels: Mapping[str, int]) -> None:
    """Flatten the convolutions in `taken` that another library has in the place of our dense layers."""
    for name, kernel in kernels.items():
        if name in taken and taken[name].dim() == 4 and taken[name].shape[2:] == (kernel, kernel):
            taken[name] = taken[name].flatten(1)


def _problems(
    taken: Mapping[str, Tensor], own: Mapping[str, Tensor], names: Mapping[str, str], left: tuple[str, ...]
) -> list[str]:
    """In words: what the file lacks, has besides, and has in other shapes."""
    theirs = {ours: name for name, ours in names.items()}
    # A counter of batches, which files from before torch 0.4.1 lack, is no weight.
    missing = [
        name for name in own if name not in taken and name not in left and not name.endswith(".num_batches_tracked")
    ]
    unexpected = [name for name, ours in names.items() if ours not in own]
    shapes = [
        f"{theirs[name]} {tuple(tensor.shape)}, the network's {name} {tuple(own[name].shape)}"
        for name, tensor in taken.items()
        if tensor.shape != own[name].shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    return [f"{len(cases)} {what}: {'; '.join(cases)}" for what, cases in found.items() if cases]


def _hint(
    given: Mapping[str, Tensor], taken: Mapping[str, Tensor], own: Mapping[str, Tensor], head: tuple[str, ...]
) -> str:
    """What the weights are, if that can be told, and what to do."""
    wrong = [name for name in own if name not in taken or taken[name].shape != own[name].shape]
    if wrong and set(wrong) <= set(head):
        return "The number of classes differs: load_backbone takes all but the classifier, or give the network theirs"
    known = looks_like(given)
    if known is None:
        return "No network with published weights has these names and shapes"
    model, source = known
    return f'It looks like {model} with the names of source="{source}"'


def other_options(wanted: Any, config: object) -> list[str]:
    """`["width=0.5, not 1.0"]`: options of the config `wanted` that the other one, of the same class, does not share.

    Weights can fit in shape and still be wrong: another padding, another place of a stride.
    """
    names = [field.name for field in dataclasses.fields(wanted) if field.name not in FREE_FIELDS]
    both = [(name, getattr(wanted, name), getattr(config, name)) for name in names]
    return [f"{name}={theirs!r}, not {ours!r}" for name, theirs, ours in both if theirs != ours]


def _check_architecture(network: nn.Module, weights: WeightSet) -> None:
    wanted = model_config(weights.model, **weights.changes)
    config: object = getattr(network, "config", None)
    if type(config) is not type(wanted):
        raise WeightsError(f"{weights.key} is for {weights.model}, not for {type(network).__name__}")
    differ = other_options(wanted, config)
    if differ:
        raise WeightsError(f"{weights.key} is for {weights.model} with {'; '.join(differ)}")

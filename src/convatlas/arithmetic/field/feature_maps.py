"""A network's maps by name: its own features, as its `feature_info` names them, or what any of its modules gives."""

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from convatlas.errors import UsageError, did_you_mean


class FeatureMaps(nn.Module):
    """A network whose `forward` is its `features`: images -> one map for each of `feature_info`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        return cast("Callable[[Tensor], tuple[Tensor, ...]]", self.network.features)(x)


class _ReachedError(Exception):
    """The map is there; what follows need not be computed."""

    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output


def feature_names(network: nn.Module) -> tuple[str, ...]:
    """The names of the network's features; none for a network that does not name them."""
    info = getattr(network, "feature_info", None)
    if not isinstance(info, tuple | list) or not callable(getattr(network, "features", None)):
        return ()
    return tuple(str(name) for each in info if (name := getattr(each, "name", None)) is not None)


def check_layer(network: nn.Module, layer: str) -> None:
    """Raise UsageError, with what may be meant, unless the layer is one of the features or a module's dotted path."""
    features = feature_names(network)
    names = [*features, *(path for path, _ in network.named_modules() if path)]
    if layer not in names:
        near = did_you_mean(layer, names) or (f" Its features are {', '.join(features)}" if features else "")
        raise UsageError(f"layer: {type(network).__name__} has no layer {layer!r}.{near}")


def map_of(network: nn.Module, layer: str, images: Tensor) -> Tensor:
    """The map of a layer for these images, attached to the graph; of a module that is called often, the first.

    A module's map is taken before anything can change it in place, and what follows is not run. Nothing stays hooked.
    Raises UsageError for a layer that there is not, that is not called, or that does not give a map (N, C, H, W).
    """
    check_layer(network, layer)
    names = feature_names(network)
    if layer in names:
        output: object = FeatureMaps(network)(images)[names.index(layer)]
    else:
        output = _output(network, layer, images)
    if not isinstance(output, Tensor) or output.dim() != 4:
        got = "x".join(map(str, output.shape)) if isinstance(output, Tensor) else type(output).__name__
        raise UsageError(f"layer: {layer!r} gives {got}; a map (images, channels, height, width) is needed")
    return output


def _output(network: nn.Module, layer: str, images: Tensor) -> object:
    def reached(_module: nn.Module, _inputs: object, output: object) -> None:
        raise _ReachedError(output)

    handle = network.get_submodule(layer).register_forward_hook(reached)
    try:
        network(images)
    except _ReachedError as arrival:
        return arrival.output
    finally:
        handle.remove()
    raise UsageError(f"layer: {layer!r} of {type(network).__name__} is not called on such a picture")

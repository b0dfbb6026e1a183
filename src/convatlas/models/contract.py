"""What every network offers beside `forward`: features for use as a backbone, and checks that name what is wrong."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.errors import UsageError, did_you_mean

_WORDS = {2: "two", 3: "three", 4: "four", 5: "five"}


@dataclass(frozen=True)
class FeatureInfo:
    """One of the tensors that `features(x)` returns: (N, channels, H / stride, W / stride)."""

    name: str
    channels: int
    stride: int


def check_at_least(config: object, smallest: int, *fields: str) -> None:
    """Raise UsageError naming the first of the config's fields that is not a whole number of at least `smallest`."""
    for field in fields:
        value = getattr(config, field)
        if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
            raise UsageError(f"{type(config).__name__}.{field} must be a whole number >= {smallest}, not {value!r}")


def check_positive(config: object, *fields: str) -> None:
    """Raise UsageError naming the first of the config's fields that is not a finite number above 0."""
    for field in fields:
        value = getattr(config, field)
        if not (isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf):
            raise UsageError(f"{type(config).__name__}.{field} must be a number above 0, not {value!r}")


def check_fraction(config: object, *fields: str) -> None:
    """Raise UsageError naming the first of the config's fields that is not at least 0 and below 1."""
    for field in fields:
        value = getattr(config, field)
        if not (isinstance(value, int | float) and 0 <= value < 1):
            raise UsageError(f"{type(config).__name__}.{field} must be at least 0 and below 1, not {value!r}")


def check_epsilon(config: object, *fields: str) -> None:
    """Raise UsageError naming the first of the config's fields that is not a number between 0 and 1, both excluded."""
    for field in fields:
        value = getattr(config, field)
        if not (isinstance(value, float) and 0 < value < 1):
            raise UsageError(f"{type(config).__name__}.{field} must be between 0 and 1, not {value!r}")


def check_share(config: object, *fields: str) -> None:
    """Raise UsageError naming the first of the config's fields that is not above 0 and at most 1."""
    for field in fields:
        value = getattr(config, field)
        if not (isinstance(value, int | float) and 0 < value <= 1):
            raise UsageError(f"{type(config).__name__}.{field} must be above 0 and at most 1, not {value!r}")


def check_whole_numbers(config: object, field: str, *, count: int | None = None) -> None:
    """Raise UsageError naming the field unless it is a tuple of `count`, or of any number, of whole numbers >= 1."""
    value = getattr(config, field)
    whole = isinstance(value, tuple) and value and all(type(each) is int and each >= 1 for each in value)
    if not whole or count not in (None, len(value)):
        wanted = "one whole number >= 1 or more" if count is None else f"{_WORDS[count]} whole numbers >= 1"
        raise UsageError(f"{type(config).__name__}.{field} must be {wanted}, not {value!r}")


def check_rows(config: object, field: str, kind: type) -> None:
    """Raise UsageError naming the field unless it is a tuple of one `kind` or more."""
    value = getattr(config, field)
    if not (isinstance(value, tuple) and value and all(isinstance(row, kind) for row in value)):
        raise UsageError(f"{type(config).__name__}.{field} must be one {kind.__name__} or more, not {value!r}")


def check_images(x: Tensor, *, network: str, channels: int, smallest: int, exact: bool = False) -> None:
    """Raise UsageError unless x is (N, channels, H, W) with H and W at least (or exactly) `smallest`."""
    if x.dim() != 4:
        raise UsageError(f"{network} expects images (N, {channels}, H, W), got a tensor of shape {tuple(x.shape)}")
    if x.shape[1] != channels:
        raise UsageError(
            f"{network} was built for {channels} channels, got {x.shape[1]}: create it with in_channels={x.shape[1]}"
        )
    height, width = x.shape[2:]
    if exact and (height, width) != (smallest, smallest):
        raise UsageError(f"{network} works on {smallest}x{smallest} images only, got {height}x{width}")
    if min(height, width) < smallest:
        raise UsageError(f"{network} needs images of at least {smallest}x{smallest}, got {height}x{width}")


@contextlib.contextmanager
def capture(network: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Record the outputs of named layers while the block runs the network; afterwards nothing stays hooked.

    with capture(network, ["c3"]) as outputs:
        network(x)
    outputs["c3"]  # the layer's last output, attached to the graph

    Raises UsageError for a name that `network.named_modules()` does not have.
    """
    modules = dict(network.named_modules())
    for name in names:
        if name not in modules:
            raise UsageError(f"{type(network).__name__} has no layer {name!r}.{did_you_mean(name, modules)}")
    outputs: dict[str, Tensor] = {}
    handles = [modules[name].register_forward_hook(_record(outputs, name)) for name in names]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _record(outputs: dict[str, Tensor], name: str) -> Callable[[nn.Module, object, Tensor], None]:
    def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        outputs[name] = output

    return hook

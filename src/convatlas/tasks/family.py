"""A paper's own losses and decoding, where its family file defines them beside the network."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from convatlas.models import family_module

Losses = Callable[[nn.Module, Tensor, Tensor], Mapping[str, Tensor]]
Decode = Callable[[Tensor], Tensor]


def own_losses(model: str) -> Losses | None:
    """The family's `losses(network, output, targets)`, or None when the task's usual loss is right."""
    losses: Losses | None = getattr(family_module(model), "losses", None)
    return losses


def decode_for(model: str) -> Decode:
    """What turns the network's output into logits; for most networks the output is logits already."""
    decode: Decode = getattr(family_module(model), "decode", _as_is)
    return decode


def _as_is(output: Tensor) -> Tensor:
    return output

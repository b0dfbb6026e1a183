"""Parameters, and the multiply-accumulates of convolutions and dense layers, of any network."""

import torch
from torch import nn

from convatlas.arithmetic.tables.ledger import Ledger, parts
from convatlas.arithmetic.tracing.trace import TraceError, trace
from convatlas.errors import ConvatlasError


def count_parameters(network: nn.Module) -> int:
    """Trainable parameters; a parameter that two modules share counts once."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def count_macs(network: nn.Module, image: tuple[int, int, int]) -> int:
    """Multiply-accumulates of one image (C, H, W): each weight of a convolution once for each place it is applied at,
    each weight of a dense layer once. A module that gives one tensor may state its own, with those of all that it
    calls, in `multiply_accumulates(output)`.

    A copy is run on the meta device, so nothing is computed and the network is left as it was. Raises TraceError, or
    the network's own UsageError, for an image that it does not take.
    """
    dtype = next((parameter.dtype for parameter in network.parameters()), torch.get_default_dtype())
    try:
        traced = trace(network, torch.empty((1, *image), device="meta", dtype=dtype))
    except TraceError as error:
        if isinstance(error.__cause__, ConvatlasError):
            raise error.__cause__ from None
        raise
    ledger = Ledger(traced)
    return sum(ledger.enter(part).macs for part in parts(traced))

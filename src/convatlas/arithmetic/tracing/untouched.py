"""The network's own tensors, kept as they are while a copy of it runs.

The copy has tensors of its own. But a function may find the original in another way, as a global variable for one, and
then a BatchNorm in training mode would write to its averages. So each tensor of the original that an operation is about
to touch is put aside before, and put back after.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from convatlas.arithmetic.tracing.trace import tensors_in


class Untouched:
    """The tensors of one network. touched: whether an operation has met one of them."""

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._own: dict[int, list[Tensor]] = {}
        for tensor in (*network.parameters(), *network.buffers()):
            for each in (tensor, tensor.grad) if tensor.is_leaf else (tensor,):
                memory = None if each is None else _memory(each)
                if each is not None and memory is not None:
                    self._own.setdefault(memory, []).append(each)
        self._aside: list[tuple[Tensor, Tensor]] = []
        self.touched = False

    def before(self, given: Any) -> None:
        """Put aside what an operation that is given these arguments could change."""
        for tensor in tensors_in(given):
            own = self._own.pop(_memory(tensor) or 0, [])
            if own:
                self.touched = True
                with _disable_current_modes():  # a fake would put nothing aside
                    self._aside += [(each, each.detach().clone()) for each in own]

    @contextlib.contextmanager
    def restoring(self) -> Iterator[None]:
        """When this ends, all that was touched is as before: its numbers, and the modes of the modules."""
        modes = [(module, module.training) for module in self._network.modules()]
        buffers = [(module._buffers, dict(module._buffers)) for module in self._network.modules()]
        try:
            yield
        finally:
            if self.touched:
                with _disable_current_modes(), torch.no_grad():
                    for tensor, numbers in self._aside:
                        tensor.data.copy_(numbers)  # not the tensor: a gradient may still be computed through it
                for module, mode in modes:
                    module.training = mode
                for own, before in buffers:
                    own.update(before)


def _memory(tensor: Tensor) -> int | None:
    """Which memory a tensor has; None where it has none, on the meta device or as a fake."""
    if tensor.is_meta or type(tensor) not in (Tensor, nn.Parameter, nn.Buffer) or tensor.layout != torch.strided:
        return None
    return int(tensor.untyped_storage()._cdata)

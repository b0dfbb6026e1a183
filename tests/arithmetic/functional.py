"""A function as a module, to put it into a network."""

from collections.abc import Callable

from torch import Tensor, nn


class Functional(nn.Module):
    def __init__(self, operation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.operation = operation

    def forward(self, x: Tensor) -> Tensor:
        return self.operation(x)

"""Learning 64 digits by heart: what a small form of every design does in a test of its own."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.data.picture_set import PictureSet

Loss = Callable[[Tensor, Tensor], Tensor]


def sixty_four(digits: PictureSet, side: int) -> tuple[Tensor, Tensor]:
    """Every 79th of the 5,000: pictures (64, 1, side, side) of mean 0 and deviation 1, labels (64,) of all classes."""
    places = np.arange(0, len(digits), 79)[:64]
    pixels = np.stack([digits.read(int(place)) for place in places])
    x = F.interpolate(torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), size=(side, side), mode="bilinear")
    labels = torch.from_numpy(digits.targets[places])
    assert len(labels.unique()) == 10
    return (x - x.mean()) / x.std(), labels


def mistakes_after(
    steps: int,
    network: nn.Module,
    x: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    *,
    loss: Loss = F.cross_entropy,
    logits: Callable[[Tensor], Tensor] = lambda output: output,
) -> int:
    """Train on all of them so many times, then count those that the network in use gets wrong."""
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss(network(x), labels).backward()
        optimizer.step()
    settle(network, x)
    with torch.no_grad():
        return int((logits(network(x)).argmax(dim=1) != labels).sum())


def settle(network: nn.Module, x: Tensor) -> None:
    """Put the network to use, the averages of each BatchNorm those of these pictures: its own lag by tens of steps.

    Nothing else is in training meanwhile: stochastic depth and dropout would give it averages that no answer has.
    """
    network.eval()
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    if norms:
        with torch.no_grad():
            network(x)
    network.eval()

"""Networks that convatlas has never seen, with all that makes a network hard to follow."""

from collections import OrderedDict
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


class Attention(nn.Module):
    """Decomposed: two matrix products and a softmax, the projections by the functional interface."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.into = nn.Parameter(torch.randn(3 * width, width))
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = F.linear(x, self.into).chunk(3, dim=-1)
        weights = torch.softmax(query @ key.transpose(1, 2) / 2, dim=-1)
        return self.out(weights @ value)


class Torture(nn.Module):
    """Shared and reused modules, a shared weight, functional calls, attention, dicts, lists, in-place operations."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.again = self.conv  # one module, two names
        self.twice = nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.one = nn.Linear(8, 8)
        self.other = nn.Linear(8, 8)
        self.other.weight = self.one.weight  # one parameter, two modules
        self.attention = Attention(8)
        self.heads = nn.MultiheadAttention(8, 2, batch_first=True)
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.frozen = nn.Parameter(torch.ones(5), requires_grad=False)  # and not used
        self.seen = 0

    def forward(self, pictures: dict[str, Tensor], extra: list[Tensor]) -> OrderedDict[str, Tensor | Pair]:
        self.seen += 1
        x = self.relu(self.conv(pictures["left"])) + self.relu(self.again(pictures["right"]))
        x = self.relu(self.norm(self.twice(self.twice(x))))
        x += extra[0]
        x = F.max_pool2d(x * self.scale, 2)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens)
        tokens, _ = self.heads(tokens, tokens, tokens, need_weights=False)
        pooled = tokens.mean(dim=1)
        return OrderedDict(pair=Pair(self.one(pooled), self.other(pooled)), maps=x)


def torture_inputs(device: str = "meta") -> tuple[dict[str, Tensor], list[Tensor]]:
    left, right = (torch.rand(1, 3, 8, 8, device=device) for _ in range(2))
    return {"left": left, "right": right}, [torch.rand(1, 8, 8, 8, device=device)]


class Branching(nn.Module):
    """Which way it goes depends on the numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y.relu() if y.mean() > -1e9 else y.flatten()


class Grid(nn.Module):
    """Makes a tensor on a device of its own choice, which the meta device does not mix with."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + torch.ones(4, 1, 1, device="cpu")


class HalfWay(nn.Module):
    """Stops in its second block."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Flatten(), nn.Linear(7, 2))
        self.third = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.third(self.second(self.first(x)))
        return out

"""LeNet-5: LeCun, Bottou, Bengio, Haffner, "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 1998.

https://doi.org/10.1109/5.726791 -- layers: Section II.B; C3's connections: Table I; squashing: Equation 6 and
Appendix A; RBF output: Equation 7 and Figure 3; loss: Equation 9. 60,000 trainable parameters, 340,908 connections.
Choices that the paper leaves open: j of Equation 9 (here 0.1); biases start at zero.
Shapes: N images of 32 x 32, C channels, K = 10 classes; scaled so that the background is -0.1 and the ink 1.175.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.models.classify.lenet5_codes import DIGIT_CODES
from convatlas.models.contract import FeatureInfo, check_at_least, check_images


@dataclass(frozen=True, kw_only=True)
class LeNet5Config:
    """The paper's network. The classes are the ten digits: the output compares with drawings of them."""

    in_channels: int = 1
    num_classes: int = 10
    rubbish_penalty: float = 0.1  # j of Equation 9: the penalty of "none of the classes"

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels")
        if self.num_classes != 10:
            raise UsageError(
                f"LeNet5Config.num_classes must be 10, not {self.num_classes!r}: its output units are drawings of the "
                "ten digits (Figure 3 of the paper). Use lenet5_modern for other classes"
            )
        if not self.rubbish_penalty > 0:
            raise UsageError(f"LeNet5Config.rubbish_penalty must be above 0, not {self.rubbish_penalty!r}")


CONFIGS = {"lenet5": LeNet5Config()}

# Table I: the maps of S2 that each of the 16 maps of C3 sees.
C3_SEES = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),  # six: three neighbours
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),  # six: four neighbours
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),  # three: four, not all neighbours
    (0, 1, 2, 3, 4, 5),  # one: all
)  # fmt: skip


class ScaledTanh(nn.Module):
    """f(a) = 1.7159 tanh(2a / 3), so that f(1) = 1 and f(-1) = -1 (Equation 6, Appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same shape, values within -1.7159..1.7159."""
        return 1.7159 * torch.tanh(2 / 3 * x)


class Subsampling(nn.Module):
    """The sum of each 2 x 2 square, times a trainable coefficient, plus a trainable bias; one pair for each map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        nn.init.uniform_(self.coefficient, -2.4 / 4, 2.4 / 4)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H/2, W/2)."""
        total = 4 * F.avg_pool2d(x, 2)
        return total * self.coefficient[:, None, None] + self.bias[:, None, None]


class PartialConv2d(nn.Module):
    """A 5 x 5 convolution whose output maps each see only some input maps; 25 weights for each link (Table I)."""

    def __init__(self, sees: tuple[tuple[int, ...], ...], in_channels: int) -> None:
        super().__init__()
        links = [(out, map_) for out, maps in enumerate(sees) for map_ in maps]
        self.shape = (len(sees), in_channels, 5, 5)
        self.weight = nn.Parameter(torch.empty(len(links), 5, 5))
        self.bias = nn.Parameter(torch.zeros(len(sees)))
        self.register_buffer("links", torch.tensor(links).T.contiguous(), persistent=False)
        fan_in = torch.tensor([25 * len(sees[out]) for out, _ in links], dtype=self.weight.dtype)
        with torch.no_grad():
            self.weight.uniform_(-2.4, 2.4).div_(fan_in[:, None, None].to(self.weight.device))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, len(sees), H - 4, W - 4)."""
        links = self.get_buffer("links")
        dense = self.weight.new_zeros(self.shape).index_put((links[0], links[1]), self.weight)
        return F.conv2d(x, dense, self.bias)

    def multiply_accumulates(self, output: Tensor) -> int:
        """Those of the links that exist, for one image; the zeros that fill the dense kernel do not count."""
        return self.weight.numel() * output.shape[-2] * output.shape[-1]


class RBF(nn.Module):
    """The squared distance to a fixed code of -1 and +1 for each class (Equation 7): a penalty, 0 at a match."""

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.register_buffer("codes", codes, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 84) -> penalties (N, K)."""
        return (x[:, None, :] - self.get_buffer("codes")).square().sum(dim=2)


class LeNet5(nn.Module):
    """Images (N, C, 32, 32) -> penalties (N, 10), the smallest for the digit that is seen."""

    def __init__(self, config: LeNet5Config) -> None:
        super().__init__()
        self.config = config
        self.c1 = nn.Sequential(nn.Conv2d(config.in_channels, 6, 5), ScaledTanh())  # (N, 6, 28, 28)
        self.s2 = nn.Sequential(Subsampling(6), ScaledTanh())  # (N, 6, 14, 14)
        self.c3 = nn.Sequential(PartialConv2d(C3_SEES, in_channels=6), ScaledTanh())  # (N, 16, 10, 10)
        self.s4 = nn.Sequential(Subsampling(16), ScaledTanh())  # (N, 16, 5, 5)
        self.c5 = nn.Sequential(nn.Conv2d(16, 120, 5), ScaledTanh())  # (N, 120, 1, 1)
        self.f6 = nn.Sequential(nn.Flatten(), nn.Linear(120, 84), ScaledTanh())  # (N, 84)
        self.output = RBF(torch.tensor(DIGIT_CODES, dtype=torch.get_default_dtype()))  # (N, 10)
        self.feature_info = (FeatureInfo("s2", 6, 2), FeatureInfo("s4", 16, 4))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                limit = 2.4 / module.weight[0].numel()  # Appendix A: uniform within 2.4 / fan-in
                nn.init.uniform_(module.weight, -limit, limit)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # both layers are built with a bias

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, C, 32, 32) -> S2 (N, 6, 14, 14) and S4 (N, 16, 5, 5)."""
        check_images(x, network="LeNet-5", channels=self.config.in_channels, smallest=32, exact=True)
        s2 = self.s2(self.c1(x))
        s4 = self.s4(self.c3(s2))
        return s2, s4

    def head(self, s4: Tensor) -> Tensor:
        """S4 (N, 16, 5, 5) -> penalties (N, 10)."""
        penalties: Tensor = self.output(self.f6(self.c5(s4)))
        return penalties

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, 32, 32) -> penalties (N, 10), at least 0."""
        return self.head(self.features(x)[-1])


def losses(network: LeNet5, penalties: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Equation 9 for each image: the right class's penalty down, the others' and the rubbish class's up.

    penalties (N, 10); targets (N, 10), each row a distribution over the classes -> {"map": (N,)}.
    """
    rubbish = penalties.new_full((len(penalties), 1), -network.config.rubbish_penalty)
    competition = torch.logsumexp(torch.cat([rubbish, -penalties], dim=1), dim=1)
    return {"map": (targets * penalties).sum(dim=1) + competition}


def decode(penalties: Tensor) -> Tensor:
    """Penalties (N, 10) -> logits (N, 10) whose softmax is the posterior that Equation 9 trains, rubbish left out."""
    return -penalties

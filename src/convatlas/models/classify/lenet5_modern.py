"""LeNet-5 as it is taught today: the paper's layer sizes with ReLU, max pooling, all of C3's connections, and softmax.

After LeCun et al. 1998 (see `lenet5`); ReLU and He's initialisation from https://arxiv.org/abs/1502.01852, Section 2.2.
61,706 parameters at one channel and ten classes: 156 + 2,416 + 48,120 + 10,164 + 850.
Shapes: N images, C channels, 32 x 32 pixels, K classes.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.models.contract import FeatureInfo, check_at_least, check_images


@dataclass(frozen=True, kw_only=True)
class LeNet5ModernConfig:
    """Channels of the pictures and number of classes are free."""

    in_channels: int = 1
    num_classes: int = 10

    def __post_init__(self) -> None:
        check_at_least(self, 1, "in_channels", "num_classes")


CONFIGS = {"lenet5_modern": LeNet5ModernConfig()}


class LeNet5Modern(nn.Module):
    """Images (N, C, 32, 32) -> logits (N, K). The stages end at 1/2 and 1/4 of the image's size."""

    def __init__(self, config: LeNet5ModernConfig) -> None:
        super().__init__()
        self.config = config
        self.c1 = nn.Sequential(nn.Conv2d(config.in_channels, 6, 5), nn.ReLU())  # (N, 6, 28, 28)
        self.s2 = nn.MaxPool2d(2)  # (N, 6, 14, 14)
        self.c3 = nn.Sequential(nn.Conv2d(6, 16, 5), nn.ReLU())  # (N, 16, 10, 10)
        self.s4 = nn.MaxPool2d(2)  # (N, 16, 5, 5)
        self.c5 = nn.Sequential(nn.Conv2d(16, 120, 5), nn.ReLU())  # (N, 120, 1, 1)
        self.f6 = nn.Sequential(nn.Flatten(), nn.Linear(120, 84), nn.ReLU())  # (N, 84)
        self.output = nn.Linear(84, config.num_classes)  # (N, K)
        self.feature_info = (FeatureInfo("s2", 6, 2), FeatureInfo("s4", 16, 4))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # both layers are built with a bias
        nn.init.normal_(self.output.weight, std=84**-0.5)  # no ReLU follows

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, C, 32, 32) -> S2 (N, 6, 14, 14) and S4 (N, 16, 5, 5)."""
        check_images(x, network="lenet5_modern", channels=self.config.in_channels, smallest=32, exact=True)
        s2 = self.s2(self.c1(x))
        s4 = self.s4(self.c3(s2))
        return s2, s4

    def head(self, s4: Tensor) -> Tensor:
        """S4 (N, 16, 5, 5) -> logits (N, K)."""
        logits: Tensor = self.output(self.f6(self.c5(s4)))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, 32, 32) -> logits (N, K)."""
        return self.head(self.features(x)[-1])

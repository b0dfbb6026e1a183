"""CNN-F, CNN-M, CNN-S: Chatfield et al., "Return of the Devil in the Details", BMVC 2014 (also VGG-F, VGG-M, VGG-S).

https://arxiv.org/abs/1405.3531 -- layers: Table 1. F is fast (AlexNet's stride of 4), M medium (ZFNet's first layers),
S slow (smaller strides). CNN-M-1024 has a narrower last hidden layer.
As in the authors' released networks: the windows of the poolings (Table 1 gives factors), which count where they start
inside the picture; response normalisation before the pooling, with AlexNet's constants. Deviation, also theirs: conv2
of CNN-S has no margin of zeros, where Table 1 prints "pad 1"; the last maps are 6 x 6 either way.
Deviation: weights are drawn with the deviation 0.01 of AlexNet, whose settings the paper takes. Its own words, a
variance of 0.01 (`init_std=0.1`), would multiply the signal by about ten in full6 alone.
Deviation: on another size than 224 x 224 the last maps are averaged to 6 x 6 for the dense layers.
Shapes: N images, C channels, H x W pixels, K classes.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.errors import UsageError
from convatlas.layers.response_norm import ResponseNorm
from convatlas.models.classify.alexnet import dense_layers, initialise
from convatlas.models.contract import FeatureInfo, check_at_least, check_fraction, check_images, check_rows, check_share


@dataclass(frozen=True, kw_only=True)
class Conv:
    """A convolution of Table 1 and what follows it: response normalisation, and pooling of `pool` x `pool` windows."""

    out: int
    kernel: int
    stride: int = 1
    padding: int = 0
    norm: bool = False
    pool: int = 0  # 0: no pooling
    pool_stride: int = 1  # the factor of Table 1

    def __post_init__(self) -> None:
        check_at_least(self, 1, "out", "kernel", "stride", "pool_stride")
        check_at_least(self, 0, "padding", "pool")
        if self.pool and self.pool_stride > self.pool:
            raise UsageError(f"Conv.pool_stride must be at most pool={self.pool}, not {self.pool_stride}")

    def smallest_input(self, output: int) -> int:
        """The smallest side, in pixels, from which `output` pixels are left."""
        if self.pool:
            output = self.pool + (output - 2) * self.pool_stride + 1  # the last window needs one pixel
        return max(1, (output - 1) * self.stride + self.kernel - 2 * self.padding)


@dataclass(frozen=True, kw_only=True)
class CNNConfig:
    """A column of Table 1. Raises UsageError that names the field when a value is impossible."""

    convs: tuple[Conv, ...]
    full6: int = 4096
    full7: int = 4096
    dropout: float = 0.5
    init_std: float = 0.01  # of the first weights; narrow networks need a larger one
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "full6", "full7", "in_channels", "num_classes")
        check_fraction(self, "dropout")
        check_share(self, "init_std")
        check_rows(self, "convs", Conv)
        if not self.convs[-1].pool:
            raise UsageError("CNNConfig.convs must end with a pooling: give the last Conv pool and pool_stride")


CNN_F = (
    Conv(out=64, kernel=11, stride=4, norm=True, pool=3, pool_stride=2),
    Conv(out=256, kernel=5, padding=2, norm=True, pool=3, pool_stride=2),
    Conv(out=256, kernel=3, padding=1),
    Conv(out=256, kernel=3, padding=1),
    Conv(out=256, kernel=3, padding=1, pool=3, pool_stride=2),
)
CNN_M = (
    Conv(out=96, kernel=7, stride=2, norm=True, pool=3, pool_stride=2),
    Conv(out=256, kernel=5, stride=2, padding=1, norm=True, pool=3, pool_stride=2),
    Conv(out=512, kernel=3, padding=1),
    Conv(out=512, kernel=3, padding=1),
    Conv(out=512, kernel=3, padding=1, pool=3, pool_stride=2),
)
CNN_S = (
    Conv(out=96, kernel=7, stride=2, norm=True, pool=3, pool_stride=3),
    Conv(out=256, kernel=5, pool=2, pool_stride=2),
    Conv(out=512, kernel=3, padding=1),
    Conv(out=512, kernel=3, padding=1),
    Conv(out=512, kernel=3, padding=1, pool=3, pool_stride=3),
)
CONFIGS = {
    "cnn_f": CNNConfig(convs=CNN_F),
    "cnn_m": CNNConfig(convs=CNN_M),
    "cnn_s": CNNConfig(convs=CNN_S),
    "cnn_m_1024": CNNConfig(convs=CNN_M, full7=1024),
}


class CNN(nn.Module):
    """Images (N, C, H, W) -> logits (N, K). A stage ends with a pooling; the features are the stages' outputs.

    At 224 x 224: 27 x 27, 13 x 13, 6 x 6 in CNN-F; 54 x 54, 13 x 13, 6 x 6 in CNN-M; 37 x 37, 17 x 17, 6 x 6 in CNN-S.
    """

    def __init__(self, config: CNNConfig) -> None:
        super().__init__()
        self.config = config
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        layers: dict[str, nn.Module] = {}
        channels, stride = config.in_channels, 1
        for number, row in enumerate(config.convs, 1):
            layers[f"conv{number}"] = nn.Conv2d(channels, row.out, row.kernel, row.stride, row.padding)
            layers[f"relu{number}"] = nn.ReLU()
            channels, stride = row.out, stride * row.stride
            if row.norm:
                layers[f"norm{number}"] = ResponseNorm()
            if row.pool:
                layers[f"pool{number}"] = nn.MaxPool2d(row.pool, row.pool_stride, ceil_mode=True)
                stride *= row.pool_stride
                self.stages.append(nn.Sequential(OrderedDict(layers)))
                self.feature_info += (FeatureInfo(f"pool{number}", channels, stride),)
                layers = {}
        hidden = (config.full6, config.full7)
        self.head = dense_layers(channels, hidden, dropout=config.dropout, num_classes=config.num_classes)
        self.smallest = 1
        for row in reversed(config.convs):
            self.smallest = row.smallest_input(self.smallest)
        initialise(self, config.init_std)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the output of each stage, one for each of `feature_info`."""
        check_images(x, network="CNN-F/M/S", channels=self.config.in_channels, smallest=self.smallest)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K)."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

"""OverFeat: Sermanet et al., "Integrated Recognition, Localization and Detection using Convolutional Networks".

ICLR 2014, https://arxiv.org/abs/1312.6229 -- fast model: Table 1; accurate model: Table 3; initialisation and dropout:
Section 3.1; dense evaluation with offset pooling: Section 3.3 and Figure 3; dense layers as convolutions: Section 3.5.
There is no local response normalisation, and the poolings do not overlap (Section 3.1).
Choice that the paper leaves open: biases start at zero.
Shapes: N images, C channels, H x W pixels, K classes; s is the side of the maps that the dense layers see, p the side
of the last pooling.
"""

import itertools
from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn

from convatlas.models.contract import (
    FeatureInfo,
    check_at_least,
    check_fraction,
    check_images,
    check_rows,
    check_whole_numbers,
)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A column of Table 1 or 3: a convolution with ReLU, and the max pooling of `pool` x `pool` after it."""

    out: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: int = 1

    def __post_init__(self) -> None:
        check_at_least(self, 1, "out", "kernel", "stride", "pool")
        check_at_least(self, 0, "padding")


@dataclass(frozen=True, kw_only=True)
class OverFeatConfig:
    """Table 1 or 3. `side`: s, of the maps that the first dense layer sees; `hidden`: units of the first two."""

    layers: tuple[Layer, ...]
    side: int
    hidden: tuple[int, int]
    dropout: float = 0.5
    in_channels: int = 3
    num_classes: int = 1000

    def __post_init__(self) -> None:
        check_at_least(self, 1, "side", "in_channels", "num_classes")
        check_rows(self, "layers", Layer)
        check_whole_numbers(self, "hidden", count=2)
        check_fraction(self, "dropout")

    @property
    def view(self) -> int:
        """The side of the picture that gives one answer: 231 for the fast model, 221 for the accurate one."""
        side = self.side
        for layer in reversed(self.layers):
            side = (side * layer.pool - 1) * layer.stride + layer.kernel - 2 * layer.padding
        return side


FAST = (
    Layer(out=96, kernel=11, stride=4, pool=2),
    Layer(out=256, kernel=5, pool=2),
    Layer(out=512, kernel=3, padding=1),
    Layer(out=1024, kernel=3, padding=1),
    Layer(out=1024, kernel=3, padding=1, pool=2),
)
ACCURATE = (
    Layer(out=96, kernel=7, stride=2, pool=3),
    Layer(out=256, kernel=7, pool=2),
    Layer(out=512, kernel=3, padding=1),
    Layer(out=512, kernel=3, padding=1),
    Layer(out=1024, kernel=3, padding=1),
    Layer(out=1024, kernel=3, padding=1, pool=3),
)

CONFIGS = {
    "overfeat_fast": OverFeatConfig(layers=FAST, side=6, hidden=(3072, 4096)),
    "overfeat_accurate": OverFeatConfig(layers=ACCURATE, side=5, hidden=(4096, 4096)),
}


class Classifier(nn.Sequential):
    """The dense layers, as convolutions of s x s, 1x1, 1x1: (N, in_channels, H, W) -> (N, K, H - s + 1, W - s + 1)."""

    def __init__(self, in_channels: int, config: OverFeatConfig) -> None:
        super().__init__()
        first, second = config.hidden
        self.fc1 = nn.Conv2d(in_channels, first, config.side)
        self.relu1 = nn.ReLU()
        self.dropout1 = nn.Dropout(config.dropout)
        self.fc2 = nn.Conv2d(first, second, 1)
        self.relu2 = nn.ReLU()
        self.dropout2 = nn.Dropout(config.dropout)
        self.fc3 = nn.Conv2d(second, config.num_classes, 1)


class Head(nn.Sequential):
    """Last pooling, classifier and the best place's score: (N, in_channels, H', W') -> logits (N, K).

    On maps that are larger than one view the classifier gives scores for each place where the view fits, and each class
    takes its highest, as the paper does at each scale.
    """

    def __init__(self, in_channels: int, config: OverFeatConfig) -> None:
        super().__init__()
        self.config = config
        self.pool = nn.MaxPool2d(config.layers[-1].pool)
        self.classifier = Classifier(in_channels, config)
        self.best = nn.AdaptiveMaxPool2d(1)
        self.flatten = nn.Flatten()

    def score_map(self, x: Tensor) -> Tensor:
        """Offset pooling (Figure 3): (N, in_channels, H', W') -> (N, K, H' - p s + 1, W' - p s + 1).

        The maps are pooled p * p times, from each of the first p * p pixels on, and the answers interleaved: a view at
        every pixel of the maps, where pooling once leaves a view at every p-th.
        """
        size = self.config.layers[-1].pool
        height, width = (length - size * self.config.side + 1 for length in x.shape[2:])
        scores = x.new_empty(len(x), self.config.num_classes, height, width)
        for top, left in itertools.product(range(min(size, height)), range(min(size, width))):
            scores[:, :, top::size, left::size] = self.classifier(self.pool(x[:, :, top:, left:]))
        return scores


class OverFeat(nn.Module):
    """Images (N, C, H, W) of at least one view, 231 x 231 or 221 x 221 -> logits (N, K). There is no stem.

    The features are the layers before each pooling, without it: 96, 256, 1024 channels at strides 4, 8, 16 in the fast
    model and 2, 6, 12 in the accurate one. The first convolutions lose their margins.
    """

    def __init__(self, config: OverFeatConfig) -> None:
        super().__init__()
        self.config = config
        self.stages = nn.ModuleList()
        self.feature_info: tuple[FeatureInfo, ...] = ()
        channels, stride = config.in_channels, 1
        layers: dict[str, nn.Module] = {}
        last = len(config.layers)
        for number, row in enumerate(config.layers, 1):
            layers[f"conv{number}"] = nn.Conv2d(channels, row.out, row.kernel, row.stride, row.padding)
            layers[f"relu{number}"] = nn.ReLU()
            channels, stride = row.out, stride * row.stride
            if row.pool > 1 or number == last:  # the pooling is the first thing that the next stage, or the head, does
                self.stages.append(nn.Sequential(OrderedDict(layers)))
                self.feature_info += (FeatureInfo(f"layer{number}", channels, stride),)
                layers, stride = {"pool": nn.MaxPool2d(row.pool)}, stride * row.pool
        self.head = Head(channels, config)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # drawing nothing is slow there
                nn.init.normal_(module.weight, std=0.01)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def features(self, x: Tensor) -> tuple[Tensor, ...]:
        """Images (N, C, H, W) -> the maps before each pooling, the last (N, 1024, H', W')."""
        check_images(x, network="OverFeat", channels=self.config.in_channels, smallest=self.config.view)
        maps = []
        for layers in self.stages:
            x = layers(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W) -> logits (N, K): those of a picture of one view, or the highest over coarse places."""
        logits: Tensor = self.head(self.features(x)[-1])
        return logits

    def score_map(self, x: Tensor) -> Tensor:
        """Dense evaluation (Section 3.3): images (N, C, H, W) of at least one view -> scores (N, K, rows, columns).

        A place further on is the stride of the last features further in the picture: 16 pixels in the fast model, 12 in
        the accurate one. Each is the score of the view there, but for the margins that the later convolutions pad: a
        view cut out has zeros where the whole picture goes on.
        """
        return self.head.score_map(self.features(x)[-1])

    def evaluate_densely(self, x: Tensor) -> Tensor:
        """Section 3.3: images (N, C, H, W) of at least one view -> logits (N, K), the highest of each score map.

        The paper then averages these over six sizes of the picture and their mirror images.
        """
        return self.score_map(x).amax(dim=(2, 3))

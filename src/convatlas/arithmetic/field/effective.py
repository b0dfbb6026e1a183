"""What a unit is moved by, within what it could see: the effective receptive field, measured by gradient.

Luo, Li, Urtasun and Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", NIPS
2016, https://arxiv.org/abs/1701.04128: the gradient of the unit in the middle with respect to the input, averaged over
random inputs, looks like a Gaussian that fills a fraction of the theoretical field.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convatlas.arithmetic.field.feature_maps import map_of
from convatlas.errors import UsageError

WITHIN = 1 - 0.9545  # of the largest gradient: the paper's border, of two standard deviations


@dataclass(frozen=True, kw_only=True)
class EffectiveField:
    """The measured field of one unit of a layer's map.

    influence: (H, W) float64, at least 0: the mean size of the gradient with respect to each pixel, over channels and
    pictures. unit: the unit's (row, column) in the map. All zeros where the unit is dead on these pictures.
    """

    influence: NDArray[np.float64]
    unit: tuple[int, int]

    @property
    def area(self) -> int:
        """Pixels of which the influence is more than 4.55 % of the largest: those within Luo et al.'s field."""
        return int((self.influence > WITHIN * self.influence.max()).sum())

    @property
    def side(self) -> float:
        """The side of a square of that area, in pixels: what Luo et al. call the field's size."""
        return math.sqrt(self.area)

    @property
    def support(self) -> tuple[range, range] | None:
        """Rows and columns from the first to the last pixel with any influence; None for a dead unit."""
        rows, columns = (np.flatnonzero(self.influence.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return None
        return range(int(rows[0]), int(rows[-1]) + 1), range(int(columns[0]), int(columns[-1]) + 1)

    @property
    def centre(self) -> tuple[float, float]:
        """(row, column) of the influence's centre of mass; not a number for a dead unit."""
        return self._moment(0, 0.0), self._moment(1, 0.0)

    @property
    def deviation(self) -> tuple[float, float]:
        """Standard deviation (down, across) in pixels: that of the Gaussian with the same second moments."""
        down, across = self.centre
        return math.sqrt(self._moment(0, down, 2)), math.sqrt(self._moment(1, across, 2))

    def _moment(self, axis: int, around: float, power: int = 1) -> float:
        marginal = self.influence.sum(axis=1 - axis)
        if not marginal.any():
            return math.nan
        return float(np.average((np.arange(len(marginal)) - around) ** power, weights=marginal))


def effective_receptive_field(
    network: nn.Module,
    layer: str,
    image: tuple[int, int, int] = (3, 224, 224),
    *,
    unit: tuple[int, int] | None = None,
    pictures: Tensor | None = None,
    count: int = 16,
    seed: int = 0,
) -> EffectiveField:
    """Measure how much each pixel moves one unit of a layer's map: the sum of its channels.

    layer: one of the network's features, or the dotted path of a module that gives a map (N, C, H, W).
    image: (channels, height, width) of the random pictures, values normal with mean 0 and deviation 1.
    unit: its (row, column) in the map; by default the one in the middle.
    pictures: (N, C, H, W) to use in their place, as the network takes them. count, seed: how many random ones, which.

    The network runs in evaluation mode, one picture at a time, and is left as it was, after a failure too: modes,
    gradients and hooks; the generator of random numbers of the process is not touched. Raises UsageError for a layer
    that there is not or that gives no map, a unit outside it, a count below 1, and pictures of another form.
    """
    if pictures is None:
        if count < 1:
            raise UsageError(f"count: expected 1 picture or more, got {count}")
        pictures = torch.randn(count, *image, generator=torch.Generator().manual_seed(seed))
    if pictures.dim() != 4 or not len(pictures):
        raise UsageError(f"pictures: expected (N, C, H, W), got {tuple(pictures.shape)}")
    like = next((each for each in network.parameters() if each.is_floating_point()), pictures)
    influence = np.zeros(tuple(pictures.shape[2:]))
    place = (0, 0)
    with _evaluating(network), torch.enable_grad():
        for picture in pictures:
            x = picture.detach()[None].to(device=like.device, dtype=like.dtype).requires_grad_()
            maps = map_of(network, layer, x)
            place = unit or (maps.shape[2] // 2, maps.shape[3] // 2)
            if not (0 <= place[0] < maps.shape[2] and 0 <= place[1] < maps.shape[3]):
                raise UsageError(f"unit: {place} is outside the map of {maps.shape[2]} x {maps.shape[3]}")
            (gradient,) = torch.autograd.grad(maps[0, :, place[0], place[1]].sum(), x)
            influence += gradient[0].abs().mean(dim=0).double().cpu().numpy()
    return EffectiveField(influence=influence / len(pictures), unit=place)


@contextlib.contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for the block; then each module has its own mode again."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training

"""Random changes of a batch of pictures, on whichever device it is. Each picture gets its own; torch's seed decides."""

import functools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Distortion:
    """How far pictures are distorted; the fields are those of `Recipe` with the same names."""

    flip: bool = False
    rotate: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic: float = 0.0

    def __bool__(self) -> bool:
        return self.flip or any((self.rotate, self.translate, self.scale, self.shear, self.elastic))

    def __call__(self, images: Tensor) -> Tensor:
        """Floats (N, C, H, W) -> the same shape. What comes in from outside repeats the border."""
        if not self:
            return images
        count, _, height, width = images.shape
        # Each coordinate of where a pixel is read is a sum of few functions of the place: one product for all pictures.
        parts, functions = self._affine(count).to(images), _positions(height, width).to(images)
        if self.elastic:
            knots = _knots(height, width).to(images)
            parts = torch.cat([parts, self._bends(count, knots) * knots.new_tensor([[2 / width], [2 / height]])], dim=2)
            functions = torch.cat([functions, knots])
        grid = (parts.flatten(0, 1) @ functions).view(count, 2, height, width).permute(0, 2, 3, 1)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _affine(self, count: int) -> Tensor:
        """Matrices (N, 2, 3) from output to input coordinates, both -1..1: mirror, rotation, shear, scale, shift."""
        angle = math.radians(1) * self.rotate * _uniform(count)
        shear = torch.tan(math.radians(1) * self.shear * _uniform(count))
        size = (1 + self.scale) ** _uniform(count)
        mirror = 1 - 2 * (torch.rand(count) < 0.5).float() if self.flip else torch.ones(count)
        cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
        # Rotation times shear: the columns of the matrix, then the shift in units of half the picture.
        first = torch.stack([cos, sin], dim=1) * mirror[:, None]
        second = torch.stack([shear * cos - sin, shear * sin + cos], dim=1)
        shift = 2 * self.translate * torch.stack([_uniform(count), _uniform(count)], dim=1)
        return torch.stack([first, second, shift], dim=2)

    def _bends(self, count: int, knots: Tensor) -> Tensor:
        """Heights of the knots (N, 2, K) of smooth random fields: root mean square `elastic` pixels each way."""
        heights = torch.randn(count, 2, len(knots)).to(knots)
        overlap = knots @ knots.T / knots.shape[1]  # the mean square of the field is a quadratic form of the heights
        mean_square = (heights @ overlap * heights).sum(dim=(1, 2), keepdim=True) / 2
        return heights * self.elastic / mean_square.sqrt()


@functools.lru_cache(maxsize=8)
def _positions(height: int, width: int) -> Tensor:
    """(3, H * W): x and y of each pixel's centre, -1..1 from edge to edge, and 1 for the shift."""
    x = (2 * torch.arange(width) + 1) / width - 1
    y = (2 * torch.arange(height) + 1) / height - 1
    return torch.stack([x.repeat(height), y.repeat_interleave(width), torch.ones(height * width)])


@functools.lru_cache(maxsize=8)
def _knots(height: int, width: int, across: int = 5) -> Tensor:
    """(K, H * W): what a displacement of 1 at each of `across` x `across` knots adds at each pixel, bicubic."""
    each = torch.eye(across * across).view(-1, 1, across, across)
    return F.interpolate(each, size=(height, width), mode="bicubic", align_corners=True).flatten(1)


def _uniform(count: int) -> Tensor:
    """Uniform in -1..1, drawn on the CPU so that one seed means the same pictures on every device."""
    return 2 * torch.rand(count) - 1

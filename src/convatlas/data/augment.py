"""Random changes of a batch of pictures, on whichever device it is. Each picture gets its own; torch's seed decides."""

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
        grid = F.affine_grid(self._affine(len(images)).to(images), list(images.shape), align_corners=False)
        if self.elastic:
            grid = grid + self._displacement(images)
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

    def _displacement(self, images: Tensor) -> Tensor:
        """A smooth random field (N, H, W, 2) in grid units, of root mean square `elastic` pixels in each direction."""
        height, width = images.shape[2:]
        coarse = torch.randn(len(images), 2, 5, 5).to(images)  # a knot each fifth of the picture, as a pen bends
        field = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)
        field = field / field.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() * self.elastic
        return field.permute(0, 2, 3, 1) * field.new_tensor([2 / width, 2 / height])


def _uniform(count: int) -> Tensor:
    """Uniform in -1..1, drawn on the CPU so that one seed means the same pictures on every device."""
    return 2 * torch.rand(count) - 1

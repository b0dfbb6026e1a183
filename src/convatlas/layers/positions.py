"""Position embeddings for pictures of another size: ViT, https://arxiv.org/abs/2010.11929, Section 3.2."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_positions(positions: Tensor, grid: int) -> Tensor:
    """The position embeddings (1, 1 + g^2, D) of g x g patches for grid x grid: (1, 1 + grid^2, D).

    "2D interpolation of the pre-trained position embeddings, according to their location in the original image"; as in
    the authors' code it is bilinear and keeps the corners. The class token's embedding, the first, stays.
    """
    before = math.isqrt(positions.shape[1] - 1)
    maps = positions[:, 1:].transpose(1, 2).reshape(1, -1, before, before)
    maps = F.interpolate(maps, size=(grid, grid), mode="bilinear", align_corners=True)
    return torch.cat([positions[:, :1], maps.flatten(2).transpose(1, 2)], dim=1)

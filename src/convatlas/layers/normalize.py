"""Pixels to what a network expects: part of the network, so that training, prediction and export cannot disagree."""

import torch
from torch import Tensor, nn


class Normalize(nn.Module):
    """(pixels / 255 - mean) / std for each channel: uint8 (N, C, H, W) -> float (N, C, H, W).

    mean, std: one value a channel, in units of the full range 0..1.
    """

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        # As one multiplication and one addition: x * scale + shift.
        scale = 1 / (255 * torch.tensor(std, dtype=torch.float64))
        shift = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
        self.register_buffer("scale", scale.to(torch.get_default_dtype())[:, None, None], persistent=False)
        self.register_buffer("shift", shift.to(torch.get_default_dtype())[:, None, None], persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 0..255 -> float of the module's dtype, same shape."""
        scale = self.get_buffer("scale")
        return pixels.to(scale.dtype) * scale + self.get_buffer("shift")

"""Mixup for detection: two pictures laid over each other, and the objects of both.

Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018,
https://arxiv.org/abs/1710.09412, Section 2: x = λ xᵢ + (1 - λ) xⱼ with λ from Beta(alpha, alpha).
Zhang, He, Zhang, Zhang, Xie, Li, "Bag of Freebies for Training Object Detection Neural Networks", 2019,
https://arxiv.org/abs/1902.04103, Section 3.1: neither picture is scaled, so that no object is deformed; the labels are
merged, and each object's loss is weighted with its picture's share; Beta(1.5, 1.5) did best (Table 1).
"""

import numpy as np
import torch
from numpy.typing import NDArray

from convatlas.data.detection.augment.annotated import Annotated, joined
from convatlas.errors import UsageError

ALPHA = 1.5


def mixup(first: Annotated, second: Annotated, *, alpha: float = ALPHA) -> Annotated:
    """`share_mixed` with a share drawn from Beta(alpha, alpha), alpha above 0 up to 100. Torch's seed decides."""
    if not 0 < alpha <= 100:
        raise UsageError(f"alpha: expected more than 0, up to 100, got {alpha}")
    return share_mixed(first, second, share=float(torch.distributions.Beta(alpha, alpha).sample()))


def share_mixed(first: Annotated, second: Annotated, *, share: float) -> Annotated:
    """`share` of the first picture plus 1 - share of the second, 0..1, both at the top left of what holds both.

    Where only one of them reaches, the other counts as black. The weights of the first's objects are multiplied with
    share, those of the second's with 1 - share. Raises UsageError for a share out of range.
    """
    if not 0 <= share <= 1:
        raise UsageError(f"share: expected 0 to 1, got {share}")
    sizes = np.array([first.pixels.shape[:2], second.pixels.shape[:2]])
    height, width = (int(side) for side in sizes.max(axis=0))
    mixed: NDArray[np.float32] = np.zeros((height, width, 3), np.float32)
    for picture, part in ((first, share), (second, 1 - share)):
        own_height, own_width = picture.pixels.shape[:2]
        mixed[:own_height, :own_width] += picture.pixels * np.float32(part)
    return joined(
        (first, second),
        ((0, 0), (0, 0)),
        pixels=np.rint(mixed).astype(np.uint8),
        name=f"{first.sample.name} mixed with {second.sample.name}",
        weights=(share, 1 - share),
    )

"""Features of one size for regions of any size: RoI pooling, warping, alignment, the spatial pyramid, and FPN's levels.

Features are (N, C, H, W); boxes are one tensor (R_n, 4) xyxy for each of the N pictures, in pixels of the picture, of
the dtype of the features; `scale` is pixels of the map a pixel of the picture, 1 / stride. `size` is (h, w), or one
number; the result is (R, C, h, w) with R = sum of R_n, picture by picture. Wrong shapes and dtypes raise UsageError.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor

from convatlas.errors import UsageError
from convatlas.ops.boxes import areas, check_form


def roi_pool(features: Tensor, boxes: Sequence[Tensor], size: int | tuple[int, int], *, scale: float) -> Tensor:
    """Fast R-CNN, https://arxiv.org/abs/1504.08083, Section 2.1: the largest value in each of h x w parts of a region.

    Edges are rounded to pixels of the map, and the last pixel counts, as in the authors' code and torchvision: the
    region holds one pixel at least. No gradient to the boxes.
    """
    size = _check(features, boxes, size, scale)
    pooled: Tensor = torchvision.ops.roi_pool(features, list(boxes), size, scale)
    return pooled


def roi_align(
    features: Tensor,
    boxes: Sequence[Tensor],
    size: int | tuple[int, int],
    *,
    scale: float,
    samples: int = 2,
    aligned: bool = True,
) -> Tensor:
    """Mask R-CNN, https://arxiv.org/abs/1703.06870, Section 3: the mean of samples in each of h x w parts, unrounded.

    samples: along each side of a part, read bilinearly; 0 takes as many as the part has pixels. aligned: pixel i has
    its middle at i + 0.5, as boxes mean it; False leaves the half pixel out, which public weights of older networks
    need. No gradient to the boxes.
    """
    size = _check(features, boxes, size, scale)
    if samples < 0:
        raise UsageError(f"samples: expected 0 or more, got {samples}")
    # torchvision takes any number below 1 for "as many as there are pixels".
    pooled: Tensor = torchvision.ops.roi_align(features, list(boxes), size, scale, samples or -1, aligned)
    return pooled


def roi_warp(features: Tensor, boxes: Sequence[Tensor], size: int | tuple[int, int], *, scale: float) -> Tensor:
    """Dai et al., https://arxiv.org/abs/1512.04412, Section 4: the region read bilinearly at h x w points.

    Point (i, j) of the result lies at x1 + j / w of the width and y1 + i / h of the height; beyond the map all is 0. It
    has a gradient to the boxes too, which trains what proposed them. The paper then max-pools the result.
    """
    height, width = _check(features, boxes, size, scale)
    across = torch.arange(width, dtype=features.dtype, device=features.device) / width
    down = torch.arange(height, dtype=features.dtype, device=features.device) / height
    warped = []
    for maps, regions in zip(features, boxes, strict=True):
        x1, y1, x2, y2 = (regions * scale).unbind(1)
        x = x1[:, None] + across * (x2 - x1)[:, None]
        y = y1[:, None] + down * (y2 - y1)[:, None]
        # grid_sample's -1 and 1 are the outer edges of the map, half a pixel outside of the first and last index.
        x, y = (2 * x + 1) / maps.shape[2] - 1, (2 * y + 1) / maps.shape[1] - 1
        count = len(regions)
        where = torch.stack((x[:, None].expand(-1, height, -1), y[:, :, None].expand(-1, -1, width)), dim=-1)
        read = F.grid_sample(maps[None], where.reshape(1, count * height, width, 2), align_corners=False)
        warped.append(read.reshape(maps.shape[0], count, height, width).transpose(0, 1))
    return torch.cat(warped)


def spatial_pyramid(features: Tensor, boxes: Sequence[Tensor], levels: Sequence[int], *, scale: float) -> Tensor:
    """SPPnet, https://arxiv.org/abs/1406.4729v4, Section 4.1: each region's pyramid, (R, C * sum of n^2), by level.

    levels: n, parts along a side, (6, 3, 2, 1) in the paper; each gives the largest value of each part. A region holds
    the pixels of the map whose places lie strictly between its edges (Appendix A: from floor(scale x1) + 1 to
    ceil(scale x2) - 1, where the map's pixels count from 1), one at least. No gradient to the boxes.
    """
    _check(features, boxes, (1, 1), scale)
    if not levels or min(levels) < 1:
        raise UsageError(f"levels: expected one whole number above 0 or more, got {tuple(levels)}")
    inside = [_projected(regions, scale, (features.shape[2], features.shape[3])) for regions in boxes]
    parts = [torchvision.ops.roi_pool(features, inside, (n, n), 1.0).flatten(1) for n in levels]
    return torch.cat(parts, dim=1)


def fpn_levels(boxes: Tensor, *, canonical: int = 4, lowest: int = 2, highest: int = 5) -> Tensor:
    """FPN, https://arxiv.org/abs/1612.03144, Equation 1: the level k = floor(k0 + log2(sqrt(w h) / 224)) of each box.

    boxes (N, 4) -> (N,) int64, lowest ... highest; canonical: k0, the level of a box of 224 x 224. No logarithm is
    taken: a level is reached where the area reaches 224^2 4^(level - k0), which is exact at 224, 448 and so on.
    """
    check_form(boxes, "boxes")
    if lowest > highest:
        raise UsageError(f"lowest, highest: expected lowest <= highest, got {lowest} and {highest}")
    area = areas(boxes)
    levels = torch.full_like(area, lowest, dtype=torch.int64)
    for level in range(lowest + 1, highest + 1):
        levels = levels + (area >= 224.0**2 * 4.0 ** (level - canonical)).long()
    return levels


def pyramid_align(
    features: Sequence[Tensor],
    boxes: Sequence[Tensor],
    size: int | tuple[int, int],
    *,
    scales: Sequence[float],
    canonical: int = 4,
    lowest: int = 2,
    samples: int = 2,
    aligned: bool = False,
) -> Tensor:
    """`roi_align` of each box on its level of a feature pyramid (`fpn_levels`): (R, C, h, w).

    features: maps (N, C, H, W), the finest first, of the levels lowest, lowest + 1, ...; scales: one a map. aligned is
    False as in the public weights of Faster and Mask R-CNN.
    """
    if not features or len(features) != len(scales):
        raise UsageError(f"features, scales: expected one a level, got {len(features)} and {len(scales)}")
    for maps, scale in zip(features, scales, strict=True):
        height, width = _check(maps, boxes, size, scale)
    highest = lowest + len(features) - 1
    levels = [fpn_levels(regions, canonical=canonical, lowest=lowest, highest=highest) for regions in boxes]
    # shape[0], not len: what is exported takes any number of regions.
    *starts, count = itertools.accumulate((regions.shape[0] for regions in boxes), initial=0)
    pooled = features[0].new_zeros(count, features[0].shape[1], height, width)
    for level, (maps, scale) in enumerate(zip(features, scales, strict=True), start=lowest):
        rows = [torch.nonzero(of_picture == level).squeeze(1) for of_picture in levels]
        chosen = [regions[here] for regions, here in zip(boxes, rows, strict=True)]
        aligned_here = roi_align(maps, chosen, (height, width), scale=scale, samples=samples, aligned=aligned)
        places = torch.cat([start + here for start, here in zip(starts, rows, strict=True)])
        pooled = pooled.index_put((places,), aligned_here)
    return pooled


def _projected(boxes: Tensor, scale: float, grid: tuple[int, int]) -> Tensor:
    """First and last pixel of the map, counted from 0, as `roi_pool` at scale 1 takes them: (R, 4)."""
    last_pixel = torch.tensor((grid[1] - 1, grid[0] - 1), dtype=boxes.dtype, device=boxes.device)
    first = (boxes[:, :2] * scale).floor().clamp(min=0).minimum(last_pixel)
    last = ((boxes[:, 2:] * scale).ceil() - 2).minimum(last_pixel).maximum(first)
    return torch.cat((first, last), dim=1)


def _check(features: Tensor, boxes: Sequence[Tensor], size: int | tuple[int, int], scale: float) -> tuple[int, int]:
    """The size as height and width; raises UsageError for what is wrong."""
    if features.dim() != 4 or features.shape[0] == 0:
        raise UsageError(f"features: expected (N, C, H, W) of one picture or more, got shape {tuple(features.shape)}")
    if len(boxes) != features.shape[0]:
        raise UsageError(f"boxes: expected one tensor for each of {features.shape[0]} pictures, got {len(boxes)}")
    sizes = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(sizes) != 2 or not all(isinstance(each, int | torch.SymInt) and each >= 1 for each in sizes):
        raise UsageError(f"size: expected height and width, whole numbers from 1, got {size}")
    if not scale > 0:
        raise UsageError(f"scale: expected a number above 0, got {scale}")
    for picture, regions in enumerate(boxes):
        check_form(regions, f"boxes[{picture}]")
        if regions.dim() != 2 or regions.dtype != features.dtype:
            raise UsageError(
                f"boxes[{picture}]: expected (R, 4) {features.dtype}, got {regions.dtype} {tuple(regions.shape)}"
            )
    return sizes[0], sizes[1]

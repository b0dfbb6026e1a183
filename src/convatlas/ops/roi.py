"""Features of one size for regions of any size: RoI pooling, warping, alignment, the spatial pyramid, and FPN's levels.

Features are (N, C, H, W); boxes are one tensor (R_n, 4) xyxy for each of the N pictures, in pixels of the picture, of
the dtype of the features; `scale` is pixels of the map a pixel of the picture, 1 / stride. `size` is (h, w), or one
number; the result is (R, C, h, w) with R = sum of R_n, picture by picture. Wrong shapes and dtypes raise UsageError.
Boxes are looked at too, once a call, which waits for the device: a value that is not finite, a reversed box and a
corner further than 2^24 pixels of the map from its origin raise UsageError, for torchvision's kernels would read beyond
the map. `check=False` leaves that look out, for boxes that are known to be right; in a graph that is compiled or
exported there is none.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor

from convatlas.errors import UsageError
from convatlas.ops.box_checks import check_box_array
from convatlas.ops.boxes import areas, check_form

FURTHEST = 2**24  # pixels of the map: float32 counts no further by ones, and the kernels' whole numbers have 32 bits
FURTHEST_EACH_PIXEL = 2**11  # where each pixel of a region is sampled: what is held grows with its area


def roi_pool(
    features: Tensor,
    boxes: Sequence[Tensor],
    size: int | tuple[int, int],
    *,
    scale: float,
    check: bool = True,
) -> Tensor:
    """Fast R-CNN, https://arxiv.org/abs/1504.08083, Section 2.1: the largest value in each of h x w parts of a region.

    Edges are rounded to pixels of the map, and the last pixel counts, as in the authors' code and torchvision: the
    region holds one pixel at least. No gradient to the boxes.
    """
    size = _check(features, boxes, size, scale)
    if check:
        _check_values(boxes, scale)
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
    check: bool = True,
) -> Tensor:
    """Mask R-CNN, https://arxiv.org/abs/1703.06870, Section 3: the mean of samples in each of h x w parts, unrounded.

    samples: along each side of a part, read bilinearly; 0 takes as many as the part has pixels, and then no corner lies
    further than 2^11 pixels of the map from its origin. aligned: pixel i has its middle at i + 0.5, as boxes mean it;
    False leaves the half pixel out, which public weights of older networks need. No gradient to the boxes.
    """
    size = _check(features, boxes, size, scale)
    _check_samples(samples)
    if check:
        _check_values(boxes, scale, FURTHEST if samples else FURTHEST_EACH_PIXEL)
    # torchvision takes any number below 1 for "as many as there are pixels".
    pooled: Tensor = torchvision.ops.roi_align(features, list(boxes), size, scale, samples or -1, aligned)
    return pooled


def roi_warp(
    features: Tensor,
    boxes: Sequence[Tensor],
    size: int | tuple[int, int],
    *,
    scale: float,
    check: bool = True,
) -> Tensor:
    """Dai et al., https://arxiv.org/abs/1512.04412, Section 4: the region read bilinearly at h x w points.

    Point (i, j) of the result lies at x1 + j / w of the width and y1 + i / h of the height; beyond the map all is 0. It
    has a gradient to the boxes too, which trains what proposed them. The paper then max-pools the result.
    """
    height, width = _check(features, boxes, size, scale)
    if check:
        _check_values(boxes, scale)
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


def spatial_pyramid(
    features: Tensor,
    boxes: Sequence[Tensor],
    levels: Sequence[int],
    *,
    scale: float,
    check: bool = True,
) -> Tensor:
    """SPPnet, https://arxiv.org/abs/1406.4729v4, Section 4.1: each region's pyramid, (R, C * sum of n^2), by level.

    levels: n, parts along a side, (6, 3, 2, 1) in the paper; each gives the largest value of each part. A region holds
    the pixels of the map whose places lie strictly between its edges (Appendix A: from floor(scale x1) + 1 to
    ceil(scale x2) - 1, where the map's pixels count from 1), one at least. No gradient to the boxes.
    """
    _check(features, boxes, (1, 1), scale)
    if not levels or not all(isinstance(n, int) and n >= 1 for n in levels):
        raise UsageError(f"levels: expected one whole number above 0 or more, got {tuple(levels)}")
    if check:
        _check_values(boxes, scale)
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
    check: bool = True,
) -> Tensor:
    """`roi_align` of each box on its level of a feature pyramid (`fpn_levels`): (R, C, h, w).

    features: maps (N, C, H, W), the finest first, of the levels lowest, lowest + 1, ..., all of one N and C; scales:
    one a map. aligned is False as in the public weights of Faster and Mask R-CNN.
    """
    if not features or len(features) != len(scales):
        raise UsageError(f"features, scales: expected one a level, got {len(features)} and {len(scales)}")
    for maps, scale in zip(features, scales, strict=True):
        height, width = _check(maps, boxes, size, scale)
        if maps.shape[1] != features[0].shape[1]:
            channels = [each.shape[1] for each in features]
            raise UsageError(f"features: expected as many channels on every level, got {channels}")
    _check_samples(samples)
    if check:
        _check_values(boxes, max(scales), FURTHEST if samples else FURTHEST_EACH_PIXEL)
    highest = lowest + len(features) - 1
    levels = [fpn_levels(regions, canonical=canonical, lowest=lowest, highest=highest) for regions in boxes]
    # shape[0], not len: what is exported takes any number of regions.
    *starts, count = itertools.accumulate((regions.shape[0] for regions in boxes), initial=0)
    pooled = features[0].new_zeros(count, features[0].shape[1], height, width)
    for level, (maps, scale) in enumerate(zip(features, scales, strict=True), start=lowest):
        rows = [torch.nonzero(of_picture == level).squeeze(1) for of_picture in levels]
        chosen = [regions[here] for regions, here in zip(boxes, rows, strict=True)]
        aligned_here = roi_align(
            maps, chosen, (height, width), scale=scale, samples=samples, aligned=aligned, check=False
        )
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
    if features.shape[2] == 0 or features.shape[3] == 0:
        raise UsageError(f"features: expected maps of 1 x 1 pixel or more, got shape {tuple(features.shape)}")
    if len(boxes) != features.shape[0]:
        raise UsageError(f"boxes: expected one tensor for each of {features.shape[0]} pictures, got {len(boxes)}")
    sizes = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(sizes) != 2 or not all(isinstance(each, int | torch.SymInt) and each >= 1 for each in sizes):
        raise UsageError(f"size: expected height and width, whole numbers from 1, got {size}")
    if not 0 < scale < math.inf:
        raise UsageError(f"scale: expected a finite number above 0, got {scale}")
    for picture, regions in enumerate(boxes):
        check_form(regions, f"boxes[{picture}]")
        if regions.dim() != 2 or regions.dtype != features.dtype:
            raise UsageError(
                f"boxes[{picture}]: expected (R, 4) {features.dtype}, got {regions.dtype} {tuple(regions.shape)}"
            )
    return sizes[0], sizes[1]


def _check_samples(samples: int) -> None:
    if not isinstance(samples, int) or samples < 0:
        raise UsageError(f"samples: expected a whole number from 0, got {samples!r}")


def _check_values(boxes: Sequence[Tensor], scale: float, furthest: int = FURTHEST) -> None:
    """Two numbers come from the device if all is right; what is wrong is found and named on the processor."""
    if torch.compiler.is_compiling() or boxes[0].is_meta:
        return
    corners = torch.cat([regions.detach() for regions in boxes]) * scale
    if not len(corners):
        return
    smallest = (corners[:, 2:] - corners[:, :2]).min()  # nan where there is one, or inf - inf
    if smallest.item() >= 0 and corners.abs().max().item() <= furthest:
        return
    for picture, regions in enumerate(boxes):
        values = regions.numpy(force=True)
        check_box_array(values, f"boxes[{picture}]")
        beyond = np.abs(values).max(axis=1, initial=0) * scale > furthest
        if beyond.any():
            row = int(beyond.argmax())
            raise UsageError(
                f"boxes[{picture}][{row}]: expected corners within {furthest} pixels of the map, "
                f"got {values[row].tolist()} at a scale of {scale}"
            )

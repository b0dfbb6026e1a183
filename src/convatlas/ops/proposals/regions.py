"""Regions of a label map: their boxes, sizes and neighbours, and their histograms of colour and texture.

The histograms are those of Uijlings et al., "Selective Search for Object Recognition", IJCV 2013, Section 3.2,
"Complementary Similarity Measures" (https://doi.org/10.1007/s11263-013-0620-5): 25 bins a channel for colours, and for
texture ten bins for each of eight orientations of Gaussian derivatives of sigma 1 in each channel; both of sum 1.
Choices that the paper leaves open: an orientation's derivative counts where it is positive (the opposite orientation
has the rest), and its ten bins reach from 0 to three times the root mean square of the channel's derivatives in the
picture; what is larger is in the last.
Shapes: H x W pixels, C channels, R regions, P pairs of neighbours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from convatlas.errors import UsageError

COLOUR_BINS = 25
TEXTURE_BINS = 10
ORIENTATIONS = 8
TEXTURE_REACH = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Regions:
    """labels (H, W), 0 .. R - 1, each of them used; sizes (R,) pixels; boxes (R, 4) xyxy, exclusive.

    pairs (P, 2): regions of which two pixels are neighbours, of eight; the smaller number first, in order. borders
    (P,): how many such pairs of pixels.
    """

    labels: NDArray[np.int32]
    sizes: NDArray[np.int64]
    boxes: NDArray[np.int64]
    pairs: NDArray[np.int64]
    borders: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def area(self) -> int:
        """Pixels of the picture."""
        return self.labels.size


def regions_of(labels: NDArray[np.integer]) -> Regions:
    """A label map (H, W) as its regions; raises UsageError when it does not use each of the labels 0 .. R - 1."""
    if labels.ndim != 2 or labels.size == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(f"labels: expected height x width whole numbers, got {labels.dtype} of shape {labels.shape}")
    if labels.min() != 0:
        raise UsageError(f"labels: expected 0 as the smallest, got {labels.min()}")
    if labels.max() >= labels.size:
        raise UsageError(f"labels: {labels.max()} is more than {labels.size} pixels can have")
    numbers = labels.astype(np.int32)
    sizes = np.bincount(numbers.ravel())
    if not sizes.all():
        raise UsageError(f"labels: {int(np.argmin(sizes))} is the label of no pixel")
    places = ndimage.find_objects(numbers + 1)
    boxes = np.array([(x.start, y.start, x.stop, y.stop) for y, x in places], dtype=np.int64)
    pairs, borders = _neighbours(numbers.astype(np.int64), len(sizes))
    return Regions(labels=numbers, sizes=sizes, boxes=boxes, pairs=pairs, borders=borders)


def _neighbours(labels: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    codes = []
    for here, there in (
        (labels[:, :-1], labels[:, 1:]),
        (labels[:-1], labels[1:]),
        (labels[:-1, :-1], labels[1:, 1:]),
        (labels[:-1, 1:], labels[1:, :-1]),
    ):
        apart = here != there
        a, b = here[apart], there[apart]
        codes.append(np.minimum(a, b) * count + np.maximum(a, b))
    unique, borders = np.unique(np.concatenate(codes), return_counts=True)
    return np.stack(np.divmod(unique, count), axis=1), borders


def colour_bins(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """The bin of every pixel in every channel: (H, W, C) in 0..1 -> (C, H * W), 0..24."""
    bins = np.minimum((values * COLOUR_BINS).astype(np.int64), COLOUR_BINS - 1)
    return np.ascontiguousarray(np.moveaxis(bins, 2, 0).reshape(values.shape[2], -1))


def texture_bins(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """The bin of every pixel in every orientation of every channel: (H, W, C) -> (8 * C, H * W), 0..9."""
    channels = np.moveaxis(values.astype(np.float32), 2, 0)
    bins = []
    for channel in channels:
        right = ndimage.gaussian_filter(channel, 1, order=(0, 1))
        down = ndimage.gaussian_filter(channel, 1, order=(1, 0))
        angles = np.arange(ORIENTATIONS) * (2 * np.pi / ORIENTATIONS)
        # The derivative of a Gaussian in any direction is that combination of the two along the axes.
        slopes = [np.float32(np.cos(a)) * right + np.float32(np.sin(a)) * down for a in angles[: ORIENTATIONS // 2]]
        usual = float(np.sqrt((right.ravel() @ right.ravel() + down.ravel() @ down.ravel()) / (2 * channel.size)))
        scale = np.float32(TEXTURE_BINS / (TEXTURE_REACH * usual) if usual > 0 else 0)
        for sign in (scale, -scale):  # the second half of the orientations is the first, the other way
            bins += [np.clip(slope * sign, 0, TEXTURE_BINS - 1).astype(np.int64).ravel() for slope in slopes]
    return np.stack(bins)


def histograms(regions: Regions, bins: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """One histogram of sum 1 for each region: bins (B, H * W), each 0 .. count - 1 -> (R, B * count)."""
    first = regions.labels.ravel().astype(np.int64) * count
    counted = np.empty((len(regions), len(bins), count), dtype=np.float32)
    for row, bin_of in enumerate(bins):
        counted[:, row] = np.bincount(first + bin_of, minlength=len(regions) * count).reshape(len(regions), count)
    counted /= (regions.sizes * len(bins)).astype(np.float32)[:, None, None]
    return counted.reshape(len(regions), -1)


def means(regions: Regions, values: NDArray[np.number]) -> NDArray[np.float64]:
    """The mean of each region: (H, W, C) -> (R, C)."""
    flat = regions.labels.ravel()
    sums = [np.bincount(flat, channel.ravel(), minlength=len(regions)) for channel in np.moveaxis(values, 2, 0)]
    mean: NDArray[np.float64] = np.stack(sums, axis=1) / regions.sizes[:, None]
    return mean

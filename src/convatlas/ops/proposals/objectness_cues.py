"""What makes a window look like an object: four cues of Alexe, Deselaers, Ferrari, TPAMI 2012, Section 3.

"Measuring the Objectness of Image Windows", https://doi.org/10.1109/TPAMI.2012.28 -- multi-scale saliency, colour
contrast, edge density, superpixels straddling. The saliency is the spectral residual of Hou, Zhang, "Saliency
Detection: A Spectral Residual Approach", CVPR 2007, https://doi.org/10.1109/CVPR.2007.383267.
The fifth cue, location and size, is nothing but training data, and is not here.

What stands in for parameters that the paper trains: a saliency map's threshold is its mean; the surroundings have twice
the window's sides; the inner ring is what a window of 1/1.3 of its sides leaves; superpixels have k = 300.
Each cue is computed for all windows at once from sums over rectangles.
Shapes: N windows, boxes (N, 4) whole numbers xyxy within the picture; H x W pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from skimage.feature import canny
from skimage.transform import resize

from convatlas.ops.proposals.colour_spaces import to_colour_space
from convatlas.ops.proposals.felzenszwalb import segment
from convatlas.ops.proposals.regions import Regions, regions_of
from convatlas.types import Pixels

Windows = NDArray[np.int64]

SCALES = (16, 24, 32, 48, 64)
SURROUNDINGS = 2.0  # theta of colour contrast: sides of the surroundings over those of the window
INNER = 1.3  # theta of edge density: sides of the window over those of what the inner ring encloses
SUPERPIXELS = 300.0  # theta of superpixels straddling: k
_LAB_BINS = (4, 8, 8)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What the cues look at, computed once a picture.

    saliency: a map (s, s) of sum 1 for each scale; colours (H, W): the number of each pixel's Lab bin; edges (H, W).
    """

    size: tuple[int, int]
    saliency: tuple[NDArray[np.float64], ...]
    colours: NDArray[np.int64]
    edges: NDArray[np.bool_]
    superpixels: Regions


def evidence_of(picture: Pixels) -> Evidence:
    """The maps of a picture, H x W x (1 or 3) uint8."""
    rgb, lab = to_colour_space(picture, "rgb"), to_colour_space(picture, "lab")
    first, second, third = (
        np.minimum((lab[:, :, channel] * bins).astype(np.int64), bins - 1) for channel, bins in enumerate(_LAB_BINS)
    )
    return Evidence(
        size=rgb.shape[:2],
        saliency=tuple(spectral_residual(rgb, scale) for scale in SCALES),
        colours=(first * _LAB_BINS[1] + second) * _LAB_BINS[2] + third,
        edges=canny(rgb.mean(axis=2)),
        superpixels=regions_of(segment(lab, k=SUPERPIXELS, min_size=round(SUPERPIXELS))),
    )


def spectral_residual(values: NDArray[np.floating], side: int) -> NDArray[np.float64]:
    """Saliency of a picture (H, W, C) made side x side: (side, side), at least 0 and of sum 1; channels are added.

    |F^-1[exp(R + iP)]|^2 smoothed, where P is the phase of the spectrum and R its log amplitude less its local mean.
    """
    small = resize(values.astype(np.float64), (side, side), anti_aliasing=True)
    saliency = np.zeros((side, side))
    for channel in np.moveaxis(small, 2, 0):
        spectrum = fft.fft2(channel)
        amplitude = np.log(np.abs(spectrum) + 1e-8)
        residual = amplitude - ndimage.uniform_filter(amplitude, 3, mode="wrap")
        saliency += np.abs(fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    smoothed = ndimage.gaussian_filter(saliency, 0.05 * side)
    return np.asarray(smoothed / smoothed.sum(), dtype=np.float64)


def multi_scale_saliency(evidence: Evidence, windows: Windows) -> NDArray[np.float64]:
    """The first cue, added over the scales: the saliency above the threshold, times the share of such pixels: (N,)."""
    height, width = evidence.size
    total = np.zeros(len(windows))
    for saliency in evidence.saliency:
        side = len(saliency)
        start = np.floor(windows[:, :2] * (side / np.array([width, height]))).astype(np.int64)
        stop = np.ceil(windows[:, 2:] * (side / np.array([width, height]))).astype(np.int64)
        scaled = np.concatenate([start, np.clip(stop, start + 1, side)], axis=1)
        salient = saliency >= saliency.mean()
        total += sums(saliency * salient, scaled) * sums(salient, scaled) / areas(scaled)
    return total


def colour_contrast(evidence: Evidence, windows: Windows) -> NDArray[np.float64]:
    """The chi-square distance of the colour histograms of a window and of its surroundings: (N,), 0..2."""
    around = scaled_about_centre(windows, SURROUNDINGS, evidence.size)
    inside, outside = areas(windows), areas(around) - areas(windows)
    distance = np.zeros(len(windows))
    for colour in np.unique(evidence.colours):
        both = integral(evidence.colours == colour)
        within = sums_of(both, windows)
        beyond = (sums_of(both, around) - within) / np.maximum(outside, 1)
        within = within / inside
        distance += (within - beyond) ** 2 / np.maximum(within + beyond, 1e-12)
    return np.where(outside > 0, distance, 0.0)  # the whole picture has no surroundings


def edge_density(evidence: Evidence, windows: Windows) -> NDArray[np.float64]:
    """Edge pixels in the inner ring over the window's perimeter: (N,), at least 0."""
    core = scaled_about_centre(windows, 1 / INNER, evidence.size)
    edges = integral(evidence.edges)
    perimeter = 2 * (windows[:, 2] - windows[:, 0] + windows[:, 3] - windows[:, 1])
    return (sums_of(edges, windows) - sums_of(edges, core)) / perimeter


def superpixels_straddling(evidence: Evidence, windows: Windows) -> NDArray[np.float64]:
    """1 less the share of the window that superpixels across its border cost it: (N,), 0..1.

    A superpixel costs the smaller of its parts within and without.
    """
    regions = evidence.superpixels
    cost = np.zeros(len(windows))
    for number, (x1, y1, x2, y2) in enumerate(regions.boxes):
        low, high = np.array([x1, y1, x1, y1]), np.array([x2, y2, x2, y2])
        within = sums(regions.labels[y1:y2, x1:x2] == number, np.clip(windows, low, high) - low)
        cost += np.minimum(within, regions.sizes[number] - within)
    return 1 - cost / areas(windows)


def integral(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sums over all rectangles from the first pixel on: (H, W) -> (H + 1, W + 1)."""
    summed = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    np.cumsum(np.cumsum(values, axis=0, dtype=np.float64), axis=1, out=summed[1:, 1:])
    return summed


def sums_of(summed: NDArray[np.float64], windows: Windows) -> NDArray[np.float64]:
    """The sum over each window (N,), from `integral`."""
    x1, y1, x2, y2 = windows.T
    total: NDArray[np.float64] = summed[y2, x2] - summed[y1, x2] - summed[y2, x1] + summed[y1, x1]
    return total


def sums(values: NDArray[np.generic], windows: Windows) -> NDArray[np.float64]:
    """The sum of values (H, W) over each window (N,)."""
    return sums_of(integral(values), windows)


def areas(windows: Windows) -> NDArray[np.float64]:
    """Pixels of each window: (N,)."""
    return ((windows[:, 2] - windows[:, 0]) * (windows[:, 3] - windows[:, 1])).astype(np.float64)


def scaled_about_centre(windows: Windows, factor: float, size: tuple[int, int]) -> Windows:
    """Each window with its sides times `factor` about its centre, within the picture (H, W)."""
    middle, half = (windows[:, :2] + windows[:, 2:]) / 2, (windows[:, 2:] - windows[:, :2]) / 2
    corners = np.concatenate([middle - half * factor, middle + half * factor], axis=1)
    height, width = size
    return np.clip(np.round(corners), 0, [width, height, width, height]).astype(np.int64)

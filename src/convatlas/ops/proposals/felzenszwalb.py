"""Graph-based segmentation: Felzenszwalb, Huttenlocher, "Efficient Graph-Based Image Segmentation", IJCV 2004.

https://doi.org/10.1023/B:VISI.0000022288.19776.77 -- the predicate that compares the difference between two components
with the differences inside them: Section 3.1, Equations 1 to 5; Algorithm 1: Section 4; pictures as grids in which each
pixel has eight neighbours, smoothed by a Gaussian of sigma 0.8: Section 5.

scikit-image's compiled `felzenszwalb` does the work. What it does, held against the paper by a test: the grid, the
order of edges and the predicate are the paper's (two components unite when the edge is below both Int + k / |C|; the
paper says "not above", which differs only for exact ties). For a colour picture it weighs an edge by the Euclidean
distance of the colours, as the authors' own program does and Selective Search wants; `segment_planes` is the paper's
way (Section 5): each plane by itself, then pixels stay together that are together in all planes. Not in the paper but
in the authors' program: components of fewer than `min_size` pixels are united with the neighbour of the least edge.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label
from skimage.segmentation import felzenszwalb

from convatlas.errors import UsageError

SIGMA = 0.8  # Section 5: removes what digitisation adds, changes nothing that one sees


def segment(values: NDArray[np.floating], *, k: float, sigma: float = SIGMA, min_size: int = 20) -> NDArray[np.int32]:
    """The region of every pixel: (H, W, C) values in 0..1, C 1 to 3 -> labels (H, W), 0 .. regions - 1.

    k: scale of observation, in units of 1/255: a larger k makes larger regions (k / |C| is the threshold function,
    Equation 5). sigma: deviation of the Gaussian before it, in pixels; 0 for none. min_size: pixels of the smallest
    region. Raises UsageError that names the argument.
    """
    _check(values, k, sigma, min_size)
    labels: NDArray[np.int64] = felzenszwalb(values.astype(np.float64), scale=k, sigma=sigma, min_size=min_size)
    return labels.astype(np.int32)


def smooth(values: NDArray[np.floating], sigma: float = SIGMA) -> NDArray[np.float64]:
    """The Gaussian that `segment` begins with, for those that segment the same (H, W, C) values more than once."""
    smoothed: NDArray[np.float64] = ndimage.gaussian_filter(values.astype(np.float64), (sigma, sigma, 0))
    return np.clip(smoothed, 0, 1)  # above 1 by rounding alone


def segment_planes(
    values: NDArray[np.floating], *, k: float, sigma: float = SIGMA, min_size: int = 20
) -> NDArray[np.int32]:
    """As the paper does colours (Section 5): each of the C planes by itself, then what is together in all of them.

    Arguments, labels and errors are those of `segment`. A region may have fewer than min_size pixels: that holds for
    each plane.
    """
    _check(values, k, sigma, min_size)
    together = np.zeros(values.shape[:2], dtype=np.int64)
    for plane in np.moveaxis(values, 2, 0):
        labels = segment(plane[:, :, None], k=k, sigma=sigma, min_size=min_size)
        pairs = together * (int(labels.max()) + 1) + labels
        together = np.unique(pairs, return_inverse=True)[1].reshape(pairs.shape)
    connected: NDArray[np.int64] = label(together, background=-1, connectivity=2)  # numbers from 1
    return (connected - 1).astype(np.int32)


def _check(values: NDArray[np.floating], k: float, sigma: float, min_size: int) -> None:
    if values.ndim != 3 or 0 in values.shape or values.shape[2] > 3:
        raise UsageError(f"values: expected height x width x (1 to 3), got {' x '.join(map(str, values.shape))}")
    if not np.issubdtype(values.dtype, np.floating):
        raise UsageError(f"values: expected floats in 0..1, got {values.dtype}; see to_colour_space")
    if not (values.min() >= 0 and values.max() <= 1):  # also not for a value that is not a number
        raise UsageError(f"values: expected 0..1, got {values.min():.4g}..{values.max():.4g}")
    if not 0 < k < np.inf:
        raise UsageError(f"k must be a finite number above 0, not {k!r}")
    if not 0 <= sigma < np.inf:
        raise UsageError(f"sigma must be a finite number of at least 0, not {sigma!r}")
    if min_size < 1:
        raise UsageError(f"min_size must be at least 1, not {min_size!r}")

"""Local response normalisation: Krizhevsky et al., "ImageNet Classification with Deep CNNs", NIPS 2012.

https://papers.nips.cc/paper/4824
"""

from torch import nn


class ResponseNorm(nn.LocalResponseNorm):
    """Section 3.3: each value is divided by a measure of itself and its neighbours, the same pixel of nearby channels.

    b_i = a_i / (k + alpha * sum of a_j^2)^beta, j from i - n/2 to i + n/2 where there are such channels.
    (N, C, H, W) -> the same shape. The defaults are the paper's constants; n must be odd.
    alpha is the paper's: torch's and Caffe's own layers divide theirs by n, so there it would be 5e-4, not 1e-4.
    """

    def __init__(self, *, k: float = 2.0, n: int = 5, alpha: float = 1e-4, beta: float = 0.75) -> None:
        super().__init__(n, alpha=n * alpha, beta=beta, k=k)

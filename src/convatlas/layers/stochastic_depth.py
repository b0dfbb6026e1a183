"""Stochastic depth: Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016. https://arxiv.org/abs/1603.09382."""

from torch import Tensor, nn


class StochasticDepth(nn.Module):
    """In training, drops a residual branch for some images of the batch and scales it up for the others.

    drop: the probability for one image, 0 <= drop < 1. The expected output is the input, so evaluation changes nothing.
    Deviation: the paper drops a branch for the whole batch and scales at test time.
    """

    def __init__(self, drop: float) -> None:
        super().__init__()
        self.drop = drop

    def forward(self, branch: Tensor) -> Tensor:
        """(N, ...) -> the same shape; in training each image is all zeros or its input / (1 - drop)."""
        if not self.training or self.drop == 0:
            return branch
        keep = 1 - self.drop
        kept = branch.new_empty((branch.shape[0],) + (1,) * (branch.dim() - 1)).bernoulli_(keep)
        return branch * kept / keep

    def extra_repr(self) -> str:
        """What `print(network)` shows."""
        return f"drop={self.drop:.3g}"

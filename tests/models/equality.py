"""Two networks, or two ways to write one, that should answer alike."""

import torch
from torch import Tensor, nn


def assert_equal(got: Tensor, wanted: Tensor) -> None:
    """In float64, relative to the largest output.

    Sums in another order differ by about 1e-16 of their terms, and random weights amplify that from block to block:
    the deepest networks, whose outputs are hundreds, are off by some 1e-12 of the largest; a mistake by 1e-3 or more.
    """
    assert got.dtype == wanted.dtype == torch.float64
    assert wanted.std() > 1e-6  # signals that died on the way would be equal whatever the network does
    assert (got - wanted).abs().max() <= 1e-10 * wanted.abs().max()


def assert_equal_outputs(ours: nn.Module, theirs: nn.Module, size: tuple[int, int]) -> None:
    """For two color pictures of that height and width."""
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        assert_equal(ours.double().eval()(x), theirs.double().eval()(x))

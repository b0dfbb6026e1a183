import pytest
import torch

from convatlas.layers.squeeze_excitation import SqueezeExcitation


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.row("B-13", "B-23")
def test_channels_are_weighed_by_the_means_by_hand():
    """Equations 2 to 4 of the paper: s = sigmoid(W2 relu(W1 z)), with biases."""
    se = SqueezeExcitation(6, 2).double()
    x = torch.randn(3, 6, 4, 5, dtype=torch.float64)
    z = x.sum(dim=(2, 3)) / 20
    w1, w2 = se.squeeze.weight[:, :, 0, 0], se.excite.weight[:, :, 0, 0]
    hidden = (z @ w1.T + se.squeeze.bias).clamp(min=0)
    s = 1 / (1 + torch.exp(-(hidden @ w2.T + se.excite.bias)))
    torch.testing.assert_close(se(x), x * s[:, :, None, None])

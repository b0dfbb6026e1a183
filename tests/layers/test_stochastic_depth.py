import pytest
import torch

from convatlas.layers.stochastic_depth import StochasticDepth


@pytest.mark.parametrize("drop", [0.1, 0.5, 0.9])
def test_the_expected_output_is_the_input(drop):
    torch.manual_seed(0)
    count = 40_000
    output = StochasticDepth(drop)(torch.ones(count, 1, 1, 1))
    kept = output != 0
    torch.testing.assert_close(output[kept], torch.full((int(kept.sum()),), 1 / (1 - drop)))
    deviation = (drop / (1 - drop) / count) ** 0.5  # of the mean of values that are 0 or 1 / (1 - drop)
    assert abs(output.mean().item() - 1) < 4 * deviation


def test_an_image_is_dropped_or_kept_as_a_whole():
    torch.manual_seed(0)
    output = StochasticDepth(0.5)(torch.ones(64, 3, 4, 4)).flatten(1)
    assert (output == output[:, :1]).all()
    assert 0 < (output[:, 0] == 0).sum() < 64


def test_evaluation_and_drop_zero_change_nothing():
    x = torch.randn(8, 3)
    assert StochasticDepth(0.9).eval()(x) is x
    assert StochasticDepth(0.0)(x) is x

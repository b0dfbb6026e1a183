"""ResponseNorm against the formula of Section 3.3, written out."""

import numpy as np
import pytest
import torch

from convatlas.layers.response_norm import ResponseNorm

pytestmark = pytest.mark.row("B-02")


def by_the_formula(a: np.ndarray, *, k: float, n: int, alpha: float, beta: float) -> np.ndarray:
    """b_i = a_i / (k + alpha * sum_j a_j^2)^beta, j from max(0, i - n/2) to min(N - 1, i + n/2)."""
    b = np.empty_like(a)
    count = a.shape[1]
    for i in range(count):
        low, high = max(0, i - n // 2), min(count - 1, i + n // 2)
        total = sum(a[:, j] ** 2 for j in range(low, high + 1))
        b[:, i] = a[:, i] / (k + alpha * total) ** beta
    return b


@pytest.mark.parametrize("channels", [1, 3, 5, 12])
def test_the_paper_s_constants(channels):
    # Values up to 300, so that the sum weighs: alpha times five squares is up to 45 beside k = 2.
    a = np.random.default_rng(0).uniform(-300, 300, (2, channels, 3, 4))
    wanted = by_the_formula(a, k=2, n=5, alpha=1e-4, beta=0.75)
    got = ResponseNorm()(torch.from_numpy(a)).numpy()
    np.testing.assert_allclose(got, wanted, rtol=1e-12)
    # torch's and Caffe's alpha = 1e-4 is a fifth of the paper's: another function.
    other = torch.nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=2.0)(torch.from_numpy(a)).numpy()
    assert np.abs(other / wanted - 1).max() > 0.1


@pytest.mark.parametrize("constants", [{"k": 1.0, "n": 3, "alpha": 0.02, "beta": 0.5}, {"n": 9, "alpha": 1e-3}])
def test_other_constants(constants):
    a = np.random.default_rng(1).normal(size=(1, 7, 2, 2)) * 10
    wanted = by_the_formula(a, **{"k": 2.0, "n": 5, "alpha": 1e-4, "beta": 0.75, **constants})
    np.testing.assert_allclose(ResponseNorm(**constants)(torch.from_numpy(a)).numpy(), wanted, rtol=1e-12)


def test_it_has_no_parameters():
    assert not ResponseNorm().state_dict()

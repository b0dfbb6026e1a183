"""The mean of several views' probabilities, against the plain mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convatlas.errors import UsageError
from convatlas.metrics.calibration import softmax
from convatlas.metrics.multilabel import sigmoid
from convatlas.metrics.views import mean_sigmoid, mean_softmax

pytestmark = pytest.mark.row("F-01")

VIEWS = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.floats(-30, 30, width=32)
)


@given(VIEWS, st.floats(0.5, 5))
def test_its_softmax_is_the_mean_of_the_softmaxes(logits, temperature):
    joined = mean_softmax(logits, temperature)
    np.testing.assert_allclose(softmax(joined[None])[0], softmax(logits, temperature).mean(axis=0), rtol=1e-9)


@given(VIEWS, st.floats(0.5, 5))
def test_its_sigmoid_is_the_mean_of_the_sigmoids(logits, temperature):
    joined = mean_sigmoid(logits, temperature)
    np.testing.assert_allclose(sigmoid(joined[None])[0], sigmoid(logits, temperature).mean(axis=0), rtol=1e-9)


def test_by_hand():
    # 3/4 and 1/4 make 1/2; 9/10 and 1/10 against 1/2 and 1/2 make 7/10 and 3/10.
    assert mean_sigmoid(np.log([[3.0], [1 / 3]])) == pytest.approx([0], abs=1e-12)
    assert np.exp(mean_softmax(np.log([[9.0, 1.0], [1.0, 1.0]]))) == pytest.approx([0.7, 0.3])


def test_a_single_view_keeps_its_answer():
    logits = np.array([[2.0, -1.0, 0.5]])
    assert mean_sigmoid(logits) == pytest.approx(logits[0])
    np.testing.assert_allclose(mean_softmax(logits), np.log(softmax(logits)[0]))


@pytest.mark.parametrize("join", [mean_softmax, mean_sigmoid])
def test_very_sure_views_stay_finite(join):
    joined = join(np.array([[1e4, -1e4], [1e4, -1e4]]))
    assert np.isfinite(joined).all()
    assert joined[0] > joined[1]


@pytest.mark.parametrize("join", [mean_softmax, mean_sigmoid])
def test_no_view_and_what_is_no_number_are_refused(join):
    with pytest.raises(UsageError, match="at least one picture"):
        join(np.empty((0, 3)))
    with pytest.raises(UsageError, match="not a finite number"):
        join(np.array([[np.nan, 0.0]]))

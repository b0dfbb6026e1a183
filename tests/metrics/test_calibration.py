"""Calibration against scikit-learn, a brute-force ECE, a fine grid of temperatures, and worlds whose truth is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convatlas.errors import UsageError
from convatlas.metrics.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
    softmax,
)

pytestmark = pytest.mark.row("F-01")

LOGITS = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.floats(-1e6, 1e6, width=32)
)


def world(pictures: int, classes: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Targets drawn from softmax(z): the logits `sharpness * z` then have the true temperature `sharpness`."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 2, (pictures, classes))
    targets = (softmax(z).cumsum(axis=1) < random.random((pictures, 1))).sum(axis=1)
    return sharpness * z, np.minimum(targets, classes - 1)


@given(LOGITS, st.floats(0.05, 20))
def test_softmax_is_a_distribution_that_ignores_a_shift(logits, temperature):
    probabilities = softmax(logits, temperature)
    assert np.isfinite(probabilities).all()
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert softmax(logits + 1024.0, temperature) == pytest.approx(probabilities, abs=1e-6)


def test_likelihood_agrees_with_scikit_learn():
    from sklearn.metrics import log_loss

    logits, targets = world(300, 5, 1.7)
    for temperature in (0.5, 1.0, 3.0):
        expected = log_loss(targets, softmax(logits, temperature), labels=range(5))
        assert negative_log_likelihood(logits, targets, temperature) == pytest.approx(expected)


def test_likelihood_stays_finite_where_the_probability_underflows():
    assert negative_log_likelihood([[0.0, 5000.0]], [0]) == pytest.approx(5000)
    assert str(negative_log_likelihood([[0.0, 5000.0]], [1])) == "0.0"


def test_reliability_by_hand():
    probabilities = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]]
    bins = reliability(probabilities, [0, 0, 0, 1], bins=2)
    assert [(b.low, b.high, b.count) for b in bins] == [(0, 0.5, 1), (0.5, 1, 3)], "0.5 is in the lower bin"
    assert (bins[0].confidence, bins[0].accuracy) == (0.5, 0.0), "a tie is answered with the lower class"
    assert bins[1].confidence == pytest.approx((0.9 + 0.8 + 0.6) / 3)
    assert bins[1].accuracy == pytest.approx(2 / 3)
    assert expected_calibration_error(probabilities, [0, 0, 0, 1], bins=2) == pytest.approx(
        1 / 4 * 0.5 + 3 / 4 * abs(2.3 / 3 - 2 / 3)
    )
    assert reliability(probabilities, [0, 0, 0, 1], bins=4)[0].confidence is None, "an empty bin has no mean"


def test_reliability_agrees_with_scikit_learn():
    from sklearn.calibration import calibration_curve

    logits, targets = world(2000, 4, 2.0)
    probabilities = softmax(logits)
    right = probabilities.argmax(axis=1) == targets
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=15)
    full = [one for one in reliability(probabilities, targets, bins=15) if one.count]
    assert [one.accuracy for one in full] == pytest.approx(accuracy)
    assert [one.confidence for one in full] == pytest.approx(confidence)


@given(st.integers(1, 20), st.integers(0, 99))
def test_calibration_error_is_the_sum_over_bins(bins, seed):
    logits, targets = world(60, 3, 1.5, seed)
    probabilities = softmax(logits)
    sums = [[0.0, 0.0] for _ in range(bins)]
    for row, target in zip(probabilities, targets, strict=True):
        place = min(max(int(np.ceil(row.max() * bins)) - 1, 0), bins - 1)
        sums[place][0] += row.max()
        sums[place][1] += row.argmax() == target
    expected = sum(abs(confidence - right) for confidence, right in sums) / len(targets)
    assert expected_calibration_error(probabilities, targets, bins) == pytest.approx(expected)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_the_temperature_of_a_known_world_is_found(sharpness):
    logits, targets = world(6000, 5, sharpness)
    temperature = fit_temperature(logits, targets)
    assert temperature == pytest.approx(sharpness, rel=0.05)
    assert expected_calibration_error(softmax(logits, temperature), targets) < 0.03


@given(st.integers(0, 200), st.sampled_from([0.1, 1.0, 8.0]))
def test_no_temperature_on_a_fine_grid_is_better(seed, sharpness):
    logits, targets = world(25, 3, sharpness, seed)
    temperature = fit_temperature(logits, targets)
    if (logits.argmax(axis=1) == targets).all():
        assert temperature == 1.0
        return
    best = negative_log_likelihood(logits, targets, temperature)
    grid = np.geomspace(0.05, 20, 300)
    assert best <= min(negative_log_likelihood(logits, targets, t) for t in grid) + 1e-12


def test_a_set_without_mistakes_leaves_the_probabilities_as_trained():
    logits = np.array([[3.0, -1.0], [-2.0, 4.0], [1.0, 1.0]])
    assert fit_temperature(logits, [0, 1, 1]) == 1.0


def test_the_temperature_is_clipped():
    always_wrong = np.array([[5.0, 0.0], [0.0, 5.0]])
    assert fit_temperature(always_wrong, [1, 0]) == 20.0
    nearly_flat = np.array([[1e-3, 0.0]] * 99 + [[0.0, 1e-3]])
    assert fit_temperature(nearly_flat, [0] * 100) == 0.05
    assert fit_temperature(nearly_flat, [0] * 100, low=0.5, high=2.0) == 0.5


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: softmax([[1.0, np.inf]]), "logits: row 0"),
        (lambda: softmax([[1.0, 2.0]], temperature=0.0), "temperature:"),
        (lambda: softmax([1.0, 2.0]), "logits:"),
        (lambda: reliability([[0.5, 1.5]], [0]), "probabilities:"),
        (lambda: reliability([[0.5, 0.5]], [0], bins=0), "bins:"),
        (lambda: negative_log_likelihood([[0.5, 0.5]], [0, 1]), "targets:"),
        (lambda: fit_temperature([[0.5, 0.6]], [0], low=2.0, high=1.0), "low, high:"),
    ],
)
def test_bad_input_is_named(call, names):
    with pytest.raises(UsageError, match=names):
        call()

"""Average precision and F1 against scikit-learn and by hand; temperature against a fine grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convatlas.errors import UsageError
from convatlas.metrics.multilabel import (
    average_precision,
    binary_cross_entropy,
    f1_at,
    fit_temperature_binary,
    mean_average_precision,
    sigmoid,
)

pytestmark = pytest.mark.row("F-01")


def test_average_precision_by_hand():
    # ranked: hit, miss, hit -> precision 1 at recall 1/2, precision 2/3 at recall 1
    assert average_precision([0.9, 0.8, 0.7], [1, 0, 1]) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert average_precision([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0]) == pytest.approx(1 / 4), "ties are one step"
    assert average_precision([0.9, 0.8], [0, 0]) is None


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1).filter(lambda r: any(t for _, t in r)))
def test_average_precision_agrees_with_scikit_learn(rows):
    from sklearn.metrics import average_precision_score

    scores = np.array([score for score, _ in rows], dtype=float)
    truths = np.array([truth for _, truth in rows])
    assert average_precision(scores, truths) == pytest.approx(average_precision_score(truths, scores))


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1), st.randoms(use_true_random=False))
def test_average_precision_depends_only_on_the_order_of_the_scores(rows, random):
    scores = np.array([score for score, _ in rows], dtype=float)
    truths = np.array([truth for _, truth in rows])
    shuffle = list(range(len(rows)))
    random.shuffle(shuffle)
    before = average_precision(scores, truths)
    assert average_precision(np.exp(scores)[shuffle], truths[shuffle]) == pytest.approx(before)


def test_the_mean_leaves_out_labels_that_never_occur():
    scores = np.array([[0.9, 0.2, 0.1], [0.1, 0.8, 0.4]])
    truths = np.array([[1, 1, 0], [0, 0, 0]])
    mean, each = mean_average_precision(scores, truths)
    assert each == (1.0, 0.5, None)
    assert mean == 0.75
    assert mean_average_precision(scores, np.zeros((2, 3), dtype=int)) == (None, (None, None, None))


def test_f1_agrees_with_scikit_learn():
    from sklearn.metrics import f1_score

    random = np.random.default_rng(3)
    truths = random.random((200, 7)) < 0.3
    probabilities = np.clip(0.4 * truths + random.random((200, 7)) * 0.7, 0, 1)
    ours = f1_at(probabilities, truths, 0.55)
    given_labels = probabilities >= 0.55
    assert ours.micro == pytest.approx(f1_score(truths, given_labels, average="micro"))
    assert ours.macro == pytest.approx(f1_score(truths, given_labels, average="macro"))


def test_f1_without_anything_to_count_is_none():
    assert f1_at([[0.1, 0.2]], [[0, 0]], 0.5) == (None, None)
    assert f1_at([[0.5, 0.2]], [[1, 0]], 0.5) == (1.0, 1.0), (
        "reaching the threshold is enough; an absent label is left out"
    )


def test_cross_entropy_agrees_with_its_definition_and_never_overflows():
    random = np.random.default_rng(5)
    logits = random.normal(0, 3, (40, 6))
    truths = random.random((40, 6)) < 0.5
    p = 1 / (1 + np.exp(-logits / 2))
    expected = -(truths * np.log(p) + ~truths * np.log(1 - p)).mean()
    assert binary_cross_entropy(logits, truths, temperature=2.0) == pytest.approx(expected)
    assert binary_cross_entropy([[1e6, -1e6]], [[0, 0]]) == pytest.approx(5e5)
    assert sigmoid([[-1e6, 0.0, 1e6]]).tolist() == [[0.0, 0.5, 1.0]]


@given(st.integers(0, 100), st.sampled_from([0.2, 1.0, 5.0]))
def test_no_temperature_on_a_fine_grid_is_better(seed, sharpness):
    random = np.random.default_rng(seed)
    z = random.normal(0, 1.5, (40, 3))
    truths = random.random((40, 3)) < sigmoid(z)
    temperature = fit_temperature_binary(sharpness * z, truths)
    best = binary_cross_entropy(sharpness * z, truths, temperature)
    assert best <= min(binary_cross_entropy(sharpness * z, truths, t) for t in np.geomspace(0.05, 20, 200)) + 1e-12


def test_the_temperature_of_a_known_world_is_found():
    random = np.random.default_rng(1)
    z = random.normal(0, 2, (4000, 3))
    truths = random.random((4000, 3)) < sigmoid(z)
    assert fit_temperature_binary(3 * z, truths) == pytest.approx(3, rel=0.05)


def test_a_set_without_mistakes_leaves_the_probabilities_as_trained():
    assert fit_temperature_binary([[2.0, -1.0]], [[1, 0]]) == 1.0
    assert fit_temperature_binary([[2.0, -1.0]], [[0, 1]]) == 20.0


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: average_precision([0.1, 0.2], [1]), "truths:"),
        (lambda: average_precision([0.1, 0.2], [1, 2]), "truths:"),
        (lambda: mean_average_precision([[0.1, np.nan]], [[1, 0]]), "scores: row 0"),
        (lambda: f1_at([[0.1, 1.2]], [[1, 0]], 0.5), "probabilities:"),
        (lambda: f1_at([[0.1, 0.2]], [[1, 0]], 1.5), "threshold:"),
        (lambda: binary_cross_entropy([[0.1, 0.2]], [[1, 0, 0]]), "targets:"),
    ],
)
def test_bad_input_is_named(call, names):
    with pytest.raises(UsageError, match=names):
        call()

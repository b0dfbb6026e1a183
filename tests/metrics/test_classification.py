"""Top-k, confusion and per-class measures against scikit-learn, hand-computed cases and brute force."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convatlas.errors import UsageError
from convatlas.metrics.classification import (
    confusion_matrix,
    macro_f1,
    per_class,
    top_k_accuracy,
    wilson_interval,
)

pytestmark = pytest.mark.row("F-01")


def test_top_k_by_hand():
    scores = [[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]
    assert top_k_accuracy(scores, [1, 1, 0], 1) == pytest.approx(1 / 3)
    assert top_k_accuracy(scores, [1, 1, 0], 2) == pytest.approx(2 / 3)
    assert top_k_accuracy(scores, [1, 1, 0], 3) == 1.0


def test_equal_scores_are_ordered_by_class_index():
    flat = np.zeros((3, 3))
    assert top_k_accuracy(flat, [0, 1, 2], 1) == pytest.approx(1 / 3)
    assert top_k_accuracy(flat, [0, 1, 2], 2) == pytest.approx(2 / 3)


@given(
    st.integers(2, 6).flatmap(
        lambda k: st.lists(
            st.tuples(st.lists(st.integers(0, 3), min_size=k, max_size=k), st.integers(0, k - 1)), min_size=1
        )
    )
)
def test_top_k_is_the_stable_sort(rows):
    """Brute-force twin: sort (score falling, index rising) and look. Small integers make many ties."""
    scores = np.array([row for row, _ in rows], dtype=float)
    targets = np.array([target for _, target in rows])
    for k in range(1, scores.shape[1] + 1):
        hits = [
            target in sorted(range(len(row)), key=lambda i, row=row: (-row[i], i))[:k]
            for row, target in zip(scores, targets, strict=True)
        ]
        assert top_k_accuracy(scores, targets, k) == pytest.approx(sum(hits) / len(hits))
    assert top_k_accuracy(scores, targets, 1) == (scores.argmax(axis=1) == targets).mean()


def test_confusion_and_per_class_agree_with_scikit_learn():
    from sklearn import metrics

    random = np.random.default_rng(0)
    targets = random.integers(0, 6, 400)
    predicted = np.where(random.random(400) < 0.7, targets, random.integers(0, 6, 400))
    ours = confusion_matrix(predicted, targets, 6)
    assert ours.dtype == np.int64
    assert (ours == metrics.confusion_matrix(targets, predicted)).all()
    each = per_class(ours, list("abcdef"))
    precision, recall, f1, support = metrics.precision_recall_fscore_support(targets, predicted)
    assert [one.precision for one in each] == pytest.approx(precision)
    assert [one.recall for one in each] == pytest.approx(recall)
    assert [one.f1 for one in each] == pytest.approx(f1)
    assert [one.support for one in each] == support.tolist()
    assert macro_f1(each) == pytest.approx(f1.mean())


def test_a_class_without_predictions_or_truths_has_no_score():
    #                 predicted: a  b  c  d
    confusion = np.array([[5, 0, 1, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    a, b, c, d = per_class(confusion, ["a", "b", "c", "d"])
    assert (a.precision, a.recall) == (5 / 7, 5 / 6)
    assert (b.precision, b.recall, b.f1) == (None, 0.0, 0.0), "never predicted, but it occurs"
    assert (c.precision, c.recall, c.f1) == (0.0, None, 0.0), "predicted, but it never occurs"
    assert (d.precision, d.recall, d.f1, d.support) == (None, None, None, 0)
    assert macro_f1([a, b, c, d]) == pytest.approx((10 / 13 + 0 + 0) / 3)
    assert macro_f1([d]) is None


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 1998, Table I, method 3 (score without continuity correction)
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_as_published(correct, total, low, high):
    assert wilson_interval(correct, total) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_share_and_mirrors(counts):
    correct, total = counts
    low, high = wilson_interval(correct, total)
    assert 0 <= low <= correct / total <= high <= 1
    assert high > low
    mirrored = wilson_interval(total - correct, total)
    assert mirrored == pytest.approx((1 - high, 1 - low))
    # the ends solve |p - share| = z sqrt(p (1 - p) / n), the definition
    for end in {low, high} - {0.0, 1.0}:
        assert abs(end - correct / total) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / total), rel=1e-5)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: top_k_accuracy([[0.1, 0.9]], [1], 3), "k:"),
        (lambda: top_k_accuracy([[0.1, 0.9]], [1, 0], 1), "targets:"),
        (lambda: top_k_accuracy([[0.1, 0.9]], [2], 1), "targets:"),
        (lambda: top_k_accuracy([[0.1, 0.9]], [0.5], 1), "targets:"),
        (lambda: top_k_accuracy([[0.1, float("nan")]], [1], 1), "scores: row 0"),
        (lambda: top_k_accuracy(np.zeros((0, 2)), [], 1), "scores:"),
        (lambda: confusion_matrix([0, 1], [0], 2), "predicted:"),
        (lambda: confusion_matrix([-1], [0], 2), "predicted:"),
        (lambda: per_class(np.zeros((2, 2)), ["a"]), "confusion:"),
        (lambda: wilson_interval(3, 2), "correct"),
        (lambda: wilson_interval(0, 0), "total"),
        (lambda: wilson_interval(1, 2, confidence=1.0), "confidence"),
    ],
)
def test_bad_input_is_named(call, names):
    with pytest.raises(UsageError, match=names):
        call()

import math

import numpy as np
import pytest

from convatlas.engine.predict.answer import answer, probabilities
from convatlas.errors import UsageError
from convatlas.types import Classification, Failure
from tests.engine.bundles import corners

LOGITS = np.array([[0, math.log(3), 0]], np.float32)  # softmax: 1/5, 3/5, 1/5
MULTILABEL = corners(task="multilabel", temperature=1.0)


def only(answers: list[Classification | Failure]) -> Classification:
    (one,) = answers
    assert isinstance(one, Classification)
    return one


def test_the_best_classes_first_and_of_equals_the_first_of_the_list() -> None:
    one = only(answer(corners(temperature=1.0), LOGITS, ["a.png"], top=2))
    assert one.source == "a.png"
    assert one.certain
    assert [(scored.label, scored.index) for scored in one.labels] == [("top right", 1), ("top left", 0)]
    assert [scored.probability for scored in one.labels] == pytest.approx([0.6, 0.2])


def test_more_classes_than_there_are() -> None:
    assert len(only(answer(corners(), LOGITS, ["a"], top=99)).labels) == 3


def test_the_temperature_of_the_bundle_is_used() -> None:
    # At temperature 1/2 the odds are squared: 1 : 9 : 1.
    np.testing.assert_allclose(probabilities(corners(temperature=0.5), LOGITS), [[1 / 11, 9 / 11, 1 / 11]], rtol=1e-6)
    np.testing.assert_allclose(
        probabilities(corners(task="multilabel", temperature=0.5), LOGITS), [[0.5, 0.9, 0.5]], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("threshold", "certain"), [(None, True), (0.0, True), (0.59, True), (0.61, False), (1.0, False)]
)
def test_below_the_threshold_an_answer_is_not_certain(threshold: float | None, certain: bool) -> None:
    one = only(answer(corners(temperature=1.0), LOGITS, ["a"], threshold=threshold))
    assert one.certain is certain
    assert one.top is not None
    assert one.top.label == "top right"


@pytest.mark.parametrize(
    ("threshold", "labels"),
    [(None, ["top right", "top left", "bottom left"]), (0.7, ["top right"]), (0.75 + 1e-3, [])],
)
def test_multilabel_names_every_class_from_the_threshold_on(threshold: float | None, labels: list[str]) -> None:
    # sigmoid(log 3) = 3/4, sigmoid(0) = 1/2, the bundle's own threshold
    one = only(answer(MULTILABEL, LOGITS, ["a"], top=1, threshold=threshold))
    assert [scored.label for scored in one.labels] == labels
    assert one.certain is bool(labels)


def test_saturated_probabilities_keep_their_order() -> None:
    one = only(answer(MULTILABEL, np.array([[800, 900, 1000]], np.float32), ["a"]))
    assert [scored.label for scored in one.labels] == ["bottom left", "top right", "top left"]
    assert [scored.probability for scored in one.labels] == [1, 1, 1]


def test_an_output_that_is_not_finite_is_a_failure_of_that_picture_alone() -> None:
    logits = np.array([[0, np.nan, 0], [0, 1, 0], [np.inf, 0, 0]], np.float32)
    bad, good, infinite = answer(corners(), logits, ["bad", "good", "infinite"])
    assert isinstance(good, Classification)
    assert [one.source for one in (bad, infinite) if isinstance(one, Failure)] == ["bad", "infinite"]


@pytest.mark.parametrize("options", [{"top": 0}, {"top": -1}, {"threshold": 1.1}, {"threshold": -0.1}])
def test_options_without_meaning(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        answer(corners(), LOGITS, ["a"], **options)

"""One record of a whole evaluation: its parts agree with each other, and JSON can hold it."""

import json
import subprocess
import sys

import numpy as np
import pytest

from convatlas.errors import UsageError
from convatlas.metrics import calibration, classification, multilabel
from convatlas.metrics.summary import WrongLabels, WrongPicture, summarise_classification, summarise_multilabel

pytestmark = pytest.mark.row("F-01")

CLASSES = ("cat", "dog", "owl", "fox", "hen", "bat")


def classified(pictures: int = 200, temperature: float = 2.0):
    random = np.random.default_rng(7)
    targets = random.integers(0, 6, pictures)
    logits = random.normal(0, 2, (pictures, 6)).astype(np.float32)
    logits[np.arange(pictures), targets] += 4
    names = [f"{i}.png" for i in range(pictures)]
    summary = summarise_classification(
        logits, targets, classes=CLASSES, names=names, split="test", temperature=temperature
    )
    return logits, targets, summary


def test_the_parts_agree_with_the_measures_they_name():
    logits, targets, summary = classified()
    right = int((logits.argmax(axis=1) == targets).sum())
    assert 0 < right < 200
    assert summary.top1 == right / 200
    assert summary.top1_interval == classification.wilson_interval(right, 200)
    assert summary.top5 == classification.top_k_accuracy(logits, targets, 5)
    assert summary.loss == calibration.negative_log_likelihood(logits, targets, 2.0)
    assert summary.ece == calibration.expected_calibration_error(calibration.softmax(logits, 2.0), targets)
    assert summary.ece_uncalibrated == calibration.expected_calibration_error(calibration.softmax(logits), targets)
    assert np.trace(summary.confusion) == right
    assert sum(one.support for one in summary.per_class) == sum(one.count for one in summary.reliability) == 200
    assert len(summary.wrong) == 200 - right


def test_the_wrong_pictures_come_surest_first():
    logits = np.log([[0.7, 0.2, 0.1], [0.05, 0.9, 0.05], [0.1, 0.1, 0.8]])
    summary = summarise_classification(
        logits, [1, 0, 2], classes=["a", "b", "c"], names=["x.png", "y.png", "z.png"], split="val"
    )
    surest, other = summary.wrong
    assert surest == WrongPicture(
        index=1,
        name="y.png",
        truth="a",
        predicted="b",
        probability=pytest.approx(0.9),
        truth_probability=pytest.approx(0.05),
    )
    assert (other.name, other.predicted, other.truth) == ("x.png", "a", "b")
    assert summary.top5 is None, "three classes: top 5 would say nothing"


def test_json_holds_it_without_nan():
    for summary in (classified()[2], labelled()):
        text = json.dumps(summary.to_dict(), allow_nan=False)
        again = json.loads(text)
        assert again["pictures"] == summary.pictures
        assert len(again["per_class"]) == len(summary.classes)
    confusion = classified()[2].to_dict()["confusion"]
    assert isinstance(confusion, list)
    assert isinstance(confusion[0], list)


def labelled():
    probabilities = np.array([[0.9, 0.2, 0.6], [0.3, 0.8, 0.1], [0.02, 0.7, 0.4]])
    return summarise_multilabel(
        np.log(probabilities / (1 - probabilities)),
        np.array([[1, 0, 1], [0, 1, 1], [1, 0, 0]]),
        classes=("sky", "sea", "sun"),
        names=["1.png", "2.png", "3.png"],
        split="test",
    )


def test_multilabel_by_hand():
    summary = labelled()
    assert summary.exact_match == pytest.approx(1 / 3)
    # sky ranks 1 0 1; sea ranks 1 0 0 ; sun ranks 1 0 1
    assert [one.average_precision for one in summary.per_class] == pytest.approx([(1 + 2 / 3) / 2, 1, (1 + 2 / 3) / 2])
    assert summary.mean_ap == pytest.approx((5 / 6 + 1 + 5 / 6) / 3)
    sky, sea, sun = summary.per_class
    assert (sky.precision, sky.recall, sky.support) == (1.0, 0.5, 2)
    assert (sea.precision, sea.recall, sea.support) == (0.5, 1.0, 1)
    assert (sun.precision, sun.recall, sun.support) == (1.0, 0.5, 2)
    assert summary.micro_f1 == pytest.approx(2 * 3 / (4 + 5))
    assert summary.wrong == (
        WrongLabels(
            index=2, name="3.png", missed=("sky",), extra=("sea",), worst="sky", probability=pytest.approx(0.02)
        ),
        WrongLabels(index=1, name="2.png", missed=("sun",), extra=(), worst="sun", probability=pytest.approx(0.1)),
    )


def test_multilabel_threshold_and_temperature_reach_every_part():
    random = np.random.default_rng(2)
    logits, truths = random.normal(0, 3, (50, 4)), random.random((50, 4)) < 0.4
    summary = summarise_multilabel(
        logits, truths, classes="abcd", names=[""] * 50, split="val", temperature=3.0, threshold=0.7
    )
    probabilities = multilabel.sigmoid(logits, 3.0)
    assert (summary.micro_f1, summary.macro_f1) == multilabel.f1_at(probabilities, truths, 0.7)
    assert summary.loss == multilabel.binary_cross_entropy(logits, truths, 3.0)
    assert summary.exact_match == ((probabilities >= 0.7) == truths).all(axis=1).mean()
    assert len(summary.wrong) == round(50 * (1 - summary.exact_match))


GOOD = {"logits": [[0.1, 0.9]], "targets": [1], "classes": ["a", "b"], "names": ["x"]}


@pytest.mark.parametrize(
    ("changed", "value", "names"),
    [
        ("logits", np.zeros((0, 2)), "logits"),
        ("logits", [[0.1, np.nan]], "logits: row 0"),
        ("logits", [0.1, 0.2], "logits"),
        ("targets", [1, 0], "targets"),
        ("targets", [2], "targets"),
        ("classes", ["a"], "classes"),
        ("names", [], "names"),
    ],
)
def test_bad_input_is_named(changed, value, names):
    with pytest.raises(UsageError, match=names):
        summarise_classification(**(GOOD | {changed: value}), split="test")


@pytest.mark.parametrize(
    ("changed", "value", "names"),
    [
        ("logits", np.zeros((0, 2)), "logits"),
        ("logits", [[0.1, np.inf]], "logits: row 0"),
        ("targets", [1], "targets"),
        ("targets", [[1, 3]], "targets"),
        ("classes", ["a", "b", "c"], "classes"),
        ("names", ["x", "y"], "names"),
    ],
)
def test_bad_multilabel_input_is_named(changed, value, names):
    with pytest.raises(UsageError, match=names):
        summarise_multilabel(**(GOOD | {"targets": [[0, 1]], changed: value}), split="test")


def test_measuring_imports_neither_torch_nor_matplotlib():
    code = (
        "import sys, convatlas.metrics.summary, convatlas.report.run_report;"
        "print(sorted({'torch', 'torchvision', 'scipy', 'matplotlib', 'jinja2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Measuring a finished model: on the right pictures, and with words when there are none."""

import json

import pytest

from convatlas.api.evaluate import evaluate
from convatlas.api.train import train
from convatlas.errors import DataError, UsageError
from tests.api.conftest import picture_folder

pytestmark = pytest.mark.row("F-01")


def test_without_data_it_repeats_the_run_s_own_measure(finished):
    result = evaluate(finished.path)
    assert (result.score, result.of) == (finished.test.top1, "photos test (the run's own split)")
    assert result.summary.confusion.tolist() == finished.test.confusion.tolist()
    assert result.summary.loss == pytest.approx(finished.test.loss, rel=1e-6)


def test_naming_the_training_data_does_not_measure_on_what_was_trained_on(finished):
    assert evaluate(finished.path, finished.plan.data).of == "photos test (the run's own split)"
    assert evaluate(finished.path, split="val").summary.pictures == finished.val.pictures


def test_other_pictures_are_measured_whole(finished, tmp_path):
    other = picture_folder(tmp_path / "other", count=4, seed=99)
    result = evaluate(finished.path / "bundle", other)
    assert (result.summary.pictures, result.of, result.summary.split) == (12, "all of other", "all")
    assert result.score > 0.7
    with pytest.raises(UsageError, match="has no splits"):
        evaluate(finished.path, other, split="test")


def test_split_folders_are_measured_on_their_test_part(finished, tmp_path):
    for part, seed in (("train", 1), ("val", 2), ("test", 3)):
        picture_folder(tmp_path / "split" / part, count=3, seed=seed)
    result = evaluate(finished.path, tmp_path / "split")
    assert (result.summary.pictures, result.of) == (9, "split test (its own split)")
    assert evaluate(finished.path, tmp_path / "split", split="train").summary.split == "train"


def test_report_and_metrics_are_written(finished, tmp_path):
    result = evaluate(finished.path, report=tmp_path / "r.html", metrics=tmp_path / "m.json")
    metrics = json.loads((tmp_path / "m.json").read_text(encoding="utf-8"))
    assert metrics["score"] == result.score
    assert metrics["test"]["top1"] == result.score
    assert "<html" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_other_classes_are_refused_with_both_lists(finished, tmp_path):
    other = picture_folder(tmp_path / "other", count=2)
    (other / "red").rename(other / "pink")
    with pytest.raises(DataError, match=r"its classes are blue, green, pink; the bundle knows blue, green, red"):
        evaluate(finished.path, other)


def test_a_bundle_alone_needs_data(finished, tmp_path):
    import shutil

    shutil.copytree(finished.path / "bundle", tmp_path / "alone")
    with pytest.raises(UsageError, match="a bundle alone does not know its data"):
        evaluate(tmp_path / "alone")


@pytest.mark.row("C-10")
def test_several_labels_from_a_manifest_train_and_are_measured(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=12)
    lines = ["path,labels"]
    for path in sorted(photos.rglob("*.png")):
        name = path.parent.name
        labels = {"blue": "cold", "green": "cold;leaf", "red": "warm"}[name]
        lines.append(f"{path.relative_to(tmp_path).as_posix()},{labels}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    changes = {"epochs": 15, "threads": 1, "batch_size": 8, "label_smoothing": 0.0}
    result = train(tmp_path / "labels.csv", out=tmp_path / "run", changes=changes)
    assert result.plan.task == "multilabel"
    assert result.plan.classes == ("cold", "leaf", "warm")
    assert result.test.mean_ap > 0.9
    assert result.parity.same_top1 == result.parity.pictures
    assert evaluate(tmp_path / "run").score == result.test.mean_ap
    assert "mean average precision" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8").lower()

"""Measuring a finished model: on the right pictures, and with words when there are none."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from convatlas.api.evaluate import evaluate
from convatlas.api.quantize import quantize
from convatlas.api.train import train
from convatlas.cli import main
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import write_bundle
from convatlas.engine.deploy import load_deployed
from convatlas.errors import DataError, OutOfMemoryError, UsageError
from convatlas.models import create_model
from tests.api.conftest import picture_folder
from tests.engine.bundles import corners

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


def memory_holds(monkeypatch, most: int) -> None:
    """Every bundle's network holds so many pictures."""

    def look(network, inputs):
        if len(inputs[0]) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def limited(folder):
        bundle, deployed = load_deployed(folder)
        deployed.network.register_forward_pre_hook(look)
        return bundle, deployed

    monkeypatch.setattr("convatlas.api.evaluate.load_deployed", limited)


@pytest.mark.parametrize("views", ["single", "ten-crop"])
def test_what_does_not_fit_into_memory_is_answered_in_parts_aloud(finished, monkeypatch, capsys, views):
    whole = evaluate(finished.path, views=views)
    memory_holds(monkeypatch, 4)
    heard: list[str] = []
    parts = evaluate(finished.path, views=views, say=heard.append)
    assert len(heard) == 1
    assert heard[0].startswith("evaluation: a batch of ")
    assert parts.summary.confusion.tolist() == whole.summary.confusion.tolist()
    assert parts.summary.loss == pytest.approx(whole.summary.loss, rel=1e-5)
    with pytest.warns(UserWarning, match="does not fit into memory, going on with"):
        evaluate(finished.path, views=views)
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(finished.path), "--views", views])
    assert ended.value.code == 0
    assert heard[0] in " ".join(capsys.readouterr().err.split())


def test_not_even_one_picture_in_memory_is_an_error_in_words(finished, monkeypatch, capsys):
    memory_holds(monkeypatch, 0)
    with pytest.raises(OutOfMemoryError, match="evaluation: not even one picture of 3 x"):
        evaluate(finished.path)
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(finished.path)])
    assert ended.value.code == 1
    assert "evaluation: not even one picture" in " ".join(capsys.readouterr().err.split())


def test_a_network_that_does_not_fit_into_memory_is_an_error_in_words(finished, monkeypatch):
    def no_memory(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def loaded(folder):
        bundle, deployed = load_deployed(folder)
        deployed.to = no_memory
        return bundle, deployed

    monkeypatch.setattr("convatlas.api.evaluate.load_deployed", loaded)
    with pytest.raises(OutOfMemoryError, match=r"the evaluation of .* does not fit into memory"):
        evaluate(finished.path)


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
    shutil.copytree(finished.path / "bundle", tmp_path / "alone")
    with pytest.raises(UsageError, match="a bundle alone does not know its data"):
        evaluate(tmp_path / "alone")


def untrained(folder, classes, task="classify", data="photos"):
    """A bundle of the colour network as it starts, for what does not depend on its answers."""
    changes = {"num_classes": len(classes), "in_channels": 3}
    tensors = {name: tensor.numpy() for name, tensor in create_model("lenet5_modern", **changes).state_dict().items()}
    described = corners(
        task=task,
        changes=changes,
        classes=classes,
        preprocess=Preprocess(channels=3, height=32, width=32),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        provenance={"data": data},
    )
    write_bundle(folder, described, tensors)
    return folder


def test_only_the_word_digits_is_the_embedded_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture_folder(tmp_path / "digits", count=2)
    bundle = untrained(tmp_path / "b", ("blue", "green", "red"), data="something else")
    for folder in (Path("digits"), "./digits", tmp_path / "digits"):
        result = evaluate(bundle, folder)
        assert (result.summary.pictures, result.of, result.notes) == (6, "all of digits", ())
    with pytest.raises(DataError, match="digits: its classes are 0, 1, 2"):
        evaluate(bundle, "digits")


@pytest.mark.parametrize("threads", [0, -1])
def test_a_wrong_number_of_threads_is_refused_before_anything_is_read(tmp_path, threads):
    with pytest.raises(UsageError, match="threads: expected a whole number of at least 1"):
        evaluate(tmp_path / "nowhere", threads=threads)


def manifest(path, column):
    photos = picture_folder(path.parent / "photos", count=2)
    rows = [f"{picture.relative_to(path.parent).as_posix()},{picture.parent.name}" for picture in photos.rglob("*.png")]
    path.write_text("\n".join([f"path,{column}", *sorted(rows)]) + "\n", encoding="utf-8")
    return path


def test_labels_of_the_other_kind_are_refused_with_what_to_do(tmp_path):
    classes = ("blue", "green", "red")
    single, several = manifest(tmp_path / "single.csv", "label"), manifest(tmp_path / "several.csv", "labels")
    of_one, of_many = untrained(tmp_path / "one", classes), untrained(tmp_path / "many", classes, "multilabel")
    with pytest.raises(DataError, match=r"several\.csv: gives a picture any number of labels; .* one class a picture"):
        evaluate(of_one, several)
    with pytest.raises(DataError, match=r"single\.csv: gives each picture one class; .* with a column labels"):
        evaluate(of_many, single)
    assert evaluate(of_one, single).summary.pictures == evaluate(of_many, several).summary.pictures == 6


def test_a_bundle_away_from_its_run_may_have_seen_the_pictures(finished, tmp_path, capsys):
    shutil.copytree(finished.path / "bundle", tmp_path / "alone")
    photos = finished.plan.data
    result = evaluate(tmp_path / "alone", photos, report=tmp_path / "r.html")
    (note,) = result.notes
    assert note.startswith('the bundle was trained on data named "photos", too, so these pictures may include those')
    assert "may include those that it was trained on" in (tmp_path / "r.html").read_text(encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", str(tmp_path / "alone"), photos, "--json"])
    out, err = capsys.readouterr()
    assert ended.value.code == 0
    assert f"note: {note}\n" in err
    assert json.loads(out)["notes"] == [note]

    assert evaluate(finished.path, photos).notes == (), "its own run knows which pictures were held out"
    assert evaluate(tmp_path / "alone", picture_folder(tmp_path / "other", count=2)).notes == ()


def test_test_pictures_that_the_source_itself_gives_were_held_out(tmp_path):
    for part, seed in (("train", 1), ("val", 2), ("test", 3)):
        picture_folder(tmp_path / "photos" / part, count=2, seed=seed)
    bundle = untrained(tmp_path / "b", ("blue", "green", "red"))
    assert evaluate(bundle, tmp_path / "photos").notes == ()
    assert evaluate(bundle, tmp_path / "photos", split="val").notes == ()
    assert len(evaluate(bundle, tmp_path / "photos", split="train").notes) == 1


def test_a_part_that_is_not_there_names_those_that_are(tmp_path):
    picture_folder(tmp_path / "photos" / "train", count=2)
    bundle = untrained(tmp_path / "b", ("blue", "green", "red"))
    with pytest.raises(UsageError, match="photos: has no 'test' pictures; there is train"):
        evaluate(bundle, tmp_path / "photos", split="test")


def test_unreadable_pictures_are_left_out_and_told(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=2)
    (photos / "red" / "00.png").write_bytes(b"damaged")
    result = evaluate(untrained(tmp_path / "b", ("blue", "green", "red")), photos)
    assert result.summary.pictures == 5
    assert [failure.source for failure in result.skipped] == ["red/00.png"]
    assert result.summary.confusion.sum(axis=1).tolist() == np.array([2, 2, 1]).tolist()


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


@pytest.mark.row("J-01")
def test_reports_say_how_near_the_graphs_come(finished, tmp_path):
    """The run's own report and that of an evaluation, which knows the int8 graph that was made since."""
    parity = finished.parity
    compared = f"same answer on {parity.same_top1} of {parity.pictures} pictures ({parity.data})"
    assert compared in (finished.path / "report.html").read_text(encoding="utf-8")
    shutil.copytree(finished.path / "bundle", tmp_path / "b")
    record = quantize(tmp_path / "b", data=picture_folder(tmp_path / "other", count=25, seed=5), most_loss=100)
    evaluate(tmp_path / "b", tmp_path / "other", report=tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert compared in page
    assert f"{record.loss:.2f} points lost (allowed 100)" in page
    assert f"same answer on {record.same_answer} of {record.pictures} pictures (the other half of" in page

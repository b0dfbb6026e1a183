"""From a folder of pictures to a finished run: what is in it, and that its parts agree with each other."""

import csv
import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from convatlas.api.predict import predict
from convatlas.api.train import plan_training, resume, train
from convatlas.data.source import open_pictures
from convatlas.engine.bundle import read_bundle
from convatlas.engine.observer import Observer
from convatlas.engine.predict.predictor import Predictor
from convatlas.engine.run import RunFolder, read_membership
from convatlas.errors import CheckpointError, DataError, TrainingError, UsageError
from convatlas.files import sha256
from tests.api.conftest import CLASSES, picture_folder

SHORT = {"epochs": 2, "threads": 1, "batch_size": 16}


@pytest.mark.row("C-10", "F-04")
def test_a_run_s_folder_holds_everything(finished):
    run = RunFolder(finished.path)
    names = {path.name for path in run.path.iterdir()}
    assert names == {"run.json", "split.json", "log.csv", "checkpoints", "bundle", "metrics.json", "report.html"}
    assert {path.name for path in run.bundle.iterdir()} == {"bundle.json", "model.onnx", "model.safetensors"}
    assert {path.name for path in run.last.parent.iterdir()} == {"last.safetensors", "best.safetensors"}
    assert run.read()["state"] == "finished"
    rows = list(csv.DictReader(run.log.read_text(encoding="utf-8").splitlines()))
    assert [int(row["epoch"]) for row in rows] == list(range(1, 16))


@pytest.mark.row("F-01")
def test_the_colours_are_told_apart_and_all_records_say_the_same(finished):
    run = RunFolder(finished.path)
    metrics = json.loads(run.metrics.read_text(encoding="utf-8"))
    bundle = read_bundle(run.path)
    assert finished.test.top1 > 0.8
    assert metrics["score"] == metrics["test"]["top1"] == finished.test.top1
    assert bundle.metrics["test"]["top-1 accuracy"] == finished.test.top1
    assert f"{finished.test.top1:.1%}".rstrip("%") in run.report.read_text(encoding="utf-8").replace(" ", " ")
    assert bundle.classes == CLASSES
    assert bundle.temperature == finished.test.temperature == finished.val.temperature


def test_what_was_measured_is_what_the_bundle_answers(finished):
    """An outside check of the test accuracy: the recorded test pictures, asked one by one of the exported graph."""
    membership = read_membership(RunFolder(finished.path))
    pictures = open_pictures(finished.plan.data)
    predictor = Predictor(finished.path)
    assert predictor.engine.name == "onnx"
    tested = [place for place, name in enumerate(pictures.names) if membership[name] == "test"]
    right = sum(
        predictor(pictures.read(place))[0].top.index == pictures.targets[place]
        for place in tested
        if not finished.skipped or pictures.names[place] != finished.skipped[0].source
    )
    assert right / finished.test.pictures == pytest.approx(finished.test.top1)


def test_the_unreadable_picture_is_named_and_left_out(finished):
    assert [failure.source for failure in finished.skipped] == ["red/00.png"]
    assert "red/00.png" in RunFolder(finished.path).report.read_text(encoding="utf-8")


def test_strict_stops_at_it_before_any_training(finished, tmp_path):
    with pytest.raises(DataError, match=r"1 pictures cannot be read, and --strict was asked for: red/00\.png"):
        train(finished.plan.data, out=tmp_path / "run", changes=SHORT, strict=True)
    assert RunFolder(tmp_path / "run").read()["state"] == "failed"
    assert not RunFolder(tmp_path / "run").last.exists()


def test_the_bundle_s_parity_is_recorded(finished):
    parity = read_bundle(finished.path).parity
    assert parity == finished.parity
    assert parity.max_difference <= parity.tolerance
    assert parity.same_top1 == parity.pictures == finished.test.pictures


def test_a_bundle_does_not_tell_where_its_pictures_lie(finished):
    for path in RunFolder(finished.path).bundle.iterdir():
        assert str(finished.path.parent).encode() not in path.read_bytes()


def test_the_saved_plan_states_each_value_with_its_origin(finished):
    plan = RunFolder(finished.path).read()["plan"]
    assert plan["recipe"]["epochs"] == 15
    assert plan["origins"]["epochs"] == "you"
    assert plan["origins"]["model.in_channels"] == "auto: the pictures are in colour"


def test_torch_and_onnx_engines_agree(finished):
    paths = sorted(path for path in (finished.path.parent / "photos" / "green").iterdir())
    one, other = (predict(finished.path, paths, engine=engine, top=3) for engine in ("onnx", "torch"))
    for a, b in zip(one, other, strict=True):
        assert [scored.label for scored in a.labels] == [scored.label for scored in b.labels]
        np.testing.assert_allclose(
            [scored.probability for scored in a.labels], [scored.probability for scored in b.labels], atol=1e-5
        )


def test_a_stopped_run_is_resumed_to_the_end_that_it_would_have_had(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=10)
    changes = {**SHORT, "epochs": 4, "deterministic": True, "ema_decay": 0.5}
    straight = train(photos, out=tmp_path / "straight", changes=changes, export=False)

    class Stop(Observer):
        def batch_done(self, epoch, batch, batches, images):
            if epoch == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(photos, out=tmp_path / "stopped", changes=changes, export=False, observer=Stop())
    assert RunFolder(tmp_path / "stopped").read()["state"] == "stopped"
    resumed = resume(tmp_path / "stopped", export=False)
    assert RunFolder(tmp_path / "stopped").read()["state"] == "finished"
    tensors = [sha256(RunFolder(tmp_path / name).bundle / "model.safetensors") for name in ("straight", "stopped")]
    assert tensors[0] == tensors[1]
    assert resumed.test.to_dict() == straight.test.to_dict()


@pytest.mark.parametrize("moment", ["planned", "reading"])
def test_a_run_stopped_before_its_first_checkpoint_starts_again_from_its_beginning(tmp_path, moment):
    photos = picture_folder(tmp_path / "photos", count=10)
    changes = {**SHORT, "deterministic": True}
    straight = train(photos, out=tmp_path / "straight", changes=changes, export=False)

    class Stop(Observer):
        pass

    def stop(self, *_):
        raise KeyboardInterrupt

    setattr(Stop, moment, stop)
    with pytest.raises(KeyboardInterrupt):
        train(photos, out=tmp_path / "stopped", changes=changes, observer=Stop())
    assert RunFolder(tmp_path / "stopped").read()["state"] == "stopped"
    resumed = resume(tmp_path / "stopped", export=False)
    assert resumed.test.to_dict() == straight.test.to_dict()


def test_a_class_of_which_nothing_can_be_read_is_not_trained(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=10)
    for number, path in enumerate((photos / "red").iterdir()):
        path.write_bytes(b"junk %d" % number)
    with pytest.raises(DataError, match=r"not one train picture of red can be read \(such as red/\d+\.png: "):
        train(photos, out=tmp_path / "run", changes=SHORT)
    assert RunFolder(tmp_path / "run").read()["state"] == "failed"


def test_a_path_named_digits_is_a_folder(tmp_path, monkeypatch):
    picture_folder(tmp_path / "digits", count=10)
    monkeypatch.chdir(tmp_path)
    assert plan_training(Path("digits"), changes=SHORT)[0].classes == CLASSES
    assert plan_training("./digits", changes=SHORT)[0].classes == CLASSES
    assert plan_training("digits", changes=SHORT)[0].classes == tuple("0123456789")


def test_the_same_picture_in_two_parts_is_said(tmp_path):
    for part, seed in (("train", 1), ("val", 2), ("test", 3)):
        picture_folder(tmp_path / "split" / part, count=6, seed=seed)
    shutil.copy(tmp_path / "split" / "train" / "red" / "00.png", tmp_path / "split" / "test" / "red" / "copy.png")
    result = train(tmp_path / "split", out=tmp_path / "run", changes=SHORT, export=False)
    assert any("in more than one part" in note for note in result.notes)
    assert result.plan.origins["val"] == result.plan.origins["test"] == "the source"


def test_two_runs_in_one_process_may_ask_for_other_precisions_and_devices(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=10)
    for number, options in enumerate(({"precision": "bfloat16"}, {"precision": "float32"})):
        result = train(photos, out=tmp_path / str(number), changes={**SHORT, **options}, device="cpu", export=False)
        assert result.plan.recipe.precision == options["precision"]


def test_resuming_with_other_classes_is_refused(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=10)
    train(photos, out=tmp_path / "run", changes=SHORT, export=False)
    shutil.copytree(photos / "red", photos / "pink")
    with pytest.raises(CheckpointError, match=r"trained on the classes blue, green, red; .* now has blue, green, pink"):
        resume(tmp_path / "run")


def test_resuming_when_pictures_are_gone_names_them(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=10)
    train(photos, out=tmp_path / "run", changes=SHORT, export=False)
    (photos / "red" / "03.png").unlink()
    with pytest.raises(DataError, match=r"1 pictures of the recorded split are gone.*red/03\.png"):
        resume(tmp_path / "run")


def test_resuming_what_is_no_run_is_said(tmp_path):
    with pytest.raises(CheckpointError, match=r"run\.json: is not the description of a run"):
        resume(tmp_path)


def test_a_loss_that_is_not_finite_leaves_a_failed_run_with_its_checkpoint(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=10)
    with pytest.raises(TrainingError, match=r"not finite (at|after) step \d+ \(epoch 1\), learning rate .*\.png"):
        train(photos, out=tmp_path / "run", changes={**SHORT, "optimizer": "sgd", "lr": 1e30, "clip_norm": None})
    assert RunFolder(tmp_path / "run").read()["state"] == "failed"
    assert RunFolder(tmp_path / "run").last.is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "lenet55"}, "unknown network 'lenet55'. Did you mean"),
        ({"model": "lenet5"}, "num_classes must be 10, not 3"),
        ({"changes": {"epoch": 1}}, "no field 'epoch'. Did you mean \"epochs\""),
        ({"recipe": "photos"}, "unknown recipe 'photos'"),
        ({"changes": {"seed": 2**33}}, "seed must be below"),
        ({"changes": {"mean": (float("nan"),), "std": (1.0,)}}, "mean must be numbers"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"val": 0.0}, "val: expected a fraction above 0"),
        ({"size": 64}, "lenet5_modern works on 32x32 images only"),
        ({"size": 0}, "height: expected"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_written(tmp_path, options, message):
    photos = picture_folder(tmp_path / "photos", count=10)
    with pytest.raises(UsageError, match=message):
        train(photos, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_an_output_path_that_is_a_file_is_refused(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=10)
    (tmp_path / "run").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="is a file; a run needs a folder"):
        train(photos, out=tmp_path / "run")
    with pytest.raises(UsageError, match="is a file"):
        train(photos, out=tmp_path / "run" / "inside")
    assert (tmp_path / "run").read_text(encoding="utf-8") == "mine"


def test_a_disk_that_fills_up_ends_the_run_with_words(tmp_path):
    photos = picture_folder(tmp_path / "photos", count=10)
    code = """
import resource, sys
from convatlas.cli import main
import convatlas.api.train  # written .pyc files are not what is being tested
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
main(["train", sys.argv[1], "--out", sys.argv[2], "--epochs", "1"])
"""
    run = subprocess.run(
        [sys.executable, "-c", code, str(photos), str(tmp_path / "run")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1, run.stderr
    assert "error:" in run.stderr and "could not be written" in run.stderr
    assert "Traceback" not in run.stderr
    assert not list((tmp_path / "run").rglob("*.tmp"))
    assert not (tmp_path / "run" / "bundle").exists()


def test_the_dry_run_writes_nothing_and_estimates(tmp_path, monkeypatch):
    photos = picture_folder(tmp_path / "photos", count=10)
    monkeypatch.chdir(tmp_path)
    plan, estimate = plan_training(photos, changes=SHORT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
    assert estimate.parameters == 61_411  # 61,706, with 2 * 6 * 25 more weights in C1 and 7 * 85 fewer at the end
    # Weights, gradients and AdamW's two averages are 16 bytes a parameter; the kept activations come on top.
    # For each image at least C1's output before and after ReLU's mask: 6 maps of 28 x 28, 4 bytes each.
    assert estimate.memory_bytes > 16 * 61_411 + 16 * 6 * 28 * 28 * 4
    assert estimate.memory_bytes < 16 * 61_411 + 16 * 10 * (6 * 28 * 28 + 3 * 32 * 32) * 4
    assert estimate.steps == 4  # 18 of 30 pictures are for training: batches of 16 and 2, two epochs
    assert estimate.seconds == pytest.approx(estimate.seconds_per_step * estimate.steps)
    assert dataclasses.asdict(estimate)["device"] == "cpu"
    assert plan.origins["epochs"] == "you"

"""`convatlas train`, `evaluate`, `models` and `runs` as a person types them: exit codes, words, JSON."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest

from convatlas.cli import main
from convatlas.cli.models import parse_count
from convatlas.engine.run import RunFolder
from convatlas.errors import UsageError
from tests.api.conftest import picture_folder


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """run("models", "--json") -> (exit code, stdout, stderr), in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(list(arguments))
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return call


GOLDEN_MODELS = """\
name           year  task      parameters     MACs  input    what it is
lenet5         1998  classify      60,000  325,680  1x32x32  the paper's network: trainable subsampling, incomplete C3, scaled tanh, RBF output
lenet5_modern  1998  classify      61,706  416,520  1x32x32  the same layer sizes as taught today: ReLU, max pooling, complete C3, softmax
"""  # noqa: E501


def test_models_prints_a_table(run):
    assert run("models", "lenet5") == (0, GOLDEN_MODELS, "")


def test_models_filters_and_prints_json(run):
    code, out, _ = run("models", "lenet*", "--max-params", "60k", "--year", "1998", "--json")
    (card,) = json.loads(out)
    assert (code, card["name"], card["params"], card["connections"]) == (0, "lenet5", 60_000, 340_908)
    assert "no network meets these conditions" in run("models", "--max-macs", "1k")[1]


@pytest.mark.parametrize(
    ("text", "count"), [("60000", 60_000), ("60k", 60_000), ("5M", 5_000_000), ("1.5G", 1_500_000_000), ("1,000", 1000)]
)
def test_counts_are_read_as_people_write_them(text, count):
    assert parse_count("--max-params", text) == count


@pytest.mark.parametrize("text", ["", "five", "5X", "-1", "nan", "1e400"])
def test_what_is_no_count_is_refused(text):
    with pytest.raises(UsageError, match=r"--max-params .*expected a count"):
        parse_count("--max-params", text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "photos", "--model", "lenet55"], "unknown network 'lenet55'. Did you mean"),
        (["train", "photos", "--set", "epoch=3"], 'Did you mean "epochs"'),
        (["train", "photos", "--epochs", "3", "--set", "epochs=4"], "epochs is given twice"),
        (["train", "photos", "--optimizer", "adam"], 'optimizer must be "sgd" or "adamw" or "rmsprop"'),
        (["train", "photos", "--fit", "squeeze"], "--fit squeeze: expected crop, pad or stretch"),
        (["train"], "name the data to train on"),
        (["train", "photos", "--resume", "runs/x"], "not both or neither"),
        (["train", "--resume", "runs/x", "--epochs", "3"], "goes on by the run's own plan; leave away --epochs"),
        (["train", "--resume", "runs/x", "--val", "0.3", "--device", "cuda"], "leave away --val, --device"),
        (["train", "photos", "--device", "gpu"], "unknown device 'gpu'"),
        (["train", "photos", "--strategy", "finetune"], "unknown strategy 'finetune'. Did you mean \"fine-tune\""),
        (["train", "photos", "--strategy", "scratch", "--weights", "default"], "leave one away"),
        (["train", "photos", "--weights", "torchvision/resnet5/V1"], "unknown weight set"),
        (["train", "photos", "--set", "model.widht=2"], "lenet5_modern has no option 'widht'"),
        (["models", "--task", "clasify"], 'Did you mean "classify"'),
        (["runs", "--delete", "nothing", "--yes"], "has no run 'nothing'"),
        (["evaluate", "nowhere"], "nowhere: no such folder"),
    ],
)
def test_wrong_use_ends_with_2_and_one_line(run, tmp_path, arguments, message):
    picture_folder(tmp_path / "photos", count=8)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_an_unknown_option_suggests_the_nearest(run):
    code, _, err = run("train", "photos", "--epoch", "3")
    assert code == 2
    assert "--epochs" in err


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("missing", "there is no such file or folder"),
        ("empty", "photos"),
        ("one class", "photos"),
        ("one picture", 'class "red" has one picture'),
    ],
)
@pytest.mark.row("C-10")
def test_data_that_cannot_be_trained_on_ends_with_1_and_writes_nothing(run, tmp_path, layout, message):
    photos = tmp_path / "photos"
    if layout == "empty":
        photos.mkdir()
    elif layout != "missing":
        picture_folder(photos, count=6)
        for path in sorted(photos.rglob("*.png")):
            if (layout == "one class" and path.parent.name != "red") or (
                layout == "one picture" and path.parent.name == "red" and path.name != "00.png"
            ):
                path.unlink()
        for folder in photos.iterdir():
            if not any(folder.iterdir()):
                folder.rmdir()
    code, out, err = run("train", "photos")
    assert (code, out) == (1, "")
    assert message in err and "Traceback" not in err
    assert not (tmp_path / "runs").exists()


@pytest.mark.row("F-01", "F-04")
def test_train_evaluate_and_runs_from_end_to_end(run, tmp_path):
    photos = picture_folder(tmp_path / "my photos", count=10)
    (photos / "red" / "00.png").write_bytes(b"")
    common = ["--out", "runs/first", "--epochs", "2", "--threads", "1"]
    code, out, err = run("train", "my photos", *common, "--tensorboard")
    assert code == 0
    assert re.search(r"lenet5_modern on my photos: 3 classes, \d+ training, \d+ validation, \d+ test pictures", err)
    assert "left out: red/00.png: " in err
    assert re.search(r"^\d+\.\d\d% top-1 accuracy \(\d+\.\d% to \d+\.\d% with 95 % confidence\) on \d test", out)
    assert "exported to ONNX: largest difference" in out
    assert "predict  convatlas predict runs/first PICTURE" in out.replace("\\", "/")
    assert list((tmp_path / "runs" / "first" / "tensorboard").iterdir())

    code, out, _ = run("runs", "--json")
    (listed,) = json.loads(out)
    assert (listed["name"], listed["state"], listed["model"]) == ("first", "finished", "lenet5_modern")

    code, out, _ = run("evaluate", "runs/first", "--json")
    assert json.loads(out)["score"] == listed["score"]
    code, out, _ = run("evaluate", "runs/first", "--report", "r.html")
    assert code == 0 and "top-1 accuracy" in out and "written: r.html" in out

    code, out, _ = run("train", "my photos", *common)
    assert code == 2
    code, out, _ = run("runs", "--delete", "first", "--yes")
    assert code == 0 and "deleted" in out and not (tmp_path / "runs" / "first").exists()
    assert "no runs in runs" in run("runs")[1]


def test_the_result_of_a_run_as_json(run, tmp_path):
    picture_folder(tmp_path / "photos", count=8)
    code, out, _ = run("train", "photos", "--out", "r", "--epochs", "1", "--threads", "1", "--no-export", "--json")
    result = json.loads(out)
    assert (code, result["run"], result["epochs"], result["parity"]) == (0, "r", 1, None)
    assert result["test"]["task"] == "classify"


@pytest.mark.row("F-03")
def test_a_run_says_what_it_starts_from_and_why(run, tmp_path):
    picture_folder(tmp_path / "photos", count=8)
    common = ["--size", "64", "--epochs", "1", "--threads", "1", "--no-export"]
    code, _, err = run("train", "photos", "--model", "efficientnet_lite0", "--out", "r", *common)
    assert code == 0
    assert "strategy transfer: 6 training pictures a class, fewer than 1,000; from package/efficientnet_lite0" in err
    assert "licence: Apache-2.0; trained on ImageNet-1k: non-commercial" in " ".join(err.split())
    provenance = json.loads((tmp_path / "r" / "bundle" / "bundle.json").read_text(encoding="utf-8"))["provenance"]
    assert provenance["weights"] == "transfer from package/efficientnet_lite0"
    assert provenance["weights_licence"] == "Apache-2.0"

    code, _, err = run("train", "photos", "--weights", "r", "--strategy", "fine-tune", "--out", "again", *common)
    assert code == 0 and "strategy fine-tune: you asked for it; from" in err


@pytest.mark.row("F-03")
def test_weights_that_are_not_here(run, tmp_path, monkeypatch):
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "cache"))
    picture_folder(tmp_path / "photos", count=8)
    code, out, err = run("train", "photos", "--model", "mobilenet_v2", "--dry-run", "--size", "64")
    assert code == 0 and re.search(
        r"^strategy +scratch +auto: the published weights torchvision/mobilenet_v2", out, re.M
    )
    code, out, err = run(
        "train", "photos", "--model", "mobilenet_v2", "--strategy", "transfer", "--offline", "--size", "64"
    )
    assert (code, out) == (1, "")
    assert "By hand: download https://" in err and "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_shows_each_setting_with_its_origin(run, tmp_path):
    picture_folder(tmp_path / "photos", count=8)
    code, out, _ = run("train", "photos", "--dry-run", "--lr", "0.01")
    assert code == 0
    assert re.search(r"^lr +0\.01 +you$", out, re.MULTILINE)
    assert re.search(r"^model\.in_channels +3 +auto: the pictures are in colour$", out, re.MULTILINE)
    assert re.search(r"^parameters +61,411$", out, re.MULTILINE)
    assert re.search(r"^time +about .* steps of", out, re.MULTILINE)
    code, out, _ = run("train", "photos", "--dry-run", "--json")
    assert json.loads(out)["settings"]["epochs"] == {"value": 40, "origin": "recipe photographs"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


@pytest.fixture
def interrupts():
    """A job in the background of a script starts with SIGINT ignored, and so would every process that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_ctrl_c_keeps_the_checkpoint_and_ends_with_130(tmp_path):
    picture_folder(tmp_path / "photos", count=10)
    command = [sys.executable, "-m", "convatlas", "train", "photos", "--out", "run", "--epochs", "100000"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    folder = RunFolder(tmp_path / "run")
    deadline = time.monotonic() + 120
    try:
        while not (folder.log.exists() and len(folder.log.read_text(encoding="utf-8").splitlines()) > 2):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert "stopped; go on with: convatlas train --resume run" in err
    assert "Traceback" not in err and out == ""
    assert folder.last.is_file() and folder.best.is_file()
    assert folder.read()["state"] == "stopped"
    assert not list(tmp_path.rglob("*.tmp"))

"""`convatlas predict` by a network's name, by a key, and with no model named."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from convatlas.files import write_json
from tests.cli.commands import predict as run
from tests.engine.bundles import write_corners

ROOT = Path(__file__).resolve().parents[2]
CHELSEA = ROOT / "docs" / "pictures" / "chelsea.jpg"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, lite0_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with one photograph; the cache holds EfficientNet-Lite0, nothing can be downloaded."""
    monkeypatch.setenv("CONVATLAS_CACHE", str(lite0_cache))
    monkeypatch.setenv("CONVATLAS_OFFLINE", "1")
    (tmp_path / "cat.jpg").write_bytes(CHELSEA.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readme_shows_the_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command = "convatlas predict docs/pictures/chelsea.jpg"
    shown = re.search(rf"^\$ {command}\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert shown is not None
    monkeypatch.chdir(ROOT)
    assert run("docs/pictures/chelsea.jpg") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == shown[1].splitlines()[0]  # percentages may differ in a digit between machines
    assert [line.split("  ")[0] for line in out.splitlines()] == [line.split("  ")[0] for line in shown[1].splitlines()]
    assert err == ""


@pytest.mark.row("B-24")
@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize("model", [(), ("efficientnet_lite0",), ("package/efficientnet_lite0",)], ids=len)
def test_photographs_are_named(
    photographs: Path, capsys: pytest.CaptureFixture[str], model: tuple[str, ...], engine: str
) -> None:
    pictures = [photographs / "chelsea.png", photographs / "coffee.png"]
    assert run(*model, *pictures, "--json", "--top", "3", "--engine", engine, "--offline") == 0
    cat, coffee = json.loads(capsys.readouterr().out)
    assert {label["index"] for label in cat["labels"]} == {281, 282, 285}
    assert {label["label"] for label in cat["labels"]} == {"tabby", "tiger cat", "Egyptian cat"}
    assert (coffee["labels"][0]["index"], coffee["labels"][0]["label"]) == (967, "espresso")


def test_the_second_start_imports_nothing_slow_and_says_nothing() -> None:
    script = (
        "import sys\n"
        "from convatlas.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n"
        "    slow = {'torch', 'torchvision', 'accelerate', 'matplotlib', 'onnx', 'pandas', 'scipy', 'ssl'}\n"
        "    print(sorted(slow & set(sys.modules)))\n"
    )
    for model in ([], ["efficientnet_lite0"]):
        command = [sys.executable, "-c", script, "predict", *model, "cat.jpg"]
        ran = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
        assert ran.stdout.startswith("cat.jpg: Egyptian cat\n")
        assert ran.stdout.splitlines()[-1] == "[]"
        assert ran.stderr == ""


# --- Which word is the model


def answered(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The names of the pictures, one a line."""
    return [line.split(" ")[0] for line in capsys.readouterr().out.splitlines()]


def test_without_a_model_every_word_is_pictures(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "photos").mkdir()
    Image.new("RGB", (30, 40), "green").save(here / "photos" / "green.png")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CHELSEA.read_bytes())))
    assert run("photos", "*.jpg", "-") == 0
    assert answered(capsys) == ["photos/green.png", "cat.jpg", "-"]


def test_a_folder_of_pictures_is_no_network(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("resnet18", "efficientnet_lite0"):
        (here / name).mkdir()
        Image.new("RGB", (30, 40), "green").save(here / name / "green.png")
        assert run(name, "cat.jpg") == 0
        assert answered(capsys) == [f"{name}/green.png", "cat.jpg"]


def test_a_bundle_here_goes_before_a_network(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_corners(here / "resnet18")
    assert run("resnet18", "cat.jpg", "--top", "1") == 0
    assert capsys.readouterr().out.splitlines()[0] in {
        f"cat.jpg: {corner}" for corner in ("top left", "top right", "bottom left")
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["resnet5", "cat.jpg"],
            'resnet5: there is no such .*no network or weight set of that name.* Did you mean "resnet50"',
        ),
        (["resnet5"], 'resnet5: there is no such picture, folder or bundle.* Did you mean "resnet50"'),
        (["gone.jpg"], r"gone\.jpg: there is no such picture, folder or bundle, [^?]*$"),
        (["runs/digit", "cat.jpg"], r'runs/digit: there is no such .* Did you mean "runs/digits"\?$'),
        (["torchvision/resnet50/V2", "cat.jpg"], 'Did you mean "torchvision/resnet50/IMAGENET1K_V'),
        (["resnet50"], "resnet50 is the model; name a picture after it: convatlas predict resnet50 PICTURE"),
        (["runs/digits"], "runs/digits is the model; name a picture after it"),
        (["runs/begun", "cat.jpg"], r"runs/begun: holds no bundle \(a run writes it when training ends\)"),
        (["lenet5_modern", "cat.jpg"], "lenet5_modern has no published weights. Train it first"),
        (["cat.jpg", "gone.jpg"], r"gone\.jpg: no such file or folder"),
        (["cat.jpg", "resnet50"], "resnet50: no such file or folder"),
    ],
)
def test_wrong_use_says_what_was_expected(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    write_corners(here / "runs" / "digits")
    (here / "runs" / "begun").mkdir()
    write_json(here / "runs" / "begun" / "run.json", {"state": "training"})
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.match(f"error: .*{message}", err.rstrip("\n")), err


def test_no_word_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 2
    assert "Missing argument" in capsys.readouterr().err


def test_offline_weights_that_are_not_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("CONVATLAS_OFFLINE")
    assert run("resnet18", "cat.jpg", "--offline") == 1
    assert re.match("error: torchvision/resnet18/IMAGENET1K_V1: .* is not there, .* By hand", capsys.readouterr().err)


def test_a_damaged_bundle_is_mended_with_a_word(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONVATLAS_CACHE", str(here / "cache"))
    folder = here / "cache" / "bundles" / "package-efficientnet_lite0-57934424"
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr("convatlas.engine.prepare.can_export", lambda: False)  # quicker
    assert run("cat.jpg", "--json", "--top", "1") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["labels"][0]["label"] == "Egyptian cat"
    first, second = err.splitlines()
    assert first.endswith("making the bundle anew")
    assert second == "preparing efficientnet_lite0 once; the next start is quick"

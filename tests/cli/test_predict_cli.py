import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convatlas.cli import predict
from convatlas.data import preprocess
from convatlas.engine.predict.onnx_engine import OnnxEngine
from convatlas.errors import EngineError
from tests.cli.commands import predict as run
from tests.engine.bundles import write_corners


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corners(tmp_path_factory.mktemp("corners") / "bundle")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two pictures of 2 x 2 pixels, one of them with a wide name, and a broken one."""
    Image.fromarray(np.array([[255, 0], [0, 0]], np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.array([[0, 128], [0, 0]], np.uint8)).save(tmp_path / "图.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("here")
def test_one_picture_gets_a_table_with_bars(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bundle, "a.png") == 0
    out, err = capsys.readouterr()
    assert out == (
        "a.png: top left\n"
        "class        probability\n"
        "top left          96.5 %  ███████████████████████\n"
        "top right          1.8 %\n"
        "bottom left        1.8 %\n"
    )
    assert err == ""


@pytest.mark.usefixtures("here")
def test_several_pictures_get_a_line_each(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bundle, "a.png", "图.png", "--threshold", "0.9") == 0
    # the wide character takes two columns: both names take five and six
    assert capsys.readouterr().out == "a.png   top left 96.5 %\n图.png  top right 78.8 %  uncertain\n"


@pytest.mark.usefixtures("here")
def test_a_broken_picture_is_reported_and_the_others_are_answered(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle, ".") == 1
    out, err = capsys.readouterr()
    assert out == "a.png       top left 96.5 %\n图.png      top right 78.8 %\n"
    assert err.startswith("error: broken.png: is not a picture")
    assert err.endswith("1 of 3 pictures could not be read\n")

    assert run(bundle, "broken.png") == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


@pytest.mark.usefixtures("here")
def test_json_has_an_object_for_each_picture(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bundle, "*.png", "--json", "--top", "1", "--threshold", "0.9") == 1
    out, err = capsys.readouterr()
    first, broken, wide = json.loads(out)
    assert first == {
        "source": "a.png",
        "certain": True,
        "labels": [{"label": "top left", "index": 0, "probability": pytest.approx(0.9647, abs=1e-4)}],
    }
    assert (wide["source"], wide["certain"]) == ("图.png", False)
    assert set(broken) == {"source", "error"}
    assert "图" in out  # as it is, not as an escape
    assert err == ""


def test_standard_input(
    bundle: Path, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO((here / "a.png").read_bytes())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(content))
    assert run(bundle, "-", "--json") == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert (answer["source"], answer["labels"][0]["label"]) == ("-", "top left")


@pytest.mark.row("J-04")
@pytest.mark.usefixtures("here")
def test_many_pictures_are_one_json_list_printed_as_they_come(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(sys.stdout, "write", written.append)
    assert run(bundle, "a.png", "broken.png", "--json", "--workers", "2", "--batch-size", "1") == 1
    assert len(written) > 2
    text = "".join(written)
    assert json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n" == text
    assert capsys.readouterr().out == ""


@pytest.mark.row("J-01")
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("answered", [0, 1])
def test_json_is_whole_even_where_an_error_ends_it(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    run_engine = OnnxEngine.__call__
    calls = iter([True] * answered)

    def fails_later(engine: OnnxEngine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not next(calls, False):
            raise EngineError("the graph: cannot run it")
        return run_engine(engine, pixels)

    monkeypatch.setattr(OnnxEngine, "__call__", fails_later)
    assert run(bundle, "a.png", "图.png", "--json", "--workers", "1", "--batch-size", "1") == 1
    out, err = capsys.readouterr()
    assert [answer["source"] for answer in json.loads(out)] == ["a.png"] * answered
    assert "cannot run it" in err


def test_exact_decodes_large_jpegs_whole(
    bundle: Path, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preprocess, "NARROWEST", 2)  # the network takes 2 x 2 pixels
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(noise).save(here / "large.jpg", quality=95)
    Image.open(here / "large.jpg").save(here / "large.png")  # which is never reduced
    answers = {}
    for words in (("large.jpg",), ("large.jpg", "--exact"), ("large.png",)):
        assert run(bundle, *words, "--json") == 0
        (answer,) = json.loads(capsys.readouterr().out)
        answers[words] = answer["labels"]
    reduced, exact, whole = answers.values()
    assert exact == whole
    assert reduced != whole


@pytest.mark.usefixtures("here")
def test_labels_of_a_multilabel_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_corners(tmp_path / "multi", task="multilabel", threshold=0.6)
    Image.fromarray(np.array([[255, 255], [0, 0]], np.uint8)).save("two.png")
    Image.fromarray(np.zeros((2, 2), np.uint8)).save("none.png")
    assert run(folder, "two.png", "none.png") == 0
    assert capsys.readouterr().out == ("two.png   top left 98.2 %, top right 98.2 %\nnone.png  no label  uncertain\n")
    assert run(folder, "none.png") == 0
    assert capsys.readouterr().out == "none.png: no label  uncertain\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.png"], "gone.png: no such file or folder"),
        (["a.png", "--engine", "tensorrt"], "engine: expected one of auto, onnx, openvino, torch"),
        (["a.png", "--top", "0"], "top: expected"),
        (["a.png", "--threshold", "2"], "threshold: expected a probability"),
        (["a.png", "--threads", "0"], "threads: expected"),
        (["a.png", "--batch-size", "0"], "batch_size: expected"),
        (["a.png", "--workers", "0"], "workers: expected"),
    ],
)
@pytest.mark.usefixtures("here")
def test_wrong_use_is_told_without_a_traceback(
    bundle: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run(bundle, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {message}")


@pytest.mark.usefixtures("here")
def test_no_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nowhere", "a.png") == 2
    assert capsys.readouterr().err.startswith("error: nowhere: there is no such picture, folder or bundle")


def test_an_altered_bundle(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_corners(here / "altered")
    for file, engine in (("model.onnx", "onnx"), ("model.onnx", "openvino"), ("model.safetensors", "torch")):
        (folder / file).write_bytes(b"other")
        assert run(folder, "a.png", "--engine", engine) == 1
        assert f"{file}: altered" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_bars_where_the_terminal_has_no_blocks(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding="ascii", newline="\n"))
    assert run(bundle, "a.png") == 0
    sys.stdout.flush()
    assert b"96.5 %  #######################\n" in content.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("here")
def test_many_pictures_show_progress_beside_the_answers(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(predict, "MANY", 1)
    assert run(bundle, "a.png", "图.png") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert "Pictures" in terminal.getvalue()


def test_on_an_exported_bundle_nothing_slow_is_imported(bundle: Path, here: Path) -> None:
    script = (
        "import sys\n"
        "from convatlas.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n"
        "    slow = {'torch', 'torchvision', 'accelerate', 'matplotlib', 'onnx', 'pandas', 'scipy'}\n"
        "    print(sorted(slow & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", script, "predict", str(bundle), "a.png", "图.png"]
    ran = subprocess.run(command, cwd=here, capture_output=True, encoding="utf-8", check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
    assert ran.stdout.startswith("a.png ")
    assert ran.stderr == ""

"""The engines behind one Predictor, and the quickest of them."""

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import ONNX, Bundle, read_bundle, update_bundle, write_bundle
from convatlas.engine.export import export_onnx
from convatlas.engine.predict import engines, timing
from convatlas.engine.predict import fastest as module
from convatlas.engine.predict.engines import Engine, EngineKind, EngineName, load_engine, usual
from convatlas.engine.predict.fastest import RECORD, Fastest, fastest
from convatlas.engine.predict.openvino_engine import OpenVinoEngine
from convatlas.engine.predict.predictor import Predictor
from convatlas.errors import BundleError, EngineError, MissingExtra, SaveError, UsageError
from convatlas.models import create_model
from tests.cli.commands import predict
from tests.engine.bundles import CORNERS, PARITY, corners, write_corners


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LeNet-5 with its graph."""
    folder = tmp_path_factory.mktemp("lenet") / "bundle"
    torch.manual_seed(0)
    tensors = {name: tensor.numpy() for name, tensor in create_model("lenet5_modern").state_dict().items()}
    preprocess = Preprocess(channels=1, height=32, width=32)
    write_bundle(folder, corners(changes={}, classes=tuple("0123456789"), preprocess=preprocess), tensors)
    export_onnx(folder, noise(9), "noise")
    return folder


@pytest.fixture
def lenet(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def noise(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, 1, 32, 32), dtype=np.uint8)


# Of a process with a handler of signals, as torch's DataLoader sets one for the end of a worker.
LET_GO_IN_A_THREAD = """
import signal, subprocess, sys, threading
from pathlib import Path
from convatlas.engine.predict.openvino_engine import OpenVinoEngine
heard = []
signal.signal(signal.SIGCHLD, lambda *_: heard.append("a child ended"))
engines = [OpenVinoEngine(Path(sys.argv[1]), threads=1)]
thread = threading.Thread(target=engines.clear)
thread.start()
thread.join()
subprocess.run([sys.executable, "-c", ""], check=True)
print(heard[0])
"""


def test_openvino_has_one_core(tmp_path: Path) -> None:
    """Which is all that keeps the signals of the next test alone; that test can fail only where there is AMX."""
    pytest.importorskip("openvino")
    graph = write_corners(tmp_path / "b") / ONNX
    assert OpenVinoEngine(graph)._core is OpenVinoEngine(graph, threads=1)._core


@pytest.mark.parametrize(
    ("error", "told", "match"),
    [(ImportError("no module"), MissingExtra, "openvino"), (RuntimeError("no plugin"), EngineError, "cannot start")],
)
def test_openvino_that_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: type[Exception], match: str
) -> None:
    def fails(process: int) -> None:
        raise error

    monkeypatch.setattr("convatlas.engine.predict.openvino_engine._core", fails)
    with pytest.raises(told, match=match):
        OpenVinoEngine(write_corners(tmp_path / "b") / ONNX)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGCHLD")
def test_openvino_let_go_in_another_thread_leaves_signals_alone(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    graph = write_corners(tmp_path / "b") / ONNX
    words = [sys.executable, "-c", LET_GO_IN_A_THREAD, str(graph)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a child ended\n", "")


@pytest.mark.row("J-01")
def test_openvino_gives_what_is_computed_by_hand(tmp_path: Path):
    engine = OpenVinoEngine(write_corners(tmp_path / "b") / ONNX, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 1, 2, 2), dtype=np.uint8)
    first, rest = engine(pixels[:1]), engine(pixels[1:])  # any number at a time, and what was given stays
    expected = pixels.reshape(5, 4).astype(np.float32) @ CORNERS
    np.testing.assert_allclose(np.concatenate([first, rest]), expected, rtol=1e-5)


@pytest.mark.row("J-01")
@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_the_graph_gives_the_network_s_logits(lenet: Path, kind: EngineKind):
    bundle = read_bundle(lenet)
    expected = load_engine(lenet, bundle, "torch", 1)(noise(4))
    np.testing.assert_allclose(load_engine(lenet, bundle, kind, 1)(noise(4)), expected, rtol=0, atol=1e-5)


@pytest.mark.every_variant
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_the_compiled_network_gives_its_logits(lenet: Path):
    bundle = read_bundle(lenet)
    compiled = load_engine(lenet, bundle, "compiled", 1)
    for count in (1, 4):
        expected = load_engine(lenet, bundle, "torch", 1)(noise(count))
        np.testing.assert_allclose(compiled(noise(count)), expected, rtol=0, atol=1e-5)


def test_openvino_needs_its_extra_and_a_graph(lenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plain = tmp_path / "plain"
    write_bundle(plain, corners(), {"weight": CORNERS})
    with pytest.raises(UsageError, match="is not exported to ONNX"):
        Predictor(plain, engine="openvino")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"convatlas\[openvino\]"):
        Predictor(lenet, engine="openvino")


# --- An engine that does not take the network


def refusing(*kinds: str) -> Callable[[Path, Bundle, EngineKind, int | None], Engine]:
    def load(folder: Path, bundle: Bundle, kind: EngineKind, threads: int | None) -> Engine:
        if kind in kinds:
            raise EngineError(f"{kind} does not have this operator")
        return load_engine(folder, bundle, kind, threads)

    return load


@pytest.mark.parametrize(
    ("asked", "refused", "taken"),
    [
        ("openvino", ("openvino",), "onnx"),
        ("openvino", ("openvino", "onnx"), "torch"),
        (None, ("onnx",), "torch"),
        ("compiled", ("compiled",), "onnx"),
    ],
)
def test_another_engine_answers_and_that_is_said(
    lenet: Path, monkeypatch: pytest.MonkeyPatch, asked: EngineName | None, refused: tuple[str, ...], taken: str
):
    monkeypatch.setattr(engines, "load_engine", refusing(*refused))
    said: list[str] = []
    predictor = Predictor(lenet, engine=asked, threads=1, say=said.append)
    assert predictor.engine.name == taken
    assert said == [f"{refused[0]} does not have this operator: answering with {taken} instead"]
    with pytest.warns(UserWarning, match=f"answering with {taken} instead"):  # aloud without a listener, too
        Predictor(lenet, engine=asked, threads=1)


def test_where_none_takes_it_the_first_says_why(lenet: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engines, "load_engine", refusing("openvino", "onnx", "torch"))
    with pytest.raises(EngineError, match="openvino does not have this operator"):
        Predictor(lenet, engine="openvino")


def test_a_real_operator_that_no_runtime_has(tmp_path: Path):
    """ONNX allows any domain; the graph is then refused when it is loaded, and torch has no network to offer."""
    folder = write_corners(tmp_path / "b")
    model = onnx.load(folder / ONNX)
    model.graph.node[0].domain = "somebody.else"
    model.opset_import.append(onnx.helper.make_opsetid("somebody.else", 1))
    onnx.save(model, tmp_path / "graph.onnx")
    update_bundle(folder, dataclasses.replace(read_bundle(folder), parity=PARITY), {ONNX: tmp_path / "graph.onnx"})
    for engine in ("onnx", "openvino"):
        with pytest.raises(EngineError, match="cannot load it"):
            load_engine(folder, read_bundle(folder), engine, 1)


# --- The quickest


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timing, "ROUNDS", 2)
    monkeypatch.setattr(timing, "WARMING", 0.0)


def test_measured_once_and_remembered(lenet: Path, monkeypatch: pytest.MonkeyPatch):
    first, kept = fastest(lenet, read_bundle(lenet), 1)
    assert kept
    assert set(first.milliseconds) == {"onnx", "openvino", "torch"}
    assert first.refused == {}
    assert first.engine in first.milliseconds
    assert all(value > 0 for value in first.milliseconds.values())
    assert str(first).startswith(f"engine {first.engine}: one picture takes onnx ")
    other, _ = fastest(lenet, read_bundle(lenet), 2)  # with other threads: anew, beside the first

    def again(*_: object) -> Fastest:
        raise AssertionError("measured again")

    monkeypatch.setattr(module, "_measure", again)
    assert fastest(lenet, read_bundle(lenet), 1) == (first, True)
    assert fastest(lenet, read_bundle(lenet), 2) == (other, True)
    predictor = Predictor(lenet, engine="auto", threads=1)
    assert (predictor.engine.name, predictor.choice) == (first.engine, str(first))
    assert len(json.loads((lenet / RECORD).read_text(encoding="utf-8"))["machines"]) == 2


def test_another_process_s_record_is_kept(lenet: Path, monkeypatch: pytest.MonkeyPatch):
    """Two that measure at once, with other threads: the later one to write adds to what the earlier one wrote."""
    measure = module._measure

    def meanwhile(folder: Path, bundle: Bundle, threads: int | None, machine: dict[str, object]) -> Fastest:
        monkeypatch.setattr(module, "_measure", measure)
        fastest(folder, bundle, 2)
        return measure(folder, bundle, threads, machine)

    monkeypatch.setattr(module, "_measure", meanwhile)
    fastest(lenet, read_bundle(lenet), 1)
    machines = json.loads((lenet / RECORD).read_text(encoding="utf-8"))["machines"]
    assert [each["machine"]["threads"] for each in machines] == [2, 1]


def test_another_processor_is_another_machine(lenet: Path, monkeypatch: pytest.MonkeyPatch):
    """A bundle that is copied takes its record along; what it says of one machine is not believed on another."""
    first, _ = fastest(lenet, read_bundle(lenet), 1)
    monkeypatch.setattr(module, "processor_key", lambda: "another")
    second, _ = fastest(lenet, read_bundle(lenet), 1)
    assert [each.machine["processor"] for each in (first, second)] == [first.machine["processor"], "another"]
    assert len(json.loads((lenet / RECORD).read_text(encoding="utf-8"))["machines"]) == 2


@pytest.mark.parametrize("what", ["graph", "version", "damaged", "huge", "older"])
def test_measured_anew_when_something_changed(lenet: Path, monkeypatch: pytest.MonkeyPatch, what: str):
    fastest(lenet, read_bundle(lenet), 1)
    record = lenet / RECORD
    text = record.read_text(encoding="utf-8")
    if what == "graph":
        (graph,) = {read_bundle(lenet).files["model.onnx"]}
        record.write_text(text.replace(graph, "0" * 64), encoding="utf-8")
    elif what == "version":
        record.write_text(text.replace('"openvino": "', '"openvino": "0'), encoding="utf-8")
    elif what == "huge":
        record.write_text(re.sub(r'("milliseconds": {"onnx": )[\d.]+', rf"\g<1>{10**400}", text), encoding="utf-8")
    elif what == "damaged":
        record.write_text(text[:-40], encoding="utf-8")
    else:
        record.write_text(text.replace('"format_version": 1', '"format_version": 0'), encoding="utf-8")
    asked = []
    measure = module._measure
    monkeypatch.setattr(module, "_measure", lambda *given: asked.append(1) or measure(*given))
    fastest(lenet, read_bundle(lenet), 1)
    fastest(lenet, read_bundle(lenet), 1)
    assert len(asked) == 1
    assert len(json.loads(record.read_text(encoding="utf-8"))["machines"]) == 1  # in place of what no longer holds


def test_a_folder_that_cannot_be_written_is_no_failure(lenet: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path: Path, text: str) -> None:
        raise SaveError(f"{path}: could not be written (no space)")

    monkeypatch.setattr(module, "write_text", full)
    _, kept = fastest(lenet, read_bundle(lenet), 1)
    assert not kept
    assert not (lenet / RECORD).exists()


def test_an_engine_that_fails_is_named_and_another_taken(tmp_path: Path):
    found, _ = fastest(*(folder := write_corners(tmp_path / "b"), read_bundle(folder)), 1)
    assert found.engine in ("onnx", "openvino")
    assert "does not fit its network" in found.refused["torch"]
    assert "; not torch: " in str(found)


def test_where_none_works_its_own_error_is_told(tmp_path: Path):
    folder = tmp_path / "plain"
    write_bundle(folder, corners(), {"weight": CORNERS})
    with pytest.raises(BundleError, match="does not fit"):
        Predictor(folder, engine="auto")


def test_a_network_without_numbers_is_measured_too(tmp_path: Path):
    """What it answers is for `Predictor` to tell; the engines agree that it is no number."""
    tensors = create_model("lenet5_modern").state_dict()
    broken = {name: np.full(tensor.shape, np.nan, np.float32) for name, tensor in tensors.items()}
    preprocess = Preprocess(channels=1, height=32, width=32)
    folder = tmp_path / "b"
    write_bundle(folder, corners(changes={}, classes=tuple("0123456789"), preprocess=preprocess), broken)
    found, _ = fastest(folder, read_bundle(folder), 1)
    assert (found.engine, found.refused) == ("torch", {})


def test_an_engine_with_other_answers_is_refused(lenet: Path, monkeypatch: pytest.MonkeyPatch):
    def load(folder: Path, bundle: Bundle, kind: EngineKind, threads: int | None) -> Engine:
        engine = load_engine(folder, bundle, kind, threads)
        return _Off(engine) if kind == "openvino" else engine

    monkeypatch.setattr(module, "load_engine", load)
    found, _ = fastest(lenet, read_bundle(lenet), 1)
    assert set(found.milliseconds) == {"onnx", "torch"}
    assert found.refused["openvino"].startswith("its logits are 0.01 from those of onnx")


class _Off:
    """One hundredth beside the right answer, at no time at all."""

    name = "openvino"

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._engine(pixels) + np.float32(0.01)


@pytest.mark.parametrize(
    ("medians", "chosen"),
    [
        ({"onnx": 1.0, "openvino": 0.985}, "onnx"),  # within what the measurement can tell
        ({"onnx": 1.0, "openvino": 0.9}, "openvino"),
        ({"onnx": 1.0, "torch": 2.0}, "onnx"),
        ({"openvino": 1.0, "torch": 0.99}, "torch"),  # the usual one is not among them
    ],
)
def test_the_usual_engine_stays_unless_another_is_clearly_quicker(medians: dict[EngineKind, float], chosen: EngineKind):
    assert module._chosen(medians, "onnx") == chosen


def test_the_usual_engine(lenet: Path, tmp_path: Path):
    assert usual(read_bundle(lenet)) == "onnx"
    write_bundle(tmp_path / "plain", corners(), {"weight": CORNERS})
    assert usual(read_bundle(tmp_path / "plain")) == "torch"


def test_the_verb_says_what_it_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from PIL import Image

    folder = write_corners(tmp_path / "b")
    Image.fromarray(np.array([[255, 0], [0, 0]], np.uint8)).save(tmp_path / "a.png")
    assert predict(folder, tmp_path / "a.png", "--engine", "auto") == 0
    said = capsys.readouterr()
    assert "top left" in said.out
    assert "one picture takes onnx" in said.err
    assert predict(folder, tmp_path / "a.png") == 0
    assert "one picture takes" not in capsys.readouterr().err
    assert predict(folder, tmp_path / "a.png", "--engine", "onxn") == 2
    assert 'Did you mean "onnx"' in capsys.readouterr().err

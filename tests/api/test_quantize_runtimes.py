"""Which runtime answers an int8 graph: the quicker one that keeps the bound, and another where it is missing."""

import time
from pathlib import Path

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray

from convatlas.api import quantize as module
from convatlas.api.quantize import quantize
from convatlas.engine.bundle import ONNX_INT8, read_bundle
from convatlas.engine.graph_records import Runtime
from convatlas.engine.predict import engines, timing
from convatlas.engine.predict.engines import Engine, on_runtime
from convatlas.engine.predict.predictor import Predictor
from convatlas.errors import EngineError, ExportError, MissingExtra, UsageError
from tests.api.test_quantize import run, unlabelled
from tests.engine.bundles import write_corners

pytestmark = pytest.mark.row("J-02")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_corners(tmp_path / "b")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return unlabelled(tmp_path / "photos")


def pixels(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, 1, 2, 2), dtype=np.uint8)


def taking(monkeypatch: pytest.MonkeyPatch, **milliseconds: float) -> None:
    monkeypatch.setattr(module, "milliseconds", lambda found, picture: {name: milliseconds[name] for name in found})


@pytest.mark.parametrize("quicker", ["onnxruntime", "openvino"])
def test_the_quicker_runtime_answers(
    folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, quicker: Runtime
) -> None:
    taking(monkeypatch, **{"onnxruntime": 2.0, "openvino": 2.0, quicker: 1.0})
    record = quantize(folder, data=photos, most_loss=100)
    assert record.runtime == quicker
    assert set(record.versions) == {"onnx", "onnxruntime", "openvino"}
    predictor = Predictor(folder, engine="int8")
    assert predictor.engine.name == "int8"
    model = openvino.Core().compile_model(folder / ONNX_INT8, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    theirs = model([pixels(5)])[0] if quicker == "openvino" else run(folder / ONNX_INT8, pixels(5))
    np.testing.assert_allclose(predictor.engine(pixels(5)), theirs, rtol=0, atol=1e-6)


def test_many_pictures_from_several_threads(folder: Path, photos: Path) -> None:
    """An OpenVINO request answers one call at a time, whatever the threads."""
    quantize(folder, data=photos, runtime="openvino", most_loss=100)
    pictures = list(pixels(150).transpose(0, 2, 3, 1))
    alone, together = (
        [answer.top for answer in Predictor(folder, engine="int8", workers=workers)(pictures)]  # type: ignore[union-attr]
        for workers in (1, 4)
    )
    assert alone == together


def test_a_runtime_is_taken_as_named(folder: Path, photos: Path) -> None:
    record = quantize(folder, data=photos, runtime="openvino", most_loss=100)
    assert (record.runtime, read_bundle(folder).quantised) == ("openvino", record)


class _Wrong:
    """Logits that agree with nothing."""

    name = "int8"

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.eye(3, dtype=np.float32)[np.arange(len(pixels)) % 3]


def wrong_on(monkeypatch: pytest.MonkeyPatch, wrong: Runtime) -> None:
    def load(runtime: Runtime, graph: Path, threads: int | None, *, size: tuple[int, int]) -> Engine:
        return _Wrong() if runtime == wrong else on_runtime(runtime, graph, threads, size=size)

    monkeypatch.setattr(module, "on_runtime", load)


def test_a_runtime_that_loses_too_much_is_not_chosen(
    folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_on(monkeypatch, "openvino")
    assert quantize(folder, data=photos, most_loss=20).runtime == "onnxruntime"


@pytest.mark.parametrize("wrong", ["onnxruntime", "openvino"])
def test_the_bound_holds_on_both_where_openvino_is_named(
    folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, wrong: Runtime
) -> None:
    wrong_on(monkeypatch, wrong)
    with pytest.raises(ExportError, match=rf"% on {wrong} where float32 has 100\.00%"):
        quantize(folder, data=photos, runtime="openvino", most_loss=20)
    assert not read_bundle(folder).in_int8


def test_a_graph_that_openvino_does_not_take_is_left_to_the_other(
    folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(runtime: Runtime, graph: Path, threads: int | None, *, size: tuple[int, int]) -> Engine:
        if runtime == "openvino":
            raise EngineError(f"{graph}: OpenVINO cannot load it")
        return on_runtime(runtime, graph, threads, size=size)

    monkeypatch.setattr(module, "on_runtime", load)
    said: list[str] = []
    assert quantize(folder, data=photos, most_loss=100, say=said.append).runtime == "onnxruntime"
    assert any("OpenVINO cannot load it: left to ONNX Runtime" in words for words in said)
    with pytest.raises(EngineError, match="OpenVINO cannot load it"):
        quantize(folder, data=photos, runtime="openvino", most_loss=100)


def test_without_openvino_the_other_answers_aloud(folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quantize(folder, data=photos, runtime="openvino", most_loss=100)
    monkeypatch.setattr(engines, "installed", lambda kind: kind != "openvino")
    said: list[str] = []
    predictor = Predictor(folder, engine="int8", say=said.append)
    np.testing.assert_array_equal(predictor.engine(pixels(3)), run(folder / ONNX_INT8, pixels(3)))
    assert len(said) == 1
    assert "convatlas[openvino]" in said[0]
    assert "answering on ONNX Runtime instead" in said[0]


def test_a_runtime_that_is_unknown_or_missing(folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r'expected onnxruntime or openvino, got "openvin"\. Did you mean "openvino"'):
        quantize(folder, data=photos, runtime="openvin")  # type: ignore[arg-type]
    monkeypatch.setattr(module, "installed", lambda kind: False)
    with pytest.raises(MissingExtra, match=r"convatlas\[openvino\]"):
        quantize(folder, data=photos, runtime="openvino")


class _Sleeping:
    def __init__(self, seconds: float) -> None:
        self.name, self.seconds, self.passes = "sleeping", seconds, 0

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.passes += 1
        time.sleep(self.seconds)
        return np.zeros((len(pixels), 1), np.float32)


def test_passes_are_timed_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, slow = _Sleeping(0.005), _Sleeping(0.2)
    taken = timing.milliseconds({"quick": quick, "slow": slow}, pixels(1))
    assert 5 <= taken["quick"] < 100
    assert taken["slow"] >= 200
    assert slow.passes == 4  # a warm and a timed one, in each of two rounds
    assert quick.passes >= 8

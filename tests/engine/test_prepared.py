"""The graph that is prepared for one machine: it answers as the bundle's own, and gives way when it does not fit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from convatlas.data.preprocess import Preprocess
from convatlas.engine import export as export_module
from convatlas.engine.bundle import ONNX, WEIGHTS, Bundle, read_bundle, write_bundle
from convatlas.engine.export import export_onnx
from convatlas.engine.predict import prepared as module
from convatlas.engine.predict import verify
from convatlas.engine.predict.engines import load_engine
from convatlas.engine.predict.onnx_engine import OnnxEngine
from convatlas.engine.predict.prepared import FOLDER, GRAPH, RECORD, prepare_graph, prepared_graph
from convatlas.engine.predict.verify import verifying
from convatlas.errors import BundleError, EngineError, SaveError
from convatlas.files import sha256
from convatlas.models import create_model
from tests.engine.bundles import corners


def noise(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (count, 1, 32, 32), dtype=np.uint8)


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "WORTH", 0)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LeNet-5 with its graph, and that one prepared."""
    folder = tmp_path_factory.mktemp("lenet") / "bundle"
    torch.manual_seed(0)
    tensors = {name: tensor.numpy() for name, tensor in create_model("lenet5_modern").state_dict().items()}
    preprocess = Preprocess(channels=1, height=32, width=32)
    write_bundle(folder, corners(changes={}, classes=tuple("0123456789"), preprocess=preprocess), tensors)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WORTH", 0)
        export_onnx(folder, noise(9), "noise")
    return folder


@pytest.fixture
def lenet(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def loaded(folder: Path) -> OnnxEngine:
    engine = load_engine(folder, read_bundle(folder), "onnx", 1)
    assert isinstance(engine, OnnxEngine)
    return engine


@pytest.mark.row("J-01")
def test_it_is_taken_and_gives_the_same_logits_to_the_bit(lenet: Path):
    engine = loaded(lenet)
    assert engine.path == lenet / FOLDER / GRAPH
    np.testing.assert_array_equal(engine(noise(5)), OnnxEngine(lenet / ONNX, 1)(noise(5)))
    assert FOLDER not in "".join(read_bundle(lenet).files)  # no part of the bundle


@pytest.mark.parametrize("what", ["processor", "version", "graph", "record", "escape", "gone", "missing", "digest"])
def test_what_does_not_fit_this_machine_or_graph_is_not_taken(
    lenet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    record = lenet / FOLDER / RECORD
    content = json.loads(record.read_text(encoding="utf-8"))
    if what == "processor":
        monkeypatch.setattr(module, "processor_key", lambda: "another")
    elif what == "version":
        content["onnxruntime"] = "1.0.0"
    elif what == "graph":
        content["graph"] = "0" * 64
    elif what == "escape":  # a stranger's record may name any file
        outside = tmp_path / "outside.onnx"
        shutil.copy(lenet / ONNX, outside)
        content["files"][f"../../{outside.name}"] = sha256(outside)
    elif what == "gone":
        shutil.rmtree(lenet / FOLDER)
    elif what == "missing":
        (lenet / FOLDER / GRAPH).unlink()
    elif what == "digest":
        content["files"][GRAPH] = "short"
    if what != "gone":
        record.write_text("[" if what == "record" else json.dumps(content), encoding="utf-8")
    assert what == "version" or prepared_graph(lenet, read_bundle(lenet)) is None
    assert loaded(lenet).path == lenet / ONNX


@pytest.mark.parametrize("name", [GRAPH, "weights.bin"])
def test_an_altered_one_gives_way_to_the_bundle_s_own(lenet: Path, name: str):
    expected = loaded(lenet)(noise(2))
    file = lenet / FOLDER / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    engine = loaded(lenet)
    assert engine.path == lenet / ONNX
    np.testing.assert_array_equal(engine(noise(2)), expected)


def test_a_small_graph_is_left_as_it_is(lenet: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.rmtree(lenet / FOLDER)
    monkeypatch.undo()
    prepare_graph(lenet, read_bundle(lenet))
    assert not (lenet / FOLDER).exists()


@pytest.mark.parametrize("error", [SaveError, EngineError])  # the latter is what ONNX Runtime's own writing becomes
def test_an_export_does_without_where_there_is_no_room(
    lenet: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
):
    def no_room(folder: Path, bundle: Bundle) -> None:
        raise error("no room")

    monkeypatch.setattr(export_module, "prepare_graph", no_room)
    assert export_onnx(lenet, noise(2), "noise").pictures == 2


def test_a_graph_that_cannot_be_prepared_leaves_nothing(lenet: Path):
    shutil.rmtree(lenet / FOLDER)
    (lenet / ONNX).write_bytes(b"no graph")
    with pytest.raises(EngineError, match="ONNX Runtime cannot load it"):
        prepare_graph(lenet, read_bundle(lenet, verify=False))
    assert not (lenet / FOLDER).exists()


# --- Digests compared meanwhile


def test_an_altered_file_is_the_reason_whatever_fails_first(lenet: Path):
    good, bad = lenet / WEIGHTS, lenet / ONNX
    with verifying({good: sha256(good)}):
        pass
    with pytest.raises(BundleError, match=r"model\.onnx: altered"), verifying({good: sha256(good), bad: "0" * 64}):
        pass
    with pytest.raises(BundleError, match=r"model\.onnx: altered"), verifying({bad: "0" * 64}):
        raise EngineError("cannot load it")
    with pytest.raises(EngineError, match="cannot load it"), verifying({good: sha256(good)}):
        raise EngineError("cannot load it")
    with pytest.raises(BundleError, match="cannot be read"), verifying({lenet / "nowhere": "0" * 64}):
        pass


def test_what_could_not_be_compared_is_not_taken(lenet: Path, monkeypatch: pytest.MonkeyPatch):
    def no_memory(file: Path, digest: str) -> None:
        raise MemoryError

    monkeypatch.setattr(verify, "verify_file", no_memory)
    with pytest.raises(BundleError, match=r"model\.onnx: could not be compared"), verifying({lenet / ONNX: "0" * 64}):
        pass

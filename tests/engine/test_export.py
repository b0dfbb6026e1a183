import importlib.util
import json
import re
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from convatlas.api import export as export_api
from convatlas.api.export import export_bundle
from convatlas.data.preprocess import Preprocess
from convatlas.data.source import open_data, open_pictures
from convatlas.engine import export
from convatlas.engine.bundle import ONNX, Bundle, read_bundle, write_bundle
from convatlas.engine.deploy import load_deployed
from convatlas.engine.export import export_onnx
from convatlas.engine.predict.engines import EngineName
from convatlas.engine.predict.onnx_engine import OnnxEngine
from convatlas.engine.predict.predictor import Predictor
from convatlas.engine.run import RunFolder
from convatlas.errors import CheckpointError, DataError, ExportError, MissingExtra, SaveError, UsageError
from convatlas.files import write_json
from convatlas.models import create_model
from tests.engine.bundles import contents, corners, disk_that_takes

PREPROCESS = Preprocess(channels=1, height=32, width=32)


def write_lenet(folder: Path, name: str = "lenet5_modern", task: str = "classify") -> Path:
    torch.manual_seed(0)
    tensors = {key: tensor.numpy() for key, tensor in create_model(name).state_dict().items()}
    of_digits = {"classes": tuple("0123456789"), "preprocess": PREPROCESS, "provenance": {"data": "digits"}}
    write_bundle(folder, corners(model=name, task=task, changes={}, **of_digits), tensors)
    return folder


@pytest.fixture(scope="module")
def digits() -> NDArray[np.uint8]:
    pictures = open_data("digits").val
    return np.stack([PREPROCESS(pictures.read(i)) for i in range(200)])


@pytest.fixture(params=["lenet5", "lenet5_modern"], scope="module")
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, digits: NDArray[np.uint8]
) -> Path:
    folder = write_lenet(tmp_path_factory.mktemp("exported") / "bundle", request.param)
    export_onnx(folder, digits, "digits val")
    return folder


def test_the_graph_gives_the_networks_logits_for_any_number_of_pictures(
    exported: Path, digits: NDArray[np.uint8]
) -> None:
    engine = OnnxEngine(exported / ONNX)
    _, deployed = load_deployed(exported)
    for number in (1, 2, 7, 200):
        with torch.no_grad():
            expected = deployed(torch.from_numpy(digits[:number])).numpy()
        logits = engine(digits[:number])
        assert logits.shape == (number, 10)
        assert np.abs(logits - expected).max() <= 1e-4 * max(1, np.abs(expected).max())
        assert (logits.argmax(1) == expected.argmax(1)).all()


def test_the_record_says_what_was_compared(exported: Path) -> None:
    bundle = read_bundle(exported)
    assert bundle.exported
    assert bundle.parity is not None
    assert (bundle.parity.pictures, bundle.parity.same_top1, bundle.parity.data) == (200, 200, "digits val")
    assert 0 <= bundle.parity.max_difference <= bundle.parity.tolerance
    assert bundle.parity.tolerance >= 1e-4
    assert bundle.parity.versions.keys() == {"torch", "onnx", "onnxscript", "onnxruntime"}


def test_the_graph_is_valid_onnx_with_the_promised_names(exported: Path) -> None:
    model = onnx.load(exported / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    (pixels,), (logits,) = model.graph.input, model.graph.output
    assert (pixels.name, logits.name) == ("pixels", "logits")
    assert pixels.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    batch, *rest = pixels.type.tensor_type.shape.dim
    assert batch.dim_param  # a name, not a number
    assert [dim.dim_value for dim in rest] == [1, 32, 32]
    assert [opset.version for opset in model.opset_import if not opset.domain] == [18]


def test_export_is_silent(tmp_path: Path, digits: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]) -> None:
    export_onnx(write_lenet(tmp_path / "b"), digits[:1], "one digit")
    assert capfd.readouterr() == ("", "")


def test_weights_beside_the_graph_and_back(
    tmp_path: Path, digits: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a network beyond 2 GB; then exported again as a small one."""
    folder = write_lenet(tmp_path / "b", task="multilabel")
    monkeypatch.setattr(export, "INLINE_LIMIT", 0)
    export_onnx(folder, digits[:5], "digits")
    assert set(read_bundle(folder).files) == {"model.safetensors", "model.onnx", "model.onnx.data"}
    assert (folder / "model.onnx.data").stat().st_size > 100_000
    assert OnnxEngine(folder / ONNX)(digits[:3]).shape == (3, 10)

    monkeypatch.undo()
    export_onnx(folder, digits[:5], "digits")
    assert set(read_bundle(folder).files) == {"model.safetensors", "model.onnx"}
    assert sorted(path.name for path in folder.iterdir()) == ["bundle.json", "model.onnx", "model.safetensors"]


class Shifted(OnnxEngine):
    """An exporter's mistake."""

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return super().__call__(pixels) + np.float32(0.5)


class Swapped(OnnxEngine):
    """A mistake too small for the tolerance: of two equal logits, the other is a little larger."""

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = super().__call__(pixels)
        logits[:, 9] += np.float32(1e-5)
        return logits


class OneByOne(OnnxEngine):
    """A mistake that shows only for a single picture."""

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return super().__call__(pixels) + np.float32(len(pixels) == 1)


def equal_logits(folder: Path) -> Path:
    """A network whose logits are all zero."""
    bundle = corners(model="lenet5_modern", changes={}, classes=tuple("0123456789"), preprocess=PREPROCESS)
    state = create_model("lenet5_modern").state_dict()
    write_bundle(folder, bundle, {key: np.zeros(tensor.shape, np.float32) for key, tensor in state.items()})
    return folder


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (Shifted, "largest difference of logits 0.5 (allowed 0.0001), same answer on 4 of 4 pictures"),
        (Swapped, "largest difference of logits 1e-05 (allowed 0.0001), same answer on 0 of 4 pictures"),
        (OneByOne, "largest difference of logits 1 (allowed 0.0001), same answer on 4 of 4 pictures"),
    ],
)
def test_a_graph_that_disagrees_is_not_kept(
    tmp_path: Path,
    digits: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    engine: type[OnnxEngine],
    message: str,
) -> None:
    folder = equal_logits(tmp_path / "b")
    before = contents(folder)
    monkeypatch.setattr(export, "OnnxEngine", engine)
    with pytest.raises(ExportError, match=re.escape(message)):
        export_onnx(folder, digits[:4], "digits")
    assert contents(folder) == before


def test_a_full_disk_leaves_the_bundle_as_it_was(tmp_path: Path, digits: NDArray[np.uint8]) -> None:
    folder = write_lenet(tmp_path / "b")
    before = contents(folder)
    with disk_that_takes(50_000), pytest.raises(SaveError, match=r"model\.onnx: could not be written"):
        export_onnx(folder, digits[:2], "digits")
    assert contents(folder) == before


@pytest.mark.parametrize(
    "pictures",
    [
        np.zeros((0, 1, 32, 32), np.uint8),
        np.zeros((1, 32, 32), np.uint8),
        np.zeros((2, 3, 32, 32), np.uint8),
        np.zeros((2, 1, 32, 32), np.float32),
    ],
    ids=["none", "axes", "channels", "float"],
)
def test_pictures_must_be_preprocessed(tmp_path: Path, pictures: NDArray[np.uint8]) -> None:
    folder = write_lenet(tmp_path / "b")
    with pytest.raises(UsageError, match=r"pictures: expected uint8 \(N, 1, 32, 32\), got"):
        export_onnx(folder, pictures, "digits")


def test_missing_packages_name_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without_onnxscript(name: str) -> ModuleSpec | None:
        return None if name == "onnxscript" else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_onnxscript)
    with pytest.raises(MissingExtra, match=r"convatlas\[export\]"):
        export_bundle(write_lenet(tmp_path / "b"))


# --- Which pictures are compared


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[NDArray[np.uint8], str]]:
    """What `export_bundle` hands to `export_onnx`."""
    seen: list[tuple[NDArray[np.uint8], str]] = []
    monkeypatch.setattr(
        export_api, "export_onnx", lambda _path, pictures, data, *, any_size: seen.append((pictures, data))
    )
    return seen


def test_the_test_digits_are_taken_for_a_network_of_digits(
    tmp_path: Path, compared: list[tuple[NDArray[np.uint8], str]]
) -> None:
    export_bundle(write_lenet(tmp_path / "b"), pictures=7)
    ((pictures, data),) = compared
    assert data == "digits test"
    assert pictures.shape == (7, 1, 32, 32)
    test = open_data("digits").test
    assert test is not None
    np.testing.assert_array_equal(pictures[0], PREPROCESS(test.read(0)))
    np.testing.assert_array_equal(pictures[-1], PREPROCESS(test.read(len(test) - 1)))


def test_pictures_of_another_source_unreadable_ones_left_out(
    tmp_path: Path, compared: list[tuple[NDArray[np.uint8], str]]
) -> None:
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for i in range(20):
            Image.new("RGB", (40, 50), (i, i, i)).save(tmp_path / "photos" / label / f"{i}.png")
    folder = write_lenet(tmp_path / "b")
    export_bundle(folder, data=tmp_path / "photos")
    ((readable, data),) = compared
    assert data == "photos test"
    for path in (tmp_path / "photos" / "cat").iterdir():
        path.write_bytes(b"no picture: " + path.name.encode())
    export_bundle(folder, data=tmp_path / "photos")
    assert len(compared[1][0]) == len(readable) // 2
    for path in (tmp_path / "photos" / "dog").iterdir():
        path.write_bytes(b"no picture: " + path.name.encode())
    with pytest.raises(DataError, match="none of the pictures tried can be read"):
        export_bundle(folder, data=tmp_path / "photos")


def test_a_bundle_alone_asks_for_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its data's name is no path: a folder that happens to be called so may hold anything."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corners" / "cat").mkdir(parents=True)
    write_bundle(tmp_path / "b", corners(provenance={"data": "corners"}), {})
    with pytest.raises(UsageError, match="b: a bundle without its run does not know its pictures; name some with --d"):
        export_bundle(tmp_path / "b")
    write_bundle(tmp_path / "c", corners(provenance={}), {})
    with pytest.raises(UsageError, match="does not know its pictures"):
        export_bundle(tmp_path / "c")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("gone", "gone: there is no such file or folder. Name pictures to compare on with --data"),
        ("digit", 'there is no such file or folder. Did you mean "digits"? Name pictures to compare on with --data'),
    ],
)
def test_data_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_bundle(tmp_path / "b", corners(), {})
    with pytest.raises(DataError, match=re.escape(message) + "$"):
        export_bundle(tmp_path / "b", data=data)


def a_run_on(run: RunFolder, data: str, split: dict[str, list[str]]) -> None:
    write_lenet(run.bundle)
    run.write(plan={"model": "lenet5_modern", "data": data}, state="finished", versions={}, started="")
    write_json(run.split, dict(split))


def test_a_run_is_compared_on_the_split_that_it_recorded(
    tmp_path: Path, compared: list[tuple[NDArray[np.uint8], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever seed and parts it was made with; here no split by seed would give this one."""
    pictures = open_pictures("digits")
    recorded = {"train": ["digits[0]", "digits[4999]"], "val": ["digits[7]"], "test": ["digits[30]", "digits[2000]"]}
    run = RunFolder(tmp_path / "run")
    a_run_on(run, "digits", recorded)
    expected = np.stack([PREPROCESS(pictures.read(i)) for i in (30, 2000)])
    monkeypatch.chdir(run.bundle)
    for path in (run.path, run.bundle, Path(), "../bundle", str(run.path)):
        export_bundle(path)
        found, data = compared.pop()
        assert data == "digits test"
        np.testing.assert_array_equal(found, expected)
    a_run_on(run, "digits", {"train": ["digits[0]"], "val": ["digits[7]"]})
    export_bundle(run.path)
    assert compared[0][1] == "digits val"
    np.testing.assert_array_equal(compared[0][0], PREPROCESS(pictures.read(7))[None])


def test_the_pictures_of_a_run_that_are_gone_can_be_named_anew(
    tmp_path: Path, compared: list[tuple[NDArray[np.uint8], str]]
) -> None:
    run = RunFolder(tmp_path / "run")
    a_run_on(run, str(tmp_path / "photos"), {"train": ["a/1.png"], "val": ["b/1.png"]})
    with pytest.raises(DataError, match=r"photos: there is no such file or folder\. Name pictures to compare on"):
        export_bundle(run.path)
    export_bundle(run.path, data="digits", pictures=3)
    assert compared[0][1] == "digits test"
    run.split.unlink()
    with pytest.raises(CheckpointError, match=r"split\.json: the record of the split cannot be read"):
        export_bundle(run.path)


def test_a_folder_named_digits_is_reached_as_a_path(
    tmp_path: Path, compared: list[tuple[NDArray[np.uint8], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for label in ("cat", "dog"):
        (tmp_path / "digits" / label).mkdir(parents=True)
        Image.new("L", (32, 32), 200).save(tmp_path / "digits" / label / "1.png")
    folder = write_lenet(tmp_path / "b")
    export_bundle(folder, data=Path("digits"))
    assert len(compared.pop()[0]) == 2
    export_bundle(folder, data="digits", pictures=3)
    assert len(compared.pop()[0]) == 3


# --- Pictures of any size


@pytest.mark.row("J-01")
def test_a_graph_for_pictures_of_any_size(tmp_path: Path) -> None:
    folder = write_resnet20(tmp_path / "b")
    parity = export_onnx(folder, coloured(9), "noise", any_size=True)
    assert parity.any_size
    assert read_bundle(folder).parity == parity
    described = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    assert described["input"]["shape"] == ["N", 3, "height", "width"]
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["N", 3, "height", "width"]
    _, deployed = load_deployed(folder)
    for height, width in ((32, 32), (33, 47), (64, 20)):
        pixels = np.random.default_rng(height).integers(0, 256, (3, 3, height, width), dtype=np.uint8)
        with torch.inference_mode():
            expected = deployed(torch.from_numpy(pixels)).numpy()
        np.testing.assert_allclose(session.run(None, {"pixels": pixels})[0], expected, rtol=0, atol=1e-4)


@pytest.mark.row("J-01")
@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_an_engine_takes_it_as_one_of_its_size(tmp_path: Path, engine: EngineName) -> None:
    folder = write_resnet20(tmp_path / "b")
    export_onnx(folder, coloured(2), "noise", any_size=True)
    _, deployed = load_deployed(folder)
    with torch.inference_mode():
        expected = deployed(torch.from_numpy(coloured(5))).numpy()
    answers = Predictor(folder, engine=engine).engine
    np.testing.assert_allclose(answers(coloured(5)), expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(answers(coloured(1)), expected[:1], rtol=0, atol=1e-4)


@pytest.mark.row("J-01")
def test_a_network_of_one_size_is_refused_and_the_bundle_stays(tmp_path: Path) -> None:
    folder = write_lenet(tmp_path / "b")
    before = contents(folder)
    with pytest.raises(ExportError, match="lenet5_modern works on 32x32 images only, got 42x38; export it without"):
        export_onnx(folder, np.zeros((2, 1, 32, 32), np.uint8), "black", any_size=True)
    assert contents(folder) == before


def coloured(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def write_resnet20(folder: Path) -> Path:
    """Random weights: a network that averages over whatever size it is given."""
    torch.manual_seed(0)
    network = create_model("resnet20_cifar")
    bundle = Bundle(
        task="classify",
        model="resnet20_cifar",
        changes={},
        classes=tuple("0123456789"),
        preprocess=Preprocess(channels=3, height=32, width=32),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
    )
    write_bundle(folder, bundle, {name: tensor.numpy() for name, tensor in network.state_dict().items()})
    return folder

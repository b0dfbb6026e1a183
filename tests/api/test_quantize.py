"""A graph in int8: what its record says, against an independent count, and when it is refused."""

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
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.metrics import average_precision_score

from convatlas.api import quantize as module
from convatlas.api.quantize import quantize
from convatlas.engine import int8, processor
from convatlas.engine.bundle import ONNX, ONNX_INT8, read_bundle, update_bundle, write_bundle
from convatlas.engine.held_out import two_parts
from convatlas.engine.int8 import Int8Graph, lost_mean, write_int8
from convatlas.engine.predict import engines
from convatlas.engine.predict.engines import usual
from convatlas.engine.predict.fastest import TRIED
from convatlas.engine.predict.predictor import Predictor
from convatlas.engine.processor import saturates
from convatlas.errors import BundleError, DataError, ExportError, SaveError, UsageError
from tests.engine.bundles import CORNERS, PARITY, contents, corners, disk_that_takes, write_corners

pytestmark = pytest.mark.row("J-02")

CLASSES = ("a", "b", "c")  # in the order of their folders


def write_picture(path: Path, random: np.random.Generator, bright: int | None = None) -> None:
    """Noise of 2 x 2; bright: the corner, if any, that shall be the brightest of those that have a class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = random.integers(0, 256, 4, dtype=np.uint8)
    if bright is not None:
        brightest = int(pixels[:3].argmax())
        pixels[[bright, brightest]] = pixels[[brightest, bright]]
    Image.fromarray(pixels.reshape(2, 2)).save(path)


def labelled(folder: Path, *, train: int = 20, test: int = 40) -> Path:
    """Noise in the classes of the corners; four of five have that corner brightest, the fifth is right by chance."""
    random = np.random.default_rng(0)
    for part, count in (("train", train), ("test", test)):
        for place, label in enumerate(CLASSES):
            for number in range(count):
                bright = None if number % 5 == 0 else place
                write_picture(folder / part / label / f"{number}.png", random, bright)
    return folder


def unlabelled(folder: Path, count: int = 80) -> Path:
    random = np.random.default_rng(0)
    for number in range(count):
        write_picture(folder / f"{number}.png", random)
    return folder


def run(graph: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"pixels": pixels})[0])


def write_far_apart(folder: Path) -> Path:
    """The corners by way of a tensor with one value 10,000 times the others: in 8 bits these vanish beside it."""
    if not folder.exists():
        write_corners(folder)
    there = np.diag([1, 1, 1, 1e4]).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["floats"], ["flat"]),
            helper.make_node("MatMul", ["flat", "there"], ["far"]),
            helper.make_node("MatMul", ["far", "back"], ["logits"]),
        ],
        "far apart",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 1, 2, 2])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(there, "there"), numpy_helper.from_array(CORNERS, "back")],
    )
    file = folder.with_name("far.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), file)
    update_bundle(folder, dataclasses.replace(read_bundle(folder), parity=PARITY), {ONNX: file})
    return folder


def test_the_record_is_what_an_independent_count_finds(tmp_path: Path) -> None:
    folder, data = write_corners(tmp_path / "b", classes=CLASSES), labelled(tmp_path / "data")
    record = quantize(folder, data=data, runtime="onnxruntime", most_loss=100)
    files = sorted(data.glob("test/*/*.png"))
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])[:, None]
    truths = np.array([CLASSES.index(file.parent.name) for file in files])
    float32 = (pixels.reshape(-1, 4) @ CORNERS).argmax(axis=1)
    answers = run(folder / ONNX_INT8, pixels).argmax(axis=1)
    assert record.score_name == "top-1 accuracy"
    assert record.float32 == pytest.approx((float32 == truths).mean())
    assert record.int8 == pytest.approx((answers == truths).mean())
    assert record.loss == pytest.approx(100 * (record.float32 - record.int8))
    assert record.same_answer == (answers == float32).sum()
    apart = np.abs(run(folder / ONNX_INT8, pixels) - pixels.reshape(-1, 4) @ CORNERS).max()
    assert record.max_difference == pytest.approx(apart, rel=1e-4)
    assert record.weight_bits == (7 if saturates() else 8)
    assert (record.pictures, record.data) == (120, "data test")
    assert (record.calibration_pictures, record.calibration_data) == (60, "data train")
    assert record.float32_bytes == (folder / ONNX).stat().st_size
    assert record.int8_bytes == (folder / ONNX_INT8).stat().st_size
    bundle = read_bundle(folder)
    assert bundle.quantised == record
    assert bundle.in_int8
    assert bundle.exported
    assert bundle.parity == PARITY


def test_weights_and_activations_are_whole_numbers_of_8_bits(tmp_path: Path) -> None:
    folder = write_corners(tmp_path / "b")
    quantize(folder, data=unlabelled(tmp_path / "photos"), runtime="onnxruntime", most_loss=100)
    graph = onnx.load(folder / ONNX_INT8).graph
    types = {constant.data_type for constant in graph.initializer if len(constant.dims) == 2}
    assert types == {TensorProto.INT8}
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in graph.node}


def test_pictures_without_the_classes_are_measured_by_agreement(tmp_path: Path) -> None:
    folder, photos = write_corners(tmp_path / "b"), unlabelled(tmp_path / "photos", 90)
    record = quantize(folder, data=photos, runtime="onnxruntime", most_loss=100)
    parts = two_parts(folder, read_bundle(folder), photos, seed=0)
    pixels = np.stack([parts.judged.read(place).transpose(2, 0, 1) for place in range(45)])
    same = run(folder / ONNX, pixels).argmax(axis=1) == run(folder / ONNX_INT8, pixels).argmax(axis=1)
    assert record.score_name == "same answer as in float32"
    assert (record.float32, record.int8) == (1, pytest.approx(same.mean()))
    assert (record.data, record.calibration_data) == ("the other half of photos", "half of photos")


def test_no_picture_is_calibrated_on_and_measured_on(tmp_path: Path) -> None:
    folder, photos = write_corners(tmp_path / "b"), unlabelled(tmp_path / "photos", 81)
    bundle = read_bundle(folder)
    parts = [two_parts(folder, bundle, photos, seed=seed) for seed in (0, 0, 1)]
    for part in parts:
        assert not set(part.calibration.names) & set(part.judged.names)
        assert len(part.calibration) + len(part.judged) == 81
    assert parts[0].judged.names == parts[1].judged.names
    assert parts[0].judged.names != parts[2].judged.names


def test_several_labels_a_picture_are_measured_by_average_precision(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    rows = ["path,labels,split"]
    truths = random.integers(0, 2, (160, 3))
    for number, row in enumerate(truths):
        write_picture(tmp_path / "data" / f"{number}.png", random)
        if number % 3:  # the others stay noise, so that not all is right
            pixels = np.array([*(200 * row + random.integers(0, 56, 3)), 0], np.uint8).reshape(2, 2)
            Image.fromarray(pixels).save(tmp_path / "data" / f"{number}.png")
        names = ";".join(label for label, given in zip(CLASSES, row, strict=True) if given)
        rows.append(f"{number}.png,{names},{'train' if number < 40 else 'test'}")
    manifest = tmp_path / "data" / "list.csv"
    manifest.write_text("\n".join(rows) + "\n", encoding="utf-8")
    folder = write_corners(tmp_path / "b", task="multilabel", classes=CLASSES)
    record = quantize(folder, data=manifest, runtime="onnxruntime", most_loss=100)
    pixels = np.stack([np.asarray(Image.open(tmp_path / "data" / f"{number}.png")) for number in range(40, 160)])
    for graph, found in ((ONNX, record.float32), (ONNX_INT8, record.int8)):
        logits = run(folder / graph, pixels[:, None]).astype(np.float64)
        assert found == pytest.approx(average_precision_score(truths[40:], 1 / (1 + np.exp(-logits))))
    assert record.score_name == "mean average precision"


def test_a_graph_that_loses_too_much_is_refused_with_the_figures(tmp_path: Path) -> None:
    folder, photos = write_far_apart(tmp_path / "b"), unlabelled(tmp_path / "photos")
    before = contents(folder)
    found = r"same answer as in float32 [\d.]+% on onnxruntime where float32 has 100\.00%, on 40 pictures"
    with pytest.raises(ExportError, match=rf"the int8 graph was not kept: {found}") as refused:
        quantize(folder, data=photos)
    assert re.search(r"([\d.]+) points lost, 1 allowed", str(refused.value))
    assert contents(folder) == before
    lost = re.search(r"([\d.]+) points lost", str(refused.value))
    assert lost is not None
    record = quantize(folder, data=photos, most_loss=float(lost[1]) + 0.01)
    assert record.loss == pytest.approx(float(lost[1]), abs=0.005)


def test_a_full_disk_leaves_the_bundle_as_it_was(tmp_path: Path) -> None:
    folder, photos = write_corners(tmp_path / "b"), unlabelled(tmp_path / "photos")
    before = contents(folder)
    with disk_that_takes(700), pytest.raises(SaveError):
        quantize(folder, data=photos, runtime="onnxruntime", most_loss=100)
    assert contents(folder) == before


@pytest.mark.parametrize(("train", "test", "message"), [(10, 40, "30 .* calibrate on"), (40, 10, "30 .* measure on")])
def test_too_few_pictures_are_counted(tmp_path: Path, train: int, test: int, message: str) -> None:
    folder, data = write_corners(tmp_path / "b"), labelled(tmp_path / "data", train=train, test=test)
    before = contents(folder)
    with pytest.raises(UsageError, match=rf"data: {message}.*at least 32 are needed; name more pictures with --data"):
        quantize(folder, data=data)
    assert contents(folder) == before


def test_unreadable_pictures_are_left_out_and_counted(tmp_path: Path) -> None:
    folder, data = write_corners(tmp_path / "b"), labelled(tmp_path / "data")
    for file in (*sorted(data.glob("train/*/*.png"))[:5], *sorted(data.glob("test/*/*.png"))[:7]):
        file.write_bytes(b"no picture")
    record = quantize(folder, data=data, runtime="onnxruntime", most_loss=100)
    assert (record.calibration_pictures, record.pictures, record.unreadable) == (55, 113, 12)
    for file in data.glob("test/*/*.png"):
        file.write_bytes(b"no picture")
    with pytest.raises(UsageError, match="data: 0 readable pictures to measure on"):
        quantize(folder, data=data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"most_loss": -0.1}, "most_loss: expected points from 0 to 100, got -0.1"),
        ({"most_loss": float("nan")}, "most_loss: expected points"),
        ({"calibration": 31}, "calibration: expected a whole number of at least 32, got 31"),
        ({"pictures": 0}, "pictures: expected a whole number of at least 32, got 0"),
        ({"threads": 0}, "threads: expected a whole number of at least 1, got 0"),
    ],
)
def test_wrong_options_are_named(tmp_path: Path, options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        quantize(write_corners(tmp_path / "b"), **options)  # type: ignore[arg-type]


def test_what_must_come_first_is_said(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", corners(), {"weight": CORNERS})
    with pytest.raises(UsageError, match=r"b: is not exported to ONNX; first run: convatlas export .*b$"):
        quantize(tmp_path / "b")
    folder = write_corners(tmp_path / "c")
    with pytest.raises(UsageError, match=r"c: has no int8 graph; first run: convatlas quantize .*c$"):
        Predictor(folder, engine="int8")
    with pytest.raises(UsageError, match="does not know its pictures; name some with --data"):
        quantize(folder)
    with pytest.raises(DataError, match="gone: there is no such file or folder"):
        quantize(folder, data=tmp_path / "gone")


def test_the_int8_engine_answers_only_where_it_is_named(tmp_path: Path) -> None:
    folder, photos = write_corners(tmp_path / "b"), unlabelled(tmp_path / "photos")
    quantize(folder, data=photos, runtime="onnxruntime", most_loss=100)
    predictor = Predictor(folder, engine="int8")
    assert predictor.engine.name == "int8"
    picture = np.array([[10, 250], [20, 30]], np.uint8)
    np.testing.assert_array_equal(predictor.engine(picture[None, None]), run(folder / ONNX_INT8, picture[None, None]))
    assert predictor(picture)[0].top.label == "top right"  # type: ignore[union-attr]
    assert Predictor(folder).engine.name == usual(read_bundle(folder)) == "onnx"
    assert "int8" not in TRIED


def test_an_altered_int8_graph_is_noticed(tmp_path: Path) -> None:
    folder, photos = write_corners(tmp_path / "b"), unlabelled(tmp_path / "photos")
    quantize(folder, data=photos, runtime="onnxruntime", most_loss=100)
    (folder / ONNX_INT8).write_bytes((folder / ONNX_INT8).read_bytes() + b"\0")
    with pytest.raises(BundleError, match=r"model\.int8\.onnx: altered"):
        Predictor(folder, engine="int8")
    with pytest.raises(BundleError, match=r"model\.int8\.onnx: altered"):
        read_bundle(folder)


def test_a_description_without_the_field_is_read_and_a_wrong_one_named(tmp_path: Path) -> None:
    folder = write_corners(tmp_path / "b")
    described = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    del described["quantised"]
    (folder / "bundle.json").write_text(json.dumps(described), encoding="utf-8")
    assert read_bundle(folder).quantised is None
    (folder / "bundle.json").write_text(json.dumps({**described, "quantised": {"loss": "0"}}), encoding="utf-8")
    with pytest.raises(BundleError, match=r'"quantised\.\w+" is missing'):
        read_bundle(folder)


def test_quantising_imports_no_torch(tmp_path: Path) -> None:
    folder, photos = write_corners(tmp_path / "b"), unlabelled(tmp_path / "photos")
    code = (
        "import sys; from convatlas import quantize; "
        f"quantize({str(folder)!r}, data={str(photos)!r}, most_loss=100); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"  # and ONNX Runtime's own words stay away


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_what_rounding_takes_from_the_mean(groups: int) -> None:
    """Of pictures that are constant a channel, which a convolution without padding passes on exactly."""
    random = np.random.default_rng(groups)
    weight = random.normal(size=(8, 4 // groups, 3, 3)) * np.logspace(-2, 2, 8)[:, None, None, None]
    mean = random.normal(size=4)
    expected = []
    for k, channel in enumerate(weight):
        scale = np.abs(channel).max() / 127
        group = k // (8 // groups)
        taken = mean[group * len(channel) : (group + 1) * len(channel)]
        expected.append(((channel - np.round(channel / scale) * scale) * taken[:, None, None]).sum())
    np.testing.assert_allclose(lost_mean(weight, mean, steps=127), expected, rtol=1e-9)
    assert not lost_mean(np.zeros_like(weight), mean, steps=127).any()


def edges(tmp_path: Path) -> tuple[Path, NDArray[np.uint8]]:
    """A convolution whose weights cancel out, on bright pictures: rounding them moves its mean."""
    random = np.random.default_rng(5)
    weight = random.normal(size=(3, 1, 7, 7)).astype(np.float32)
    weight -= weight.mean(axis=(1, 2, 3), keepdims=True)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["floats", "weight"], ["edges"]),
        helper.make_node("Flatten", ["edges"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "edges",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 1, 7, 7])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), tmp_path / "edges.onnx"
    )
    return tmp_path / "edges.onnx", random.integers(230, 256, (64, 1, 7, 7), dtype=np.uint8)


def test_corrected_biases_bring_the_mean_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, pictures = edges(tmp_path)

    def shift(name: str) -> float:
        (tmp_path / name).mkdir()
        made = write_int8(graph, pictures, tmp_path / name, lambda _: None)
        return float(np.abs((run(made.graph, pictures) - run(graph, pictures)).mean(axis=0)).max())

    corrected = shift("corrected")
    monkeypatch.setattr(int8, "lost_mean", lambda weight, _mean, *, steps: np.zeros(len(weight) + 0 * steps))
    assert corrected < shift("plain") / 3


@pytest.mark.parametrize(
    ("machine", "vnni", "narrow"),
    [("x86_64", True, False), ("x86_64", False, True), ("AMD64", None, True), ("aarch64", None, False)],
)
def test_weights_have_7_bits_where_sums_would_saturate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, vnni: bool | None, narrow: bool
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(processor, "has_vnni", lambda: vnni)
    assert saturates() == narrow
    graph, pictures = edges(tmp_path)
    (tmp_path / "work").mkdir()
    made = write_int8(graph, pictures, tmp_path / "work", lambda _: None)
    constants = onnx.load(made.graph).graph.initializer
    (weight,) = (numpy_helper.to_array(constant) for constant in constants if len(constant.dims) == 4)
    assert np.abs(weight.astype(int)).max() == (64 if narrow else 127)
    assert ("7 bits" in made.method) == narrow


def test_a_graph_that_the_quantiser_does_not_take(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(ExportError, match="ONNX Runtime's quantiser does not take this graph: "):
        write_int8(tmp_path / "broken.onnx", np.zeros((32, 1, 2, 2), np.uint8), tmp_path, lambda _: None)


def test_labels_that_float32_only_guesses_do_not_judge(tmp_path: Path) -> None:
    """A third is right by chance, whatever a graph answers: any would lose nothing."""
    folder, data = write_far_apart(write_corners(tmp_path / "b", classes=CLASSES)), tmp_path / "data"
    random = np.random.default_rng(0)
    for part in ("train", "test"):
        for label in CLASSES:
            for number in range(40):
                write_picture(data / part / label / f"{number}.png", random)
    said: list[str] = []
    with pytest.raises(ExportError, match="same answer as in float32"):
        quantize(folder, data=data, say=said.append)
    assert any("no better than guessing (33.3%)" in words for words in said)


def test_other_classes_do_not_judge_and_that_is_said(tmp_path: Path) -> None:
    folder, data = write_corners(tmp_path / "b"), labelled(tmp_path / "data")
    said: list[str] = []
    record = quantize(folder, data=data, most_loss=100, say=said.append)
    assert record.score_name == "same answer as in float32"
    assert any("the classes of" in words and "are not the bundle's" in words for words in said)


def test_what_is_wrong_with_labelled_data_is_said(tmp_path: Path) -> None:
    folder, data = write_corners(tmp_path / "b", classes=CLASSES), labelled(tmp_path / "data")
    shutil.rmtree(data / "test" / "c")
    with pytest.raises(DataError, match=r'no folder for "?c'):
        quantize(folder, data=data, most_loss=100)


def test_a_graph_exported_meanwhile_is_not_given_another_s_int8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, photos = write_corners(tmp_path / "b"), unlabelled(tmp_path / "photos")

    def meanwhile(graph: Path, pictures: NDArray[np.uint8], place: Path, say: Callable[[str], None]) -> Int8Graph:
        made = write_int8(graph, pictures, place, say)
        write_far_apart(folder)
        return made

    monkeypatch.setattr(module, "write_int8", meanwhile)
    with pytest.raises(ExportError, match=r"model\.onnx: was exported anew meanwhile"):
        quantize(folder, data=photos, most_loss=100)
    assert not read_bundle(folder).in_int8


@pytest.mark.parametrize(("bits", "vnni", "says"), [(8, False, True), (8, True, False), (7, False, False)])
def test_8_bits_on_a_processor_without_vnni_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int, vnni: bool, says: bool
) -> None:
    folder, photos = write_corners(tmp_path / "b"), unlabelled(tmp_path / "photos")
    record = quantize(folder, data=photos, runtime="onnxruntime", most_loss=100)
    update_bundle(
        folder, dataclasses.replace(read_bundle(folder), quantised=dataclasses.replace(record, weight_bits=bits)), {}
    )
    monkeypatch.setattr(engines, "saturates", lambda: not vnni)
    said: list[str] = []
    Predictor(folder, engine="int8", say=said.append)
    assert bool(said) == says
    assert all("was made for a processor with VNNI" in words for words in said)

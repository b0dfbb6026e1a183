import importlib.util
import io
import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import read_bundle, update_bundle, write_bundle
from convatlas.engine.predict.inputs import Source
from convatlas.engine.predict.predictor import Picture, Predictor
from convatlas.errors import BundleError, MissingExtra, PictureError, UsageError
from convatlas.models import create_model
from convatlas.types import Classification, Failure
from tests.engine.bundles import PARITY, corners, write_corners

TOP_LEFT = np.array([[255, 0], [0, 0]], np.uint8)
BOTTOM_LEFT = np.array([[0, 0], [255, 0]], np.uint8)
SURE = math.exp(4) / (math.exp(4) + 2)  # softmax of (4, 0, 0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corners(tmp_path_factory.mktemp("corners") / "bundle")


@pytest.fixture(scope="module")
def predictor(bundle: Path) -> Predictor:
    return Predictor(bundle)


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def labels(answers: list[Classification | Failure]) -> list[str]:
    return [
        one.top.label if isinstance(one, Classification) and one.top else f"failed: {one.source}" for one in answers
    ]


def test_a_picture_gets_the_answer_computed_by_hand(predictor: Predictor) -> None:
    (one,) = predictor(TOP_LEFT)
    assert isinstance(one, Classification)
    assert one.top is not None
    assert (one.top.label, one.top.index) == ("top left", 0)
    assert one.top.probability == pytest.approx(SURE, rel=1e-5)
    assert predictor.classes == ("top left", "top right", "bottom left")
    np.testing.assert_allclose(
        predictor.probabilities([TOP_LEFT, BOTTOM_LEFT]),
        [[SURE, (1 - SURE) / 2, (1 - SURE) / 2], [(1 - SURE) / 2, (1 - SURE) / 2, SURE]],
        rtol=1e-5,
    )


def test_every_kind_of_picture(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "图.png"
    path.write_bytes(png(TOP_LEFT))
    colour = np.repeat(TOP_LEFT[:, :, None], 3, axis=2)
    kinds: list[Picture] = [
        path,
        str(path),
        png(TOP_LEFT),
        TOP_LEFT,
        TOP_LEFT[:, :, None],
        colour,
        Image.fromarray(TOP_LEFT),
        Image.fromarray(colour).convert("CMYK"),
        Image.fromarray(TOP_LEFT).convert("P"),
        Image.fromarray(colour).convert("RGBA"),
        Source("-", png(TOP_LEFT)),
        Source("named", path),
    ]
    answers = predictor(kinds)
    assert labels(answers) == ["top left"] * len(kinds)
    assert [one.source for one in answers] == [
        str(path), str(path), *(f"pictures[{i}]" for i in range(2, 10)), "-", "named"
    ]  # fmt: skip
    for kind in kinds:
        assert labels(predictor(kind)) == ["top left"]


def test_a_turned_pillow_image_is_set_upright_and_left_as_it_is(predictor: Predictor) -> None:
    image = Image.fromarray(TOP_LEFT)
    image.getexif()[0x0112] = 8  # to be turned by 90 degrees to the left: the top left corner goes to the bottom
    assert labels(predictor(image)) == ["bottom left"]
    assert (np.asarray(image) == TOP_LEFT).all()


@pytest.mark.row("J-01")
def test_one_lazily_opened_pillow_image_many_times(bundle: Path) -> None:
    image = Image.open(io.BytesIO(png(TOP_LEFT)))
    loading: list[int] = []
    load = image.load

    def recorded() -> object:
        loading.append(threading.get_ident())
        return load()

    image.load = recorded  # type: ignore[method-assign]  # of this one
    assert labels(Predictor(bundle, workers=4, batch_size=1)([image] * 20)) == ["top left"] * 20
    assert set(loading) == {threading.get_ident()}  # no two threads can load it at once


@pytest.mark.row("J-01")
@pytest.mark.parametrize("workers", [1, 3])
def test_the_frames_of_one_pillow_image_are_pictures_of_their_own(bundle: Path, workers: int) -> None:
    file = io.BytesIO()
    corners = [Image.fromarray(TOP_LEFT), Image.fromarray(BOTTOM_LEFT)] * 5
    corners[0].save(file, "TIFF", save_all=True, append_images=corners[1:])
    frames = ImageSequence.Iterator(Image.open(file))  # the same image again and again
    assert labels(Predictor(bundle, workers=workers)(frames)) == ["top left", "bottom left"] * 5


@pytest.mark.row("J-01")
@pytest.mark.parametrize("workers", [1, 3])
def test_a_damaged_pillow_image_fails_alone(bundle: Path, workers: int) -> None:
    noise = png(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))
    pictures: list[Picture] = [TOP_LEFT, Image.open(io.BytesIO(noise[:2000])), BOTTOM_LEFT]
    answers = Predictor(bundle, workers=workers, batch_size=1)(pictures)
    assert labels(answers) == ["top left", "failed: pictures[1]", "bottom left"]
    assert isinstance(answers[1], Failure)
    assert answers[1].reason.startswith("this Pillow image cannot be used")


def test_an_array_of_pictures_is_many(predictor: Predictor) -> None:
    assert labels(predictor(np.stack([TOP_LEFT, BOTTOM_LEFT])[..., None])) == ["top left", "bottom left"]
    assert predictor([]) == []
    assert predictor.probabilities([]).shape == (0, 3)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
def test_unreadable_pictures_fail_alone_and_in_their_place(bundle: Path, tmp_path: Path, batch_size: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)  # more than 4000 bytes as a PNG
    pictures: list[Picture] = [
        b"no picture",
        TOP_LEFT,
        tmp_path / "gone.png",
        tmp_path,
        BOTTOM_LEFT,
        b"",
        png(noise)[:2000],
        TOP_LEFT.astype(np.float32),  # what a user may well try
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((0, 2), np.uint8),
    ]
    answers = Predictor(bundle, batch_size=batch_size)(pictures)
    assert [isinstance(one, Failure) for one in answers] == [True, False, True, True, False, *[True] * 5]
    reasons = [one.reason for one in answers if isinstance(one, Failure)]
    for reason, expected in zip(
        reasons,
        ("not a picture", "no such file", "folder", "empty", "truncated", "expected uint8", "2 x 2 x 4", "0 x 2"),
        strict=True,
    ):
        assert expected in reason
        assert not reason.startswith("pictures[")  # the source says it already


def test_probabilities_stop_at_an_unreadable_picture(predictor: Predictor) -> None:
    with pytest.raises(PictureError, match=r"pictures\[1\]"):
        predictor.probabilities([TOP_LEFT, b""])


def test_what_is_no_picture_at_all_is_wrong_use(predictor: Predictor) -> None:
    with pytest.raises(UsageError, match=r"pictures\[0\]: expected a path, bytes, .* got int"):
        predictor([3])  # type: ignore[list-item]  # on purpose


def test_many_pictures_are_read_no_further_ahead_than_a_batch(bundle: Path) -> None:
    taken = 0

    def endless() -> Iterator[Picture]:
        nonlocal taken
        while True:
            taken += 1
            yield TOP_LEFT

    answers = Predictor(bundle, batch_size=4, workers=1).iterate(endless())
    assert taken == 0
    for _ in range(5):
        next(answers)
    assert taken == 8


@pytest.mark.parametrize("options", [{"top": 0}, {"threshold": 2}])
def test_wrong_options_are_told_before_a_picture_is_read(predictor: Predictor, options: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        predictor.iterate([b""], **options)


def test_multilabel_takes_the_threshold_of_the_bundle(tmp_path: Path) -> None:
    predictor = Predictor(write_corners(tmp_path / "b", task="multilabel", threshold=0.6))
    two = np.array([[255, 255], [0, 0]], np.uint8)  # sigmoid(4), sigmoid(4), 1/2
    (some,), (none,) = predictor(two), predictor(np.zeros((2, 2), np.uint8))
    assert isinstance(some, Classification)
    assert [scored.label for scored in some.labels] == ["top left", "top right"]
    assert isinstance(none, Classification)
    assert (none.labels, none.certain) == ((), False)


# --- Engines


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of torch, not exported, in a run."""
    run = tmp_path_factory.mktemp("runs") / "digits"
    run.mkdir()
    torch.manual_seed(0)
    tensors = {name: tensor.numpy() for name, tensor in create_model("lenet5_modern").state_dict().items()}
    preprocess = Preprocess(channels=1, height=32, width=32)
    write_bundle(run / "bundle", corners(changes={}, classes=tuple("0123456789"), preprocess=preprocess), tensors)
    return run


def test_onnx_is_taken_only_where_it_can(bundle: Path, lenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Predictor(bundle).engine.name == "onnx"
    assert Predictor(lenet).engine.name == "torch"
    find = importlib.util.find_spec

    def without_onnxruntime(name: str) -> ModuleSpec | None:
        return None if name == "onnxruntime" else find(name)

    monkeypatch.setattr(importlib.util, "find_spec", without_onnxruntime)
    with pytest.raises(MissingExtra, match=r"convatlas\[export\]"):
        Predictor(bundle, engine="onnx")
    with pytest.raises(BundleError, match="does not fit"):  # it did turn to torch, which the corners are not made for
        Predictor(bundle)


def test_torch_answers_a_bundle_that_is_not_exported(lenet: Path) -> None:
    threads = torch.get_num_threads()
    try:
        predictor = Predictor(lenet, engine="torch", threads=1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    rows = predictor.probabilities([picture, picture])
    assert rows.shape == (2, 10)
    np.testing.assert_allclose(rows.sum(axis=1), 1)
    (one,) = predictor(picture)
    assert isinstance(one, Classification)
    assert one.top is not None
    assert one.top.index == rows[0].argmax()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"engine": "onnxx"},
            'engine: expected one of auto, onnx, openvino, torch, compiled, int8, got "onnxx".* Did you mean "onnx"',
        ),
        ({"engine": "onnx"}, "is not exported to ONNX; first run: convatlas export"),
        ({"threads": 0}, "threads: expected"),
        ({"batch_size": 0}, "batch_size: expected"),
    ],
)
def test_wrong_options(lenet: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Predictor(lenet, **options)  # type: ignore[arg-type]  # on purpose


def test_an_altered_graph_is_refused(tmp_path: Path) -> None:
    folder = write_corners(tmp_path / "b")
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleError, match=r"model\.onnx: altered"):
        Predictor(folder)


def test_a_graph_that_is_none_is_named(tmp_path: Path) -> None:
    folder = write_corners(tmp_path / "b")
    (tmp_path / "graph").write_bytes(b"no graph")
    bundle = read_bundle(folder)
    update_bundle(folder, bundle, {"model.onnx": tmp_path / "graph"})
    assert read_bundle(folder).parity == PARITY
    with pytest.raises(BundleError, match=r"model\.onnx: ONNX Runtime cannot load it"):
        Predictor(folder)


def test_an_exported_bundle_needs_no_torch(bundle: Path, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(png(TOP_LEFT))
    script = (
        "import sys\n"
        "from convatlas.engine.predict.predictor import Predictor\n"
        "print(Predictor(sys.argv[1])(sys.argv[2])[0].top.label)\n"
        "print(sorted({'torch', 'torchvision', 'accelerate', 'matplotlib', 'onnx'} & set(sys.modules)))\n"
    )
    command = [sys.executable, "-c", script, str(bundle), str(picture)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["top left", "[]"]

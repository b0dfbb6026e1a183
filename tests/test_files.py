"""Writing whole or not at all: what stands at the target before, during and after, and what is left beside it."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from convatlas import files
from convatlas.errors import SaveError
from convatlas.files import new_file, new_folder, sha256, write_json, write_text
from tests.engine.bundles import contents, disk_that_takes


class OddError(Exception):
    """A failure of the caller's own, inside the block."""


# --- Files


def test_a_new_file_appears_whole_and_its_folders_are_made(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "file.txt"
    with new_file(target) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert not target.exists()
        assert temporary.parent == target.parent
    assert contents(tmp_path) == {str(Path("deep", "er", "file.txt")): b"new"}


@pytest.mark.parametrize("error", [OddError, KeyboardInterrupt])
def test_a_failing_block_leaves_the_earlier_file(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "file.txt"
    target.write_bytes(b"earlier")
    with pytest.raises(error), new_file(target) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert contents(tmp_path) == {"file.txt": b"earlier"}


def test_a_full_disk_leaves_the_earlier_file(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_bytes(b"earlier")
    with disk_that_takes(1000), pytest.raises(SaveError, match=r"file\.txt: could not be written \(File too large\)"):
        write_text(target, "x" * 5000)
    assert contents(tmp_path) == {"file.txt": b"earlier"}


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(SaveError, match=r"inner\.txt: could not be written"):
        write_text(tmp_path / "file" / "inner.txt", "text")
    assert contents(tmp_path) == {"file": b"in the way"}


def test_text_is_utf_8_with_plain_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "t.txt", "für\n猫\n")
    assert (tmp_path / "t.txt").read_bytes() == "für\n猫\n".encode()


def test_json_keeps_characters_and_ends_with_a_line_end(tmp_path: Path) -> None:
    write_json(tmp_path / "v.json", {"name": "猫", "values": [1, 0.5, None]})
    text = (tmp_path / "v.json").read_text(encoding="utf-8")
    assert "猫" in text
    assert text.endswith("}\n")
    assert json.loads(text) == {"name": "猫", "values": [1, 0.5, None]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_refuses_what_json_has_not(tmp_path: Path, value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "v.json", {"loss": value})
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("size", [0, 1, 100_000, 2**18 + 3])
def test_sha256_is_that_of_the_bytes(tmp_path: Path, size: int) -> None:
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


# --- Folders


def fill(folder: Path, text: str) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "a.txt").write_text(text, encoding="utf-8")


def test_a_new_folder_appears_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "deep" / "folder") as temporary:
        fill(temporary, "new")
        assert not (tmp_path / "deep" / "folder").exists()
    assert contents(tmp_path) == {str(Path("deep", "folder", "inner", "a.txt")): b"new"}


def test_an_earlier_folder_is_replaced_not_merged(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "earlier.txt").write_bytes(b"earlier")
    with new_folder(tmp_path / "folder") as temporary:
        fill(temporary, "new")
        assert (tmp_path / "folder" / "earlier.txt").exists(), "it stands until the new one is whole"
    assert contents(tmp_path) == {str(Path("folder", "inner", "a.txt")): b"new"}
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("error", [OddError, KeyboardInterrupt])
def test_a_failing_block_leaves_the_earlier_folder(tmp_path: Path, error: type[BaseException]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "earlier.txt").write_bytes(b"earlier")
    with pytest.raises(error), new_folder(tmp_path / "folder") as temporary:
        fill(temporary, "half")
        raise error
    assert contents(tmp_path) == {str(Path("folder", "earlier.txt")): b"earlier"}
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_the_earlier_folder_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "earlier.txt").write_bytes(b"earlier")
    replace, calls = os.replace, []

    def second_fails(source: Path, destination: Path) -> None:
        calls.append((source, destination))
        if len(calls) == 2:
            assert not target.exists(), "the earlier folder is out of the way by now"
            raise PermissionError(13, "Permission denied")
        replace(source, destination)

    monkeypatch.setattr(files.os, "replace", second_fails)
    with (
        pytest.raises(SaveError, match=r"folder: could not be written \(Permission denied\)"),
        new_folder(target) as temporary,
    ):
        fill(temporary, "new")
    assert len(calls) == 3
    assert contents(tmp_path) == {str(Path("folder", "earlier.txt")): b"earlier"}
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk_leaves_the_earlier_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with (
        disk_that_takes(1000),
        pytest.raises(SaveError, match="folder: could not be written"),
        new_folder(tmp_path / "folder") as temporary,
    ):
        (temporary / "large").write_bytes(bytes(5000))
    assert list((tmp_path / "folder").iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_is_not_written_over_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with (
        pytest.raises(SaveError, match="file: is a file; a folder is to be written there"),
        new_folder(tmp_path / "file"),
    ):
        pytest.fail("the block must not run")
    assert contents(tmp_path) == {"file": b"mine"}

"""A JSON larger than the memory is refused before it is read; an XML that could grow, before it is parsed."""

from pathlib import Path

import pytest

from convatlas.data.check import check_data
from convatlas.data.detection import json_file
from convatlas.data.detection.json_file import free_memory, load_json
from convatlas.data.detection.xml_file import load_xml
from convatlas.errors import DataError

pytestmark = pytest.mark.row("C-10")


def sparse(path: Path, size: int) -> Path:
    """A file of this size that takes no room on the disk."""
    with path.open("wb") as file:
        file.write(b"[")
        file.truncate(size)
    return path


def test_a_json_that_would_not_fit_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sparse(tmp_path / "huge.json", 2 * 10**9)
    monkeypatch.setattr(json_file, "free_memory", lambda: 8 * 10**9)
    for read in (load_json, check_data):
        with pytest.raises(DataError) as caught:
            read(path)
        assert str(caught.value) == (
            f"{path}: is 2.0 GB; reading it takes about 16 GB of memory, of which 8.0 GB are free. Split it into files "
            "of fewer pictures, or use a machine with more memory"
        )


def test_small_files_and_unknown_memory_are_no_reason_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "small.json"
    path.write_text("[1, NaN]", encoding="utf-8")
    for free in (0, None):
        monkeypatch.setattr(json_file, "free_memory", lambda free=free: free)
        assert str(load_json(path)) == "[1, nan]"


def test_free_memory_is_the_least_that_machine_and_container_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meminfo, group = tmp_path / "meminfo", tmp_path / "group"
    on_machine, in_container = json_file._free_on_machine, json_file._free_in_container
    monkeypatch.setattr(json_file, "_free_on_machine", lambda: on_machine(meminfo))
    monkeypatch.setattr(json_file, "_free_in_container", lambda: in_container(group))
    assert free_memory() is None
    meminfo.write_text("MemTotal:       8000 kB\nMemFree:         100 kB\nMemAvailable:    3000 kB\n")
    assert free_memory() == 3000 * 1024
    group.mkdir()
    for name, text in {"max": "1000000\n", "current": "700000\n", "stat": "anon 1\ninactive_file 50000\n"}.items():
        (group / f"memory.{name}").write_text(text)
    assert free_memory() == 350_000
    (group / "memory.max").write_text("max\n")
    assert free_memory() == 3000 * 1024
    meminfo.write_text("nonsense\n")
    assert free_memory() is None


def test_a_json_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_json(tmp_path)


def test_an_xml_beyond_all_pictures_is_refused(tmp_path: Path) -> None:
    path = sparse(tmp_path / "huge.xml", 65 * 2**20)
    with pytest.raises(DataError, match=r"a\.xml: is larger than 64 MB"):
        load_xml(path, "a.xml")
    with pytest.raises(DataError, match=r"b\.xml: cannot be read"):
        load_xml(tmp_path / "b.xml", "b.xml")

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from convatlas.cli import data
from convatlas.errors import DataError, UsageError


def run(*words: str) -> Result:
    return CliRunner().invoke(data.app, list(words))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    chance = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(10):
            pixels = chance.integers(0, 256, (10, 12, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path / "photos"


@pytest.mark.row("C-10")
def test_check_prints_a_table_and_a_verdict(photos: Path) -> None:
    result = run("check", str(photos))
    assert result.exit_code == 0
    assert result.stdout == (
        "class  pictures\n"
        "cat          10\n"
        "dog          10\n"
        "total        20\n"
        "\n"
        "width    12 pixels\n"
        "height   10 pixels\n"
        "mode     RGB 20\n"
        "format   PNG 20\n"
        "\n"
        "fit to train on\n"
    )
    assert result.stderr == ""


def test_check_of_a_bad_folder_exits_1_and_groups_the_faults(photos: Path) -> None:
    (photos / "cow").mkdir()
    for number in range(12):
        (photos / "dog" / f"broken{number:02}.png").touch()
    result = run("check", str(photos))
    assert result.exit_code == 1
    assert (
        "error: " + str(photos / "cow") + ": the class folder holds no picture; add some or remove it\n"
        in result.stdout
    )
    assert (
        "warning: cannot be read; training lists and skips them (12)\n  dog/broken00.png: is empty (0 bytes)\n"
        in result.stdout
    )
    assert "  and 2 more (--json lists all)\n" in result.stdout
    assert result.stdout.endswith("\nnot fit to train on: 1 error\n")


def test_check_as_json(photos: Path) -> None:
    (photos / "cat" / "1.png").write_bytes(b"damaged")
    result = run("check", str(photos), "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["usable"] is True
    assert report["counts"] == {"all": {"cat": 10, "dog": 10}}
    assert report["findings"][0]["severity"] == "warning"


def test_check_of_nothing_raises_for_main_to_print(tmp_path: Path) -> None:
    assert isinstance(run("check", str(tmp_path / "none")).exception, DataError)


def test_check_of_an_empty_folder_has_no_table(tmp_path: Path) -> None:
    result = run("check", str(tmp_path))
    assert result.exit_code == 1
    assert result.stdout.startswith("\nerror: ")


def test_view_writes_a_png(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "sheet.png"
    result = run("view", str(photos), "--out", str(out), "--count", "4")
    assert result.exit_code == 0
    assert result.stdout == f"4 of 20 pictures: {out}\n"
    with Image.open(out) as sheet:
        assert (sheet.format, sheet.mode) == ("PNG", "RGB")
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize(("part", "count"), [("train", 12), ("val", 4), ("test", 4)])
def test_view_of_a_part(photos: Path, tmp_path: Path, part: str, count: int) -> None:
    out = tmp_path / "sheet.png"
    result = run("view", str(photos), "--out", str(out), "--split", part)
    assert result.exit_code == 0
    assert result.stdout == f"{count} of {count} pictures: {out}\n"


def test_view_of_a_part_that_is_not_there(photos: Path, tmp_path: Path) -> None:
    photos.rename(tmp_path / "train")
    (tmp_path / "data").mkdir()
    (tmp_path / "train").rename(tmp_path / "data" / "train")
    result = run("view", str(tmp_path / "data"), "--split", "test", "--out", str(tmp_path / "s.png"))
    assert isinstance(result.exception, DataError)
    assert "has no test part" in str(result.exception)


@pytest.mark.parametrize("name", ["sheet.jpg", "folder.png"])
def test_view_refuses_other_places(photos: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.png").mkdir()
    result = run("view", str(photos), "--out", str(tmp_path / name))
    assert isinstance(result.exception, UsageError)
    assert "--out" in str(result.exception)


def test_wrong_options_exit_2(photos: Path) -> None:
    assert run("view", str(photos), "--count", "0").exit_code == 2
    assert run("view", str(photos), "--split", "some").exit_code == 2


def test_the_verb_itself_imports_nothing_heavy() -> None:
    code = "import sys, convatlas.cli.data; print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr

"""`convatlas draw`: the file, the table, JSON, and what is refused."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

import convatlas
from convatlas.cli import main
from convatlas.errors import UsageError

pytest.importorskip("pygraphviz")
pytestmark = pytest.mark.row("I-04")


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["draw", *map(str, arguments)])
    code = ended.value.code
    return code if isinstance(code, int) else 0


def test_the_file_is_written_and_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("lenet5", "--out", tmp_path / "new" / "lenet5.svg") == 0
    out, err = capsys.readouterr()
    assert out.startswith("lenet5: 9 boxes, ")
    assert err == f"written: {tmp_path / 'new' / 'lenet5.svg'}\n"
    root = ElementTree.parse(tmp_path / "new" / "lenet5.svg").getroot()
    assert root.get("role") == "img"


def test_without_a_file_the_parts_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lenet5") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["part", "what", "times", "gives"]
    assert "6x28x28 to 2" in lines[2]
    assert len(lines) == 10


def test_json_is_the_only_thing_on_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("resnet18", "--json", "--out", tmp_path / "a.svg", "--set", "num_classes=7") == 0
    described = json.loads(capsys.readouterr().out)
    assert described["network"] == "resnet18"
    assert described["links"][-1]["shapes"] == [[7]]
    assert described["width"] <= 390
    assert "stem.conv.weight" in described["boxes"][1]["parameters"]


@pytest.mark.parametrize("depth", [-1, 1.5, "2", True])
def test_a_depth_is_a_whole_number(depth: int) -> None:
    with pytest.raises(UsageError, match="depth: expected a whole number of at least 0"):
        convatlas.draw("lenet5", depth=depth)


def test_a_slide_and_another_depth_are_other_drawings(tmp_path: Path) -> None:
    files = [tmp_path / f"{index}.svg" for index in range(3)]
    for file, options in zip(files, ([], ["--slide"], ["--depth", "1"]), strict=True):
        assert run("resnet18", "--out", file, *options) == 0
    assert len({file.read_bytes() for file in files}) == 3


def test_a_function_of_ones_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_small_networks.py").write_text(
        "from torch import nn\n\ndef small():\n    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())\n"
    )
    monkeypatch.chdir(tmp_path)
    assert run("own_small_networks:small", "--input", "1x8x8") == 0
    assert "2x6x6" not in capsys.readouterr().out.splitlines()[0]
    assert run("own_small_networks:small") == 2
    assert "--input 1x224x224" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("resnet81",), 'Did you mean "resnet'),
        (("lenet5", "--out", "a.png"), "--out: expected a name that ends in .svg, got a.png"),
        (("lenet5", "--set", "classes=3"), "classes"),
        (("lenet5", "--input", "1x7"), "LeNet-5 expects images"),
    ],
)
def test_what_is_refused(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str) -> None:
    assert run(*arguments) in (1, 2)
    assert words in capsys.readouterr().err


def test_a_folder_is_no_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "a.svg"
    folder.mkdir()
    assert run("lenet5", "--out", folder) == 2
    assert "is a folder" in capsys.readouterr().err

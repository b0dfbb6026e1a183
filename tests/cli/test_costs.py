"""`convatlas costs`: its table, one comparison, JSON, and the chart with words for those who cannot see it."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from convatlas.cli import main

pytestmark = pytest.mark.row("A-06")

SVG = "{http://www.w3.org/2000/svg}"


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["costs", *map(str, arguments)])
    code = ended.value.code
    return code if isinstance(code, int) else 0


def test_a_line_for_each_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    lines = [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["name", "counted", "dearer", "count", "cheaper", "count", "times"]
    assert ["two-3x3", "weights", "one 5x5", "25", "two 3x3", "18", "1.39"] in lines
    assert ["bottleneck", "weights", "two 3x3", "1,179,648", "bottleneck", "69,632", "16.94"] in lines
    assert len(lines) > 20


def test_one_comparison_with_its_formulas(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("separable") == 0
    out = capsys.readouterr().out
    assert "3·3·8·16 = 1,152" in out
    assert "3·3·8 + 8·16 = 200" in out
    assert "5.76 times" in out
    assert "1152 and 200 in Chapter 03-d" in out


def test_json_is_the_only_thing_on_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("mobilenet", "--json", "--out", tmp_path / "one.svg") == 0
    out, err = capsys.readouterr()
    (one,) = json.loads(out)
    assert one["dearer"]["value"] == 462_422_016
    assert one["ratio"] == pytest.approx(1 / (1 / 512 + 1 / 9))
    assert err == f"written: {tmp_path / 'one.svg'}\n"


@pytest.mark.parametrize("arguments", [(), ("fire",)])
def test_the_svg_is_drawn_described_and_the_same_each_time(arguments: tuple[str, ...], tmp_path: Path) -> None:
    first, second = tmp_path / "new" / "a.svg", tmp_path / "b.SVG"
    for out in (first, second):
        assert run(*arguments, "--out", out) == 0
    assert first.read_bytes() == second.read_bytes()
    root = ElementTree.parse(first).getroot()
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and title.text
    assert description is not None and description.text
    assert "110,592 against 11,776 weights, 9.39 times" in description.text
    texts = ["".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")]
    assert any(text.startswith(("11,776", "9.39x")) for text in texts)


def test_the_png_carries_the_words_too(tmp_path: Path) -> None:
    assert run("--out", tmp_path / "chart.png") == 0
    with Image.open(tmp_path / "chart.png") as picture:
        assert picture.width > 1000
        assert "1,179,648 against 69,632 weights" in picture.info["Description"]
        assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 10


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("two3x3",), 'no comparison is named "two3x3". Did you mean "two-3x3"'),
        (("--out", "chart.pdf"), "--out: expected a name that ends in .svg or .png, got chart.pdf"),
        (("--out", "chart"), "--out: expected a name that ends in .svg or .png"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert words in err
    assert not (tmp_path / "chart.pdf").exists()


def test_a_folder_or_a_place_that_cannot_be_written_leaves_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "folder.svg").mkdir()
    assert run("--out", tmp_path / "folder.svg") == 2
    assert "is a folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert run("--out", tmp_path / "file" / "chart.svg") == 1
    assert "could not be written" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.svg"]

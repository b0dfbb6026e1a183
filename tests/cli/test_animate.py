"""`convatlas animate`: its list, its options and their refusals, files, JSON; and the function of the same name."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

import convatlas
from convatlas.cli import main
from convatlas.errors import UsageError
from convatlas.report.animations.pooling import Pooling
from convatlas.report.animations.presets import PRESETS

pytestmark = pytest.mark.row("I-07")


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["animate", *map(str, arguments)])
    code = ended.value.code
    return code if isinstance(code, int) else 0


def test_the_list_has_every_kind_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(PRESETS)
    (transposed,) = [line for line in lines if line.startswith("transposed")]
    assert "--output-padding" in transposed
    assert "--dilation" not in transposed


@pytest.mark.parametrize("kind", PRESETS)
def test_every_kind_is_described_and_written(kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "new" / f"{kind}.svg"
    assert run(kind, "--out", file) == 0
    out, err = capsys.readouterr()
    assert f"{PRESETS[kind].drawing().steps} steps of {PRESETS[kind].seconds:g} s" in out
    assert PRESETS[kind].drawing().description in out
    assert err == f"written: {file}\n"
    assert file.read_text(encoding="utf-8") == PRESETS[kind].svg()
    assert ElementTree.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert list(file.parent.iterdir()) == [file]


def test_options_are_the_fields_of_the_kind(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--size", 6, "--kernel", 2, "--stride", 2, "--padding", 1, "--dilation", 2, "--seed", 3, "--seconds", 2)
    assert run("convolution", *map(str, options), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    asked = {"size": 6, "kernel": 2, "stride": 2, "padding": 1, "dilation": 2, "seed": 3, "seconds": 2.0}
    assert told["parameters"] == asked
    assert (told["kind"], told["steps"]) == ("convolution", 9)
    assert [len(row) for row in told["numbers"]["output"]] == [3, 3, 3]
    for kind, option, value, field in (
        ("transposed", "--output-padding", "1", "output_padding"),
        ("channels", "--channels", "2", "channels"),
        ("pooling", "--mode", "average", "mode"),
        ("sliding-window", "--window", "6", "window"),
        ("nms", "--boxes", "4", "boxes"),
        ("nms", "--threshold", "0.25", "threshold"),
    ):
        assert run(kind, option, value, "--json") == 0
        assert str(json.loads(capsys.readouterr().out)["parameters"][field]) == value


def test_json_of_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in told] == list(PRESETS)
    assert all(each["title"] and each["numbers"]["output" if each["kind"] != "nms" else "kept"] for each in told)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("pooling", "--dilation", "2"),
            "--dilation: pooling does not have it; it has --size, --kernel, --stride, --mode",
        ),
        (("nms", "--output-padding", "1"), "--output-padding: nms does not have it; it has --boxes, --threshold"),
        (("strid",), "unknown animation 'strid'. Did you mean \"stride\"? There is: convolution, padding, stride"),
        (("--size", "5"), "KIND: say which animation: convolution, padding, stride"),
        (("--out", "x.svg"), "KIND: say which animation"),
        (("stride", "--kernel", "9"), "kernel must be a whole number from 1 to 5, not 9"),
        (("stride", "--out", "x.png"), "--out: expected a name that ends in .svg or .gif, got x.png"),
        (("pooling", "--mode", "maximum"), 'mode must be "max" or "average", not \'maximum\''),
    ],
)
def test_wrong_use_is_named_and_writes_nothing(
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert out == ""
    assert not list(tmp_path.iterdir())


def test_an_impossible_value_leaves_the_earlier_file(tmp_path: Path) -> None:
    file = tmp_path / "one.svg"
    file.write_text("earlier", encoding="utf-8")
    assert run("stride", "--size", "1", "--out", file) == 2
    assert file.read_text(encoding="utf-8") == "earlier"
    assert run("stride", "--out", tmp_path) == 2


def test_a_gif_moves(tmp_path: Path) -> None:
    file = tmp_path / "pooling.GIF"
    assert run("pooling", "--size", "4", "--out", file) == 0
    with Image.open(file) as picture:
        assert (picture.format, picture.n_frames) == ("GIF", 4)


def test_the_function_takes_a_name_or_an_animation(tmp_path: Path) -> None:
    assert convatlas.animate("stride") == PRESETS["stride"]
    assert convatlas.animate("Sliding_Window") == PRESETS["sliding-window"]
    changed = convatlas.animate("convolution", changes={"kernel": 2, "stride": 2})
    assert (changed.parameters()["kernel"], changed.parameters()["size"]) == (2, 5)
    own = Pooling(mode="average")
    assert convatlas.animate(own, out=str(tmp_path / "own.svg")) == own
    assert (tmp_path / "own.svg").read_text(encoding="utf-8") == own.svg()
    with pytest.raises(UsageError, match=r'strid: the kind convolution has no such field. Did you mean "stride"'):
        convatlas.animate("convolution", changes={"strid": 2})
    with pytest.raises(UsageError, match="out: expected a name that ends in"):
        convatlas.animate("convolution", out=tmp_path / "x.png")

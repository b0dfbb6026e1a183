"""`convatlas field`: the table, JSON, the pictures it draws, and what cannot be meant."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from convatlas.cli import main

pytestmark = pytest.mark.row("A-05")


def field(*words: str | Path) -> int:
    """`convatlas field …` -> its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["field", *map(str, words)])
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def test_the_features_of_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert field("vgg16") == 0
    assert capsys.readouterr().out == (
        "layer  output       field      jump  start  centre  sees\n"
        "conv1  64x224x224   5 x 5      1     -2     0       a part\n"
        "conv2  128x112x112  14 x 14    2     -6     0.5     a part\n"
        "conv3  256x56x56    40 x 40    4     -18    1.5     a part\n"
        "conv4  512x28x28    92 x 92    8     -42    3.5     a part\n"
        "conv5  512x14x14    196 x 196  16    -90    7.5     a part\n"
    )


def test_named_layers_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        field("resnet18", "conv3_x", "stem.conv", "head", "--input", "1x64x96", "--set", "in_channels=1", "--json") == 0
    )
    answer = json.loads(capsys.readouterr().out)
    assert (answer["network"], answer["input"]) == ("resnet18", [1, 64, 96])
    middle, stem, head = answer["layers"]
    assert middle == {
        "layer": "conv3_x",
        "output": [128, 8, 12],
        "size": [99, 99],
        "jump": [8, 8],
        "start": [-49, -49],
        "centre": [0, 0],
        "whole": False,
        "unknown": None,
    }
    assert (stem["size"], stem["jump"], stem["start"]) == ([7, 7], [2, 2], [-3, -3])
    assert (head["whole"], head["jump"]) == (True, [None, None])


def test_measured(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("lenet5_modern", "--effective", "--count", "2", "--json")
    assert field(*words) == 0
    first = capsys.readouterr().out
    for layer in json.loads(first)["layers"]:
        assert 0 < layer["effective"]["side"] <= max(layer["size"])
        assert len(layer["effective"]["deviation"]) == 2
    assert field(*words) == 0
    assert capsys.readouterr().out == first, "the same seed gives the same weights and pictures"


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_fields_are_laid_over_a_photograph(suffix: str, photograph: Path, tmp_path: Path) -> None:
    out = tmp_path / f"fields.{suffix}"
    words = ("resnet20_cifar", "--image", photograph, "--out", out, "--count", "1")
    assert field(*words) == 0
    said = described(out)
    assert said[0] == "What the unit in the middle sees: resnet20_cifar, 3x32x32"
    assert "stage1: 32 x 32 units: box: field 15 x 15, jump 1, glow: measured, " in said[1]
    drawn = out.read_bytes()
    assert field(*words) == 0
    assert out.read_bytes() == drawn, "the same picture each time"


@pytest.mark.row("A-01")
def test_the_map_of_visits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "visits.svg"
    assert field("lenet5", "--visits", "--out", out) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].endswith("visits")
    # s2: 14 x 14 units of 6 x 6 pixels, 2 apart: a corner lies in one, the middle in 3 x 3
    assert table[1].endswith("1 to 9")
    assert described(out) == (
        "How many units see each pixel: lenet5, 1x32x32",
        "s2: 14 x 14 units: seen by 1 (dark) to 9 units; s4: 5 x 5 units: seen by 1 (dark) to 16 units.",
    )


def described(path: Path) -> tuple[str, str]:
    """(title, description) of a picture's file."""
    if path.suffix == ".png":
        with Image.open(path) as picture:
            assert picture.width > 300
            return picture.info["Title"], picture.info["Description"]
    root = ElementTree.parse(path).getroot()
    assert root.get("role") == "img"
    return root[0].text or "", root[1].text or ""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["vgg17"], 2, 'Did you mean "vgg19"'),
        (["lenet5", "s3"], 2, "layer: LeNet5 has no layer 's3'. Its features are s2, s4"),
        (["resnet18", "conv6_x"], 2, "ResNet has no layer 'conv6_x'. Did you mean \"conv5_x\""),
        (["lenet5", "--visits", "--image", "a.jpg", "--out", "x.png"], 2, "--image: visits are drawn by themselves"),
        (["resnet18", "--weights", "default"], 2, "weights: only what is measured of a network of the atlas"),
        (["lenet5", "--input", "1x32"], 2, "--input 1x32: expected channels x height x width, such as 3x224x224"),
        (["lenet5", "--input", "1x0x32"], 2, "input 1x0x32: expected a shape"),
        (["resnet18", "--input", "1x64x64"], 2, "create it with in_channels=1"),
        (["resnet18", "--set", "widht=3"], 2, "widht"),
        (["networks:small"], 2, "networks:small: there is no module networks"),
        (["alexnet", "--input", "3x32x32"], 2, "AlexNet needs images of at least 63x63, got 32x32"),
        (["lenet5", "--out", "fields.gif"], 2, "--out: expected a name that ends in .svg or .png"),
        (["lenet5", "--image", "photo.jpg"], 2, "--image: a photograph is only drawn on"),
        (["lenet5", "--image", "nowhere.jpg", "--out", "x.png"], 1, "nowhere.jpg: there is no such file"),
        (["lenet5", "--effective", "--count", "0"], 2, "count: expected 1 picture or more, got 0"),
        (["lenet5", "output", "--effective"], 2, "a map (images, channels, height, width) is needed"),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_what_cannot_be_meant(words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert field(*words) == code
    answer = capsys.readouterr()
    assert answer.err.startswith("error: ")
    assert message in answer.err
    assert answer.out == ""
    assert not Path("x.png").exists()


def test_a_picture_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert field("lenet5", "--image", tmp_path / "broken.png", "--out", tmp_path / "x.png") == 1
    assert "broken.png: is not a picture" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


def test_a_network_that_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    code = "from torch import nn\n\ndef small():\n    return nn.Sequential(nn.Conv2d(3, 4, 5), nn.MaxPool2d(2))\n"
    (tmp_path / "somebodys.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert field("somebodys:small") == 2
    assert "the picture's shape is needed" in capsys.readouterr().err
    assert field("somebodys:small", "--input", "3x16x16", "--effective", "--count", "1") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:5] for row in rows[1:]] == [["0", "4x12x12", "5", "x", "5"], ["1", "4x6x6", "6", "x", "6"]]

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.cli import main
from tests.engine.bundles import contents, write_corners

pytestmark = pytest.mark.row("J-02")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_corners(tmp_path / "bundle")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """80 pictures, each with one corner far brighter than the others."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(80):
        pixels = np.full((2, 2), number, np.uint8)
        pixels.flat[number % 3] = 255
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["quantize", *map(str, arguments)])
    code = ended.value.code
    return code if isinstance(code, int) else 0


def test_sizes_scores_and_what_to_run_next_are_told(
    bundle: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "1.png").write_bytes(b"no picture")
    assert run(bundle, "--data", photos) == 0
    out, err = capsys.readouterr()
    quantised, calibrated, measured, following = out.splitlines()
    assert re.fullmatch(
        rf"quantised to {re.escape(str(bundle))}.model\.int8\.onnx \(0\.0 MB; float32: 0\.0 MB\)", quantised
    )
    assert re.fullmatch(r"calibrated on (39|40) pictures \(half of photos\): activations of 8 bits .*", calibrated)
    assert re.fullmatch(
        r"measured on (39|40) pictures \(the other half of photos\): same answer as in float32 100\.00 %, "
        r"float32 100\.00 %: 0\.00 points lost \(allowed 1\); same answer on (39|40); "
        r"answered by (onnxruntime|openvino)",
        measured,
    )
    assert following == f"use it: convatlas predict {bundle} PICTURES --engine int8"
    assert err.splitlines()[-1] == "1 pictures could not be read and were left out"


def test_json_is_what_the_bundle_records(bundle: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bundle, "--data", photos, "--pictures", "33", "--calibration", "34", "--seed", "5", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["file"] == str(bundle / "model.int8.onnx")
    assert (printed["quantised"]["pictures"], printed["quantised"]["calibration_pictures"]) == (33, 34)
    recorded = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    assert printed["quantised"] == recorded["quantised"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "gone"], 1, "gone: "),
        (["--calibration", "5"], 2, "calibration: expected a whole number of at least 32, got 5"),
        (["--most-loss", "-1"], 2, "most_loss: expected points from 0 to 100, got -1"),
    ],
)
def test_what_goes_wrong_is_told_and_the_bundle_stays(
    bundle: Path, photos: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    before = contents(bundle)
    assert run(bundle, "--data", photos, *arguments) == code
    assert f"error: {message}" in capsys.readouterr().err
    assert contents(bundle) == before


def test_predict_answers_in_int8_where_it_is_asked(
    bundle: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bundle, "--data", photos) == 0
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(bundle), str(photos / "4.png"), "--engine", "int8", "--json"])
    assert not ended.value.code
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["labels"][0]["label"] == "top right"

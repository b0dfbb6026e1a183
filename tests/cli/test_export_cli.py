import json
import re
from pathlib import Path

import pytest
import torch

from convatlas.cli import main
from convatlas.data.preprocess import Preprocess
from convatlas.engine.bundle import read_bundle, write_bundle
from convatlas.models import create_model
from tests.engine.bundles import contents, corners


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    tensors = {name: tensor.numpy() for name, tensor in create_model("lenet5_modern").state_dict().items()}
    preprocess = Preprocess(channels=1, height=32, width=32)
    described = corners(
        changes={}, classes=tuple("0123456789"), preprocess=preprocess, provenance={"data": "digits"}
    )  # fmt: skip
    write_bundle(tmp_path / "run" / "bundle", described, tensors)
    return tmp_path / "run" / "bundle"


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["export", *map(str, arguments)])
    code = ended.value.code
    return code if isinstance(code, int) else 0


def test_the_comparison_is_told_in_words(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bundle.parent) == 0
    out, err = capsys.readouterr()
    exported, compared = out.splitlines()
    assert re.fullmatch(
        rf"exported to {re.escape(str(bundle))}.model\.onnx \(0\.\d MB, ONNX operator set 18\)", exported
    )
    number = r"[\d.e-]+"
    assert re.fullmatch(
        r"compared on 200 pictures \(digits test\): same answer on 200, "
        rf"largest difference of logits {number} \(allowed {number}\)",
        compared,
    )
    assert err == "exporting; this takes some seconds\n"


def test_json_is_what_the_bundle_records(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(bundle, "--data", "digits", "--pictures", "3", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["file"] == str(bundle / "model.onnx")
    assert printed["parity"]["pictures"] == 3
    assert printed["parity"] == json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))["parity"]
    assert read_bundle(bundle).exported


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "gone"], 1, "gone: "),
        (["--pictures", "0"], 2, "pictures: expected a whole number of at least 1"),
    ],
)
def test_what_goes_wrong_is_told_and_the_bundle_stays(
    bundle: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    before = contents(bundle)
    assert run(bundle, *arguments) == code
    assert f"error: {message}" in capsys.readouterr().err
    assert contents(bundle) == before

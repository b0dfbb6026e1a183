import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from convatlas.cli import weights
from convatlas.errors import DownloadError, UsageError
from convatlas.weights import list_weights, weight_set
from convatlas.weights.cache import cached_path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path))
    monkeypatch.delenv("CONVATLAS_OFFLINE", raising=False)


def run(*words: str) -> Result:
    return CliRunner().invoke(weights.app, list(words))


def test_list_prints_a_table() -> None:
    result = run("list", "--model", "efficientnet_lite0")
    assert result.exit_code == 0
    assert result.stdout == (
        "key                              network             top-1 %   MiB  pixels  licence     trained on\n"
        "package/efficientnet_lite0       efficientnet_lite0           18.0     224  Apache-2.0  ImageNet-1k\n"
        "timm/tf_efficientnet_lite0.in1k  efficientnet_lite0    74.85           224  Apache-2.0  ImageNet-1k\n"
    )
    assert "terms of the training data" in result.stderr


def test_list_as_json_is_everything() -> None:
    listed = json.loads(run("list", "--json").stdout)
    assert [each["key"] for each in listed] == [each.key for each in list_weights()]
    assert listed[0]["transform"]["crop"] == 224


def test_list_of_nothing_and_of_unknown_words() -> None:
    assert run("list", "no such thing").stdout.startswith("no weight set meets these conditions")
    assert isinstance(run("list", "--licence", "MIT").exception, UsageError)


def test_fetch_prints_the_path() -> None:
    result = run("fetch", "package/efficientnet_lite0")
    assert result.exit_code == 0
    assert Path(result.stdout.strip()).is_file()
    assert "SHA-256 579344248a93e230" in result.stderr
    assert "as its source states" in result.stderr
    record = json.loads(run("fetch", "package/efficientnet_lite0", "--json").stdout)
    assert (record["basis"], record["problem"]) == ("stated", "")


def test_fetch_offline_and_unknown() -> None:
    assert isinstance(run("fetch", "torchvision/resnet18/IMAGENET1K_V1", "--offline").exception, DownloadError)
    assert isinstance(run("fetch", "resnet18").exception, UsageError)


def test_verify_exits_1_when_a_file_is_wrong() -> None:
    good = run("verify")
    assert good.exit_code == 0
    assert "right: as its source states" in good.stdout
    wrong = cached_path(weight_set("torchvision/resnet18/IMAGENET1K_V1"))
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(b"not it")
    bad = run("verify")
    assert bad.exit_code == 1
    assert "wrong: its SHA-256 is" in bad.stdout
    assert [bool(each["problem"]) for each in json.loads(run("verify", "--json").stdout)] == [False, True]
    assert run("verify", "package/efficientnet_lite0").exit_code == 0


def test_the_verb_needs_no_torch() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from convatlas.cli import weights; "
        "codes = [CliRunner().invoke(weights.app, words).exit_code for words in "
        "(['list'], ['fetch', 'package/efficientnet_lite0'], ['verify'])]; "
        "print(codes, sorted({'torch', 'torchvision', 'safetensors'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[0, 0, 0] []\n"

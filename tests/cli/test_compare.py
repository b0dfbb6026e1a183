"""`convatlas compare`: sums side by side, the layers that differ, and the pictures on which two models disagree."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convatlas
from convatlas.catalog import card
from convatlas.cli import main
from convatlas.errors import UsageError
from tests.cli.test_show import trained

LOOKING = """
from torch import nn


class Looks(nn.Module):
    def forward(self, x):
        return x.relu() if x.mean() > -1 else x
"""

pytestmark = pytest.mark.row("A-10")


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """`convatlas compare …` -> exit code, stdout, stderr."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["compare", *map(str, arguments)])
    code = ended.value.code
    out, err = capsys.readouterr()
    return code if isinstance(code, int) else 0, out, err


def test_the_sums_of_several_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "resnet18", "vgg16", "lenet5")
    assert code == 0
    assert len(out.splitlines()) == 4
    for name in ("resnet18", "vgg16", "lenet5"):
        line = next(line for line in out.splitlines() if line.startswith(name))
        assert f"{card(name).params:,}" in line
        assert f"{card(name).macs:,}" in line
    assert "340,908" in out


def test_two_are_aligned_layer_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "vgg16", "vgg16_bn")
    assert code == 0
    assert "40 rows are the same in both" in out
    added = [line for line in out.splitlines() if line.startswith("+")]
    assert len(added) == 13
    assert all("BatchNorm2d" in line for line in added)
    _, out, _ = run(capsys, "vgg16", "vgg16_bn", "--json")
    values = json.loads(out)
    changes = [each["change"] for each in values["differences"]]
    assert (changes.count("same"), changes.count("only second"), len(changes)) == (40, 13, 53)
    _, out, _ = run(capsys, "vgg16", "vgg16_bn", "--all")
    assert sum("Conv2d 3x3" in line for line in out.splitlines()) == 13


def test_a_layer_that_changed_stands_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "resnet50", "resnet50_paper")
    changed = [line for line in out.splitlines() if line.startswith("~")]
    assert any("Conv2d 1x1 -> Conv2d 1x1, stride 2" in line for line in changed)


def test_folded_rows_that_cost_differently_are_not_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "resnet50", "resnet50_paper", "--depth", "2")
    changed = [line for line in out.splitlines() if line.startswith("~")]
    assert [line.split()[1] for line in changed] == [f"stages.{stage}.0" for stage in (1, 2, 3)]  # those that halve


def test_notes_name_their_network(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "looking_networks.py").write_text(LOOKING, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "looking_networks:Looks", "lenet5", "--input", "1x32x32")
    assert code == 0
    assert next(line for line in err.splitlines() if "for real" in line).startswith("note: looking_networks:Looks: run")


def test_recorded_scores_of_bundles_are_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    first, second = trained(tmp_path / "first"), trained(tmp_path / "second", seed=1)
    code, out, _ = run(capsys, first, second)
    assert code == 0
    assert "test top-1 accuracy 25.00%" in out
    assert "test top-1 accuracy 26.00%" in out
    assert "rows are the same in both" in out


def test_two_models_disagree_where_their_answers_differ(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    first, second = trained(tmp_path / "first"), trained(tmp_path / "second", seed=3)
    random = np.random.default_rng(0)
    pictures = {}
    for label in ("blue", "green", "red"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(8):
            pixels = random.integers(0, 256, (32, 32), dtype=np.uint8)
            pixels[random.integers(0, 24) :] = random.integers(0, 256)
            pictures[label, index] = pixels
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{index}.png")
    answers = {
        folder: convatlas.Predictor(folder, engine="torch")(list(pictures.values())) for folder in (first, second)
    }
    expected = [
        (label, a.top.label, b.top.label)
        for (label, _), a, b in zip(pictures, answers[first], answers[second], strict=True)
    ]
    result = convatlas.compare(first, second, data=tmp_path / "photos", device="cpu").answers
    assert result is not None
    assert result.pictures == 24
    assert result.scores == tuple(sum(label == answer[place] for label, *answer in expected) / 24 for place in range(2))
    told = [(each.truth, each.first, each.second) for each in result.disagreements]
    assert told == [each for each in expected if each[1] != each[2]]
    assert told
    assert result.only_first_right == sum(label == a != b for label, a, b in expected)
    code, out, _ = run(capsys, first, second, "--data", tmp_path / "photos", "--device", "cpu")
    assert code == 0
    assert f"they disagree on {len(told)}" in out


def test_what_cannot_be_compared_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "vgg16")
    assert code == 2
    assert "two networks or more" in err
    code, _, err = run(capsys, "vgg16", "vgg19", "--data", tmp_path)
    assert code == 2
    assert "only two trained models" in err
    with pytest.raises(UsageError, match="Did you mean"):
        convatlas.compare("vgg16", "vgg91")

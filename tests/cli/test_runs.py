"""`convatlas runs`: the table, JSON, and deleting only what was meant."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from convatlas.cli import runs as verb
from convatlas.engine.run import RunFolder
from convatlas.errors import UsageError

app = typer.Typer()
app.command()(verb.runs)


def run(*words: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, list(words), input=answer)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two runs, the newer one with a score of 0.975, and a folder that is none."""
    for name, day in (("first", 1), ("second", 2)):
        folder = RunFolder(tmp_path / "runs" / name)
        plan = {"model": "lenet5", "data": "/somewhere/photos"}
        folder.write(plan=plan, state="finished", versions={}, started=f"2026-01-0{day}T00:00:00+00:00")
    metrics = {"score": 0.975, "score_name": "top-1 accuracy"}
    (tmp_path / "runs" / "second" / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    (tmp_path / "runs" / "precious").mkdir()
    return tmp_path / "runs"


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


def test_the_table(root: Path) -> None:
    assert run("--root", str(root)).stdout == (
        "run     state     score                  model   data    started                     MB\n"
        "second  finished  97.50% top-1 accuracy  lenet5  photos  2026-01-02T00:00:00+00:00  0.0\n"
        "first   finished                         lenet5  photos  2026-01-01T00:00:00+00:00  0.0\n"
    )


def test_json(root: Path) -> None:
    listed = json.loads(run("--root", str(root), "--json").stdout)
    assert [(each["name"], each["score"]) for each in listed] == [("second", 0.975), ("first", None)]
    assert listed[0]["path"] == str(root / "second")


def test_no_runs_yet(tmp_path: Path) -> None:
    assert run("--root", str(tmp_path)).stdout == f"no runs in {tmp_path}; `convatlas train DATA` makes one\n"
    assert json.loads(run("--root", str(tmp_path / "none"), "--json").stdout) == []


def test_each_run_is_asked_for(root: Path) -> None:
    result = run("--root", str(root), "--delete", "first", "--delete", "second", answer="n\ny\n")
    assert result.exit_code == 0
    assert result.stdout.endswith(f"deleted {root / 'second'} (0.0 MB)\n")
    assert "Delete" not in result.stdout, "questions go to stderr: stdout is for answers"
    assert f"Delete {root / 'first'} for good? [y/N]" in result.stderr
    assert f"kept {root / 'first'}\n" in result.stderr
    assert names(root) == {"first", "precious"}


def test_without_an_answer_nothing_is_deleted(root: Path) -> None:
    assert run("--root", str(root), "--delete", "first").exit_code == 1
    assert names(root) == {"first", "second", "precious"}


def test_a_wrong_name_keeps_them_all(root: Path) -> None:
    result = run("--root", str(root), "--delete", "first", "--delete", "secnd", "--yes")
    assert isinstance(result.exception, UsageError)
    assert 'Did you mean "second"?' in str(result.exception)
    assert isinstance(run("--root", str(root), "--delete", "precious", "--yes").exception, UsageError)
    assert names(root) == {"first", "second", "precious"}


def test_deleting_in_json(root: Path) -> None:
    result = run("--root", str(root), "--delete", "first", "--delete", "first", "--yes", "--json")
    assert [each["name"] for each in json.loads(result.stdout)] == ["first"]
    assert names(root) == {"second", "precious"}

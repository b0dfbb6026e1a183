"""Run folders: named, listed, deleted."""

import json

import pytest

from convatlas.engine.run import RunFolder, delete_run, list_runs, new_run_folder
from convatlas.errors import CheckpointError, UsageError


def a_run(root, name, started="2026-01-01T00:00:00+00:00", score=None):
    run = RunFolder(root / name)
    run.write(plan={"model": "lenet5", "data": "/somewhere/photos"}, state="finished", versions={}, started=started)
    if score is not None:
        run.metrics.write_text(json.dumps({"score": score, "score_name": "top-1 accuracy"}), encoding="utf-8")
    return run


def test_runs_are_listed_newest_first_with_their_score(tmp_path):
    a_run(tmp_path, "old", started="2025-01-01T00:00:00+00:00", score=0.5)
    a_run(tmp_path, "new", score=0.75)
    a_run(tmp_path, "unfinished", started="2024-01-01T00:00:00+00:00")
    (tmp_path / "not a run").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{", encoding="utf-8")
    found = list_runs(tmp_path)
    assert [(run.name, run.score) for run in found] == [("new", 0.75), ("old", 0.5), ("unfinished", None)]
    assert found[0].megabytes > 0
    assert list_runs(tmp_path / "nowhere") == ()


def test_only_a_run_is_deleted(tmp_path):
    a_run(tmp_path, "mine")
    (tmp_path / "precious").mkdir()
    for name in ("precious", "..", "mine/..", "min"):
        with pytest.raises(UsageError, match="has no run"):
            delete_run(name, tmp_path)
    delete_run("mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_a_new_run_does_not_land_on_something_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match="is a file; a run needs a folder"):
        new_run_folder(tmp_path / "file", "lenet5", "digits")
    a_run(tmp_path, "taken")
    with pytest.raises(UsageError, match=r"is not empty.*--resume"):
        new_run_folder(tmp_path / "taken", "lenet5", "digits")
    first = new_run_folder(None, "lenet5", "some folder/my photos: all")
    assert first.path.parts[0] == "runs"
    assert not set(first.path.name) & set('<>:"|?* ')
    first.path.mkdir(parents=True)
    assert new_run_folder(None, "lenet5", "some folder/my photos: all").path != first.path


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"run\.json: is not the description of a run"):
        RunFolder(tmp_path).read()

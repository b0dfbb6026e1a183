"""Run folders: named, listed, deleted."""

import json

import pytest

from convatlas.engine import run as module
from convatlas.engine.run import RunFolder, delete_run, list_runs, new_run_folder, read_membership, run_around
from convatlas.errors import CheckpointError, SaveError, UsageError


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
    for out in (tmp_path / "file" / "run", tmp_path / "file" / "deep" / "run"):
        with pytest.raises(UsageError, match=r"file: is a file; a run needs a folder. Name another with --out"):
            new_run_folder(out, "lenet5", "digits")
    with pytest.raises(UsageError, match=r"cannot be used \(File name too long\)"):
        new_run_folder(tmp_path / ("x" * 300), "lenet5", "digits")
    assert len(new_run_folder(None, "lenet5", "x" * 250).path.name) < 100
    a_run(tmp_path, "taken")
    with pytest.raises(UsageError, match=r"is not empty.*--resume"):
        new_run_folder(tmp_path / "taken", "lenet5", "digits")
    first = new_run_folder(None, "lenet5", "some folder/my photos: all")
    assert first.path.parts[0] == "runs"
    assert not set(first.path.name) & set('<>:"|?* ')
    first.path.mkdir(parents=True)
    assert new_run_folder(None, "lenet5", "some folder/my photos: all").path != first.path


def test_a_file_where_the_runs_should_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"^runs: is a file"):
        new_run_folder(None, "lenet5", "digits")
    assert list_runs() == ()


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"run\.json: is not the description of a run"):
        RunFolder(tmp_path).read()


WHOLE = {"state": "finished", "started": "2026-01-01T00:00:00+00:00", "plan": {"model": "lenet5", "data": "digits"}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("[" * 100_000, "recursion"),
        ("\xff", "'utf-8' codec"),
        ("[]", "expected an object"),
        ('"text"', "expected an object"),
        (json.dumps(WHOLE | {"plan": ["model", "data"]}), 'expected an object "plan"'),
        (json.dumps(WHOLE | {"plan": "model data"}), 'expected an object "plan"'),
        (json.dumps({"state": "finished", "started": ""}), 'expected an object "plan"'),
        (json.dumps(WHOLE | {"plan": {"model": "lenet5"}}), 'expected a text "data"'),
        (json.dumps(WHOLE | {"plan": {"model": None, "data": "digits"}}), 'expected a text "model"'),
        (json.dumps(WHOLE | {"started": 5}), 'expected a text "started"'),
        (json.dumps(WHOLE | {"state": ["finished"]}), 'expected a text "state"'),
    ],
)
def test_a_damaged_description_is_named_and_the_other_runs_are_listed(tmp_path, text, reason):
    a_run(tmp_path, "whole")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=rf"run\.json: is not the description of a run \(.*{reason}"):
        RunFolder(tmp_path / "damaged").read()
    assert [run.name for run in list_runs(tmp_path)] == ["whole"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "5", '{"score": "high", "score_name": "x"}', '{"score": NaN, "score_name": "x"}', '{"score": 0.5}'],
)
def test_damaged_measures_are_no_score(tmp_path, text):
    a_run(tmp_path, "mine").metrics.write_text(text, encoding="utf-8")
    (run,) = list_runs(tmp_path)
    assert (run.score, run.score_name) == (None, "")


def test_a_folder_that_cannot_be_deleted_is_named(tmp_path, monkeypatch):
    a_run(tmp_path, "mine")

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(module.shutil, "rmtree", refuse)
    with pytest.raises(SaveError, match=r"mine: could not be deleted \(Permission denied\)"):
        delete_run("mine", tmp_path)


def test_the_record_of_the_split_is_read_by_picture(tmp_path):
    run = a_run(tmp_path, "mine")
    run.split.write_text('{"train": ["a/1.png", "b/1.png"], "val": ["a/2.png"]}', encoding="utf-8")
    assert read_membership(run) == {"a/1.png": "train", "b/1.png": "train", "a/2.png": "val"}


@pytest.mark.parametrize("text", [None, "", "[]", '{"train": 5}', '{"train": [["a"]]}'])
def test_a_damaged_record_of_the_split_is_named(tmp_path, text):
    run = a_run(tmp_path, "mine")
    if text is not None:
        run.split.write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"split\.json: the record of the split cannot be read"):
        read_membership(run)


def test_the_run_around_a_bundle(tmp_path, monkeypatch):
    run = a_run(tmp_path, "mine")
    run.bundle.mkdir()
    (run.path / "other").mkdir()
    (tmp_path / "bundle").mkdir()
    assert run_around(run.bundle) == run
    assert run_around(run.path / "other") is None
    assert run_around(tmp_path / "bundle") is None, "no run.json beside it"
    monkeypatch.chdir(run.bundle)
    assert run_around(module.Path()) == run
    monkeypatch.chdir(run.path)
    assert run_around(module.Path("bundle")) == run

"""`convatlas doctor` and what it finds out, against a machine whose packages are known because they are made here."""

import dataclasses
import importlib.metadata
import json
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from convatlas.cli import doctor as verb
from convatlas.engine import doctor
from convatlas.engine.doctor import Device, Diagnosis, Package, import_problems, requirements

app = typer.Typer()
app.command()(verb.doctor)

HEALTHY = Diagnosis(
    convatlas="0.1.0",
    python="3.11.9 (python)",
    platform="Linux",
    cpu_cores=2,
    torch_threads=2,
    packages=(
        Package(name="torch", extra=None, wanted=">=2.6", version="2.9.0", state="ok"),
        Package(name="onnx", extra="export", wanted=">=1.17", version=None, state="missing"),
    ),
    devices=(Device(name="cpu", description="x86_64"),),
    torch_problem="",
    runs=Path("runs"),
    runs_writable=True,
    disk_free=5 * 10**9,
)


def answer(monkeypatch: pytest.MonkeyPatch, diagnosis: Diagnosis, *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(doctor, "diagnose", lambda: diagnosis)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout


def with_torch(**changes: object) -> Diagnosis:
    broken = dataclasses.replace(HEALTHY.packages[0], **changes)
    return dataclasses.replace(HEALTHY, packages=(broken, HEALTHY.packages[1]))


def test_words(monkeypatch: pytest.MonkeyPatch) -> None:
    code, words = answer(monkeypatch, HEALTHY)
    assert code == 0
    assert words.splitlines() == [
        "convatlas 0.1.0 on Python 3.11.9 (python), Linux",
        "",
        "package  part    installed  wanted  state",
        "torch    core    2.9.0      >=2.6   ok",
        "onnx     export  -          >=1.17  missing",
        "",
        "extra export: not usable: pip install 'convatlas[export]'",
        "cpu: 2 cores, torch uses 2 threads",
        "device cpu: x86_64",
        f"runs go to {Path('runs')}, 5.0 GB free",
        "",
        "All that convatlas needs is there.",
    ]


def test_json_is_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    code, text = answer(monkeypatch, HEALTHY, "--json")
    values = json.loads(text)
    assert code == 0
    assert values["core_works"] is True
    assert values["extras"] == {"export": False}
    assert values["packages"][0]["version"] == "2.9.0"


@pytest.mark.parametrize(
    ("diagnosis", "said"),
    [
        (with_torch(version=None, state="missing"), "missing"),
        (with_torch(state="broken", problem="OSError: libcudart\nmore"), "broken: OSError: libcudart"),
        (with_torch(version="1.9", state="old"), "old"),
        (dataclasses.replace(HEALTHY, torch_problem="OSError: no driver"), "torch does not work: OSError: no driver"),
        (dataclasses.replace(HEALTHY, packages=()), "convatlas is not installed"),
    ],
    ids=["missing", "broken", "old", "torch", "not installed"],
)
def test_a_core_that_does_not_work_exits_1(monkeypatch: pytest.MonkeyPatch, diagnosis: Diagnosis, said: str) -> None:
    code, words = answer(monkeypatch, diagnosis)
    assert code == 1
    assert said in words


def test_a_place_that_cannot_be_written_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cannot be written" in answer(monkeypatch, dataclasses.replace(HEALTHY, runs_writable=False))[1]


def test_requirements_are_those_declared() -> None:
    found = {name: (extra, condition) for name, extra, condition in requirements()}
    assert found["torch"][0] is None
    assert found["torch"][1].startswith(">=")
    assert found["onnxruntime"][0] == "export"
    assert "pytest" not in found, "development tools are not what a user's machine needs"


def test_import_problems_name_what_fails_and_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raises_here.py").write_text("raise OSError('no such library')")
    (tmp_path / "crashes_here.py").write_text("import os; print('[noise'); os._exit(7)")
    (tmp_path / "works_here.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    problems = import_problems(["raises_here", "crashes_here", "works_here"])
    assert problems == {
        "raises_here": "OSError: no such library",
        "crashes_here": "the import ended the interpreter (exit 7)",
        "works_here": "",
    }


def test_import_problems_do_not_read_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise RuntimeError('a file of the user')")
    monkeypatch.chdir(tmp_path)
    assert import_problems(["numpy"]) == {"numpy": ""}


@pytest.mark.parametrize(
    ("version", "condition", "state"),
    [("2.10.1", ">=2.6", "ok"), ("2.6", ">=2.6", "ok"), ("2.5.1+cpu", ">=2.6", "old"), (None, ">=2.6", "missing")],
)
def test_versions_compare_as_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str | None, condition: str, state: str
) -> None:
    monkeypatch.setattr(doctor, "requirements", lambda: (("torch", None, condition),))
    monkeypatch.setattr(doctor, "_version", lambda name: version if name == "torch" else "0.1.0")
    monkeypatch.setattr(doctor, "import_problems", lambda modules: dict.fromkeys(modules, ""))
    (package,) = doctor.diagnose(tmp_path / "not" / "there").packages
    assert package.state == state
    assert not (tmp_path / "not").exists(), "looking must not make folders"


def test_a_torch_that_does_not_import_is_an_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # what `import torch` then raises is ImportError
    monkeypatch.setattr(doctor, "requirements", lambda: (("torch", None, ">=2.6"),))
    monkeypatch.setattr(doctor, "import_problems", lambda modules: dict.fromkeys(modules, "OSError: libcudart"))
    diagnosis = doctor.diagnose(tmp_path)
    assert diagnosis.devices == ()
    assert diagnosis.torch_problem
    assert not diagnosis.core_works


def test_this_machine(tmp_path: Path) -> None:
    diagnosis = doctor.diagnose(tmp_path)
    assert diagnosis.core_works
    declared = set(importlib.metadata.metadata("convatlas").get_all("Provides-Extra")) - {"all", "dev"}
    assert diagnosis.extras == dict.fromkeys(declared, True)
    assert diagnosis.devices[0].name == "cpu"
    assert diagnosis.disk_free > 0

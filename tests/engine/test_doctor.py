"""What `diagnose` says of devices and of the place for runs, and the versions that a run records."""

import platform
import subprocess
import sys
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from convatlas.engine import doctor
from convatlas.engine.versions import versions


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "import_problems", lambda modules: dict.fromkeys(modules, ""))


@pytest.mark.parametrize(
    ("names", "description"),
    [(["A100"], "A100, 80 GiB"), (["A100", "H200"], "2 GPUs: A100, 80 GiB; H200, 80 GiB")],
)
def test_devices_are_named_as_the_option_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], description: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    monkeypatch.setattr(
        torch.cuda,
        "get_device_properties",
        lambda index: SimpleNamespace(name=names[index], total_memory=80 * 2**30),
    )
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    devices = doctor.diagnose(tmp_path).devices
    assert [device.name for device in devices] == ["cpu", "cuda", "mps"]
    assert devices[1].description == description


def test_every_declared_package_is_known_by_the_name_it_is_imported_by() -> None:
    """All of them are installed where tests run, so a module that is not found is a wrong name."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [lines for name, lines in project["optional-dependencies"].items() if name not in ("all", "dev")]
    names = {doctor._split(line)[0] for lines in (project["dependencies"], *extras) for line in lines}
    assert {"pyyaml", "scikit-image", "scikit-learn"} <= names
    assert [name for name in names if find_spec(doctor._module(name)) is None] == []


def test_a_file_where_the_runs_should_go(tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(b"")
    assert not doctor.diagnose(tmp_path / "runs").runs_writable
    assert doctor.diagnose(tmp_path / "new" / "runs").runs_writable


def test_versions_are_those_installed() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["torch"] == metadata.version("torch")
    assert set(found) == {"python", "convatlas", "torch", "numpy", "pillow", "accelerate"}


def test_versions_and_runs_need_no_torch() -> None:
    code = (
        "import sys, convatlas.engine.versions as v, convatlas.engine.run; v.versions(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr

from collections.abc import Iterator
from pathlib import Path

import pytest

from convatlas.engine import processor
from convatlas.engine.doctor import diagnose

INTEL = "processor\t: 0\nmodel name\t: A Fine CPU @ 2 GHz\nflags\t\t: fpu avx512f {vnni} amx_int8\n\nprocessor\t: 1\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n"


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    for cached in (processor.processor_name, processor.processor_key):
        cached.cache_clear()
    yield
    for cached in (processor.processor_name, processor.processor_key):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("told", "name", "vnni"),
    [
        (INTEL.format(vnni="avx512_vnni"), "A Fine CPU @ 2 GHz", True),
        (INTEL.format(vnni="avx_vnni"), "A Fine CPU @ 2 GHz", True),
        (INTEL.format(vnni=""), "A Fine CPU @ 2 GHz", False),
        (ARM, "a kind", None),
        (None, "a kind", None),
    ],
)
def test_what_the_system_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, name: str, vnni: bool | None
) -> None:
    if told is not None:
        (tmp_path / "cpuinfo").write_text(told, encoding="utf-8")
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "a kind")
    assert processor.processor_name() == name
    assert processor.has_vnni() is vnni


def test_the_doctor_names_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text(ARM.replace("BogoMIPS", "model name"), encoding="utf-8")
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("convatlas.engine.doctor.import_problems", lambda modules: {})  # takes seconds
    assert diagnose(tmp_path).devices[0].description == "50.00"


@pytest.mark.parametrize(("one", "other"), [(INTEL, INTEL.replace("avx512f", "avx2")), (ARM, ARM + "Features\t: fp\n")])
def test_one_model_name_stands_for_several_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: str, other: str
) -> None:
    keys = []
    monkeypatch.setattr(processor, "_CPUINFO", tmp_path / "cpuinfo")
    for told in (one, other, one):
        (tmp_path / "cpuinfo").write_text(told.format(vnni=""), encoding="utf-8")
        processor.processor_name.cache_clear()
        processor.processor_key.cache_clear()
        keys.append(processor.processor_key())
    assert keys[0] == keys[2]
    assert (keys[0] == keys[1]) == (one is ARM)  # of several processors the first stands for all

"""benchmarks/growth.py: what is told of its measurements, by hand; and the pictures that are drawn of them."""

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from benchmarks import growth

ROOT = Path(__file__).resolve().parents[1]


def indexed(count: int, *, ours: list[float], theirs: list[float], held: int = 10**8) -> dict[str, Any]:
    kinds = {"list_ours": ours, "list_theirs": theirs, "split_ours": [3 * value for value in ours]}
    sizes = {"list_ours": held, "list_theirs": 3 * held, "split_ours": 2 * held}
    return {"files": count, "seconds": kinds, "bytes": sizes, "work": {kind: size // 2 for kind, size in sizes.items()}}


def a_million(**of_row: Any) -> dict[str, Any]:
    disk = {"list_ours": 2.0, "split_ours": 17.0}
    return {**indexed(growth.MANY, **of_row), "disk": disk, "measured": "2026-01-02"}


def measured(**changes: Any) -> dict[str, Any]:
    """Time ~ batch for prediction, batch^0.5 for training, pixels^1 for sizes, and files^2."""
    return {
        "training_side": 112,
        "batch": [{"batch": n, "seconds": [9.0, 0.02 * n, 0.001], "bytes": 10**8 * n} for n in (1, 4, 64)],
        "training": [{"batch": n, "seconds": [0.3 * n**0.5], "bytes": 10**9} for n in (1, 4, 64)],
        "resolution": [{"side": n, "seconds": [1e-6 * n * n], "bytes": 10**8} for n in (96, 128, 512)],
        "indexing": [
            indexed(1_000, ours=[0.001] * 3, theirs=[0.002] * 3),
            indexed(100_000, ours=[10.0, 20.0, 5.0], theirs=[20.0, 20.0, 20.0]),
        ],
        "million": None,
        **changes,
    }


def test_exponents_are_those_of_the_laws_that_made_the_points() -> None:
    assert growth.exponent([(1, 3), (10, 300), (100, 30_000)]) == pytest.approx(2)
    found = growth.growth(measured())
    assert found == {
        "batch": pytest.approx(1),
        "training": pytest.approx(0.5),
        "resolution": pytest.approx(1),
        "files": pytest.approx(2),
    }


def test_the_ratio_is_taken_round_by_round() -> None:
    row = indexed(10, ours=[1.0, 2.0, 4.0], theirs=[3.0, 3.0, 3.0])  # 3, 1.5, 0.75
    assert growth.ratio(row) == 1.5
    assert growth.told_ratio(row) == "0.67"


def test_a_quick_run_before_any_full_one_says_nothing_of_a_million() -> None:
    against, grown = growth.figures(measured())
    assert str(against) == (
        "Indexing 100,000 files, against torchvision's ImageFolder: 2.00 times as fast, for 50 MB instead of 150 MB "
        "beyond imports (goal told, no bound: met)"
    )
    assert grown.measured == "1.00, 0.50, 1.00, 2.00"


@pytest.mark.parametrize(
    ("ours", "held", "met"),
    [
        ([1.0, 3.3, 2.0], 5 * 10**8, True),  # to split takes three times as long, and twice the memory
        ([1.0, 3.4, 2.0], 10**8, False),  # the slowest counts
        ([1.0, 2.0, 2.0], 5 * 10**8 + 1, False),
    ],
)
def test_the_goal_of_a_million_is_that_of_the_slowest_and_of_all_memory(
    ours: list[float], held: int, *, met: bool
) -> None:
    row = a_million(ours=ours, theirs=[5.0] * 3, held=held)
    figure = growth.figures(measured(million=row))[0]
    assert figure.met == met
    assert "(measured 2026-01-02)" in figure.what
    assert figure.measured.endswith("; on the disk 17.0 s and 2.0 s")
    assert bool(figure.why) != met


def test_a_quick_run_keeps_what_a_full_one_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    million = a_million(ours=[4.0], theirs=[5.0])
    monkeypatch.setattr(growth, "RESULT", tmp_path / "growth.json")
    monkeypatch.setattr(growth, "_write_bundle", lambda folder, *, exported: None)
    assert growth.measure(batches=(), sides=(), files=())["million"] is None
    growth.RESULT.write_text(json.dumps(measured(million=million)), encoding="utf-8")
    assert growth.measure(batches=(), sides=(), files=())["million"] == million


def test_each_way_to_index_finds_all_files(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    from convatlas.data.source import open_data, open_pictures

    growth.write_files(tmp_path, 1_000)
    pictures, theirs = open_pictures(tmp_path), ImageFolder(str(tmp_path))
    assert len(pictures) == 1_000
    assert sorted(zip(pictures.names, pictures.targets.tolist(), strict=True)) == sorted(
        (Path(path).relative_to(tmp_path).as_posix(), target) for path, target in theirs.samples
    )
    data = open_data(tmp_path)
    assert sum(len(part or ()) for part in (data.train, data.val, data.test)) == 1_000


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    """docs/growth_pictures.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("growth_pictures", ROOT / "docs" / "growth_pictures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_pictures_fit_a_phone_and_say_each_point(pictures: ModuleType) -> None:
    for name in pictures.PICTURES:
        drawn = pictures.drawn(name, measured())
        assert drawn == pictures.drawn(name, measured())
        width = re.search(r'<svg [^>]*width="([\d.]+)"', drawn)
        assert width is not None and float(width[1]) <= 358  # what a page of 390 pixels leaves
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: (?:bold )?([\d.]+)px", drawn)]
        assert sizes and min(sizes) >= 11
        assert pictures.PICTURES[name] in drawn
    assert "prediction, 224 px, ONNX Runtime: 20 ms at 1, 20 ms at 4, 20 ms at 64" in pictures.drawn(
        "growth-batch.svg", measured()
    )
    assert "ours: 1 ms at 1 k, 10 s at 100 k" in pictures.drawn("growth-data.svg", measured())


def test_a_million_is_drawn_where_it_was_measured(pictures: ModuleType) -> None:
    million = a_million(ours=[4.0], theirs=[5.0])
    assert "1 M" not in pictures.drawn("growth-data.svg", measured())
    assert "4 s at 1 M" in pictures.drawn("growth-data.svg", measured(million=million))


def test_words_of_an_axis_are_round_and_few(pictures: ModuleType) -> None:
    assert pictures.round_values(0.9, 120) == [1, 3, 10, 30, 100]
    assert pictures.round_values(110, 640) == [150, 200, 300, 500]
    assert pictures.round_values(1e-3, 1e5)[::1] == [1e-3, 1e-1, 1e1, 1e3, 1e5]


def test_the_committed_pictures_are_drawn_from_the_committed_results(pictures: ModuleType) -> None:
    for path, text in pictures.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python docs/generate.py"

"""benchmarks/growth.py: what is told of its measurements, by hand; and the pictures that are drawn of them."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from benchmarks import growth

ROOT = Path(__file__).resolve().parents[1]


def indexed(
    count: int, *, ours: list[float], theirs: list[float], held: int = 10**8, place: str = "in memory (/dev/shm)"
) -> dict[str, Any]:
    kinds = {"list_ours": ours, "list_theirs": theirs, "split_ours": [3 * value for value in ours]}
    sizes = {"list_ours": held, "list_theirs": 3 * held, "split_ours": 2 * held}
    work = {kind: size // 2 for kind, size in sizes.items()}
    return {"files": count, "place": place, "seconds": kinds, "bytes": sizes, "work": work}


def a_million(**of_row: Any) -> dict[str, Any]:
    disk = indexed(growth.MANY, ours=[5.0] * 3, theirs=[6.0] * 3, place="on the disk")
    return {"measured": "2026-01-02", "rows": [indexed(growth.MANY, **of_row), disk]}


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
    assert growth.ratios(row) == [3, 1.5, 0.75]
    assert growth.told_ratio(row) == "1.50 (0.75 to 3.00) times"


def test_a_quick_run_before_any_full_one_says_nothing_of_a_million() -> None:
    against, grown = growth.figures(measured())
    assert str(against) == (  # and no verdict, for there is no goal
        "Indexing 100,000 files in memory (/dev/shm), against torchvision's ImageFolder, with torch imported on both "
        "sides: 2.00 (1.00 to 4.00) times as fast, for 50 MB instead of 150 MB beyond imports"
    )
    assert grown.measured == "1.00, 0.50, 1.00, 2.00"
    assert grown.met is against.met is None


def test_what_was_not_measured_is_not_compared() -> None:
    alone = indexed(100_000, ours=[1.0], theirs=[2.0])
    del alone["seconds"]["list_theirs"]
    (grown,) = growth.figures(measured(indexing=[indexed(1_000, ours=[0.1], theirs=[0.1]), alone]))
    assert grown.what.startswith("Growth")
    assert "ImageFolder" not in growth.lines(measured(indexing=[alone]))[-1]


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
    figure, on_disk, *_, against, _ = growth.figures(measured(million=row))
    assert figure.met == met
    assert "in class folders in memory (/dev/shm), and splitting them (measured 2026-01-02)" in figure.what
    assert bool(figure.why) != met
    assert "on the disk" in on_disk.what
    assert on_disk.why == (
        "the dearest run took 15 s and 200 MB; to list them takes 5 s, in memory (/dev/shm) 2 s; to "
        "split them, which opens every file that shares its size with another, takes 10 s more, in memory (/dev/shm) "
        "4 s more"
    )
    assert "1,000,000 files in memory (/dev/shm) (measured 2026-01-02), against" in against.what


def test_a_quick_run_keeps_what_a_full_one_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    million = a_million(ours=[4.0], theirs=[5.0])
    monkeypatch.setattr(growth, "RESULT", tmp_path / "growth.json")
    monkeypatch.setattr(growth, "_write_bundle", lambda folder, *, exported: None)
    assert growth.measure(batches=(), sides=(), files=())["million"] is None
    growth.RESULT.write_text(json.dumps(measured(million=million)), encoding="utf-8")
    found = growth.measure(batches=(), sides=(), files=(), rounds=2)
    assert found["million"] == million
    assert (found["full"], found["rounds"]) == (False, 2)


def test_a_million_are_indexed_in_memory_and_on_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Path] = []

    def ask(kind: str, folder: str) -> dict[str, Any]:
        asked.append(Path(folder).parent)
        return {"seconds": [1.0], "bytes": 2, "work": 1}

    memory, disk = tmp_path / "memory", tmp_path / "disk"
    for folder in (memory, disk):
        folder.mkdir()
    monkeypatch.setattr(growth, "_ask", ask)
    monkeypatch.setattr("tempfile.tempdir", str(disk))
    monkeypatch.setattr(growth, "_in_memory", lambda count: str(memory))
    first, second = growth._million(1, 100)["rows"]
    assert first["place"] == f"in memory ({memory})"
    assert second["place"] == "on the disk"
    assert asked == [memory] * 3 + [disk] * 3
    monkeypatch.setattr(growth, "_in_memory", lambda count: None)  # no room there
    assert [row["place"] for row in growth._million(1, 100)["rows"]] == ["on the disk"]


@pytest.mark.every_variant
@pytest.mark.parametrize("kind", growth.INDEXERS)
def test_who_is_compared_holds_torch_and_who_is_judged_has_none(kind: str, tmp_path: Path) -> None:
    growth.write_files(tmp_path, 1_000)
    code = (
        "import sys; from benchmarks import growth_points as points; "
        f"points.KINDS[{kind!r}]({str(tmp_path)!r}); print(sorted({{'torch', 'torchvision'}} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert told.strip() == ("[]" if kind == "split_ours" else "['torch', 'torchvision']")


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
    drawn = pictures.drawn("growth-data.svg", measured(million=million))
    assert "4 s at 1 M" in drawn
    assert "15 s at 1 M" not in drawn  # the disk's


def test_words_of_an_axis_are_round_and_few(pictures: ModuleType) -> None:
    assert pictures.round_values(0.9, 120) == [1, 3, 10, 30, 100]
    assert pictures.round_values(110, 640) == [150, 200, 300, 500]
    assert pictures.round_values(1e-3, 1e5)[::1] == [1e-3, 1e-1, 1e1, 1e3, 1e5]


def test_the_committed_pictures_are_drawn_from_the_committed_results(pictures: ModuleType) -> None:
    for path, text in pictures.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python docs/generate.py"

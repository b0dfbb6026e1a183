"""What the benchmark of many pictures tells of measurements that are made up here, with its goals."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks import many_loops, many_pictures
from benchmarks.kept import kept
from benchmarks.many_files import LARGE, SMALL, write_small
from benchmarks.memory import is_told

from convatlas.weights import default_weights
from convatlas.weights.preprocess import preprocess_of

MIB = 2**20
ALONE_TOLD = "; on all threads ours decodes 50.0 where it does nothing else, its network alone answers 40.0"
ALONE, WORKERS = many_loops.THEIRS


def row(size: str, **seconds: list[float]) -> dict[str, Any]:
    """64 pictures; a second to start, for theirs four."""
    theirs = {ALONE: [8.0, 8.0, 1.0], WORKERS: [4.0, 5.0, 4.0]}  # the median decides, not the quickest pass
    ours = many_pictures.KINDS[size]
    return {
        "model": "resnet50",
        "size": size,
        "pictures": 64,
        "batch": 8,
        "start": {**dict.fromkeys(many_loops.OURS, 1.0), **dict.fromkeys(many_loops.THEIRS, 4.0)},
        "seconds": {**seconds, **theirs},
        "peak": dict.fromkeys((*ours, *many_loops.THEIRS), 100 * MIB),
        "differences": dict.fromkeys(ours, 0.001),
        "same": dict.fromkeys(ours, 63),
        "alone": {key: {"decode": 50.0, "network": 40.0} for key in ours},
    }


def memory(*, each: float = 0.0, after: tuple[int, ...] = (500, 1_500, 3_000), **more: Any) -> dict[str, Any]:
    """each: bytes that are kept of each picture."""
    return {"after": list(after), "held": [int(100 * MIB + each * count) for count in after], **more}


def measured(*rows: dict[str, Any], held: dict[str, Any] | None = None, many: Any = None) -> dict[str, Any]:
    return {"threads": 2, "full": False, "rows": list(rows), "memory": held or memory(), "many": many}


def test_goals_that_are_met():
    given = measured(row("small", exact=[2.0, 2.0, 2.0]), row("large", reduced=[0.5, 1.0, 1.0], exact=[1.0, 2.5, 2.0]))
    small, reduced, exact, flat = many_pictures.figures(given)
    assert small.what == (
        "Folder of photographs, ResNet-50, 500 x 375, all pixels decoded, against torchvision's loop (2 workers)"
    )
    # Theirs over ours in time; with start-up (4 + 4) / (1 + 2).
    assert small.measured == "2.00 (2.00 to 2.50) times the pictures a second; with start-up 2.67"
    assert "12 megapixels, JPEGs reduced" in reduced.what
    assert reduced.measured.startswith("5.00 (4.00 to 8.00) times")
    assert "12 megapixels, all pixels decoded" in exact.what
    assert exact.measured.startswith("2.00 (2.00 to 4.00) times")
    assert flat.measured == "+0.0 MiB"
    assert small.met and reduced.met and exact.met and flat.met


def test_goals_that_are_missed_say_who_does_how_much():
    given = measured(row("small", exact=[4.0, 4.0, 4.0]), row("large", reduced=[1.0] * 3, exact=[8.0] * 3))
    small, reduced, exact, _ = many_pictures.figures(given)
    assert (small.met, reduced.met, exact.met) == (False, True, False)  # each with a verdict of its own
    assert small.why == f"ours answers 16.0 pictures a second, theirs 16.0{ALONE_TOLD}"
    assert exact.measured.startswith("0.50 (0.50 to 0.62) times")
    assert exact.why == f"ours answers 8.0 pictures a second, theirs 16.0{ALONE_TOLD}"


def test_both_of_their_loops_are_candidates():
    assert many_pictures.quicker(row("small", exact=[1.0] * 3)) == WORKERS
    slow_workers = row("small", exact=[2.0] * 3)
    slow_workers["seconds"][WORKERS] = [9.0, 9.0, 9.0]
    assert many_pictures.quicker(slow_workers) == ALONE
    assert many_pictures.ratios(slow_workers, "exact") == [4.0, 4.0, 0.5]


def test_growth_of_memory_is_projected():
    leak = memory(each=3_300)  # 8 MiB in 2,500 pictures
    *_, missed = many_pictures.figures(measured(held=leak))
    assert missed.what == "Memory held from 500 to 3,000 pictures, projected to 100,000"
    assert (missed.measured, missed.met) == ("+314.7 MiB", False)
    assert missed.why == "+7.9 MiB in 2,500 pictures, 3,300 bytes a picture"
    small = memory(each=500)
    *_, met = many_pictures.figures(measured(held=small))
    assert (met.measured, met.goal, met.met) == ("+47.7 MiB", "at most 64 MiB more", True)


def test_what_a_full_run_found_is_kept_with_its_date(tmp_path: Path):
    result = tmp_path / "many_pictures.json"
    assert kept(result, "many") is None
    many = memory(each=100, after=(10_000, 100_000), measured="2026-01-02")
    result.write_text(json.dumps(measured(many=many)), encoding="utf-8")
    quick, full = many_pictures.figures(measured(many=kept(result, "many")))
    assert quick.met and full.met
    assert full.what == "Memory held from 10,000 to 100,000 pictures (measured 2026-01-02), projected to 100,000"
    assert full.measured == "+9.5 MiB"


def test_memory_that_is_not_known_is_not_met():
    unknown = row("small", exact=[1.0] * 3)
    unknown["peak"] = dict.fromkeys(unknown["peak"])
    given = measured(unknown, held={"after": [500, 3_000], "held": None})
    *_, flat = many_pictures.figures(given)
    assert (flat.measured, flat.met, flat.why) == ("not known here", False, "only Linux tells what is held")
    rates, _, held = many_pictures.lines(given)
    assert rates == "ResNet-50, 500 x 375: pictures a second: exact 64.0, 0 workers 8.0, 2 workers 16.0"
    assert held.endswith("not known here")
    assert is_told() == (sys.platform == "linux")


def test_lines_tell_of_agreement():
    _, agreement, held = many_pictures.lines(measured(row("small", exact=[1.0] * 3)))
    assert agreement == (
        "ResNet-50, 500 x 375, all pixels decoded: logits 0.10% from theirs, the same best class for 63 of 64"
    )
    assert held.endswith("100.0 MiB after 500, 100.0 MiB after 1,500, 100.0 MiB after 3,000")


def test_logits_may_be_a_little_apart_and_no_more():
    theirs = [[3.0, -1.0, -2.0], [1.0, 1.0, -2.0]]
    near = [[3.0, -1.0, -2.0], [1.01, 0.99, -2.0]]  # another best class, which is none of a comparison
    logits = {"exact": near, "reduced": theirs, ALONE: theirs, WORKERS: theirs}
    # sqrt(2 * 0.01^2 / 20)
    assert many_pictures.compare("resnet50", logits) == {"reduced": 0.0, "exact": 0.00316}
    far = {**logits, "exact": [[3.0, -1.0, -2.0], [1.2, 0.8, -2.0]]}
    with pytest.raises(RuntimeError, match=r"the logits of the two sides are 6\.32% apart"):
        many_pictures.compare("resnet50", far)


@pytest.mark.parametrize("name", many_pictures.TITLES)
def test_large_pictures_are_reduced_and_small_ones_are_not(name: str):
    weights = default_weights(name)
    assert weights is not None
    preprocess = preprocess_of(weights.transform)
    assert preprocess.reduction(*SMALL) == 1
    assert preprocess.reduction(*LARGE) > 1


def test_each_of_their_workers_has_four_batches():
    assert many_pictures.PASS >= 4 * many_pictures.THREADS
    assert many_pictures.WARMING >= many_pictures.THREADS


def test_generated_pictures_are_of_the_size_that_is_asked_for(tmp_path: Path):
    from PIL import Image

    write_small(tmp_path, 2, size=(32, 24))
    first, second = sorted((tmp_path / "all").iterdir())
    assert first.read_bytes() != second.read_bytes()
    with Image.open(first) as picture:
        assert picture.size == (32, 24)

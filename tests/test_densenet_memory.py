"""The measurement of DenseNet's memory-efficient mode: what one process reports, and the words for it."""

import pytest
from benchmarks import densenet_memory

pytestmark = pytest.mark.row("B-15")


def measured(monkeypatch, peaks: list[int] | None) -> dict[str, float | None]:
    """One short run, where the peaks of memory are these, one after the other; None: on a system that cannot tell."""
    told = iter(peaks or ())
    monkeypatch.setattr(densenet_memory, "forget_peak", lambda: peaks is not None)
    monkeypatch.setattr(densenet_memory, "peak_memory", lambda: next(told))
    return densenet_memory.one("densenet_bc100_k12_cifar", 2, 8, "cpu", memory_efficient=True, steps=2)


def test_memory_is_the_peak_less_what_was_held_before(monkeypatch):
    found = measured(monkeypatch, [700 * 2**20, 1000 * 2**20])
    assert found["mebibytes"] == 300
    assert found["seconds"] > 0


def test_memory_that_cannot_be_told_is_not_guessed(monkeypatch):
    assert measured(monkeypatch, None)["mebibytes"] is None


def test_the_words_for_known_and_unknown_memory():
    case = {
        "name": "densenet121",
        "pictures": 8,
        "side": 224,
        "device": "cpu",
        "efficient_time_over_plain": [1.3, 1.2, 9],
    }
    known = {"mebibytes": {"plain": [900, 1000], "efficient": [500, 450]}, "plain_over_efficient": [1.8, 2.2]}
    unknown = {"mebibytes": {"plain": [None], "efficient": [None]}, "plain_over_efficient": []}
    start = "densenet121, 8 pictures of 224 x 224 on cpu: a training step needs "
    end = ", and takes 1.30 times as long in the memory-efficient mode"
    assert densenet_memory.lines({"cases": [case | known, case | unknown]}) == [
        f"{start}475 MiB beside the network in the memory-efficient mode, 950 MiB in the plain one "
        f"(2.0 times as many){end}",
        f"{start}memory that only Linux can tell{end}",
    ]

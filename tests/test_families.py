"""The benchmark of families: who is in it, what it needs, and a run of two steps."""

import dataclasses
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import families
from benchmarks.__main__ import RESULTS, main
from benchmarks.memory import forget_peak

from convatlas.engine.plan import make_plan
from convatlas.errors import DataError
from convatlas.models import MODELS

ROOT = Path(__file__).parent.parent


def write_idx(folder: Path, *, train: int, test: int) -> Path:
    """Noise in ten classes, as the four files of MNIST."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for stem, count in (("train", train), ("t10k", test)):
        pixels = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(
            struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28) + pixels.data
        )
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, count) + labels.data)
    return folder


def test_one_member_of_each_family():
    modules = [MODELS[name].module for name in families.members()]
    assert sorted(modules) == sorted({entry.module for entry in MODELS.values()})


def test_every_exception_is_of_a_member():
    assert set(families.MEMBERS) - set(families.members()) == set()


def test_a_run_of_every_member_can_be_planned():
    """Each takes pictures of the one size, or of its own smaller one, and any recipe is the same."""
    splits = families.open_splits("digits", steps=families.STEPS)
    assert (len(splits.train), len(splits.val)) == (4000, 1000)
    plans = [make_plan(splits, families.wishes(name)) for name in families.members()]
    assert {plan.model: plan.preprocess.height for plan in plans if plan.preprocess.height != families.SIDE} == {
        "lenet5": 32,
        "lenet5_modern": 32,
        "nin_cifar10": 32,
        "resnet20_cifar": 32,
        "densenet40_k12_cifar": 32,
        "nasnet_cifar": 32,
    }
    # Mean and deviation are those of the scaled pictures, and the order of the numbers in memory is what the network
    # is quickest with; nothing else differs, and no picture is distorted.
    assert {plan.model for plan in plans if not plan.recipe.channels_last} == {"vit_ti_16"}
    recipes = {dataclasses.replace(plan.recipe, mean=None, std=None, channels_last=None) for plan in plans}
    (recipe,) = recipes
    assert dataclasses.replace(recipe, threads=None) == families.RECIPE


def test_two_steps_on_idx_files(tmp_path: Path):
    folder = write_idx(tmp_path / "idx", train=70, test=20)
    measured = families.measure(folder, names=["lenet5_modern"], steps=2)
    (row,) = measured["networks"]
    # Section II.B of the paper counted by hand: see the card.
    assert (row["parameters"], row["macs"], row["side"]) == (61_706, 416_520, 32)
    assert row["accuracy"] * 20 == pytest.approx(round(row["accuracy"] * 20))
    assert 0 < row["step_seconds"] < 10
    # At least the gradients and AdamW's two moments, where it is known.
    assert (row["memory"] is not None) == sys.platform.startswith("linux")
    assert row["memory"] is None or row["memory"] > 3 * 4 * 61_706
    head, line = families.lines(measured)
    assert "2 steps of 32 pictures" in head
    assert "20 others" in head
    assert line.startswith("lenet5_modern at 32 x 32: ")


def test_data_that_will_not_do_is_named(tmp_path: Path):
    folder = write_idx(tmp_path / "idx", train=70, test=20)
    with pytest.raises(DataError, match="125 steps of 32 need 4,000 training pictures, there are 70"):
        families.measure(folder)
    for file in folder.glob("t10k*"):
        file.unlink()
    with pytest.raises(DataError, match="idx: expected train and test pictures apart"):
        families.measure(folder)


def test_the_command_names_what_is_wrong_and_keeps_the_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    kept = (RESULTS / "families.json").read_bytes()
    with pytest.raises(SystemExit) as end:
        main(["families", "--data", str(tmp_path / "absent")])
    assert end.value.code == 1
    assert "absent: there is no such file or folder" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["construct", "--data", str(tmp_path)])
    assert end.value.code == 2
    assert "--data is for families alone" in capsys.readouterr().err
    assert (RESULTS / "families.json").read_bytes() == kept


# In a new process, as where it is measured: a large one may have as much to give, and its peak stays.
RISE_OF_THE_PEAK = """
from benchmarks.memory import forget_peak, peak_memory
forget_peak()
before = peak_memory()
assert len(bytes(b"1") * 50_000_000) == 50_000_000
print(peak_memory() - before)
"""


def test_the_peak_is_what_was_held_at_most():
    assert forget_peak() == sys.platform.startswith("linux")
    if sys.platform.startswith("linux"):
        told = subprocess.run(
            [sys.executable, "-c", RISE_OF_THE_PEAK], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert int(told.stdout) >= 49_000_000

"""What the benchmark of training tells of measurements that are made up here, with its goals."""

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import training
from benchmarks.memory import is_told

MEASURED = {
    "side": 160,
    "batch": 16,
    "files": 128,
    "networks": {
        "resnet18": {
            "parameters": 11_178_564,
            "channels_last": {"convatlas": True, "torchvision": False, "torchvision_2_workers": False, "timm": True},
            "pictures_per_second": {"convatlas": [30.0, 42.0, 39.0], "torchvision": [20.0, 20.0, 30.0],
                                    "torchvision_2_workers": [19.0, 19.0, 40.0], "timm": [30.0, 40.0, 40.0]},
            "peak_bytes": {"convatlas": 900 * 2**20, "torchvision": 1000 * 2**20, "torchvision_2_workers": 980 * 2**20,
                           "timm": 950 * 2**20},
            "workers_bytes": {"convatlas": 0, "torchvision": 800 * 2**20, "torchvision_2_workers": 100 * 2**20,
                              "timm": 0},
        }
    },
    "digits": {
        "undistorted": {"ours": [1.0, 2.0, 1.0], "plain": [2.0, 5.0, 2.0], "plain_2_workers": [9.0, 9.0, 9.0],
                        "bare": [0.5]},
        "distorted": {"ours": [1.0, 2.0, 1.0], "plain": [8.0, 8.0, 8.0], "plain_2_workers": [3.0, 8.0, 3.5],
                      "bare": [0.5]},
    },
    "overhead": {"ours": [0.204, 0.206, 0.202], "bare": [0.2, 0.2, 0.2]},
}  # fmt: skip

LOOP = "what our loop adds to the steps of ResNet-18 on pictures in memory is +2.0 % (below)"


def changed(**changes) -> dict:
    network = {**MEASURED["networks"]["resnet18"], **changes}
    return {**MEASURED, "networks": {"resnet18": network}}


def test_ratios_are_medians_of_pairs_with_their_spread():
    over_torchvision, over_timm, memory, undistorted, distorted, loop = training.figures(MEASURED)
    assert (over_torchvision.measured, over_torchvision.met) == ("1.50 times (1.30 to 2.10)", True)
    assert (
        over_torchvision.what
        == "training resnet18 (160 px, batches of 16): pictures a second, over the loop of torchvision"
    )
    assert (over_timm.measured, over_timm.goal, over_timm.met) == ("1.00 times (0.97 to 1.05)", "at least 1.0", True)
    assert memory.measured == (
        "ours 900 MiB, torchvision 1,800 MiB (workers 800), torchvision with 2 workers 1,080 MiB (workers 100), "
        "timm 950 MiB"
    )
    assert memory.met
    assert (undistorted.measured, undistorted.met) == ("2.00 times (2.00 to 2.50)", False)  # the quicker plain loop
    assert undistorted.why == "ours 1.00 s, the plain loop 2.00 s, the steps alone on a batch that is ready 0.50 s"
    assert (distorted.measured, distorted.met) == ("3.50 times (3.00 to 4.00)", True)
    assert loop.measured.startswith("+2.0 % (half of the pairs +1.0 to +3.0)")
    assert loop.what == "our loop over a bare loop of the same step (200 ms, 3 pairs)"
    assert loop.met


def test_what_is_missed_says_so():
    slower = {"convatlas": [10.0], "torchvision": [6.0], "torchvision_2_workers": [8.0], "timm": [12.5]}
    over_torchvision, over_timm, *_ = training.figures(changed(pictures_per_second=slower))
    # Against the quicker of torchvision's two.
    assert over_torchvision.what.endswith("over the loop of torchvision with 2 workers")
    assert (over_torchvision.measured, over_torchvision.met) == ("1.25 times (1.25 to 1.25)", False)
    assert over_torchvision.why == (f"ours 10.0 pictures a second, torchvision with 2 workers 8.0; {LOOP}")
    assert (over_timm.measured, over_timm.met) == ("0.80 times (0.80 to 0.80)", False)
    assert over_timm.why == f"ours 10.0 pictures a second, timm 12.5; {LOOP}"
    peaks = dict.fromkeys(training.LOOPS, 1000 * 2**20) | {"convatlas": 980 * 2**20, "timm": 950 * 2**20}
    memory = training.figures(changed(peak_bytes=peaks))[2]
    assert (memory.met, memory.why) == (False, "ours holds 30.0 MiB more than timm")
    workers = dict.fromkeys(training.LOOPS, 0) | {"timm": 31 * 2**20}
    assert training.figures(changed(peak_bytes=peaks, workers_bytes=workers))[2].met  # 980 against 981 MiB
    slow = {"ours": [1.0], "plain": [2.9], "plain_2_workers": [9.0], "bare": [0.7]}
    *_, distorted, _ = training.figures({**MEASURED, "digits": {"distorted": slow}})
    assert (distorted.met, distorted.why) == (
        False,
        "ours 1.00 s, the plain loop 2.90 s, the steps alone on a batch that is ready 0.70 s",
    )
    unknown = training.figures(changed(peak_bytes=dict.fromkeys(peaks)))[2]
    assert (unknown.measured, unknown.met) == ("not known", False)
    short = {**MEASURED, "overhead": {"ours": [0.02, 0.02], "bare": [0.02, 0.02]}}
    assert training.figures(short)[-1].why == "a step takes 20.0 ms in ours and 20.0 ms alone"
    long = {**MEASURED, "overhead": {"ours": [0.21, 0.21], "bare": [0.2, 0.2]}}
    assert training.figures(long)[-1].why == "a step takes 210.0 ms in ours and 200.0 ms alone"


@pytest.mark.parametrize("plain", [[3.0], [9.0]])
def test_digits_that_are_met(plain):
    digits = {"ours": [1.0], "plain": plain, "plain_2_workers": [6.0], "bare": [0.5]}
    *_, figure, _ = training.figures({**MEASURED, "digits": {"undistorted": digits}})
    assert figure.met


def test_a_loop_that_ends_says_why_and_leaves_nothing(tmp_path, monkeypatch):
    """A process that keeps its folder, says more than a pipe holds and ends, and one that does not end by itself."""
    folders = tmp_path / "folders"
    folders.mkdir()
    monkeypatch.setattr(training.tempfile, "tempdir", str(folders))
    monkeypatch.setattr(training, "PATIENCE", 0.2)
    write = "import pathlib, sys; pathlib.Path(sys.argv[-1], 'kept').touch(); sys.stdin.readline(); "
    noise = "sys.stderr.write('x' * 200_000 + 'the reason'); sys.stderr.flush(); "
    monkeypatch.setattr(training, "ONE", write + noise + "sys.exit(1)")
    with (
        pytest.raises(ChildProcessError, match=r"timm ended: x+the reason"),
        training._process("timm", "resnet18", tmp_path, 32, 4) as epochs,
    ):
        next(epochs)
    assert not list(folders.iterdir())
    monkeypatch.setattr(training, "ONE", write + noise + "print('{}', flush=True); import time; time.sleep(60)")
    with training._process("timm", "resnet18", tmp_path, 32, 4) as epochs:
        assert next(epochs) == {}
        assert [path.name for path in folders.rglob("kept")] == ["kept"]
    assert not list(folders.iterdir())


def test_a_line_for_each_figure():
    assert training.lines(MEASURED) == [str(figure) for figure in training.figures(MEASURED)]


def test_the_files_are_real_pictures_in_class_folders(tmp_path):
    training.write_pictures(tmp_path, 8)
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.jpg"))
    assert len(names) == 8 + 4
    assert names[0] == "train/class_0/0000.jpg"
    assert len({(tmp_path / name).read_bytes() for name in names}) == len(names)


# In a new process: its workers are forked from it, and share with it what it held before.
WORKERS = """
import multiprocessing
from benchmarks.memory import workers_memory
shared = bytes(b"1") * 200_000_000
def work(held, ended):
    own = bytes(b"1") * 50_000_000
    held.set()
    ended.wait()
context = multiprocessing.get_context("fork")
held, ended = context.Event(), context.Event()
worker = context.Process(target=work, args=(held, ended))
before = workers_memory()
worker.start()
held.wait()
print(before, workers_memory())
ended.set()
worker.join()
"""


@pytest.mark.skipif(not is_told(), reason="only Linux tells of memory")
def test_of_workers_their_own_memory_counts():
    root = Path(__file__).parents[1]
    told = subprocess.run([sys.executable, "-c", WORKERS], cwd=root, capture_output=True, text=True, check=True)
    before, during = map(int, told.stdout.split())
    assert before == 0
    assert 49_000_000 < during < 100_000_000

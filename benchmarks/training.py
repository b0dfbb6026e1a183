"""Training: our whole loop against torchvision's reference loop, timm's loop, a plain one and a bare one.

**Photographs.** Files made on the spot, JPEG of 256 px a side cut out of scikit-image's photographs, in class folders;
a random crop, a mirror, SGD with momentum, float32, two threads. Ours is `convatlas.train` with a recipe that says so.
torchvision's is what `references/classification/train.py` does by default: `ImageFolder`, 16 workers, crop, mirror and
normalisation picture by picture, NCHW, loss and accuracies read in each step; and the same with two workers, of which
the one with the greater median counts. timm's is its `create_loader` (four workers, no prefetcher on a processor, no
colour jitter), its SGD and its step, with channels last where ours has it. Each trains its own network of that name, of
as many parameters. Each lives in a process of its own; they take their epochs in turn. An epoch is timed from before
its first picture is read to the end of its last step. Not counted: start-up, an epoch to warm up, and the start of the
others' workers, which stay: it would weigh more in these short epochs than in long ones. Memory is the most that the
process which trains holds from the second epoch on, ours with validation and checkpoints, and with it what its workers
hold for themselves at the end of an epoch, which is not the most that they do; ours decodes in threads.

**Digits.** Epochs of `lenet5_modern` on the training digits, against a loop as tutorials write it: a `Dataset` of
single items that pads, makes a tensor and normalises with torchvision, a `DataLoader` with none or two workers (the
quicker one counts), the same batches of 64, the same SGD. Once without distortions, once turned, shifted, scaled and
sheared by the recipe's measure: ours the batch as a whole, the plain loop picture by picture with torchvision's
`RandomAffine`. The steps alone are those of a fused SGD on one whole batch of random pixels, over and over.

**The loop itself.** Each step of our loop on pictures in memory is followed by the same step of a bare loop (the same
kind of network and of optimiser, the same number of pixels, one `loss.backward()`): what ours takes more.
"""

import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure

NETWORKS = ("resnet18", "resnet50", "mobilenet_v2")
LOOPS = {
    "convatlas": "ours",
    "torchvision": "torchvision",
    "torchvision_2_workers": "torchvision with 2 workers",
    "timm": "timm",
}
PATIENCE = 60  # seconds until a loop that nobody asks any more is ended
CLASSES, FILE_SIDE = 4, 256
DIGITS_EPOCHS, DIGITS_ROUNDS = 3, 3
PAIRS = 32

ONE = "import sys; from benchmarks.training_loops import main; main(*sys.argv[1:])"


def measure(*, full: bool = False) -> dict[str, Any]:
    """quick: 128 px, batches of 16, 80 files, 3 epochs each; full: 224 px, batches of 32, 256 files, 5 epochs each."""
    side, batch, files, rounds = (224, 32, 256, 5) if full else (128, 16, 80, 3)
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        write_pictures(pictures, files)
        networks = {name: _network(name, pictures, side, batch, rounds) for name in NETWORKS}
    return {
        "side": side,
        "batch": batch,
        "files": files,
        "networks": networks,
        "digits": _digits(),
        "overhead": _overhead(),
    }


def lines(measured: dict[str, Any]) -> list[str]:
    """One for each comparison."""
    return [str(figure) for figure in figures(measured)]


def figures(measured: dict[str, Any]) -> list[Figure]:
    """Speed and memory of each network against both loops, then the digits, then the loop itself."""
    found = []
    size = f"{measured['side']} px, batches of {measured['batch']}"
    for name, network in measured["networks"].items():
        speeds = network["pictures_per_second"]
        reference = max(("torchvision", "torchvision_2_workers"), key=lambda loop: statistics.median(speeds[loop]))
        for other, goal in ((reference, 1.3), ("timm", 1.0)):
            what = f"training {name} ({size}): pictures a second, over the loop of {LOOPS[other]}"
            ours, theirs = speeds["convatlas"], speeds[other]
            our_rate, their_rate = statistics.median(ours), statistics.median(theirs)
            why = (
                f"ours {our_rate:.1f} pictures a second, {LOOPS[other]} {their_rate:.1f}; what our loop adds to "
                f"the steps of ResNet-18 on pictures in memory is {_overhead_of(measured['overhead']):+.1f} % (below)"
            )
            found.append(_more(what, _ratios(ours, theirs), goal, why))
        found.append(_memory(name, network["peak_bytes"], network["workers_bytes"]))
    for kind, digits in measured["digits"].items():
        plain = min((digits["plain"], digits["plain_2_workers"]), key=statistics.median)
        what = f"an epoch of LeNet-5 on {kind} digits, over a plain DataLoader loop"
        ours, theirs, bare = (statistics.median(values) for values in (digits["ours"], plain, digits["bare"]))
        why = f"ours {ours:.2f} s, the plain loop {theirs:.2f} s, the steps alone on a batch that is ready {bare:.2f} s"
        found.append(_more(what, _ratios(plain, digits["ours"]), 3, why))
    found.append(_loop(measured["overhead"]))
    return found


def _ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(over, under, strict=True)]


def _more(what: str, ratios: Sequence[float], goal: float, why: str) -> Figure:
    """why: told where the goal is missed."""
    median = statistics.median(ratios)
    return Figure(
        what=what,
        measured=f"{median:.2f} times ({min(ratios):.2f} to {max(ratios):.2f})",
        goal=f"at least {goal:.1f}",
        met=median >= goal,
        why="" if median >= goal else why,
    )


def _memory(name: str, peaks: dict[str, int | None], workers: dict[str, int | None]) -> Figure:
    """Ours against the smallest of the others, all with their workers."""
    what, goal = f"training {name}: most memory held, workers' included", "not above torchvision's and timm's"
    own = {loop: peak for loop, peak in peaks.items() if peak is not None}
    theirs = {loop: held for loop, held in workers.items() if held is not None}
    if len(own) < len(LOOPS) or len(theirs) < len(LOOPS):
        return Figure(
            what=what, measured="not known", goal=goal, met=False, why="the system did not tell it; only Linux does"
        )
    known = {loop: own[loop] + theirs[loop] for loop in LOOPS}
    least = min((loop for loop in LOOPS if loop != "convatlas"), key=known.__getitem__)
    more = (known["convatlas"] - known[least]) / 2**20
    parts = {loop: f" (workers {theirs[loop] / 2**20:,.0f})" if theirs[loop] else "" for loop in LOOPS}
    return Figure(
        what=what,
        measured=", ".join(f"{LOOPS[loop]} {known[loop] / 2**20:,.0f} MiB{parts[loop]}" for loop in LOOPS),
        goal=goal,
        met=more <= 0,
        why="" if more <= 0 else f"ours holds {more:,.1f} MiB more than {LOOPS[least]}",
    )


def _overhead_of(overhead: dict[str, Any]) -> float:
    """By how many percent a step in our loop takes longer than alone."""
    return 100 * (statistics.median(_ratios(overhead["ours"], overhead["bare"])) - 1)


def _loop(overhead: dict[str, Any]) -> Figure:
    ratios = _ratios(overhead["ours"], overhead["bare"])
    more = _overhead_of(overhead)
    quarters = statistics.quantiles(ratios, n=4)
    ours, step = (1000 * statistics.median(overhead[kind]) for kind in ("ours", "bare"))
    met = more <= 3 and step >= 100
    return Figure(
        what=f"our loop over a bare loop of the same step ({step:.0f} ms, {len(ratios)} pairs)",
        measured=f"{more:+.1f} % (half of the pairs {100 * (quarters[0] - 1):+.1f} to {100 * (quarters[2] - 1):+.1f})",
        goal="at most 3 %, of steps of 100 ms or more",
        met=met,
        why="" if met else f"a step takes {ours:.1f} ms in ours and {step:.1f} ms alone",
    )


def write_pictures(folder: Path, files: int) -> None:
    """folder/train/CLASS with so many JPEG files in all, cut at random, and folder/val/CLASS with one each."""
    import numpy as np
    import skimage
    from PIL import Image

    packaged = Path(skimage.__file__).parent / "data"
    photographs = [Image.open(packaged / name) for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")]
    random = np.random.default_rng(0)
    for part, count in (("train", files // CLASSES), ("val", 1)):
        for number, photograph in enumerate(photographs):
            place = folder / part / f"class_{number}"
            place.mkdir(parents=True)
            for each in range(count):
                left = int(random.integers(0, photograph.width - FILE_SIDE + 1))
                top = int(random.integers(0, photograph.height - FILE_SIDE + 1))
                region = photograph.convert("RGB").crop((left, top, left + FILE_SIDE, top + FILE_SIDE))
                region.save(place / f"{each:04}.jpg", quality=90)


def _network(name: str, pictures: Path, side: int, batch: int, rounds: int) -> dict[str, Any]:
    """All loops on one network, their epochs in turn."""
    speeds: dict[str, list[float]] = {loop: [] for loop in LOOPS}
    with contextlib.ExitStack() as stack:
        epochs = {loop: stack.enter_context(_process(loop, name, pictures, side, batch)) for loop in LOOPS}
        started = {loop: next(told) for loop, told in epochs.items()}  # after an epoch to warm up
        if len({told["parameters"] for told in started.values()}) != 1:
            raise AssertionError(f"{name} is not the same network everywhere: {started}")
        last: dict[str, dict[str, Any]] = {}
        for _ in range(rounds):
            for loop, told in epochs.items():
                last[loop] = next(told)
                speeds[loop].append(last[loop]["pictures_per_second"])
    return {
        "parameters": started["convatlas"]["parameters"],
        "channels_last": {loop: told["channels_last"] for loop, told in started.items()},
        "pictures_per_second": speeds,
        "peak_bytes": {loop: told["peak_bytes"] for loop, told in last.items()},
        "workers_bytes": {loop: told["workers_bytes"] for loop, told in last.items()},
    }


@contextlib.contextmanager
def _process(loop: str, name: str, pictures: Path, side: int, batch: int) -> Iterator[Iterator[dict[str, Any]]]:
    """A loop in a process of its own; what is yielded lets it train an epoch each time, and says what it found."""
    with contextlib.ExitStack() as stack:
        # Made here, so that they are removed even where the process has to be killed; a file takes all that it says.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="convatlas-", ignore_cleanup_errors=True))
        errors = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace"))
        words = [loop, name, str(pictures), str(side), str(batch), folder]
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", ONE, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
            )
        )
        assert process.stdin is not None and process.stdout is not None
        told, orders = process.stdout, process.stdin

        def epochs() -> Iterator[dict[str, Any]]:
            while True:
                with contextlib.suppress(OSError):  # it has ended, which is told below
                    orders.write("go\n")
                    orders.flush()
                line = next((line for line in told if line.startswith("{")), None)
                if line is None:
                    errors.seek(0)
                    raise ChildProcessError(f"{loop} ended: {errors.read()[-2000:]}")
                yield json.loads(line)

        try:
            yield epochs()
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Nobody asks for another epoch: the process ends by itself, or is killed if it does not."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()


def _digits() -> dict[str, Any]:
    from benchmarks.training_loops import digits_bare, digits_ours, digits_plain

    found: dict[str, Any] = {}
    for kind in ("undistorted", "distorted"):
        distorted = kind == "distorted"
        loops = {
            "ours": lambda distorted=distorted: digits_ours(DIGITS_EPOCHS, distorted=distorted),
            "plain": lambda distorted=distorted: digits_plain(DIGITS_EPOCHS, workers=0, distorted=distorted),
            "plain_2_workers": lambda distorted=distorted: digits_plain(2, workers=2, distorted=distorted),
            "bare": lambda: digits_bare(DIGITS_EPOCHS),
        }
        # In turn; the first epoch of each is not counted.
        rounds = [{loop: statistics.median(run()[1:]) for loop, run in loops.items()} for _ in range(DIGITS_ROUNDS)]
        found[kind] = {loop: [each[loop] for each in rounds] for loop in loops}
    return found


def _overhead() -> dict[str, Any]:
    from benchmarks.training_loops import paired_steps

    with contextlib.redirect_stderr(io.StringIO()):
        ours, bare = paired_steps(PAIRS)
    return {"ours": ours, "bare": bare}

"""How cost grows: time and memory against pictures a batch, their resolution, and the files of a data set.

**Prediction** of ResNet-18, float32, two threads: batches of 1 to 64 pictures of 224 px through our engine on ONNX
Runtime, and one picture of 96 to 512 px on torch, since an exported graph has one size and the network any.
**Training**: one step (to the losses, back, SGD) on batches of 1 to 64 pictures of 112 px. Weights are random; the
arithmetic is the same. Each point is a process of its own: the time is the median of single passes after one that does
not count, the memory is the most that the process holds from that one on, with all that it has imported.

**Indexing**: class folders, a hundred files in each of a small set and a thousand in each of a large one, made on the
spot. Each file holds its own number and no picture, for none is opened as one. In a fresh process each time, ours and
torchvision's in turn: `open_pictures` against `ImageFolder`, which both find names, classes and targets; and
`open_data`, which also deals the pictures out by seed and keeps equal ones together. For that it asks for the size of
each file and reads the beginning of those whose size others have too: here of all, the dearest case. The files lie in
memory (`/dev/shm`) where the system has room there. Imports do not count in the time; memory is the most that the
process has held, Python and imports with it, and how much of that the work took. With `--full` a million files too, and
once more on the disk of temporary files, where to open each is the disk's time; what was found then is kept beside the
figures of quick runs, with its date. That `ImageFolder`'s time has a step
between 1,000 and 10,000 files is Python's collector of garbage, which then goes over all that came with torch.

An exponent says how time or memory grows: 1 where twice as many cost twice as much.
"""

import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.growth_points import NETWORK, THREADS, TRAINING_SIDE

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "growth.json"
BATCHES = (1, 2, 4, 8, 16, 32, 64)
SIDES = (96, 128, 160, 224, 320, 384, 512)
FILES, MANY = (1_000, 10_000, 100_000), 1_000_000
INDEXERS = ("list_ours", "list_theirs", "split_ours")
ROUNDS = 3
SECONDS_GOAL, BYTES_GOAL = 10.0, 1e9


def measure(
    *,
    full: bool = False,
    batches: Sequence[int] = BATCHES,
    sides: Sequence[int] = SIDES,
    files: Sequence[int] = FILES,
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """All three; a quick run keeps what the last full one found of a million files."""
    with tempfile.TemporaryDirectory(prefix="convatlas-", ignore_cleanup_errors=True) as temporary:
        bundle = str(Path(temporary) / "bundle")
        _write_bundle(Path(bundle), exported=bool(batches))
        curves = {
            "batch": [_point("predict_batch", "batch", batch, bundle) for batch in batches],
            "resolution": [_point("predict_side", "side", side, bundle) for side in sides],
            "training": [_point("train_batch", "batch", batch) for batch in batches],
        }
    return {
        "network": NETWORK,
        "threads": THREADS,
        "training_side": TRAINING_SIDE,
        **curves,
        "indexing": [_indexed(count, rounds) for count in files],
        "million": _million(rounds) if full else _kept(),
    }


def lines(measured: dict[str, Any]) -> list[str]:
    told = []
    for name, what in (("batch", "prediction"), ("training", "a step of training")):
        points = measured[name]
        first, last = points[0], points[-1]
        told.append(
            f"ResNet-18, {what} against the batch: {_each(first)} a picture alone, {_each(last)} in a batch of "
            f"{last['batch']}; the process holds {_size(first['bytes'])} and {_size(last['bytes'])}"
        )
    points = measured["resolution"]
    told.append(
        f"ResNet-18, one picture of {points[0]['side']} to {points[-1]['side']} px: time grows as pixels^"
        f"{pixels_exponent(points):.2f}, the process from {_size(points[0]['bytes'])} to {_size(points[-1]['bytes'])}"
    )
    rows = [*measured["indexing"], *([measured["million"]] if measured["million"] else [])]
    for row in rows:
        seconds, memory = median_seconds(row), row["work"]
        sizes = ", ".join(_size(memory[kind]) for kind in ("list_ours", "split_ours"))
        when = f" (measured {row['measured']})" if "measured" in row else ""
        told.append(
            f"{row['files']:,} files{when}: listed in {_seconds(seconds['list_ours'])}, "
            f"{told_ratio(row)} of ImageFolder's time; split in {_seconds(seconds['split_ours'])}; "
            f"{sizes} beyond imports, ImageFolder {_size(memory['list_theirs'])}"
        )
    return told


def figures(measured: dict[str, Any]) -> list[Figure]:
    """The million where a full run has measured it, and each set against torchvision's ImageFolder."""
    told = []
    million = measured["million"]
    if million:
        worst, memory = max(million["seconds"]["split_ours"]), million["bytes"]["split_ours"]
        met = worst <= SECONDS_GOAL and (memory is None or memory <= BYTES_GOAL)
        listed = _spread(million["seconds"]["list_ours"])
        told.append(
            Figure(
                what=f"Indexing 1,000,000 files in class folders, and splitting them (measured {million['measured']})",
                measured=f"{_spread(million['seconds']['split_ours'])} and {_size(memory)}; to list them alone "
                f"{listed} and {_size(million['bytes']['list_ours'])}; on the disk "
                f"{_seconds(million['disk']['split_ours'])} and {_seconds(million['disk']['list_ours'])}",
                goal=f"at most {SECONDS_GOAL:g} s and {BYTES_GOAL / 1e9:g} GB",
                met=met,
                why="" if met else f"the dearest run took {_seconds(worst)} and {_size(memory)}",
            )
        )
    row = measured["indexing"][-1]
    told.append(
        Figure(
            what=f"Indexing {row['files']:,} files, against torchvision's ImageFolder",
            measured=f"{ratio(row):.2f} times as fast, for {_size(row['work']['list_ours'])} instead of "
            f"{_size(row['work']['list_theirs'])} beyond imports",
            goal="told, no bound",
            met=True,
        )
    )
    grown = growth(measured)
    told.append(
        Figure(
            what="Growth of time: exponents of batch (prediction, a step of training), pixels, files",
            measured=f"{grown['batch']:.2f}, {grown['training']:.2f}, {grown['resolution']:.2f}, {grown['files']:.2f}",
            goal="told, no bound (1: twice as many take twice as long)",
            met=True,
        )
    )
    return told


def growth(measured: Mapping[str, Any]) -> dict[str, float]:
    """The exponents of time in the batch (predicted, trained), in the pixels of one picture and in the files listed."""
    points = {name: [(p["batch"], _median(p)) for p in measured[name]] for name in ("batch", "training")}
    return {
        **{name: exponent(pairs) for name, pairs in points.items()},
        "resolution": pixels_exponent(measured["resolution"]),
        "files": exponent([(row["files"], median_seconds(row)["list_ours"]) for row in measured["indexing"]]),
    }


def pixels_exponent(points: Iterable[Mapping[str, Any]]) -> float:
    """That of the time in the pixels of a picture."""
    return exponent([(point["side"] ** 2, _median(point)) for point in points])


def exponent(pairs: Sequence[tuple[float, float]]) -> float:
    """The slope of the straight line through the logarithms of (x, y) by least squares: y ~ x^exponent."""
    line = statistics.linear_regression([math.log(x) for x, _ in pairs], [math.log(y) for _, y in pairs])
    return float(line.slope)


def median_seconds(row: Mapping[str, Any]) -> dict[str, float]:
    """Of each way to index."""
    return {kind: statistics.median(seconds) for kind, seconds in row["seconds"].items()}


def ratio(row: Mapping[str, Any]) -> float:
    """ImageFolder's time over ours, the median of the rounds."""
    pairs = zip(row["seconds"]["list_theirs"], row["seconds"]["list_ours"], strict=True)
    return float(statistics.median([theirs / ours for theirs, ours in pairs]))


def told_ratio(row: Mapping[str, Any]) -> str:
    """ours over theirs, "0.31"."""
    return f"{1 / ratio(row):.2f}"


def write_files(root: Path, count: int) -> None:
    """Class folders of a hundred files, or of a thousand from 100,000 on; each file holds its own number."""
    each = 1000 if count >= FILES[-1] else 100
    for label in range(count // each):
        folder = root / f"n{label:08}"
        folder.mkdir()
        for number in range(each):
            place = f"{folder}{os.sep}{folder.name}_{number}.JPEG"
            file = os.open(place, os.O_CREAT | os.O_WRONLY)
            os.write(file, b"%d" % (label * each + number))
            os.close(file)


def _million(rounds: int) -> dict[str, Any]:
    on_disk = _indexed(MANY, 1, kinds=("split_ours", "list_ours"), place=tempfile.gettempdir())
    disk = {kind: seconds for kind, (seconds,) in on_disk["seconds"].items()}
    return {**_indexed(MANY, rounds), "disk": disk, "measured": _today()}


def _in_memory(count: int) -> str | None:
    """A folder that lies in memory, where there is room for the files: a page each, and what the system knows of it."""
    place = Path("/dev/shm")
    return str(place) if place.is_dir() and shutil.disk_usage(place).free > 8192 * count else None


def _indexed(count: int, rounds: int, *, kinds: Sequence[str] = INDEXERS, place: str | None = None) -> dict[str, Any]:
    """place: the folder to make the files in; None: in memory where that can be had."""
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    held: dict[str, dict[str, list[int | None]]] = {name: {kind: [] for kind in kinds} for name in ("bytes", "work")}
    with tempfile.TemporaryDirectory(prefix="convatlas-", dir=place or _in_memory(count)) as temporary:
        write_files(Path(temporary), count)
        for _ in range(rounds):  # in turn, so that a busy moment of the machine meets all alike
            for kind in kinds:
                answer = _ask(kind, temporary)
                seconds[kind] += answer["seconds"]
                for name, of_kind in held.items():
                    of_kind[kind].append(answer[name])
    most = {name: {kind: _most(values) for kind, values in of_kind.items()} for name, of_kind in held.items()}
    return {"files": count, "seconds": seconds, **most}


def _most(values: Sequence[int | None]) -> int | None:
    """None where the system does not tell."""
    return max((value for value in values if value is not None), default=None)


def _point(kind: str, axis: str, value: int, *words: str) -> dict[str, Any]:
    return {axis: value, **_ask(kind, *words, str(value))}


def _ask(kind: str, *words: str) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.growth_points", kind, *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS), "MKL_NUM_THREADS": str(THREADS)},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"{kind} {' '.join(words)} ended with {ran.returncode}: {ran.stderr.strip()}")
    answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return answer


def _write_bundle(folder: Path, *, exported: bool) -> None:
    import torch

    from convatlas.engine.bundle import Bundle, write_bundle
    from convatlas.engine.export import export_onnx
    from convatlas.engine.prepare import generated_pictures
    from convatlas.models import create_model
    from convatlas.weights import default_weights
    from convatlas.weights.preprocess import preprocess_of

    weights = default_weights(NETWORK)
    assert weights is not None
    preprocess = preprocess_of(weights.transform)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = create_model(NETWORK)
    bundle = Bundle(
        task="classify",
        model=NETWORK,
        changes={},
        classes=tuple(f"class {index}" for index in range(1000)),
        preprocess=preprocess,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    write_bundle(folder, bundle, {name: tensor.numpy() for name, tensor in network.state_dict().items()})
    if exported:
        export_onnx(folder, generated_pictures(preprocess)[:4], "4 generated pictures")


def _kept() -> dict[str, Any] | None:
    """What the last full run found of a million files; None where there was none."""
    if not RESULT.exists():
        return None
    million: dict[str, Any] | None = json.loads(RESULT.read_text(encoding="utf-8")).get("million")
    return million


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _median(point: Mapping[str, Any]) -> float:
    return float(statistics.median(point["seconds"]))


def _each(point: Mapping[str, Any]) -> str:
    return f"{1000 * _median(point) / point['batch']:.3g} ms"


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def _seconds(value: float) -> str:
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"


def _size(held: int | None) -> str:
    return "memory not known" if held is None else f"{held / 1e6:,.0f} MB"

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
memory (`/dev/shm`) where the system has room there. The first two hold torch and torchvision before the clock starts,
as a process that is to train does, and have collected their garbage: else whoever keeps enough objects would pay for
going over all that came with torch. The third needs no torch and has none, as `convatlas data` has none. Imports do not
count in the time; memory is the most that the work took beyond them, and for the goal that of the whole process. With
`--full` a million files too, and once more on the disk of temporary files, just written; what was found then is kept
beside the figures of quick runs, with its date.

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
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.growth_points import NETWORK, THREADS, TRAINING_SIDE
from benchmarks.kept import kept, today

ROOT = Path(__file__).parents[1]
RESULT = Path(__file__).parent / "results" / "growth.json"
BATCHES = (1, 4, 16, 64)
SIDES = (96, 160, 224, 320, 512)
FILES, MANY = (1_000, 10_000, 100_000), 1_000_000
INDEXERS = ("list_ours", "list_theirs", "split_ours")
ROUNDS, FULL_ROUNDS = 2, 3
SECONDS_GOAL, BYTES_GOAL = 10.0, 1e9


def measure(
    *,
    full: bool = False,
    batches: Sequence[int] = BATCHES,
    sides: Sequence[int] = SIDES,
    files: Sequence[int] = FILES,
    rounds: int | None = None,
) -> dict[str, Any]:
    """All three; a quick run keeps what the last full one found of a million files. rounds: None for 2, 3 in full."""
    rounds = rounds or (FULL_ROUNDS if full else ROUNDS)
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
        "full": full,
        "rounds": rounds,
        **curves,
        "indexing": [_indexed(count, rounds, _in_memory(count)) for count in files],
        "million": _million(rounds) if full else kept(RESULT, "million"),
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
    return [*told, *map(_told_index, [*measured["indexing"], *_of_million(measured)])]


def figures(measured: dict[str, Any]) -> list[Figure]:
    """The million where a full run has measured it, and each set against torchvision's ImageFolder."""
    million = _of_million(measured)
    against = [row for row in (measured["indexing"][-1], *million[:1]) if _with_theirs(row)]
    grown = growth(measured)
    return [
        *(_judged(row, million[0]) for row in million),
        *(
            Figure(
                what=f"Indexing {row['files']:,} files {row['place']}{_when(row)}, against torchvision's ImageFolder, "
                "with torch imported on both sides",
                measured=f"{told_ratio(row)} as fast, for {_size(row['work']['list_ours'])} instead of "
                f"{_size(row['work']['list_theirs'])} beyond imports",
            )
            for row in against
        ),
        Figure(
            what="Growth of time: exponents of batch (prediction, a step of training), pixels, files "
            "(1: twice as many take twice as long)",
            measured=f"{grown['batch']:.2f}, {grown['training']:.2f}, {grown['resolution']:.2f}, {grown['files']:.2f}",
        ),
    ]


def _judged(row: Mapping[str, Any], first: Mapping[str, Any]) -> Figure:
    """A million files in one place; first: where they were indexed first, which a slower disk is held against."""
    worst, memory = max(row["seconds"]["split_ours"]), row["bytes"]["split_ours"]
    met = worst <= SECONDS_GOAL and (memory is None or memory <= BYTES_GOAL)
    why = "" if met else f"the dearest run took {_seconds(worst)} and {_size(memory)}"
    if not met and row is not first:
        here, there = median_seconds(row), median_seconds(first)
        why += (
            f"; to list them takes {_seconds(here['list_ours'])}, {first['place']} {_seconds(there['list_ours'])}; to "
            "split them, which opens every file that shares its size with another, takes "
            f"{_seconds(here['split_ours'] - here['list_ours'])} more, {first['place']} "
            f"{_seconds(there['split_ours'] - there['list_ours'])} more"
        )
    return Figure(
        what=f"Indexing {row['files']:,} files in class folders {row['place']}, and splitting them{_when(row)}",
        measured=f"{_spread(row['seconds']['split_ours'])} and {_size(memory)}; to list them alone "
        f"{_spread(row['seconds']['list_ours'])} and {_size(row['work']['list_ours'])} beyond imports",
        goal=f"at most {SECONDS_GOAL:g} s and {BYTES_GOAL / 1e9:g} GB",
        met=met,
        why=why,
    )


def _of_million(measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a million files: in memory, on the disk; none before a full run."""
    million = measured["million"]
    return [{**row, "measured": million["measured"]} for row in million["rows"]] if million else []


def _told_index(row: Mapping[str, Any]) -> str:
    taken, work = row["seconds"], row["work"]
    told = (
        f"{row['files']:,} files {row['place']}{_when(row)}: listed in {_spread(taken['list_ours'])}, "
        f"{_size(work['list_ours'])}; split in {_spread(taken['split_ours'])}, {_size(work['split_ours'])}"
    )
    if _with_theirs(row):
        told += (
            f"; ImageFolder {_spread(taken['list_theirs'])}, {_size(work['list_theirs'])}: {told_ratio(row)} as fast"
        )
    return told


def _with_theirs(row: Mapping[str, Any]) -> bool:
    return "list_theirs" in row["seconds"]


def _when(row: Mapping[str, Any]) -> str:
    return f" (measured {row['measured']})" if "measured" in row else ""


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


def ratios(row: Mapping[str, Any]) -> list[float]:
    """ImageFolder's time over ours, round by round: more is better."""
    pairs = zip(row["seconds"]["list_theirs"], row["seconds"]["list_ours"], strict=True)
    return [theirs / ours for theirs, ours in pairs]


def told_ratio(row: Mapping[str, Any]) -> str:
    """The median and the extremes: "2.26 (1.98 to 3.75) times"."""
    found = ratios(row)
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f}) times"


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


def _million(rounds: int, count: int = MANY) -> dict[str, Any]:
    """In memory where that can be had, and on the disk."""
    in_memory = _in_memory(count)
    places = [in_memory, None] if in_memory else [None]
    return {"measured": today(), "rows": [_indexed(count, rounds, place) for place in places]}


def _in_memory(count: int) -> str | None:
    """A folder that lies in memory, where there is room for the files: a page each, and what the system knows of it."""
    place = Path("/dev/shm")
    return str(place) if place.is_dir() and shutil.disk_usage(place).free > 8192 * count else None


def _indexed(count: int, rounds: int, in_memory: str | None) -> dict[str, Any]:
    """in_memory: a folder there to make the files in; None: among temporary files."""
    seconds: dict[str, list[float]] = {kind: [] for kind in INDEXERS}
    held: dict[str, dict[str, list[int | None]]] = {name: {kind: [] for kind in INDEXERS} for name in ("bytes", "work")}
    with tempfile.TemporaryDirectory(prefix="convatlas-", dir=in_memory) as temporary:
        write_files(Path(temporary), count)
        for _ in range(rounds):  # in turn, so that a busy moment of the machine meets all alike
            for kind in INDEXERS:
                answer = _ask(kind, temporary)
                seconds[kind] += answer["seconds"]
                for name, of_kind in held.items():
                    of_kind[kind].append(answer[name])
    most = {name: {kind: _most(values) for kind, values in of_kind.items()} for name, of_kind in held.items()}
    place = f"in memory ({in_memory})" if in_memory else "on the disk"
    return {"files": count, "place": place, "seconds": seconds, **most}


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


def _median(point: Mapping[str, Any]) -> float:
    return float(statistics.median(point["seconds"]))


def _each(point: Mapping[str, Any]) -> str:
    return f"{1000 * _median(point) / point['batch']:.3g} ms"


def _spread(seconds: Sequence[float]) -> str:
    median = _seconds(statistics.median(seconds))
    return median if len(seconds) == 1 else f"{median} ({_seconds(min(seconds))} to {_seconds(max(seconds))})"


def _seconds(value: float) -> str:
    return f"{1000 * value:.3g} ms" if value < 1 else f"{value:.3g} s"


def _size(held: int | None) -> str:
    return "memory not known" if held is None else f"{held / 1e6:,.0f} MB"

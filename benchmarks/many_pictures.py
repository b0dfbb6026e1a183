"""A folder of pictures: what `convatlas predict FOLDER` does, against torchvision's usual loop, on two threads.

Ours is `Predictor.iterate` over the files of the folder, on ONNX Runtime, with two workers: once as it is, with large
JPEGs reduced while they are decoded, and once with `exact=True`. Theirs is `ImageFolder`, `Resize`, `CenterCrop`,
`ToTensor` and `Normalize` of torchvision, a `DataLoader` with batches of 32 and the network in eager mode under
`inference_mode`; with no worker and with two, of which the quicker one is taken. The networks are torchvision's
ResNet-50 and MobileNetV2 and timm's EfficientNet-Lite0. Both sides have the same weights: Lite0's published ones; of
the others random ones from one seed, with the normalisations' statistics taken from pictures.

The pictures are made here of 29 real photographs: parts of 500 x 375 pixels, as large as ImageNet's, and mosaics of
4000 x 3000, all JPEGs of quality 90. Each competitor is a process of its own; they take turns, and the best class of
every picture is compared. With `exact=True` the pixels of the two sides differ by 1 of 255 in one value of a thousand,
for theirs resizes the whole picture before it cuts; the classes of random weights lie so near each other that this
changes some best ones, and more than one picture of twenty ends the measurement. A ratio is pictures a second, ours
over theirs in the same round; given is the median of the rounds, and the smallest and largest. "With start-up" adds the
seconds from the process's start to the loaded network, to both. Memory is the peak of the main process; their worker
processes' is not counted.

That memory stays flat is measured on small generated pictures: what is held after 500 against after 3,000, with
`--full` after 10,000 against after 100,000.
"""

import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.competitor import Competitor
from benchmarks.figure import Figure
from benchmarks.many_files import TINY, write_large, write_small
from benchmarks.many_loops import BUNDLE, PEER, WEIGHTS

TITLES = {"resnet50": "ResNet-50", "mobilenet_v2": "MobileNetV2", "efficientnet_lite0": "EfficientNet-Lite0"}
SIZES = {"small": "500 x 375", "large": "12 megapixels"}
COUNTS = {  # pictures of a pass: a slow network needs fewer
    "resnet50": {"small": 64, "large": 16},
    "mobilenet_v2": {"small": 160, "large": 24},
    "efficientnet_lite0": {"small": 160, "large": 24},
}
THREADS = 2
ROUNDS, FULL_ROUNDS = 3, 7
OURS, THEIRS = ("reduced", "exact"), ("0 workers", "2 workers")
GOAL = 2.0
AGREEMENT = 0.95  # of the best classes, with whole pictures
HELD, FULL_HELD = (500, 3_000), (10_000, 100_000)
GROWTH = 8 * 2**20  # bytes that may be held more: less than 3 kB for each picture more
SEED = 0


def measure(names: Sequence[str] = tuple(TITLES), *, full: bool = False) -> dict[str, Any]:
    """Go through the networks one after another, then through many small pictures."""
    with tempfile.TemporaryDirectory(prefix="convatlas-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        write_small(folder / "small", max(COUNTS[name]["small"] for name in names))
        write_large(folder / "large", max(COUNTS[name]["large"] for name in names))
        rows: list[dict[str, Any]] = []
        for name in names:
            network = folder / name
            network.mkdir()
            _prepare(name, network)
            rows += _network(name, network, folder, FULL_ROUNDS if full else ROUNDS)
        after = FULL_HELD if full else HELD
        write_small(folder / "tiny", after[-1], size=TINY)
        with Competitor("benchmarks.many_loops", "reduced", str(folder / names[-1]), str(THREADS)) as ours:
            held = ours.ask({"pictures": str(folder / "tiny"), "memory": after})
    return {"threads": THREADS, "full": full, "rows": rows, "after": after, "held": held}


def lines(measured: dict[str, Any]) -> list[str]:
    told = []
    for row in measured["rows"]:
        rates = ", ".join(f"{kind} {rate:.1f}" for kind, rate in _rates(row).items())
        peaks = ", ".join(f"{kind} {peak / 2**20:.0f} MiB" for kind, peak in row["peak"].items())
        told.append(f"{_title(row)}: pictures a second: {rates}; peak of memory: {peaks}")
        told.append(
            f"{_title(row)}: same best class as theirs: exact {row['same']['exact']} of {row['pictures']}, reduced "
            f"{row['same']['reduced']}"
        )
    return [*told, _told_held(measured)]


def figures(measured: dict[str, Any]) -> list[Figure]:
    """A figure a network and size of photographs, then memory."""
    grown = measured["held"][-1] - measured["held"][0]
    flat = grown <= GROWTH
    return [
        *map(_figure, measured["rows"]),
        Figure(
            what=f"Memory held after {measured['after'][-1]:,} pictures against after {measured['after'][0]:,}",
            measured=f"{grown / 2**20:+.1f} MiB on {measured['held'][0] / 2**20:.0f}",
            goal=f"at most {GROWTH / 2**20:.0f} MiB more",
            met=flat,
            why="" if flat else "something is kept of each picture",
        ),
    ]


def ratios(row: Mapping[str, Any], kind: str = "reduced", *, starting: bool = False) -> list[float]:
    """How many times as many pictures a second as theirs, round by round, with or without the start."""
    ours, theirs = (row["start"][kind], row["start"][row["theirs"]]) if starting else (0.0, 0.0)
    return [
        (theirs + their) / (ours + our)
        for our, their in zip(row["seconds"][kind], row["seconds"][row["theirs"]], strict=True)
    ]


def _figure(row: Mapping[str, Any]) -> Figure:
    values = ratios(row)
    median = statistics.median(values)
    met = median >= GOAL
    share = statistics.median(ratios(row, "exact"))
    return Figure(
        what=f"Folder of photographs, {_title(row)}, against torchvision's loop ({row['theirs']})",
        measured=f"{median:.2f} ({min(values):.2f} to {max(values):.2f}) times the pictures a second, exact "
        f"{share:.2f}; with start-up {statistics.median(ratios(row, starting=True)):.2f}",
        goal=f"at least {GOAL:g}",
        met=met,
        why="" if met else _why(row),
    )


def _why(row: Mapping[str, Any]) -> str:
    rates = _rates(row)
    return (
        f"theirs answers {rates[row['theirs']]:.1f} pictures a second and ours {rates['reduced']:.1f}, of which each "
        "takes its decoding on both sides alike, and on both threads"
    )


def _rates(row: Mapping[str, Any]) -> dict[str, float]:
    return {kind: row["pictures"] / statistics.median(seconds) for kind, seconds in row["seconds"].items()}


def _title(row: Mapping[str, Any]) -> str:
    return f"{TITLES[row['model']]}, {SIZES[row['size']]}"


def _told_held(measured: Mapping[str, Any]) -> str:
    held = [
        f"{value / 2**20:.0f} MiB after {after:,}"
        for value, after in zip(measured["held"], measured["after"], strict=True)
    ]
    return f"memory held by ours while small pictures are answered: {', '.join(held)}"


def _network(name: str, network: Path, pictures: Path, rounds: int) -> list[dict[str, Any]]:
    """A row a size of photographs."""
    with contextlib.ExitStack() as running:
        competitors: dict[str, Competitor] = {}
        start: dict[str, float] = {}
        for kind in (*OURS, *THEIRS):  # one after another: nothing else runs while one starts
            began = time.perf_counter()
            words = ("benchmarks.many_loops", kind, str(network), str(THREADS))
            competitors[kind] = running.enter_context(Competitor(*words, threads=THREADS))
            competitors[kind].ask({})
            start[kind] = round(time.perf_counter() - began, 3)
        return [_size(name, size, competitors, start, pictures / size, rounds) for size in SIZES]


def _size(
    name: str, size: str, competitors: Mapping[str, Competitor], start: dict[str, float], pictures: Path, rounds: int
) -> dict[str, Any]:
    count = COUNTS[name][size]
    seconds: dict[str, list[float]] = {}
    peak: dict[str, int] = {}
    best: dict[str, list[int]] = {}
    kinds = list(competitors)
    for done in range(rounds):
        for place in range(len(kinds)):  # none always comes after the same other
            kind = kinds[(done + place) % len(kinds)]
            answer = competitors[kind].ask({"pictures": str(pictures), "count": count})
            seconds.setdefault(kind, []).append(round(answer["seconds"], 4))
            peak[kind], best[kind] = answer["peak"], answer["best"]
        if done == 0:  # the slower of theirs goes home
            theirs = min(THEIRS, key=lambda kind: seconds[kind][0])
            slower = next(kind for kind in THEIRS if kind != theirs)
            kinds.remove(slower)
            del seconds[slower], peak[slower]
    same = {kind: sum(our == their for our, their in zip(best[kind], best[theirs], strict=True)) for kind in OURS}
    if same["exact"] < AGREEMENT * count:
        raise RuntimeError(f"{name}, {size}: the two sides agree on {same['exact']} of {count} pictures")
    return {
        "model": name,
        "size": size,
        "pictures": count,
        "theirs": theirs,
        "start": start,
        "seconds": seconds,
        "peak": peak,
        "same": same,
    }


def _prepare(name: str, folder: Path) -> None:
    """The same network as our exported bundle, and as the tensors and the name of theirs."""
    from convatlas.engine.bundle import read_bundle

    if name == "efficientnet_lite0":
        _prepare_published(name, folder)
        library, peer = "timm", "tf_efficientnet_lite0"
    else:
        from benchmarks import warm, warm_engines

        warm.prepare(name, folder, ())
        library, peer = "torchvision", (folder / warm_engines.PEER).read_text(encoding="utf-8")
    bundle = read_bundle(folder / BUNDLE)
    preprocess = bundle.preprocess
    facts = {
        "library": library,
        "name": peer,
        "resize": preprocess.resize,
        "size": (preprocess.height, preprocess.width),
        "interpolation": preprocess.interpolation,
        "mean": bundle.mean,
        "std": bundle.std,
    }
    (folder / PEER).write_text(json.dumps(facts), encoding="utf-8")


def _prepare_published(name: str, folder: Path) -> None:
    import timm
    import torch
    from safetensors.torch import save_file

    from convatlas.engine.prepare import prepare_bundle
    from convatlas.engine.published import describe
    from convatlas.weights import default_weights
    from convatlas.weights.fetch import fetch_weights

    weights = default_weights(name)
    assert weights is not None
    file = fetch_weights(weights, offline=True)
    prepare_bundle(folder / BUNDLE, describe(weights, file.sha256), file.path, weights.naming)
    # Their tensors come in the same order and shapes.
    published = torch.load(file.path, weights_only=True)
    theirs = timm.create_model("tf_efficientnet_lite0").state_dict()
    tensors = [each.contiguous() for each in published.values()]
    save_file(dict(zip(theirs, tensors, strict=True)), folder / WEIGHTS)

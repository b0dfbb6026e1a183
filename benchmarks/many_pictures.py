"""A folder of pictures: what `convatlas predict FOLDER` does, against torchvision's usual loop, on two threads.

Ours is `Predictor.iterate` over the files of the folder, on ONNX Runtime, with two workers. Theirs is `ImageFolder`,
`Resize`, `CenterCrop`, `ToTensor` and `Normalize` of torchvision, a `DataLoader` and the network in eager mode under
`inference_mode`; with no worker and with two, of which the one with the smaller median counts. A pass is eight batches
of theirs, four for each worker, and the workers stay from pass to pass. The networks are torchvision's ResNet-50 and
timm's EfficientNet-Lite0. Both sides have the same weights: Lite0's published ones; of ResNet-50 random ones from one
seed, with the normalisations' statistics taken from pictures.

The pictures are made here of 29 real photographs: parts of 500 x 375 pixels, as large as ImageNet's, and mosaics of
4000 x 3000, all JPEGs of quality 90. Ours reduces large JPEGs while it decodes them, which is less work than theirs;
so of the large ones there are two figures, one as it is and one with `exact=True`, which decodes every pixel as theirs
does. The small ones are never reduced.

Each competitor is a process of its own; they take turns. A first round of fewer pictures does not count: in it the
logits, each picture's less their mean, are compared. Theirs resizes the whole picture before it cuts, ours what it will
keep, so that with all pixels decoded one value in a thousand differs by 1 of 255; the logits' root mean square
difference may then be 5% of theirs. How many best classes are the same is told: those of random weights lie near each
other. A ratio is pictures a second, ours over theirs in the same round; given is the median of the rounds, and the
smallest and largest. "With start-up" adds the seconds from the process's start to the loaded network, to both. Memory
is the peak of the main process; their worker processes' is not counted. Where a goal is missed, what ours does with
decoding alone and with the network alone is told, of one pass of each behind the rounds.

That memory stays flat is measured on small generated pictures: the straight line through what is held after 500, 1,000
... 3,000 of them, carried on to 100,000. With `--full` also through 10,000, 20,000 ... 100,000; what was found then is
kept beside the figures of quick runs, with its date.
"""

import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.competitor import Competitor
from benchmarks.figure import Figure
from benchmarks.kept import kept, today
from benchmarks.many_files import TINY, write_large, write_small
from benchmarks.many_loops import BUNDLE, OURS, PEER, THEIRS, WEIGHTS

RESULT = Path(__file__).parent / "results" / "many_pictures.json"
TITLES = {"resnet50": "ResNet-50", "efficientnet_lite0": "EfficientNet-Lite0"}
SIZES = {"small": "500 x 375", "large": "12 megapixels"}
KINDS = {"small": ("exact",), "large": OURS}  # small ones are never reduced
TOLD = {"reduced": "JPEGs reduced", "exact": "all pixels decoded"}
BATCHES = {  # pictures of a batch of theirs: a slow network and large pictures need fewer
    "resnet50": {"small": 8, "large": 4},
    "efficientnet_lite0": {"small": 16, "large": 4},
}
PASS, WARMING = 8, 2  # batches: four a worker, and one each in the round that does not count
THREADS = 2
ROUNDS, FULL_ROUNDS = 3, 7
GOAL = 2.0
DIFFERENCE = 0.05  # of the logits with all pixels decoded: root mean square, in parts of theirs
HELD, FULL_HELD = tuple(range(500, 3_001, 500)), tuple(range(10_000, 100_001, 10_000))
PROJECTED = 100_000  # pictures
GROWTH = 64 * 2**20  # bytes that they may hold more: 0.7 kB a picture


def measure(names: Sequence[str] = tuple(TITLES), *, full: bool = False) -> dict[str, Any]:
    """Go through the networks one after another, then through many small pictures; a quick run keeps a full one's."""
    with tempfile.TemporaryDirectory(prefix="convatlas-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        write_small(folder / "small", PASS * max(BATCHES[name]["small"] for name in names))
        write_large(folder / "large", PASS * max(BATCHES[name]["large"] for name in names))
        rows: list[dict[str, Any]] = []
        for name in names:
            network = folder / name
            network.mkdir()
            _prepare(name, network)
            rows += _network(name, network, folder, FULL_ROUNDS if full else ROUNDS)
        last = folder / names[-1]
        memory = _memory(last, folder / "tiny", HELD)
        many = {**_memory(last, folder / "many", FULL_HELD), "measured": today()} if full else kept(RESULT, "many")
    return {"threads": THREADS, "full": full, "rows": rows, "memory": memory, "many": many}


def lines(measured: dict[str, Any]) -> list[str]:
    told = []
    for row in measured["rows"]:
        rates = ", ".join(f"{kind} {rate:.1f}" for kind, rate in _rates(row).items())
        told.append(f"{_title(row)}: pictures a second: {rates}{_told_peaks(row)}")
        told += [
            f"{_title(row)}, {TOLD[kind]}: logits {row['differences'][kind]:.2%} from theirs, the same best class "
            f"for {row['same'][kind]} of {row['pictures']}"
            for kind in KINDS[row["size"]]
        ]
    return [*told, *map(_told_held, _memories(measured))]


def figures(measured: dict[str, Any]) -> list[Figure]:
    """A figure a network, size of photographs and way to decode them; then memory, quick and in full."""
    return [
        *(_figure(row, kind) for row in measured["rows"] for kind in KINDS[row["size"]]),
        *map(_flat, _memories(measured)),
    ]


def quicker(row: Mapping[str, Any]) -> str:
    """Their loop with the smaller median."""
    return min(THEIRS, key=lambda kind: statistics.median(row["seconds"][kind]))


def ratios(row: Mapping[str, Any], kind: str, *, starting: bool = False) -> list[float]:
    """How many times as many pictures a second as theirs, round by round, with or without the start."""
    theirs = quicker(row)
    our_start, their_start = (row["start"][each] if starting else 0.0 for each in (kind, theirs))
    return [
        (their_start + their) / (our_start + our)
        for our, their in zip(row["seconds"][kind], row["seconds"][theirs], strict=True)
    ]


def growth(memory: Mapping[str, Any]) -> float:
    """Bytes a picture: the slope of the straight line through what was held, by least squares."""
    return float(statistics.linear_regression(memory["after"], memory["held"]).slope)


def _figure(row: Mapping[str, Any], kind: str) -> Figure:
    values, theirs, rates = ratios(row, kind), quicker(row), _rates(row)
    median = statistics.median(values)
    met = median >= GOAL
    return Figure(
        what=f"Folder of photographs, {_title(row)}, {TOLD[kind]}, against torchvision's loop ({theirs})",
        measured=f"{median:.2f} ({min(values):.2f} to {max(values):.2f}) times the pictures a second; with start-up "
        f"{statistics.median(ratios(row, kind, starting=True)):.2f}",
        goal=f"at least {GOAL:g}",
        met=met,
        why="" if met else _why(rates[kind], rates[theirs], row["alone"][kind]),
    )


def _why(ours: float, theirs: float, alone: Mapping[str, float]) -> str:
    """How near ours is to what the decoder and the network do by themselves."""
    return (
        f"ours answers {ours:.1f} pictures a second, theirs {theirs:.1f}; on all threads ours decodes "
        f"{alone['decode']:.1f} where it does nothing else, its network alone answers {alone['network']:.1f}"
    )


def _flat(memory: Mapping[str, Any]) -> Figure:
    first, last = memory["after"][0], memory["after"][-1]
    when = f" (measured {memory['measured']})" if "measured" in memory else ""
    what = f"Memory held from {first:,} to {last:,} pictures{when}, projected to {PROJECTED:,}"
    goal = f"at most {GROWTH / 2**20:.0f} MiB more"
    if memory["held"] is None:
        return Figure(what=what, measured="not known here", goal=goal, met=False, why="only Linux tells what is held")
    each = growth(memory)
    met = each * PROJECTED <= GROWTH
    grown = (memory["held"][-1] - memory["held"][0]) / 2**20
    return Figure(
        what=what,
        measured=f"{each * PROJECTED / 2**20:+.1f} MiB",
        goal=goal,
        met=met,
        why="" if met else f"{grown:+.1f} MiB in {last - first:,} pictures, {each:,.0f} bytes a picture",
    )


def _rates(row: Mapping[str, Any]) -> dict[str, float]:
    return {kind: row["pictures"] / statistics.median(seconds) for kind, seconds in row["seconds"].items()}


def _title(row: Mapping[str, Any]) -> str:
    return f"{TITLES[row['model']]}, {SIZES[row['size']]}"


def _told_peaks(row: Mapping[str, Any]) -> str:
    peaks = [f"{kind} {peak / 2**20:.0f} MiB" for kind, peak in row["peak"].items() if peak is not None]
    return f"; peak of memory: {', '.join(peaks)}" if peaks else ""


def _memories(measured: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [memory for memory in (measured["memory"], measured["many"]) if memory is not None]


def _told_held(memory: Mapping[str, Any]) -> str:
    if memory["held"] is None:
        return "memory held by ours while small pictures are answered: not known here"
    held = [
        f"{value / 2**20:.1f} MiB after {after:,}" for value, after in zip(memory["held"], memory["after"], strict=True)
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
        rows = []
        for size in SIZES:
            chosen = {kind: competitors[kind] for kind in (*KINDS[size], *THEIRS)}
            rows.append(_size(name, size, chosen, pictures / size, rounds) | {"start": start})
    return rows


def _size(name: str, size: str, competitors: Mapping[str, Competitor], pictures: Path, rounds: int) -> dict[str, Any]:
    batch = BATCHES[name][size]
    work = {"pictures": str(pictures), "batch": batch, "count": PASS * batch}
    warming = {**work, "count": WARMING * batch, "logits": True}
    differences = compare(name, {kind: each.ask(warming) for kind, each in competitors.items()})
    seconds: dict[str, list[float]] = {kind: [] for kind in competitors}
    peak: dict[str, int | None] = {}
    best: dict[str, list[int]] = {}
    kinds = list(competitors)
    for done in range(rounds):
        for place in range(len(kinds)):  # none always comes after the same other
            kind = kinds[(done + place) % len(kinds)]
            answer = competitors[kind].ask(work)
            seconds[kind].append(round(answer["seconds"], 4))
            peak[kind], best[kind] = answer["peak"], answer["best"]
    theirs = best[THEIRS[0]]
    alone = {kind: competitors[kind].ask({**work, "alone": True}) for kind in KINDS[size]}
    return {
        "model": name,
        "size": size,
        "pictures": work["count"],
        "batch": batch,
        "seconds": seconds,
        "peak": peak,
        "differences": differences,
        "alone": alone,
        "same": {
            kind: sum(our == their for our, their in zip(best[kind], theirs, strict=True)) for kind in KINDS[size]
        },
    }


def compare(name: str, logits: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, float]:
    """Root mean square of ours less theirs, in parts of theirs. Raises RuntimeError where exact ones are too far."""
    theirs = np.array(logits[THEIRS[0]])
    differences = {}
    for kind in OURS:
        if kind in logits:
            apart = np.sqrt(np.square(np.array(logits[kind]) - theirs).mean() / np.square(theirs).mean())
            differences[kind] = float(f"{apart:.3g}")
    if differences["exact"] > DIFFERENCE:
        raise RuntimeError(f"{name}: the logits of the two sides are {differences['exact']:.2%} apart")
    return differences


def _memory(network: Path, pictures: Path, after: Sequence[int]) -> dict[str, Any]:
    """What ours holds after so many small pictures; None where the system does not tell."""
    write_small(pictures, after[-1], size=TINY)
    with Competitor("benchmarks.many_loops", "reduced", str(network), str(THREADS)) as ours:
        return {"after": list(after), "held": ours.ask({"pictures": str(pictures), "memory": list(after)})}


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

"""Warm prediction: one picture after another, float32, on two threads, against torchvision and the bare engines.

Ours is `Predictor(bundle, engine="auto")`: its engine is called with uint8 pixels and gives logits, so that turning
them into floats and normalising them is in its time. Beside it stand our engines one by one. The peers get the
normalised floats ready made:

- torchvision: its own network as it ships (NCHW), in eager mode under `inference_mode`;
- ONNX Runtime and OpenVINO alone, on torchvision's network as `torch.onnx.export` writes it for this size of batch;
  OpenVINO is held to float32 on both sides, for by itself it would take bfloat16 where the processor has it;
- with `--full` torch.compile too, where there is a C++ compiler, ours on torch, and batches of 8 and 32.

All have the same weights: random ones from one seed, with the normalisations' statistics taken from pictures, for
otherwise numbers grow or shrink from layer to layer. Their logits are compared before anything is timed: they may
differ by 1e-4 of the largest. Each competitor is a process of its own, since the threads of an engine wait busily after
an answer and two engines of one process disturb each other. They take turns, and each round begins with another; a turn
is the median of some tenths of a second. The choice of `auto` is made before, and remembered.

A ratio is theirs over ours in the same round, so that more is better; given is the median of the rounds, and the
smallest and largest. The share is that of the machine's rate in large float32 matrix products on the same threads,
measured in the same rounds, counting two operations for each multiply-accumulate of the network's card; Winograd's
algorithm needs fewer than are counted.
"""

import contextlib
import math
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.competitor import Competitor
from benchmarks.figure import Figure
from benchmarks.warm_engines import BUNDLE, GRAPH, MEAN, OURS, PEER, PIXELS, STD, WEIGHTS, normalised
from convatlas.catalog import card
from convatlas.engine.predict.engines import EngineKind, installed

# Ours, torchvision's, and how people call it.
TITLES = {
    "resnet50": "ResNet-50",
    "vgg16": "VGG-16",
    "mobilenet_v2": "MobileNetV2",
    "efficientnet_b0": "EfficientNet-B0",
    "densenet121": "DenseNet-121",
    "googlenet": "GoogLeNet",
}
THREADS = 2
SEED = 0
BARE = ("ONNX Runtime", "OpenVINO", "torch.compile")
AGREEMENT = 1e-4  # of the largest logit
NEVER_UNDER, MEAN_GOAL, REACH = 0.97, 2.0, 2.5
ROUNDS, FULL_ROUNDS = 7, 15
SECONDS = 0.2  # of a turn


def measure(
    names: Sequence[str] = tuple(TITLES), *, full: bool = False, rounds: int | None = None, seconds: float = SECONDS
) -> dict[str, Any]:
    """Time the networks `names`, one after another. rounds: None for 7, 15 in full."""
    notes: list[str] = []
    ours = [kind for kind in OURS if kind == "auto" or (installed(kind) and (full or kind != "torch"))]
    theirs = ["torchvision", "ONNX Runtime"]
    if "openvino" in ours:
        theirs.append("OpenVINO")
    else:
        notes.append("OpenVINO was left out: it is not installed")
    if full and any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        theirs.append("torch.compile")
    elif full:
        notes.append("torch.compile was left out: there is no C++ compiler here")
    rows: list[dict[str, Any]] = []
    with Competitor("benchmarks.matrix_rate", str(THREADS), threads=THREADS) as matrix:
        for name in names:
            rows += _network(
                name,
                batches=(1, 8, 32) if full else (1,),
                ours=ours,
                theirs=theirs,
                rounds=rounds or (FULL_ROUNDS if full else ROUNDS),
                seconds=seconds,
                matrix=matrix,
            )
    return {"threads": THREADS, "full": full, "notes": notes, "rows": rows}


def lines(measured: dict[str, Any]) -> list[str]:
    told = []
    for row in measured["rows"]:
        medians = _medians(row)
        times = ", ".join(f"{name} {told_seconds(value)}" for name, value in medians.items() if name != "auto")
        auto = f"auto ({row['engine']}) {told_seconds(medians['auto'])}"
        told.append(f"{TITLES[row['model']]}, {told_batch(row)}: {auto}; {times}")
    return [*told, *measured["notes"]]


def figures(measured: dict[str, Any]) -> list[Figure]:
    """A figure a network for one picture, then the mean over all of them."""
    rows = [row for row in measured["rows"] if row["batch"] == 1]
    against = [statistics.median(ratios(row, "torchvision")) for row in rows]
    mean = math.exp(statistics.fmean(map(math.log, against)))
    met = mean >= MEAN_GOAL
    return [
        *map(_against_best, rows),
        Figure(
            what=f"Warm prediction against torchvision in eager mode, geometric mean of {len(rows)} networks",
            measured=f"{mean:.2f} times as fast (network by network {min(against):.2f} to {max(against):.2f})",
            goal=f"at least {MEAN_GOAL:g}, reach for {REACH:g}",
            met=met,
            why="" if met else _slowest(rows, against),
        ),
    ]


def ratios(row: Mapping[str, Any], other: str) -> list[float]:
    """How many times as long as ours the other took, round by round."""
    return [theirs / ours for theirs, ours in zip(row["seconds"][other], row["seconds"]["auto"], strict=True)]


def best_bare(row: Mapping[str, Any]) -> str:
    """The bare engine with the smallest median."""
    medians = _medians(row)
    return min((name for name in BARE if name in medians), key=lambda name: medians[name])


def share(row: Mapping[str, Any]) -> float:
    """The operations a second of ours in parts of the matrix product's."""
    operations = 2 * row["macs"] * row["batch"]
    return float(operations / _medians(row)["auto"] / (1e9 * max(row["matrix_gigaflops"])))


def told_seconds(value: float) -> str:
    """ "3.07 ms"."""
    return f"{1000 * value:.3g} ms"


def told_ratio(values: Sequence[float]) -> str:
    """ "1.024 (0.990 to 1.042)": median, smallest, largest, so near that 0.965 does not look like 0.97."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def told_batch(row: Mapping[str, Any]) -> str:
    """ "one picture", "8 pictures"."""
    return "one picture" if row["batch"] == 1 else f"{row['batch']} pictures"


def _against_best(row: Mapping[str, Any]) -> Figure:
    best = best_bare(row)
    values = ratios(row, best)
    met = statistics.median(values) >= NEVER_UNDER
    return Figure(
        what=f"{TITLES[row['model']]}, one picture, against the best bare engine ({best})",
        measured=f"{told_ratio(values)} times as fast; {share(row):.0%} of the rate of matrix products",
        goal=f"median at least {NEVER_UNDER:g}",
        met=met,
        why="" if met else _why(row, best),
    )


def _why(row: Mapping[str, Any], best: str) -> str:
    """Which of our engines was taken, which would have been quickest, and what is in our time alone."""
    medians = _medians(row)
    quickest = min((name for name in OURS if name != "auto" and name in medians), key=lambda name: medians[name])
    told = f"{best} alone takes {told_seconds(medians[best])} for floats that are normalised already, ours "
    told += f"{told_seconds(medians['auto'])} for uint8 pixels on {row['engine']}"
    if quickest != row["engine"] and medians[quickest] < medians["auto"]:
        told += f", where {quickest} takes {told_seconds(medians[quickest])}"
    return told


def _slowest(rows: Sequence[Mapping[str, Any]], against: Sequence[float]) -> str:
    least, row = min(zip(against, rows, strict=True), key=lambda pair: pair[0])
    return f"{TITLES[row['model']]} gains least, {least:.2f}, at {share(row):.0%} of the rate of matrix products"


def _medians(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in row["seconds"].items()}


def _network(
    name: str,
    *,
    batches: Sequence[int],
    ours: Sequence[EngineKind | Literal["auto"]],
    theirs: Sequence[str],
    rounds: int,
    seconds: float,
    matrix: Competitor,
) -> list[dict[str, Any]]:
    """A row a size of batch."""
    with tempfile.TemporaryDirectory(prefix="convatlas-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        prepare(name, folder, batches)
        with contextlib.ExitStack() as running:

            def start(kind: str) -> Competitor:
                return running.enter_context(
                    Competitor("benchmarks.warm_engines", kind, temporary, str(THREADS), threads=THREADS)
                )

            with start("auto") as first:
                engine = str(first.ask({"batch": 1})["engine"])  # measures and remembers: nothing else runs meanwhile
            competitors = {kind: start(kind) for kind in (*ours, *theirs)}
            rows = []
            for batch in batches:
                answers = {kind: each.ask({"batch": batch}) for kind, each in competitors.items()}
                for kind, answered in answers.items():
                    if kind != "auto" and answered["engine"] != kind:
                        raise RuntimeError(f"{answered['engine']} answers where {kind} was asked for")
                differences = _compare(answers)
                taken: dict[str, list[float]] = {kind: [] for kind in competitors}
                rates = []
                kinds = list(competitors)
                for done in range(rounds):  # in turn, so that a busy moment of the machine meets all alike
                    for place in range(len(kinds)):
                        kind = kinds[(done + place) % len(kinds)]  # and none always comes after the same other
                        passes = competitors[kind].ask({"batch": batch, "seconds": seconds})
                        taken[kind].append(round(statistics.median(passes), 7))
                    rates.append(round(matrix.ask({"seconds": seconds}), 1))
                rows.append(
                    {
                        "model": name,
                        "batch": batch,
                        "macs": card(name).macs,
                        "engine": engine,
                        "differences": differences,
                        "seconds": taken,
                        "matrix_gigaflops": rates,
                    }
                )
    return rows


def _compare(answers: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """How far each is from torchvision's, in parts of its largest logit. Raises RuntimeError where that is too far."""
    expected = np.array(answers["torchvision"]["logits"])
    largest = np.abs(expected).max()
    differences = {}
    for kind, answer in answers.items():
        logits = np.array(answer["logits"])
        differences[kind] = float(f"{np.abs(logits - expected).max() / largest:.2g}")
        if not differences[kind] <= AGREEMENT:
            raise RuntimeError(f"{kind}'s logits are {differences[kind]:.2g} of the largest from torchvision's")
    return differences


def prepare(name: str, folder: Path, batches: Sequence[int]) -> None:
    """The same network as our exported bundle, as torchvision's weights and as its graph for each size of batch."""
    import torch
    from safetensors.torch import save_file

    from benchmarks import peers
    from convatlas.engine.bundle import Bundle, write_bundle
    from convatlas.engine.export import export_onnx
    from convatlas.engine.prepare import generated_pictures
    from convatlas.models import create_model
    from convatlas.weights import default_weights
    from convatlas.weights.preprocess import preprocess_of

    pair = next(pair for pair in peers.torchvision_pairs() if pair.model == name)
    weights = default_weights(name)
    assert weights is not None
    preprocess = preprocess_of(weights.transform)
    pictures = generated_pictures(preprocess)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(SEED)
        theirs = _settled(peers.build(pair), pictures)
    ours = create_model(name)
    peers.put_weights(pair, ours, theirs)
    bundle = Bundle(
        task="classify",
        model=name,
        changes={},
        classes=tuple(f"class {index}" for index in range(1000)),
        preprocess=preprocess,
        mean=MEAN,
        std=STD,
    )
    write_bundle(folder / BUNDLE, bundle, {name: tensor.numpy() for name, tensor in ours.state_dict().items()})
    some = pictures[:: len(pictures) // 4]
    export_onnx(folder / BUNDLE, some, f"{len(some)} generated pictures")
    np.save(folder / PIXELS, pictures)
    save_file(theirs.state_dict(), folder / WEIGHTS)
    (folder / PEER).write_text(pair.name, encoding="utf-8")
    for batch in batches:
        example = torch.from_numpy(normalised(np.resize(pictures, (batch, *pictures.shape[1:]))))
        graph = folder / GRAPH.format(batch=batch)
        torch.onnx.export(theirs, (example,), graph, dynamo=True, input_names=["x"], external_data=False, verbose=False)


def _settled(network: Any, pictures: np.ndarray) -> Any:
    """In evaluation mode, each normalisation with the statistics that it met on the pictures."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.from_numpy(normalised(pictures)))
    return network.eval()

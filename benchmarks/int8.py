"""The int8 graph against our own float32 graph: time for one picture, and what is lost.

Time: `Predictor(engine="int8")`, on the runtime that `quantize` took, against the quicker of our float32 engines on
ONNX Runtime and OpenVINO; batch 1, two threads, each engine in a process of its own, in turn.
ResNet-50 and MobileNetV2 have random weights, which cost the same arithmetic; EfficientNet-Lite0 has its published
ones, LeNet-5 is trained on the embedded digits. The goal is judged on the geometric mean over the three large networks,
and each is shown. LeNet-5's own arithmetic takes some microseconds, so its time is that of the call; it is shown alone.

Accuracy: on the 1,000 held-out digits, calibrated on training digits; and of EfficientNet-Lite0 the agreement with its
own float32 answers on real photographs: 20 of ImageNet, 50 crops of each, calibrated on crops of 18 other photographs
of other packages; and the other way round. Many of those 18 show nothing that is a class of ImageNet (brick, gravel, a
slide of tissue): no class stands out there, and the smallest change of the logits changes the best one. So the
agreement where the two best float32 logits lie at least 0.25 apart is shown beside it.
"""

import contextlib
import math
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.competitor import Competitor
from benchmarks.figure import Figure
from benchmarks.photograph_crops import crops, imagenet_photographs, other_photographs, write_crops
from convatlas.api.quantize import quantize
from convatlas.api.train import train
from convatlas.data.preprocess import Preprocess
from convatlas.data.source import open_data
from convatlas.engine.bundle import Bundle, read_bundle, write_bundle
from convatlas.engine.export import export_onnx
from convatlas.engine.graph_records import Quantised
from convatlas.engine.predict.engines import EngineKind, installed
from convatlas.engine.predict.predictor import Predictor
from convatlas.engine.processor import has_vnni
from convatlas.engine.published import find_bundle
from convatlas.models import create_model

THREADS = 2
RANDOM = ("resnet50", "mobilenet_v2")
LITE0, LENET = "efficientnet_lite0", "lenet5_modern"
EPOCHS = 8  # of the digits; the whole recipe takes 30
CALIBRATION_CROPS, JUDGED_CROPS = 15, 50  # of each photograph; 128 of the former are calibrated on, as by default
FASTER, LOST = 2.0, 1.0  # the goals: times, points
FLOAT32: tuple[EngineKind, ...] = ("onnx", "openvino")
ROUNDS, SECONDS = 7, 0.2  # of a turn
DECIDED = 0.25
JUDGED = (("imagenet", "photographs of ImageNet"), ("others", "photographs that are not of ImageNet"))


def measure(*, full: bool = False) -> dict[str, Any]:
    """full: three times the rounds, and the digits trained to the end."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        known, others = imagenet_photographs(), other_photographs()
        write_crops(folder / "others", others, CALIBRATION_CROPS)
        write_crops(folder / "known", known, CALIBRATION_CROPS)
        rounds = 3 * ROUNDS if full else ROUNDS
        times = {}
        for name in RANDOM:
            bundle = _random_bundle(folder / name, name)
            quantize(bundle, data=folder / "others", calibration=32, pictures=32, most_loss=100)
            times[name] = _times(bundle, rounds)
            shutil.rmtree(bundle)
        agreement = {}
        for judged_as, calibrated_on, judged in (("imagenet", "others", known), ("others", "known", others)):
            bundle = Path(shutil.copytree(find_bundle(LITE0), folder / f"{LITE0}-{judged_as}"))
            record = quantize(bundle, data=folder / calibrated_on, pictures=32, most_loss=100)
            agreement[judged_as] = _agreement(bundle, judged, record)
        times[LITE0] = _times(bundle, rounds)
        digits = _digits(folder / "digits", full=full)
        times[LENET] = _times(folder / "digits" / "bundle", rounds)
    return {"vnni": has_vnni(), "threads": THREADS, "times": times, "digits": digits, "agreement": agreement}


def lines(measured: dict[str, Any]) -> list[str]:
    says = {True: "has VNNI", False: "has no VNNI", None: "does not say whether it has VNNI"}[measured["vnni"]]
    shown = [f"int8 against float32, one picture, {measured['threads']} threads; the processor {says}:"]
    for name, row in measured["times"].items():
        shown.append(f"{_told(name, row)}: {_spread(ratios(row))}")
    digits = measured["digits"]
    shown.append(
        f"digits, {digits['pictures']} held out: {digits['float32']:.2%} in float32, {digits['int8']:.2%} in int8; "
        f"{digits['float32_bytes'] / 1e6:.2f} MB become {digits['int8_bytes'] / 1e6:.2f}"
    )
    for judged_as, words in JUDGED:
        row = measured["agreement"][judged_as]
        shown.append(
            f"{LITE0}, {row['pictures']} crops of {row['photographs']} {words}: same answer in int8 on "
            f"{row['same']:.2%}, on {row['same_decided']:.2%} of the {row['decided']:.1%} where the two best logits "
            f"lie {DECIDED} or more apart; root mean square of the logits' difference {row['rms']:.3f}"
        )
    return shown


def figures(measured: dict[str, Any]) -> list[Figure]:
    medians = {name: statistics.median(ratios(row)) for name, row in measured["times"].items()}
    large = {name: ratio for name, ratio in medians.items() if name != LENET}
    mean = math.prod(large.values()) ** (1 / len(large))
    each = ", ".join(f"{name} {ratio:.2f}" for name, ratio in large.items())
    judged = measured["vnni"] is True
    slow = "; ".join(_told(name, row) for name, row in measured["times"].items() if name != LENET)
    if not judged:
        slow = "no VNNI found in this processor, for which the goal is"
    digits = measured["digits"]
    lost = 100 * (digits["float32"] - digits["int8"])
    return [
        Figure(
            what="int8 against our float32, batch 1, two threads, geometric mean",
            measured=f"{mean:.2f} times ({each}; LeNet-5, where the call is all, {medians[LENET]:.2f})",
            goal=f"≥ {FASTER:g} times with VNNI",
            met=judged and mean >= FASTER,
            why="" if judged and mean >= FASTER else slow,
        ),
        Figure(
            what=f"points lost in int8, LeNet-5 on {digits['pictures']:,} held-out digits",
            measured=f"{lost:.1f} ({digits['float32']:.1%} to {digits['int8']:.1%})",
            goal=f"< {LOST:g}",
            met=lost < LOST,
            why="" if lost < LOST else "the digits are answered otherwise in int8",
        ),
        *(_agreement_figure(measured["agreement"][judged_as], words) for judged_as, words in JUDGED),
    ]


def _agreement_figure(row: dict[str, Any], words: str) -> Figure:
    lost = 100 * (1 - row["same"])
    decided = 100 * (1 - row["same_decided"])
    why = (
        f"where the two best logits lie {DECIDED:g} or more apart, {decided:.1f} are lost; of the others, "
        f"{1 - row['decided']:.0%} of the crops, the network is not sure itself"
    )
    return Figure(
        what=f"points of agreement with itself lost in int8, EfficientNet-Lite0, {words}",
        measured=f"{lost:.1f} on {row['pictures']:,} crops of {row['photographs']}",
        goal=f"< {LOST:g}",
        met=lost < LOST,
        why="" if lost < LOST else why,
    )


def _random_bundle(folder: Path, name: str) -> Path:
    """An exported bundle with random weights, the same each time."""
    torch.manual_seed(0)
    network = create_model(name)
    preprocess = Preprocess(channels=3, height=224, width=224)
    classes = tuple(f"class {number}" for number in range(1000))
    bundle = Bundle(
        task="classify",
        model=name,
        changes={},
        classes=classes,
        preprocess=preprocess,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    write_bundle(folder, bundle, {key: tensor.numpy() for key, tensor in network.state_dict().items()})
    export_onnx(folder, _pixels(imagenet_photographs()[:4], 1, preprocess), "4 photographs")
    return folder


def _times(bundle: Path, rounds: int) -> dict[str, Any]:
    """The median pass of each engine in each round; they take turns, and each round begins with another."""
    kinds: list[EngineKind] = [kind for kind in (*FLOAT32, "int8") if installed(kind)]
    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    with contextlib.ExitStack() as running:
        engines = {
            kind: running.enter_context(
                Competitor("benchmarks.int8_engines", kind, str(bundle), str(THREADS), threads=THREADS)
            )
            for kind in kinds
        }
        for kind, engine in engines.items():
            if (taken := engine.ask({})) != kind:
                raise RuntimeError(f"{taken} answers where {kind} was asked for")
        for done in range(rounds):
            for place in range(len(kinds)):
                kind = kinds[(done + place) % len(kinds)]
                seconds[kind].append(round(statistics.median(engines[kind].ask({"seconds": SECONDS})), 7))
    record = read_bundle(bundle, verify=False).quantised
    assert record is not None
    return {"seconds": seconds, "runtime": record.runtime}


def ratios(row: dict[str, Any]) -> list[float]:
    """How many times as long as int8 the quicker float32 engine takes, round by round."""
    seconds = row["seconds"]
    return [float32 / int8 for float32, int8 in zip(seconds[_quicker(row)], seconds["int8"], strict=True)]


def _quicker(row: dict[str, Any]) -> str:
    return min((kind for kind in FLOAT32 if kind in row["seconds"]), key=lambda kind: _milliseconds(row, kind))


def _milliseconds(row: dict[str, Any], kind: str) -> float:
    return 1000 * statistics.median(row["seconds"][kind])


def _told(name: str, row: dict[str, Any]) -> str:
    float32 = _quicker(row)
    return (
        f"{name}: {_milliseconds(row, float32):.3g} ms in float32 on {float32}, {_milliseconds(row, 'int8'):.3g} ms in "
        f"int8 on {row['runtime']}"
    )


def _agreement(bundle: Path, photographs: tuple[Path, ...], record: Quantised) -> dict[str, Any]:
    pixels = _pixels(photographs, JUDGED_CROPS, read_bundle(bundle, verify=False).preprocess)
    engines = [Predictor(bundle, engine=engine, threads=THREADS).engine for engine in ("onnx", "int8")]
    float32, int8 = (
        np.concatenate([engine(pixels[start : start + 16]) for start in range(0, len(pixels), 16)])
        for engine in engines
    )
    same = float32.argmax(axis=1) == int8.argmax(axis=1)
    best_two = np.sort(float32, axis=1)[:, -2:]
    decided = best_two[:, 1] - best_two[:, 0] >= DECIDED
    return {
        "photographs": len(photographs),
        "pictures": len(pixels),
        "calibration_pictures": record.calibration_pictures,
        "method": record.method,
        "same": float(same.mean()),
        "decided": float(decided.mean()),
        "same_decided": float(same[decided].mean()),
        "rms": float(np.sqrt(np.square(int8 - float32).mean())),
    }


def _pixels(photographs: tuple[Path, ...], count: int, preprocess: Preprocess) -> NDArray[np.uint8]:
    """`count` crops of each photograph, preprocessed, (N, C, H, W)."""
    random = np.random.default_rng(1)
    return np.stack(
        [preprocess(np.asarray(crop)) for photograph in photographs for crop in crops(photograph, count, random)]
    )


def _digits(folder: Path, *, full: bool) -> dict[str, Any]:
    run = train("digits", model=LENET, out=folder, val=0.05, changes={} if full else {"epochs": EPOCHS})
    record = quantize(run.path, most_loss=100)
    test = open_data("digits").test
    assert test is not None
    assert record.pictures == len(test)
    return {
        "float32": record.float32,
        "int8": record.int8,
        "pictures": record.pictures,
        "float32_bytes": record.float32_bytes,
        "int8_bytes": record.int8_bytes,
    }


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})"

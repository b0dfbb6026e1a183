"""The same networks where torch has a GPU: ours against torchvision's and timm's, answering and training.

Each network, ours by `create_model` and theirs by their own constructors, from one seed, in turn on the first CUDA
device: plain float32, float16 and bfloat16 (AMP), both also with channels_last memory, and bfloat16, channels_last and
torch.compile together. Answering is one pass under `inference_mode`; training is forward, cross-entropy, backward and a
step of fused SGD with momentum (float16 with its scaler). A time is from an idle device to an idle device. Before that
our network answers as torchvision's does with the same weights, to 1e-3 of the largest logit in float32. A ratio is
theirs over ours in the same round, so that more is better. Where torch sees no CUDA device nothing is measured.
"""

import contextlib
import importlib
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import peers
from benchmarks.figure import Figure
from convatlas.models import create_model

NETWORKS = {"resnet50": "resnet50", "mobilenet_v2": "mobilenetv2_100"}  # ours and torchvision's: timm's
MORE = {"efficientnet_b0": "efficientnet_b0", "densenet121": "densenet121"}  # in full
ROUNDS, FULL_ROUNDS = 5, 15
PASSES = 5  # of a turn
AGREEMENT = 1e-3  # TF32 off; cuDNN may choose other algorithms for the same sums


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How a network is run. amp: None for float32."""

    name: str
    amp: torch.dtype | None = None
    channels_last: bool = False
    compiled: bool = False


MODES = (
    Mode(name="float32"),
    Mode(name="float16", amp=torch.float16),
    Mode(name="bfloat16", amp=torch.bfloat16),
    Mode(name="float16, channels_last", amp=torch.float16, channels_last=True),
    Mode(name="bfloat16, channels_last", amp=torch.bfloat16, channels_last=True),
    Mode(name="bfloat16, channels_last, compiled", amp=torch.bfloat16, channels_last=True, compiled=True),
)


def measure(*, full: bool = False) -> dict[str, Any]:
    """On the first CUDA device; {"device": None, "rows": []} where there is none."""
    if not torch.cuda.is_available():
        return {"device": None, "rows": []}
    networks = NETWORKS | (MORE if full else {})
    rounds = FULL_ROUNDS if full else ROUNDS
    rows = compare("cuda", networks, MODES, batch=128 if full else 64, side=224, rounds=rounds)
    return {"device": torch.cuda.get_device_name(), "rows": rows}


def compare(
    device: str, networks: dict[str, str], modes: Sequence[Mode], *, batch: int, side: int, rounds: int
) -> list[dict[str, Any]]:
    """A row for each network, mode and work ("answer", "train"): seconds of a pass, by library and round."""
    rows = []
    for (name, of_timm), mode in itertools.product(networks.items(), modes):
        built = _networks(name, of_timm)
        difference = _difference(built, device, side)
        pictures = torch.rand(batch, 3, side, side, device=device)
        labels = torch.arange(batch, device=device) % 1000
        for work, make in (("answer", _answering), ("train", _training)):
            steps = {library: make(network.to(device), pictures, labels, mode) for library, network in built.items()}
            seconds: dict[str, list[float]] = {library: [] for library in steps}
            for step in steps.values():
                _seconds(step, device)  # compiles, chooses algorithms
            for done in range(rounds):
                order = list(steps)[done % len(steps) :] + list(steps)[: done % len(steps)]
                for library in order:
                    seconds[library].append(_seconds(steps[library], device))
            told = {"model": name, "mode": mode.name, "work": work, "batch": batch, "difference": difference}
            rows.append({**told, "seconds": seconds})
    return rows


def lines(measured: dict[str, Any]) -> list[str]:
    if measured["device"] is None:
        return ["GPU: torch sees no CUDA device here, nothing was measured"]
    return [
        f"{row['model']} on {measured['device']}, {row['work']}, {row['batch']} pictures, {row['mode']}: "
        + ", ".join(f"{library} {1000 * statistics.median(taken):.3g} ms" for library, taken in row["seconds"].items())
        for row in measured["rows"]
    ]


def figures(measured: dict[str, Any]) -> list[Figure]:
    """For each work and library, the ratios over networks and modes: the goal is that none is slower."""
    goal = "at least 0.97 in every mode"
    if measured["device"] is None:
        return [
            Figure(
                what="On a GPU, against torchvision and timm (AMP, channels_last, compiled)",
                measured="not measured",
                goal=goal,
                met=False,
                why="torch sees no CUDA device on this machine",
            )
        ]
    return [
        _figure(measured, work, library, goal)
        for work in ("answer", "train")
        for library in ("torchvision", "timm")
        if any(library in row["seconds"] for row in measured["rows"])
    ]


def _figure(measured: dict[str, Any], work: str, library: str, goal: str) -> Figure:
    ratios = {}
    for row in measured["rows"]:
        if row["work"] == work:
            pairs = zip(row["seconds"][library], row["seconds"]["convatlas"], strict=True)
            ratios[f"{row['model']} in {row['mode']}"] = statistics.median(theirs / ours for theirs, ours in pairs)
    least = min(ratios, key=lambda name: ratios[name])
    met = ratios[least] >= 0.97
    return Figure(
        what=f"{'Prediction' if work == 'answer' else 'A training step'} on {measured['device']} against {library}",
        measured=f"{statistics.median(ratios.values()):.2f} times as fast "
        f"({min(ratios.values()):.2f} to {max(ratios.values()):.2f} over networks and modes)",
        goal=goal,
        met=met,
        why="" if met else f"{least} is the slowest, {ratios[least]:.2f}",
    )


def _networks(name: str, of_timm: str) -> dict[str, nn.Module]:
    """Ours with torchvision's weights, torchvision's, timm's."""
    pair = next(pair for pair in peers.torchvision_pairs() if pair.model == name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs, ours = peers.build(pair), create_model(name)
        of = importlib.import_module("timm").create_model(of_timm, pretrained=False)
    peers.put_weights(pair, ours, theirs)
    return {"convatlas": ours, "torchvision": theirs, "timm": of}


def _difference(built: dict[str, nn.Module], device: str, side: int) -> float:
    """Of the logits of ours and torchvision's, in parts of the largest. Raises RuntimeError where that is too much."""
    picture = torch.rand(2, 3, side, side, device=device)
    with torch.inference_mode():
        ours, theirs = (built[name].to(device).eval()(picture) for name in ("convatlas", "torchvision"))
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    if not difference <= AGREEMENT:
        raise RuntimeError(f"the logits of ours and torchvision's differ by {difference:.2g} of the largest")
    return difference


def _answering(network: nn.Module, pictures: Tensor, _labels: Tensor, mode: Mode) -> Callable[[], object]:
    run, pictures = _prepared(network.eval(), pictures, mode)

    def step() -> Tensor:
        with torch.inference_mode(), _amp(pictures, mode):
            logits: Tensor = run(pictures)
        return logits

    return step


def _training(network: nn.Module, pictures: Tensor, labels: Tensor, mode: Mode) -> Callable[[], object]:
    run, pictures = _prepared(network.train(), pictures, mode)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, fused=True)
    scaler = torch.amp.GradScaler(pictures.device.type, enabled=mode.amp is torch.float16)

    def step() -> None:
        with _amp(pictures, mode):
            loss = nn.functional.cross_entropy(run(pictures), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

    return step


def _prepared(network: nn.Module, pictures: Tensor, mode: Mode) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    layout = torch.channels_last if mode.channels_last else torch.contiguous_format
    network.to(memory_format=layout)
    return torch.compile(network) if mode.compiled else network, pictures.contiguous(memory_format=layout)


def _amp(pictures: Tensor, mode: Mode) -> contextlib.AbstractContextManager[Any]:
    return contextlib.nullcontext() if mode.amp is None else torch.autocast(pictures.device.type, mode.amp)


def _seconds(step: Callable[[], object], device: str) -> float:
    """Of one pass, the mean of PASSES."""
    _wait(device)
    began = time.perf_counter()
    for _ in range(PASSES):
        step()
    _wait(device)
    return (time.perf_counter() - began) / PASSES


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()

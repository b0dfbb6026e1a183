"""The same networks where torch has a GPU: ours against torchvision's and timm's, answering and training.

Each network, ours by `create_model` and theirs by their own constructors, from one seed, in turn on the first CUDA
device: plain float32 (TF32 off, which cuDNN would take by itself), float16 and bfloat16 (AMP), both also with
channels_last memory, and bfloat16, channels_last and torch.compile together, where there are Triton and a C compiler
for it. Answering is one pass under `inference_mode`; training is forward, cross-entropy, backward and a
step of fused SGD with momentum (float16 with its scaler). A time is from an idle device to an idle device. Before that
our network answers as torchvision's does with the same weights, to 1e-3 of the largest logit in float32. A ratio is
theirs over ours in the same round, so that more is better. A mode that fails is told, and the others are measured all
the same. Where torch sees no CUDA device nothing is measured.
"""

import contextlib
import importlib
import importlib.util
import itertools
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
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
AGREEMENT = 1e-3  # cuDNN may choose other algorithms for the same sums
NEVER_UNDER = 0.97
LIBRARIES = ("torchvision", "timm")


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
    modes, notes = _modes()
    rows = compare("cuda", networks, modes, batch=128 if full else 64, side=224, rounds=rounds)
    return {"device": torch.cuda.get_device_name(), "full": full, "rounds": rounds, "notes": notes, "rows": rows}


def compare(
    device: str, networks: dict[str, str], modes: Sequence[Mode], *, batch: int, side: int, rounds: int
) -> list[dict[str, Any]]:
    """A row for each network, mode and work ("answer", "train"): seconds of a pass, by library and round.

    A row that could not be had says in "failed" why.
    """
    rows = []
    with _no_tf32():
        for model, mode, work in itertools.product(networks, modes, _WORKS):
            row = {"model": model, "mode": mode.name, "work": work, "batch": batch}
            try:
                row |= _row(device, model, networks[model], mode, work, batch=batch, side=side, rounds=rounds)
            except Exception as error:  # out of memory, a compiler's own: the other rows are worth having
                row["failed"] = " ".join([type(error).__name__, *str(error).splitlines()[:1]])
            rows.append(row)
    return rows


def lines(measured: dict[str, Any]) -> list[str]:
    if measured["device"] is None:
        return ["GPU: torch sees no CUDA device here, nothing was measured"]
    told = []
    for row in measured["rows"]:
        medians = {library: statistics.median(taken) for library, taken in row.get("seconds", {}).items()}
        times = ", ".join(f"{library} {1000 * median:.3g} ms" for library, median in medians.items())
        told.append(
            f"{row['model']} on {measured['device']}, {row['work']}, {row['batch']} pictures, {row['mode']}: "
            + (f"failed: {row['failed']}" if "failed" in row else times)
        )
    return [*told, *measured["notes"]]


def figures(measured: dict[str, Any]) -> list[Figure]:
    """For each work and library, the ratios over networks and modes: the goal is that none is slower."""
    goal = f"at least {NEVER_UNDER} in every mode"
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
    return [_figure(measured, work, library, goal) for work in _WORKS for library in LIBRARIES]


def _figure(measured: dict[str, Any], work: str, library: str, goal: str) -> Figure:
    rows = {f"{row['model']} in {row['mode']}": row for row in measured["rows"] if row["work"] == work}
    failed = [name for name, row in rows.items() if "failed" in row]
    ratios = {}
    for name, row in rows.items():
        if "failed" not in row:
            pairs = zip(row["seconds"][library], row["seconds"]["convatlas"], strict=True)
            ratios[name] = statistics.median(theirs / ours for theirs, ours in pairs)
    told, reasons = "not measured", [f"{name} failed" for name in failed]
    if ratios:
        least = min(ratios, key=lambda name: ratios[name])
        told = (
            f"{statistics.median(ratios.values()):.2f} times as fast "
            f"({min(ratios.values()):.2f} to {max(ratios.values()):.2f} over networks and modes)"
        )
        if ratios[least] < NEVER_UNDER:
            reasons.insert(0, f"{least} is the slowest, {ratios[least]:.2f}")
    return Figure(
        what=f"{'Prediction' if work == 'answer' else 'A training step'} on {measured['device']} against {library}",
        measured="; ".join([told, *measured["notes"]]),
        goal=goal,
        met=not reasons,
        why="; ".join(reasons),
    )


def _modes() -> tuple[Sequence[Mode], list[str]]:
    """Those that can run here, and a note where one cannot."""
    lacking = [
        what
        for what, found in {
            "Triton": importlib.util.find_spec("triton"),
            "C compiler": any(map(shutil.which, ("cc", "gcc", "clang", "cl"))),
        }.items()
        if not found
    ]
    if not lacking:
        return MODES, []
    without = [mode for mode in MODES if not mode.compiled]
    return without, [f"torch.compile was left out: there is no {' and no '.join(lacking)} here"]


@contextlib.contextmanager
def _no_tf32() -> Iterator[None]:
    """float32 as it is: by default cuDNN rounds the factors of its convolutions to TF32's 10 bits."""
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, products.allow_tf32
    try:
        cudnn.allow_tf32 = products.allow_tf32 = False
        yield
    finally:
        cudnn.allow_tf32, products.allow_tf32 = before


def _row(
    device: str, name: str, of_timm: str, mode: Mode, work: str, *, batch: int, side: int, rounds: int
) -> dict[str, Any]:
    """The seconds of a pass by library and round, and how far the logits are apart."""
    if mode.compiled:
        torch.compiler.reset()  # else networks of one class would share the few recompilations that it may have
    built = _networks(name, of_timm, device)
    difference = _difference(built, device, side)
    pictures = torch.rand(batch, 3, side, side, device=device)
    labels = torch.arange(batch, device=device) % 1000
    steps = {library: _WORKS[work](network, pictures, labels, mode) for library, network in built.items()}
    seconds: dict[str, list[float]] = {library: [] for library in steps}
    for step in steps.values():
        _seconds(step, device)  # compiles, chooses algorithms
    for done in range(rounds):
        order = list(steps)[done % len(steps) :] + list(steps)[: done % len(steps)]
        for library in order:
            seconds[library].append(_seconds(steps[library], device))
    return {"difference": difference, "seconds": seconds}


def _networks(name: str, of_timm: str, device: str) -> dict[str, nn.Module]:
    """Ours with torchvision's weights, torchvision's, timm's, on the device.

    Moved there under `inference_mode` their parameters could not be trained any more.
    """
    pair = next(pair for pair in peers.torchvision_pairs() if pair.model == name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs, ours = peers.build(pair), create_model(name)
        of = importlib.import_module("timm").create_model(of_timm, pretrained=False)
    peers.put_weights(pair, ours, theirs)
    return {"convatlas": ours.to(device), "torchvision": theirs.to(device), "timm": of.to(device)}


def _difference(built: dict[str, nn.Module], device: str, side: int) -> float:
    """Of the logits of ours and torchvision's, in parts of the largest. Raises RuntimeError where that is too much."""
    picture = torch.rand(2, 3, side, side, device=device)
    with torch.inference_mode():
        ours, theirs = (built[name].eval()(picture) for name in ("convatlas", "torchvision"))
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
        scaler.scale(loss).backward()  # type: ignore[no-untyped-call]  # torch's own
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

    return step


_WORKS = {"answer": _answering, "train": _training}


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

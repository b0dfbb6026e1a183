"""One member of each family, trained alike for the same few steps: what it has learnt by then, its time, its memory.

The same pictures in the same order, the same optimiser and schedule, one seed; nothing was tuned for anybody. So it
compares what a step costs and how quickly each begins to learn from the weights that its file draws. It does not tell
how well they end: a network that has hardly begun after so few steps may be the better one after many, and one that is
narrower than published may begin later than the published one.
"""

import dataclasses
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory import forget_peak, peak_memory
from convatlas.arithmetic.macs import count_macs, count_parameters
from convatlas.catalog import card
from convatlas.data.loader import read_all
from convatlas.data.picture_set import DataSplits, PictureSet
from convatlas.data.pictures import printable
from convatlas.data.source import open_parts
from convatlas.engine.observer import Observer
from convatlas.engine.plan import Plan, Wishes, make_plan
from convatlas.engine.run import RunFolder
from convatlas.engine.start import start_training
from convatlas.errors import DataError
from convatlas.models import MODELS, create_model
from convatlas.recipes.recipe import Recipe
from convatlas.tasks.make import make_task

STEPS = 125  # of 32 digits: each of the 4,000 that are not for testing is seen once
HELD_OUT = 1000  # pictures that the accuracy is of
WARM_UP = 5  # steps that the time is not taken of
RECIPE = Recipe(epochs=1, batch_size=32, optimizer="adamw", lr=1e-3, schedule="cosine", warmup_epochs=0.1)

# A family is here by its smallest member, as published, unless another is named, in a smaller form where minutes on a
# processor are too few for it.
MEMBERS: dict[str, dict[str, object]] = {
    # The dense layers hold about nine weights in ten, for a thousand classes; here are ten. Narrow layers need larger
    # first weights where the paper has one deviation for all.
    "alexnet": {"hidden": 512},
    "zfnet": {"hidden": 512, "init_std": 0.03},
    "sppnet_zf5": {"hidden": 512},
    "cnn_f": {"full6": 512, "full7": 512, "init_std": 0.03},
    # One pixel in place of 6 x 6 in front of the dense layers: a view has 71 x 71 pixels in place of 231 x 231.
    "overfeat_fast": {"side": 1},
    # Narrow dense layers, and a quarter of the channels: the first stages work on all pixels.
    "vgg11": {"hidden": 512, "width": 16},
    # Half of the channels.
    "inception_v2": {"width": 0.5},
    "inception_v3": {"width": 0.5},
    "resnet18": {"width": 32},
    # Of its patches a whole number has to fit.
    "vit_ti_16": {"patch_size": 15, "image_size": 75},
}
# The side of the pictures: the least on which all of them work. Networks for smaller pictures have their own size.
SIDE = 75


def measure(data: str | Path = "digits", *, names: Iterable[str] | None = None, steps: int = STEPS) -> dict[str, Any]:
    """Train `names` (None: one member of each family), each in a process of its own.

    data: "digits", or a folder with IDX files of train and test pictures. Raises DataError for data that will not do.
    """
    splits = open_splits(data, steps)
    plans = [make_plan(splits, wishes(name)) for name in (members() if names is None else names)]
    # A process for each, so that the memory at its peak is that of one network.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        rows = list(pool.map(_train, plans, repeat(data), repeat(steps)))
    return {
        "data": printable(Path(data)),
        "steps": steps,
        "held_out": len(splits.val),
        "recipe": {field: getattr(RECIPE, field) for field in ("batch_size", "optimizer", "lr", "schedule")},
        "networks": rows,
    }


def lines(measured: dict[str, Any]) -> list[str]:
    batch = measured["recipe"]["batch_size"]
    head = (
        f"trained alike for {measured['steps']} steps of {batch} pictures of {measured['data']}, then asked about "
        f"{measured['held_out']:,} others:"
    )
    return [head, *(_told(row) for row in measured["networks"])]


def _told(row: dict[str, Any]) -> str:
    return (
        f"{row['model']}{told_changes(row)} at {row['side']} x {row['side']}: {row['accuracy']:.1%} of those held out, "
        f"{row['step_seconds'] * 1000:,.0f} ms a step, memory {told_memory(row)}"
    )


def told_changes(row: dict[str, Any]) -> str:
    """ " (hidden=512)", or nothing for a network as published."""
    changes = ", ".join(f"{field}={value}" for field, value in row["changes"].items())
    return f" ({changes})" if changes else ""


def told_memory(row: dict[str, Any]) -> str:
    """What the process held at most while it trained, beyond what it held before."""
    return "unknown" if row["memory"] is None else f"{row['memory'] / 2**20:,.0f} MiB"


def members() -> tuple[str, ...]:
    """One network of each module of the table: the one in MEMBERS, else the one with the fewest MACs."""
    families: dict[str, list[str]] = {}
    for name, entry in MODELS.items():
        families.setdefault(entry.module, []).append(name)
    return tuple(
        next((name for name in names if name in MEMBERS), min(names, key=lambda name: card(name).macs))
        for names in families.values()
    )


def wishes(name: str) -> Wishes:
    """What a run of this network is asked to be: the one recipe, the network's side, the processor."""
    given = {field: value for field, value in dataclasses.asdict(RECIPE).items() if value is not None}
    return Wishes(
        model=name,
        model_changes=MEMBERS.get(name, {}),
        strategy="scratch",
        recipe="handwriting",  # of which RECIPE leaves nothing; it only keeps LeNet-5's own away
        changes=given,
        size=min(SIDE, card(name).input[1]),
        fit="stretch",
        device="cpu",
    )


def open_splits(data: str | Path, steps: int) -> DataSplits:
    """As many training pictures as the steps need and HELD_OUT test pictures in the place of validation's.

    Nothing is chosen by them: the one epoch is the last. Raises DataError where the parts are missing or too small.
    """
    parts = open_parts(data)
    if parts is None or "train" not in parts or "test" not in parts:
        raise DataError(f"{printable(Path(data))}: expected train and test pictures apart, such as IDX files of both")
    needed = steps * RECIPE.batch_size
    if len(parts["train"]) < needed:
        raise DataError(
            f"{printable(Path(data))}: {steps} steps of {RECIPE.batch_size} need {needed:,} training pictures, there "
            f"are {len(parts['train']):,}"
        )
    train, held_out = _evenly(parts["train"], needed), _evenly(parts["test"], HELD_OUT)
    return DataSplits(train=train, val=held_out, test=None, how="evenly of train and test", given=("train", "val"))


def _evenly(pictures: PictureSet, count: int) -> PictureSet:
    return pictures.take(np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(np.int64))


class Watch(Observer):
    """Notes when each step ended, and the memory at the last."""

    def __init__(self) -> None:
        self.ended: list[float] = []
        self.peak: int | None = None  # None where the peak of the training alone cannot be had

    def batch_done(self, epoch: int, batch: int, batches: int, images: int) -> None:
        self.ended.append(time.perf_counter())
        if batch == batches and self.peak is not None:
            self.peak = peak_memory()


def _train(plan: Plan, data: str | Path, steps: int) -> dict[str, Any]:
    splits = open_splits(data, steps)
    train, held_out = (read_all(part, plan.preprocess) for part in (splits.train, splits.val))
    task = make_task(plan.task, plan.model, plan.classes)
    network = create_model(plan.model, **plan.changes)
    side = plan.preprocess.height
    parameters, macs = count_parameters(network), count_macs(network, (plan.preprocess.channels, side, side))
    del network
    watch = Watch()
    if forget_peak():
        watch.peak = before = peak_memory()
    with tempfile.TemporaryDirectory() as folder:
        trained = start_training(plan, task, train, held_out, RunFolder(Path(folder)), observer=watch)
    seconds = np.diff(watch.ended)[min(WARM_UP, steps - 2) :]
    return {
        "model": plan.model,
        "changes": MEMBERS.get(plan.model, {}),
        "side": side,
        "parameters": parameters,
        "macs": macs,
        "accuracy": trained.history[-1].val_score,
        "step_seconds": round(statistics.median(seconds.tolist()), 4),
        "memory": None if watch.peak is None else watch.peak - before,
    }

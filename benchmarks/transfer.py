"""What published weights are worth on few pictures, and what computing features once saves.

Faces: the 200 pictures of scikit-image's `lfw_subset`, 100 faces and 100 pieces of background, 25 x 25 grey, cut from
Labeled Faces in the Wild; 60 are held out, other ones with each seed. Digits: 20 of each class of the embedded MNIST
digits to train on, 50 others to test on. From scratch the same network learns the same pictures at the same size by the
recipe for photographs, without mirror images of digits, for about a minute.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convatlas.api.train import train
from convatlas.data.loader import read_all
from convatlas.data.source import open_data
from convatlas.engine.observer import Observer
from convatlas.engine.plan import Wishes, make_plan
from convatlas.engine.run import RunFolder
from convatlas.engine.session import plan_statistics
from convatlas.engine.start import initial_network, start_training
from convatlas.engine.train import train_network
from convatlas.layers.normalize import Normalize
from convatlas.tasks.make import make_task

MODEL = "efficientnet_lite0"
SEEDS = (0, 1, 2)
SIZE = 128  # pixels a side that the pictures are scaled to
SCRATCH: dict[str, dict[str, object]] = {"faces": {"epochs": 20}, "digits": {"epochs": 16, "flip": False}}
PAIRS = 3  # epochs timed with and without computing features once


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        sets = {"faces": write_faces(Path(folder) / "faces"), "digits": write_digits(Path(folder) / "digits")}
        runs = {
            name: {
                "transfer": [_one(data, "transfer", {}, seed) for seed in SEEDS],
                "scratch": [_one(data, "scratch", SCRATCH[name], seed) for seed in SEEDS],
            }
            for name, data in sets.items()
        }
        return {"runs": runs, "epoch_seconds": _epochs(sets["faces"])}


def lines(measured: dict[str, Any]) -> list[str]:
    words = [
        f"{MODEL} on a few {name}: transfer {_told(runs['transfer'])}; from scratch {_told(runs['scratch'])}"
        for name, runs in measured["runs"].items()
    ]
    with_features, without = (statistics.median(measured["epoch_seconds"][name]) for name in ("once", "anew"))
    words.append(
        f"an epoch of transfer on 110 faces: {with_features * 1000:.0f} ms with features computed once before, "
        f"{without * 1000:.0f} ms without ({without / with_features:.0f} times)"
    )
    return words


def _told(runs: list[dict[str, Any]]) -> str:
    accuracies, seconds = [run["accuracy"] for run in runs], [run["seconds"] for run in runs]
    return (
        f"{statistics.median(accuracies):.1%} ({min(accuracies):.1%} to {max(accuracies):.1%}, {len(runs)} seeds) in "
        f"{statistics.median(seconds):.0f} s"
    )


def _one(data: Path, strategy: str, changes: dict[str, object], seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run = train(
            data,
            model=MODEL,
            strategy=strategy,  # type: ignore[arg-type]
            size=SIZE,
            test=0.3,
            out=Path(folder) / "run",
            changes={**changes, "seed": seed},
            export=False,
        )
        seconds = time.perf_counter() - started
    assert run.test is not None
    return {
        "seed": seed,
        "accuracy": run.test.top1,
        "epochs": run.epochs,
        "training_seconds": round(run.training_seconds, 2),
        "seconds": round(seconds, 2),
    }


def _epochs(data: Path) -> dict[str, list[float]]:
    """Seconds of the last epoch of short runs of the same plan, in turn."""
    splits = open_data(data, test=0.3)
    plan = make_plan(splits, Wishes(model=MODEL, strategy="transfer", size=SIZE, changes={"epochs": 2}))
    train_pictures, val = (read_all(part, plan.preprocess) for part in (splits.train, splits.val))
    task = make_task(plan.task, plan.model, plan.classes)
    seconds: dict[str, list[float]] = {"once": [], "anew": []}
    for _ in range(PAIRS):
        with tempfile.TemporaryDirectory() as folder:
            once = start_training(plan, task, train_pictures, val, RunFolder(Path(folder)), observer=Observer())
        with tempfile.TemporaryDirectory() as folder:
            network, normalize = initial_network(plan), Normalize(*plan_statistics(plan))
            anew = train_network(
                plan, task, network, normalize, train_pictures, val, RunFolder(Path(folder)), observer=Observer()
            )
        seconds["once"].append(round(once.history[-1].seconds, 5))
        seconds["anew"].append(round(anew.history[-1].seconds, 5))
    return seconds


def write_digits(folder: Path) -> Path:
    """folder/train/CLASS and folder/test/CLASS, the first digits of each class of the embedded set's two parts."""
    embedded = open_data("digits")
    assert embedded.test is not None
    for part, pictures, count in (("train", embedded.train, 20), ("test", embedded.test, 50)):
        for label, name in enumerate(embedded.classes):
            place = folder / part / name
            place.mkdir(parents=True)
            for index in np.flatnonzero(pictures.targets == label)[:count].tolist():
                Image.fromarray(pictures.read(index)[:, :, 0]).save(place / f"{index:04}.png")
    return folder


def write_faces(folder: Path) -> Path:
    """folder/CLASS, a PNG for each of the 200 pictures."""
    import skimage

    pictures = np.load(Path(skimage.__file__).parent / "data" / "lfw_subset.npy")
    for number, picture in enumerate(pictures):
        place = folder / ("face" if number < 100 else "background")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((picture * 255).round().astype(np.uint8)).save(place / f"{number:03}.png")
    return folder

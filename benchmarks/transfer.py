"""What published weights are worth on few pictures: the same network, recipe budget and pictures, with and without.

Faces: the 200 small photographs of scikit-image's `lfw_subset`, a face or a piece of background each, no two from the
same photograph. Digits: 20 of each class of the embedded MNIST digits to train on. Whatever is tested on was held out
by picture.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convatlas.api.train import train

MODEL = "efficientnet_lite0"
SEEDS = (0, 1, 2)
SECONDS = 60  # of training that a run may take


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        sets = {"faces": write_faces(Path(folder) / "faces")}
        return {
            name: {
                strategy: [_one(data, strategy, changes, seed) for seed in SEEDS]
                for strategy, changes in (("transfer", {}), ("scratch", {"epochs": 20}))
            }
            for name, data in sets.items()
        }


def _one(data: Path, strategy: str, changes: dict[str, object], seed: int) -> dict[str, Any]:
    import time

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run = train(
            data,
            model=MODEL,
            strategy=strategy,
            out=Path(folder) / "run",
            changes={**changes, "seed": seed},
            export=False,
            test=0.3,
        )
        seconds = time.perf_counter() - started
    return {
        "seed": seed,
        "accuracy": run.test.top1,
        "pictures": run.test.pictures,
        "training_seconds": run.training_seconds,
        "seconds": seconds,
    }


def write_faces(folder: Path) -> Path:
    """folder/CLASS, a PNG for each of the 200 pictures."""
    import skimage

    pictures = np.load(Path(skimage.__file__).parent / "data" / "lfw_subset.npy")
    for number, picture in enumerate(pictures):
        place = folder / ("face" if number < 100 else "background")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((picture * 255).round().astype(np.uint8)).save(place / f"{number:03}.png")
    return folder

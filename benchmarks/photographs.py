"""A model from a folder of real photographs: three classes of regions, train and test from disjoint parts.

The photographs are those of scikit-image: grass, gravel and brick, surfaces that one tells apart by their texture. The
left part of each photograph gives the regions to train on, the right part those to test on, with a gap between them so
that no pixel is in both.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from convatlas.api.predict import predict
from convatlas.api.train import train

SURFACES = ("brick", "grass", "gravel")
SIDE = 64  # of a region, in pixels of the photograph
TRAIN, TEST = 120, 40  # regions of each class
SEEDS = (0, 1, 2)
MODEL = "lenet5_modern"


def measure() -> dict[str, Any]:
    runs = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            write_regions(Path(folder) / "regions", seed=seed)
            run = train(Path(folder) / "regions", model=MODEL, out=Path(folder) / "run", changes={"seed": seed})
            answers = predict(run.path, Path(folder) / "regions" / "test")
            named = [Path(answer.source).parent.name == answer.top.label for answer in answers]
        assert run.test is not None
        runs.append(
            {
                "seed": seed,
                "accuracy": run.test.top1,
                "named_by_predict": f"{sum(named)} of {len(named)}",
                "training_seconds": round(run.training_seconds, 2),
            }
        )
    return {"pictures": len(SURFACES) * (TRAIN + TEST), "runs": runs}


def lines(measured: dict[str, Any]) -> list[str]:
    return [
        f"{MODEL} on {measured['pictures']} regions of photographs (brick, grass, gravel), seed {run['seed']}: "
        f"{run['accuracy']:.1%} of the test regions, predict names {run['named_by_predict']}, training "
        f"{run['training_seconds']:.0f} s"
        for run in measured["runs"]
    ]


def write_regions(folder: Path, *, seed: int = 0) -> None:
    """folder/train/CLASS and folder/test/CLASS, filled with regions of the packaged photographs."""
    import skimage

    packaged = Path(skimage.__file__).parent / "data"
    random = np.random.default_rng(seed)
    for surface in SURFACES:
        photograph = Image.open(packaged / f"{surface}.png")
        width, height = photograph.size
        border = round(width * 0.7)
        parts = {"train": (0, border - SIDE, TRAIN), "test": (border, width - SIDE, TEST)}
        for part, (first, last, count) in parts.items():
            place = folder / part / surface
            place.mkdir(parents=True)
            for number in range(count):
                left, top = int(random.integers(first, last + 1)), int(random.integers(0, height - SIDE + 1))
                photograph.crop((left, top, left + SIDE, top + SIDE)).save(place / f"{number:03}.png")

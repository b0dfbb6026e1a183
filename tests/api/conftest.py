"""One short run on a small folder of pictures, shared by the tests of this room."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.api.train import TrainResult, train

CLASSES = ("blue", "green", "red")


def picture_folder(root: Path, count: int = 20, seed: int = 0) -> Path:
    """Three classes of noise, each brighter in its own channel; every picture is another one."""
    random = np.random.default_rng(seed)
    for channel, name in ((2, "blue"), (1, "green"), (0, "red")):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = random.integers(0, 120, (40, 48, 3), dtype=np.uint8)
            pixels[:, :, channel] += 100
            Image.fromarray(pixels).save(root / name / f"{number:02}.png")
    return root


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A run on such a folder, in which one picture is cut off in the middle."""
    root = tmp_path_factory.mktemp("api")
    photos = picture_folder(root / "photos")
    damaged = photos / "red" / "00.png"
    damaged.write_bytes(damaged.read_bytes()[:400])
    return train(photos, out=root / "run", changes={"epochs": 15, "threads": 1, "batch_size": 8}, device="cpu")

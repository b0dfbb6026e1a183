"""Small data that several rooms' tests share, made on the spot or read from the embedded digits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convatlas.data.picture_set import PictureSet
from convatlas.data.source import open_pictures


@pytest.fixture(scope="session")
def digits() -> PictureSet:
    """The 5,000 embedded digits."""
    return open_pictures("digits")


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """photos(classes, count, size=..., seed=...): a folder of class folders whose pictures differ in their colour."""

    def make(
        classes: tuple[str, ...] = ("red", "green", "blue"), count: int = 12, size: int = 40, seed: int = 0
    ) -> Path:
        random = np.random.default_rng(seed)
        root = tmp_path / "photos"
        for channel, name in enumerate(classes):
            (root / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 90, (size, size + 8, 3), dtype=np.uint8)
                pixels[:, :, channel % 3] += 150
                Image.fromarray(pixels).save(root / name / f"{number:03}.png")
        return root

    return make

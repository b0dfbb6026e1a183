from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """put("cat/1.png") writes a small picture there, different for each name unless `seed` says otherwise."""

    def write(name: str, *, seed: int | None = None, size: tuple[int, int] = (12, 10)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        chance = np.random.default_rng(list(name.encode()) if seed is None else seed)
        Image.fromarray(chance.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(path)
        return path

    return write

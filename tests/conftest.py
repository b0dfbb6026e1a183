"""Small data that several rooms' tests share, made on the spot or read from the embedded digits."""

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from convatlas.data.picture_set import PictureSet
from convatlas.data.source import open_pictures
from convatlas.engine.published import published_bundle

# No test is timed: the first example may import scikit-learn on a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def torch_s_settings_of_the_process() -> Iterator[None]:
    """As before, whatever a test trains: two workers with two threads each would wait for each other."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def digits() -> PictureSet:
    """The 5,000 embedded digits."""
    return open_pictures("digits")


@pytest.fixture(scope="session")
def lite0_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with EfficientNet-Lite0's bundle, made from the package's weights: some ten seconds."""
    cache = tmp_path_factory.mktemp("lite0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVATLAS_CACHE", str(cache))
        published_bundle("efficientnet_lite0", offline=True)
    return cache


@pytest.fixture(scope="session")
def photographs() -> Path:
    """The folder of scikit-image's packaged photographs, chelsea.png (a cat) and coffee.png among them."""
    spec = importlib.util.find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data"


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

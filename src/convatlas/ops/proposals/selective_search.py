"""Selective Search: Uijlings, van de Sande, Gevers, Smeulders, "Selective Search for Object Recognition", IJCV 2013.

https://doi.org/10.1007/s11263-013-0620-5 -- grouping: Section 3.1 (`grouping`); colour spaces and similarities: Section
3.2 (`colour_spaces`, `regions`); the order of the boxes: Section 3.3; the three settings: Section 5.1.3.
Nothing of it is trained.
Choices that the paper leaves open: the initial segmentation (`felzenszwalb`), which is in the strategy's own colour
space, has a Gaussian of 0.8 and regions of at least k pixels.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from convatlas.errors import UsageError
from convatlas.ops.proposals.candidates import Proposals, ranked
from convatlas.ops.proposals.colour_spaces import ColourSpace, check_spaces, to_colour_space
from convatlas.ops.proposals.felzenszwalb import segment, smooth
from convatlas.ops.proposals.grouping import Hierarchy, Similarity, group
from convatlas.ops.proposals.regions import COLOUR_BINS, TEXTURE_BINS, colour_bins, histograms, regions_of, texture_bins
from convatlas.types import Pixels, check_pixels

ALL_FOUR: Final = Similarity(colour=True, texture=True, size=True, fill=True)
NO_COLOUR: Final = Similarity(texture=True, size=True, fill=True)
FILL: Final = Similarity(fill=True)
SIZE: Final = Similarity(size=True)


@dataclass(frozen=True, kw_only=True)
class SelectiveSearchConfig:
    """One of the settings of Section 5.1.3: every colour space with every set of similarities from every threshold k.

    Raises UsageError that names the field when a value is impossible.
    """

    spaces: tuple[ColourSpace, ...]
    similarities: tuple[Similarity, ...]
    thresholds: tuple[float, ...]  # k of the initial segmentation

    def __post_init__(self) -> None:
        check_spaces(self.spaces, "SelectiveSearchConfig.spaces")
        for field, values in (("similarities", self.similarities), ("thresholds", self.thresholds)):
            if not isinstance(values, tuple) or not values or len(set(values)) < len(values):
                raise UsageError(
                    f"SelectiveSearchConfig.{field} must be one value or more, each of them once, not {values!r}"
                )
        if not all(1 <= k < np.inf for k in self.thresholds):
            raise UsageError(f"SelectiveSearchConfig.thresholds must be at least 1, not {self.thresholds!r}")


SINGLE: Final = SelectiveSearchConfig(spaces=("hsv",), similarities=(ALL_FOUR,), thresholds=(100,))
FAST: Final = SelectiveSearchConfig(spaces=("hsv", "lab"), similarities=(ALL_FOUR, NO_COLOUR), thresholds=(50, 100))
QUALITY: Final = SelectiveSearchConfig(
    spaces=("hsv", "lab", "rgi", "hue", "intensity"),
    similarities=(ALL_FOUR, NO_COLOUR, FILL, SIZE),
    thresholds=(50, 100, 150, 300),
)


def selective_search(
    picture: Pixels, config: SelectiveSearchConfig = FAST, *, seed: int = 0, threads: int = 2
) -> Proposals:
    """The boxes of all regions of all groupings of a picture, H x W x (1 or 3) uint8.

    Section 3.3: a region at position i of its grouping, 1 being the whole picture, is ranked by i times a random number
    of 0..1, the lowest first, so that large regions come early but not always. `seed` draws these; the boxes are the
    same for any. The score is that product, negated. threads: see `groupings`; they change time and memory alone.
    Raises TypeError or ValueError for what is no picture, and UsageError for threads that are no whole number from 1.
    """
    boxes, positions = [], []
    for hierarchy in groupings(picture, config, threads=threads):
        boxes.append(hierarchy.boxes)
        positions.append(hierarchy.positions)
    all_positions = np.concatenate(positions)
    return ranked(np.concatenate(boxes), -all_positions * np.random.default_rng(seed).random(len(all_positions)))


def groupings(picture: Pixels, config: SelectiveSearchConfig = FAST, *, threads: int = 2) -> Iterator[Hierarchy]:
    """One hierarchy for each colour space, threshold and set of similarities, in this order.

    threads: how many segment at a time, which is most of the work, while one more groups what is segmented. Each holds
    some 350 bytes a pixel while it segments: of 12 megapixels 4 GB. Raises as `selective_search`, when it is called.
    """
    if not isinstance(threads, int) or threads < 1:
        raise UsageError(f"threads: expected a whole number of at least 1, got {threads!r}")
    return _groupings(check_pixels(picture), config, threads)


def _groupings(picture: Pixels, config: SelectiveSearchConfig, threads: int) -> Iterator[Hierarchy]:
    pool = ThreadPoolExecutor(threads)

    def begun(space: ColourSpace) -> tuple[NDArray[np.float32], list[Future[NDArray[np.int32]]]]:
        values = to_colour_space(picture, space)
        smoothed = smooth(values)
        return values, [pool.submit(segment, smoothed, k=k, sigma=0, min_size=round(k)) for k in config.thresholds]

    try:
        ahead = begun(config.spaces[0])
        for next_space in (*config.spaces[1:], None):
            values, segmented = ahead
            if next_space is not None:  # one space further, no more: each holds its planes
                ahead = begun(next_space)
            colours, textures = colour_bins(values), texture_bins(values)
            for labels in segmented:
                regions = regions_of(labels.result())
                colour = histograms(regions, colours, COLOUR_BINS)
                texture = histograms(regions, textures, TEXTURE_BINS)
                for similarity in config.similarities:
                    yield group(regions, similarity, colour, texture)
    finally:  # also when nobody wants the rest
        pool.shutdown(cancel_futures=True)

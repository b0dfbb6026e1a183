"""Windows of gradient histograms and a linear classifier: Dalal, Triggs, CVPR 2005, the detector before networks.

"Histograms of Oriented Gradients for Human Detection", https://doi.org/10.1109/CVPR.2005.177 -- the descriptor and its
best settings (9 orientations, cells of 8 x 8, blocks of 2 x 2 cells, L2-Hys, 64 x 128 windows): Sections 4 and 6; a
linear support vector machine of C = 0.01, trained again with the false alarms of its first round: Section 4.
scikit-image computes the histograms, which leaves out the paper's interpolation of a vote between neighbouring cells
and its Gaussian weight within a block; scikit-learn trains. Using a classifier needs no scikit-learn.
A block depends on its own cells only, so the descriptors of all windows of a picture are cut out of one grid of blocks,
and their scores are sums of that grid's products with the weights. Windows stand at multiples of a cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from convatlas.errors import MissingExtra, UsageError
from convatlas.ops.windows import Pair, ScoredWindows, pyramid, slide_maps
from convatlas.types import Pixels, check_pixels

try:
    from skimage.feature import hog
except ImportError as error:
    raise MissingExtra("a classifier of gradient histograms", "proposals") from error


@dataclass(frozen=True, kw_only=True)
class HogConfig:
    """The descriptor of a window, in pixels and cells. Raises UsageError that names the field."""

    window: Pair = (128, 64)  # height, width
    cell: int = 8
    block: int = 2  # cells of a side
    orientations: int = 9

    def __post_init__(self) -> None:
        if not isinstance(self.window, tuple) or not all(isinstance(side, int) for side in self.window):
            raise UsageError(f"HogConfig.window must be two whole numbers, height and width, not {self.window!r}")
        for field in ("cell", "block", "orientations"):
            if not isinstance(getattr(self, field), int) or getattr(self, field) < 1:
                raise UsageError(f"HogConfig.{field} must be a whole number >= 1, not {getattr(self, field)!r}")
        if len(self.window) != 2 or any(side % self.cell or side < self.cell * self.block for side in self.window):
            raise UsageError(
                f"HogConfig.window must be two multiples of cell={self.cell}, at least a block, not {self.window!r}"
            )

    @property
    def blocks(self) -> Pair:
        """Blocks of a window along rows and along columns; neighbours share cells."""
        return self.window[0] // self.cell - self.block + 1, self.window[1] // self.cell - self.block + 1


PEDESTRIAN: Final = HogConfig()


@dataclass(frozen=True, kw_only=True)
class HogSvm:
    """A linear classifier of windows: score = weights . descriptor + bias, above 0 for an object. weights (D,)."""

    config: HogConfig
    weights: NDArray[np.float64]
    bias: float

    def score_map(self, picture: Pixels) -> NDArray[np.float64]:
        """The scores of all places of the window: H x W x (1 or 3) uint8 -> (rows, columns, 1), a cell apart."""
        grid = _block_grid(picture, self.config)
        down, across = self.config.blocks
        rows, columns = grid.shape[0] - down + 1, grid.shape[1] - across + 1
        weights = self.weights.reshape(down, across, -1)
        scores = np.full((rows, columns), self.bias)
        for row, column in np.ndindex(down, across):  # no descriptor of a place is made, which would take much memory
            scores += grid[row : row + rows, column : column + columns] @ weights[row, column]
        return scores[:, :, None]

    def detect(self, picture: Pixels, *, factor: float = 2**0.25, largest: float = 1.0) -> ScoredWindows:
        """The score of every window of every size; suppress neighbours with `ops.nms_numpy.nms`."""
        stride = (self.config.cell, self.config.cell)
        return slide_maps(
            picture, self.score_map, window=self.config.window, stride=stride, factor=factor, largest=largest
        )


def descriptors(picture: Pixels, config: HogConfig) -> NDArray[np.float64]:
    """The descriptor of every window of a picture: (rows, columns, D), D = blocks x cells of a block x orientations.

    Of the paper's window these are 30 kB a place, 5 GB for a photograph of 12 million pixels; `HogSvm.score_map` does
    without them. Raises UsageError for a picture that is smaller than the window.
    """
    grid = _block_grid(picture, config)
    every = sliding_window_view(grid, config.blocks, axis=(0, 1))  # (rows, columns, values, block rows, block columns)
    return np.moveaxis(every, 2, 4).reshape(*every.shape[:2], -1)


def _block_grid(picture: Pixels, config: HogConfig) -> NDArray[np.float64]:
    """The histograms of all blocks of a picture, a cell apart: (block rows, block columns, values of a block)."""
    pixels = check_pixels(picture)
    if pixels.shape[0] < config.window[0] or pixels.shape[1] < config.window[1]:
        raise UsageError(f"picture: expected at least {config.window}, the window, got {pixels.shape[:2]}")
    blocks = hog(
        pixels,
        orientations=config.orientations,
        pixels_per_cell=(config.cell, config.cell),
        cells_per_block=(config.block, config.block),
        block_norm="L2-Hys",
        feature_vector=False,
        channel_axis=2,
    )
    grid: NDArray[np.float64] = blocks.reshape(*blocks.shape[:2], -1)
    return grid


def descriptor(picture: Pixels, box: NDArray[np.floating], config: HogConfig) -> NDArray[np.float64]:
    """The descriptor (D,) of what a box, xyxy within the picture, encloses, made as large as the window.

    A cell around it is looked at too, so that gradients at the window's border are those of a picture that goes on;
    beyond the picture its border is repeated.
    """
    pixels = check_pixels(picture)
    x1, y1, x2, y2 = (float(side) for side in box)
    height, width = config.window
    if not (0 <= x1 < x2 <= pixels.shape[1] and 0 <= y1 < y2 <= pixels.shape[0]):
        raise UsageError(f"box: expected x1 < x2, y1 < y2 within the picture, got {[x1, y1, x2, y2]}")
    beside, above = (x2 - x1) * config.cell / width, (y2 - y1) * config.cell / height
    margin = int(np.ceil(max(beside, above)))
    wide = np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    image = Image.fromarray(wide[:, :, 0] if wide.shape[2] == 1 else wide)
    around = (x1 - beside + margin, y1 - above + margin, x2 + beside + margin, y2 + above + margin)
    size = (width + 2 * config.cell, height + 2 * config.cell)
    cut = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=around)).reshape(size[1], size[0], -1)
    found: NDArray[np.float64] = descriptors(cut, config)[1, 1]
    return found


def train_hog_svm(
    objects: Sequence[tuple[Pixels, NDArray[np.floating]]],
    without: Sequence[Pixels],
    config: HogConfig = PEDESTRIAN,
    *,
    c: float = 0.01,
    windows: int = 10,
    rounds: int = 1,
    seed: int = 0,
) -> HogSvm:
    """A classifier from pictures with the boxes (M, 4) xyxy of objects, and from pictures without any.

    `windows` of each of the latter, drawn at random, are the first negatives; in each further round all windows that
    the classifier takes for an object, at every size, are added. Raises UsageError when there is nothing of either
    kind, or for a number that cannot be, MissingExtra without scikit-learn.
    """
    if windows < 1 or rounds < 0 or not 0 < c < np.inf:
        raise UsageError(f"windows, rounds, c: expected 1 or more, 0 or more, above 0, got {windows}, {rounds}, {c}")
    positives = [descriptor(picture, box, config) for picture, boxes in objects for box in boxes]
    pyramids = [list(pyramid(picture, smallest=config.window, factor=2**0.25)) for picture in without]
    pyramids = [levels for levels in pyramids if levels]
    if not positives or not pyramids:
        raise UsageError("expected at least one object, and one picture without any that is as large as the window")
    random = np.random.default_rng(seed)
    negatives: list[NDArray[np.float64]] = []
    for levels in pyramids:
        drawn = np.bincount(random.integers(len(levels), size=windows), minlength=len(levels))
        for level, count in zip(levels, drawn.tolist(), strict=True):
            if count:
                every = _rows(level.picture, config)
                negatives.extend(every[random.integers(len(every), size=count)])
    svm = _fit(positives, negatives, config, c=c, seed=seed)
    for _ in range(rounds):
        false_alarms: list[NDArray[np.float64]] = []
        for levels in pyramids:
            for each in levels:
                every = _rows(each.picture, config)
                false_alarms.extend(every[every @ svm.weights + svm.bias > 0])
        if not false_alarms:
            break
        negatives += false_alarms
        svm = _fit(positives, negatives, config, c=c, seed=seed)
    return svm


def _rows(picture: Pixels, config: HogConfig) -> NDArray[np.float64]:
    every = descriptors(picture, config)
    return every.reshape(-1, every.shape[2])


def _fit(
    positives: list[NDArray[np.float64]],
    negatives: list[NDArray[np.float64]],
    config: HogConfig,
    *,
    c: float,
    seed: int,
) -> HogSvm:
    try:
        from sklearn.svm import LinearSVC  # noqa: PLC0415  # only training needs it
    except ImportError as error:
        raise MissingExtra("training a linear support vector machine", "proposals") from error
    truths = np.repeat([1, 0], [len(positives), len(negatives)])
    fitted = LinearSVC(C=c, random_state=seed, max_iter=20_000).fit(np.stack(positives + negatives), truths)
    return HogSvm(config=config, weights=fitted.coef_[0].astype(np.float64), bias=float(fitted.intercept_[0]))

"""Sliding windows: every place and, through a pyramid of pictures, every size of a picture is asked in turn.

As detectors did before proposals: Rowley, Baluja, Kanade, "Neural Network-Based Face Detection", TPAMI 1998,
https://doi.org/10.1109/34.655647 (a network); Dalal, Triggs, CVPR 2005 (`hog_windows`). `slide` is the naive way, which
cuts out each window and asks about it. `slide_maps` asks once a size for the scores of all places, as Sermanet et al.,
"OverFeat", https://arxiv.org/abs/1312.6229, Section 3.5, do with convolutions (`models.convolutional`).
NumPy and Pillow only. Shapes: H x W pixels of a picture, h x w of a window, N windows, K scores of each.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image

from convatlas.errors import UsageError
from convatlas.types import Pixels, check_pixels

Pair = tuple[int, int]  # along rows (height), along columns (width)
ScoreWindows = Callable[[Pixels], NDArray[np.floating]]  # (N, h, w, C) uint8 -> (N, K)
ScoreMap = Callable[[Pixels], NDArray[np.floating]]  # (H, W, C) uint8 -> (rows, columns, K)

_BATCH = 256  # windows that are cut out, and copied, at once


@dataclass(frozen=True, kw_only=True)
class Level:
    """A picture of a pyramid. scale: its pixels for one of the original, along rows and along columns."""

    picture: Pixels
    scale: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ScoredWindows:
    """boxes (N, 4) float32 xyxy in the original picture, scores (N, K) float32; size by size, row by row.

    K is 0 where no window was scored, as the picture is smaller than it.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


def pyramid(picture: Pixels, *, smallest: int | Pair, factor: float = 2**0.5, largest: float = 1.0) -> Iterator[Level]:
    """The picture at `largest` times its size, then each time 1 / factor as large, down to `smallest`, bilinearly.

    A window of one size thus meets objects of every size. Yields nothing for a picture that is too small at its
    largest. Raises UsageError that names the argument, when the first level is asked for.
    """
    pixels = check_pixels(picture)
    if not 1 < factor < np.inf:
        raise UsageError(f"factor must be a finite number above 1, not {factor!r}")
    if not 0 < largest < np.inf:
        raise UsageError(f"largest must be a finite number above 0, not {largest!r}")
    smallest = _pair("smallest", smallest)
    height, width = pixels.shape[:2]
    scale = largest
    while round(height * scale) >= smallest[0] and round(width * scale) >= smallest[1]:
        rows, columns = round(height * scale), round(width * scale)
        yield Level(picture=_resized(pixels, rows, columns), scale=(rows / height, columns / width))
        scale /= factor


def window_boxes(size: int | Pair, window: int | Pair, stride: int | Pair) -> NDArray[np.float32]:
    """The places of a window in a picture of a size: (rows, columns, 4) xyxy, only those wholly within.

    A number in place of a pair is meant along rows and along columns, here and below. Raises UsageError for others.
    """
    size, window, stride = _pair("size", size), _pair("window", window), _pair("stride", stride)
    tops = np.arange(0, size[0] - window[0] + 1, stride[0])
    lefts = np.arange(0, size[1] - window[1] + 1, stride[1])
    top, left = np.meshgrid(tops, lefts, indexing="ij")
    return np.stack([left, top, left + window[1], top + window[0]], axis=2).astype(np.float32)


def slide(
    picture: Pixels,
    score: ScoreWindows,
    *,
    window: int | Pair,
    stride: int | Pair,
    factor: float = 2**0.5,
    largest: float = 1.0,
) -> ScoredWindows:
    """Naive sliding windows: cut out every window of every level, H x W x (1 or 3) uint8, and score it.

    `score` gets 256 windows at a time, fewer at the end; no more are in memory at once. Raises UsageError when it gives
    another number of rows.
    """
    window, stride = _pair("window", window), _pair("stride", stride)

    def cut_out(pixels: Pixels) -> NDArray[np.floating]:
        every = sliding_window_view(pixels, window, axis=(0, 1))[:: stride[0], :: stride[1]]
        every = np.moveaxis(every, 2, 4)  # (rows, columns, h, w, C), a view
        rows, columns = every.shape[:2]
        scores = []
        for first in range(0, rows * columns, _BATCH):
            batch = every[np.divmod(np.arange(first, min(first + _BATCH, rows * columns)), columns)]
            scores.append(score(batch))
            if scores[-1].ndim != 2 or len(scores[-1]) != len(batch):
                raise UsageError(f"score: expected {len(batch)} rows, one a window, got shape {scores[-1].shape}")
        return np.concatenate(scores).reshape(rows, columns, -1)

    return slide_maps(picture, cut_out, window=window, stride=stride, factor=factor, largest=largest)


def slide_maps(
    picture: Pixels,
    score_map: ScoreMap,
    *,
    window: int | Pair,
    stride: int | Pair,
    factor: float = 2**0.5,
    largest: float = 1.0,
) -> ScoredWindows:
    """Sliding windows from score maps: `score_map` gives the scores of all places of a level at once.

    window and stride say what part of the level each place is about. Raises UsageError when a map has another number of
    places than the window has.
    """
    window, stride = _pair("window", window), _pair("stride", stride)
    boxes, scores = [], []
    for level in pyramid(picture, smallest=window, factor=factor, largest=largest):
        places = window_boxes(level.picture.shape[:2], window, stride)
        scored = score_map(level.picture)
        if scored.ndim != 3 or scored.shape[:2] != places.shape[:2]:
            raise UsageError(
                f"score_map: expected {places.shape[0]} x {places.shape[1]} places x scores for a picture of "
                f"{level.picture.shape[0]} x {level.picture.shape[1]}, got {' x '.join(map(str, scored.shape))}"
            )
        boxes.append(_in_the_picture(places.reshape(-1, 4), level, picture.shape[:2]))
        scores.append(scored.reshape(-1, scored.shape[2]).astype(np.float32))
    if not boxes:
        return ScoredWindows(boxes=np.zeros((0, 4), np.float32), scores=np.zeros((0, 0), np.float32))
    return ScoredWindows(boxes=np.concatenate(boxes), scores=np.concatenate(scores))


def _resized(pixels: Pixels, rows: int, columns: int) -> Pixels:
    if (rows, columns) == pixels.shape[:2]:
        return pixels
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return np.array(image.resize((columns, rows), Image.Resampling.BILINEAR)).reshape(rows, columns, -1)


def _in_the_picture(places: NDArray[np.float32], level: Level, size: tuple[int, ...]) -> NDArray[np.float32]:
    """Places (N, 4) of a level in the original of a size: divided in float64, so that none reaches out by rounding."""
    scale, far = np.array([level.scale[1], level.scale[0]] * 2), np.array([size[1], size[0]] * 2)
    found: NDArray[np.float64] = np.minimum(places.astype(np.float64) / scale, far)
    return found.astype(np.float32)


def _pair(name: str, given: int | Pair) -> Pair:
    """Along rows and along columns, of one number or two; raises UsageError that names the argument."""
    pair = (given, given) if isinstance(given, int | np.integer) else given
    if not isinstance(pair, Sequence) or len(pair) != 2 or not all(_counts(each) for each in pair):
        raise UsageError(f"{name} must be two whole numbers >= 1, along rows and along columns, not {given!r}")
    return int(pair[0]), int(pair[1])


def _counts(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= 1)

"""To which size and shape the pictures of a run are brought, and who decided it."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, cast

from convatlas.data.preprocess import Fit, Preprocess
from convatlas.engine.strategy import Expected
from convatlas.types import Pixels


def decide_preprocess(
    native: tuple[int, int, int],
    known: Expected | None,
    channels: int,
    pictures: Sequence[Pixels],
    *,
    size: int | None,
    fit: Fit | None,
) -> tuple[Preprocess, dict[str, str]]:
    """What the weights expect, or the network's own size; the size and the fit that were asked for stand.

    native: the network's own (C, H, W). known: what its weights expect. pictures: some of those to train on. Also says
    who decided each field: see `Plan.origins`.
    """
    if known is not None:
        base, origin = dataclasses.replace(known.preprocess, channels=cast("Literal[1, 3]", channels)), "the weights"
        preprocess = _resized(base, size, fit)
    else:
        preprocess, origin = _framed_or_filled(native, channels, pictures, size, fit), "the network's own size"
    sizes = {picture.shape[:2] for picture in pictures}
    origins = dict.fromkeys(
        (f"preprocess.{name}" for name in preprocess.to_dict()), "the weights" if known else "default"
    )
    origins["preprocess.channels"] = "the network"
    for side in ("height", "width"):
        origins[f"preprocess.{side}"] = origin if size is None else "you"
    if fit:
        origins["preprocess.fit"] = "you"
    elif known is None and preprocess.fit == "pad":
        largest = max(max(shape) for shape in sizes)
        origins["preprocess.fit"] = origins["preprocess.resize"] = f"auto: all pictures have {largest} pixels a side"
    return preprocess, origins


def _resized(base: Preprocess, size: int | None, wanted: Fit | None) -> Preprocess:
    """What the weights expect, at the size that was asked for: the part that is cut off stays in proportion."""
    fit = wanted or base.fit
    side = base.height if size is None else size
    resize = None if base.resize is None or fit != base.fit else round(base.resize * side / base.height)
    return dataclasses.replace(base, height=side, width=side, fit=fit, resize=resize)


def _framed_or_filled(
    native: tuple[int, int, int], channels: int, pictures: Sequence[Pixels], size: int | None, fit: Fit | None
) -> Preprocess:
    """The network's own size; pictures that are all alike and smaller are framed, others fill the frame."""
    height, width = native[1:] if size is None else (size, size)
    sizes = {picture.shape[:2] for picture in pictures}
    largest = max(max(shape) for shape in sizes)
    framed = fit is None and len(sizes) == 1 and largest < min(height, width)
    return Preprocess(
        channels=cast("Literal[1, 3]", channels),
        height=height,
        width=width,
        fit="pad" if framed else fit or "crop",
        resize=largest if framed else None,
    )

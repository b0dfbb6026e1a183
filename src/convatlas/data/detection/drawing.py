"""Boxes, masks and keypoints drawn into their picture, legible on any ground.

Each class has a colour of its own, the first seven after Okabe and Ito, "Color Universal Design", 2008, which people
who see few colours can tell apart; and its name stands by it, so that none must be told by its colour. Lines are edged
dark.
Shapes: h x w pixels of the drawing.
"""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from convatlas.data.detection.records import KeypointPlan
from convatlas.errors import PictureError
from convatlas.types import Pixels, Rle, Sample

Colour = tuple[int, int, int]

_COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 190, 140),
    (240, 228, 66),
    (70, 130, 255),
    (255, 105, 40),
    (235, 130, 190),
    (150, 70, 230),
    (140, 225, 60),
    (185, 125, 65),
    (220, 30, 60),
    (240, 50, 230),
    (150, 240, 240),
    (135, 20, 40),
    (40, 50, 160),
    (255, 215, 175),
    (150, 150, 20),
    (170, 255, 195),
    (205, 180, 255),
    (170, 170, 170),
)
_DARK: Colour = (20, 20, 20)
_PALE: Colour = (255, 255, 255)
_TURN = 0.618034  # of the circle of hues, from one colour beyond these to the next: the golden section
_TINT = 0.35  # how much of its colour a mask lays over the picture
_MOST_HIDDEN = 0.5  # of a name, by other names: with more it is left out, unless it is the first of its class


def colour_of(label: int) -> Colour:
    """The colour of class 0, 1, …: red, green, blue, 0..255."""
    if label < len(_COLOURS):
        return _COLOURS[label]
    further = label - len(_COLOURS)
    values = colorsys.hsv_to_rgb((0.8 + further * _TURN) % 1, (0.75, 0.5)[further % 2], (0.95, 1.0)[further % 2])
    red, green, blue = (round(255 * value) for value in values)
    return red, green, blue


def draw_objects(
    pixels: Pixels, sample: Sample, classes: Sequence[str], *, keypoints: KeypointPlan | None = None, size: int = 384
) -> Image.Image:
    """The picture, its longer side made `size` pixels, with its objects drawn and named.

    pixels: (H, W, 1 or 3) uint8. classes: the names that `sample.classes` index. keypoints: which of an object's points
    are joined. Of a small picture the pixels can be seen. Large objects are drawn first, so that small ones lie
    upon them; crowds and difficult objects say so. Visible keypoints are discs, hidden ones rings.

    Raises PictureError that names the picture if it has not the size that the sample states.
    """
    height, width = pixels.shape[:2]
    if (height, width) != (sample.height, sample.width):
        stated = f"{sample.width} x {sample.height}"
        raise PictureError(sample.name, f"has {width} x {height} pixels, but its annotations state {stated}")
    image = _fitted(pixels, size)
    scale = np.array([image.width / width, image.height / height])
    areas = (sample.boxes[:, 2] - sample.boxes[:, 0]) * (sample.boxes[:, 3] - sample.boxes[:, 1])
    rows = np.argsort(-areas, kind="stable").tolist()
    colours = {row: colour_of(int(sample.classes[row])) for row in rows}
    for row in rows:
        mask = sample.masks[row]
        if mask is not None:
            image = _with_mask(image, mask, colours[row])
    draw = ImageDraw.Draw(image)
    thick = max(2, size // 200)
    for row in rows:
        _box(draw, sample.boxes[row].reshape(2, 2) * scale, colours[row], thick)
    for row in rows:
        _points(draw, sample.keypoints[row], scale, keypoints or KeypointPlan(), colours[row], thick)
    _names(draw, sample, classes, rows, scale, size)
    return image


def _fitted(pixels: Pixels, size: int) -> Image.Image:
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)).convert("RGB")
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS)


def _with_mask(image: Image.Image, mask: Rle, colour: Colour) -> Image.Image:
    """The mask as a tint with a firm edge."""
    inside = Image.fromarray(mask.to_mask().astype(np.uint8) * 255)
    larger = image.width > inside.width
    inside = inside.resize(image.size, Image.Resampling.NEAREST if larger else Image.Resampling.BOX)
    filled = np.asarray(inside) > 127
    weight = np.where(_edge(filled), 1.0, _TINT) * filled
    pixels = np.asarray(image) * (1 - weight[:, :, None]) + np.array(colour) * weight[:, :, None]
    return Image.fromarray(pixels.astype(np.uint8))


def _edge(filled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(h, w): the pixels inside that have a neighbour outside."""
    padded = np.pad(filled, 1)
    return filled & ~(padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:])


def _box(draw: ImageDraw.ImageDraw, corners: NDArray[np.float64], colour: Colour, thick: int) -> None:
    (x1, y1), (x2, y2) = np.round(corners).astype(int).tolist()
    right, bottom = max(x1 + 1, x2 - 1), max(y1 + 1, y2 - 1)
    draw.rectangle((x1 - 1, y1 - 1, right + 1, bottom + 1), outline=_DARK, width=1)
    draw.rectangle((x1, y1, right, bottom), outline=colour, width=thick)
    if min(right - x1, bottom - y1) > 4 * thick:  # in a small box the dark line would hide what lies in it
        draw.rectangle((x1 + thick, y1 + thick, right - thick, bottom - thick), outline=_DARK, width=1)


def _points(
    draw: ImageDraw.ImageDraw,
    points: NDArray[np.float32],
    scale: NDArray[np.float64],
    plan: KeypointPlan,
    colour: Colour,
    thick: int,
) -> None:
    places = [(float(x), float(y)) for x, y in points[:, :2] * scale]
    joined = [(places[a], places[b]) for a, b in plan.skeleton if points[a, 2] and points[b, 2]]
    thin = max(1, thick // 2)
    for width, ink in ((thin + 2, _DARK), (thin, colour)):
        for line in joined:
            draw.line(line, fill=ink, width=width)
    for (x, y), seen in zip(places, points[:, 2].tolist(), strict=True):
        if seen:
            draw.circle((x, y), thick + 2, fill=_DARK)
            draw.circle((x, y), thick + 1, fill=_PALE)
            draw.circle((x, y), thick, fill=colour if seen == 2 else _DARK)


@dataclass(frozen=True)
class _Tab:
    """Where a name stands: edges in pixels of the drawing."""

    left: float
    top: float
    right: float
    bottom: float

    def hidden_by(self, others: Sequence["_Tab"]) -> float:
        """The part of it that others cover, counting twice what two cover."""
        area = (self.right - self.left) * (self.bottom - self.top)
        return sum(self._common(other) for other in others) / area

    def _common(self, other: "_Tab") -> float:
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, wide) * max(0.0, high)


def _names(
    draw: ImageDraw.ImageDraw,
    sample: Sample,
    classes: Sequence[str],
    rows: Sequence[int],
    scale: NDArray[np.float64],
    size: int,
) -> None:
    """The names of the objects, each by its box where the least of another name is hidden."""
    font = ImageFont.load_default(max(11, size // 36))
    high = round(font.size * 1.35) if isinstance(font, ImageFont.FreeTypeFont) else 15
    wide, tall = draw.im.size
    placed: list[_Tab] = []
    named: set[int] = set()
    for row in rows:
        label = int(sample.classes[row])
        text = _name(sample, classes, row)
        length = min(font.getlength(text) + 6, wide)
        (x1, y1), (x2, y2) = (sample.boxes[row].reshape(2, 2) * scale).tolist()
        tabs = [
            _Tab(min(max(0.0, left), wide - length), top, min(max(0.0, left), wide - length) + length, top + high)
            for top in (y1 - high, y1, y2 - high, y2)
            for left in (x1, x2 - length)
            if top >= 0 and top + high <= tall
        ]
        tab = min(tabs or [_Tab(0, 0, length, high)], key=lambda each: round(each.hidden_by(placed), 2))
        if label in named and tab.hidden_by(placed) > _MOST_HIDDEN:
            continue
        named.add(label)
        placed.append(tab)
        colour = colour_of(label)
        draw.rectangle((tab.left, tab.top, tab.right - 1, tab.bottom - 1), fill=colour, outline=_DARK)
        draw.text((tab.left + 3, (tab.top + tab.bottom) / 2), text, fill=_ink_on(colour), font=font, anchor="lm")


def _name(sample: Sample, classes: Sequence[str], row: int) -> str:
    words = " ".join(classes[int(sample.classes[row])].split())
    if sample.iscrowd[row]:
        words += " (crowd)"
    if sample.difficult[row]:
        words += " (difficult)"
    return words


def _ink_on(colour: Colour) -> Colour:
    """Dark or white letters, whichever stand out more (https://www.w3.org/TR/WCAG21/#dfn-relative-luminance)."""
    parts = [value / 255 for value in colour]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return _DARK if (luminance + 0.05) ** 2 > 1.05 * 0.057 else _PALE

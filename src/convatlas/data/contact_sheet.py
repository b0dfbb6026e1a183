"""Pictures and their classes on one sheet, to see with one's own eyes what a network will be given."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from convatlas.data.picture_set import PictureSet
from convatlas.errors import PictureError, UsageError
from convatlas.types import Pixels

_INK, _PAPER, _FAINT, _ALARM = "#1a1a1a", "#ffffff", "#f0f0f0", "#b3261e"
_GAP = 10
_MAX_SHEET = 10_000  # pixels a side


def contact_sheet(
    pictures: PictureSet, *, count: int = 64, columns: int = 8, size: int = 96, seed: int = 0
) -> Image.Image:
    """An RGB sheet of up to `count` pictures, `columns` in a row, each in `size` x `size` pixels with its class below.

    Pictures are drawn by `seed`, evenly from the classes, and stand in the order of the classes. One that cannot be
    read is a crossed box with its file's name. Raises UsageError for numbers that make no sheet, or when there is no
    picture.
    """
    check_numbers(count=count, columns=columns, size=size)
    cells = []
    for index in _draw_evenly(pictures, count, seed):
        try:
            picture = _fitted(pictures.read(index), size)
            cells.append(Cell(picture=picture, caption=", ".join(pictures.labels(index)) or "(none)"))
        except PictureError:
            cells.append(Cell(picture=None, caption=PurePosixPath(pictures.names[index]).name))
    if not cells:
        raise UsageError(f"{pictures.origin}: there is no picture to show")
    return sheet_of(cells, columns=columns, size=size, letters=max(11, size // 8))


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """One picture of a sheet, None for one that cannot be read, and the words below it."""

    picture: Image.Image | None
    caption: str


def check_numbers(*, count: int, columns: int, size: int) -> None:
    """Raise UsageError that names the number of which no sheet can be made."""
    for name, value in (("count", count), ("columns", columns)):
        if value < 1:
            raise UsageError(f"{name}: expected 1 or more, got {value}")
    if not 32 <= size <= 1024:
        raise UsageError(f"size: expected 32 to 1024 pixels, got {size}")


def sheet_of(cells: Sequence[Cell], *, columns: int, size: int, letters: int) -> Image.Image:
    """An RGB sheet of one cell or more in reading order, `size` x `size` pixels each, captions `letters` pixels high.

    Raises UsageError for a sheet that would be too large.
    """
    columns = min(columns, len(cells))
    font = ImageFont.load_default(letters)
    line = round(letters * 1.5)
    rows = -(-len(cells) // columns)
    wide, high = size + _GAP, size + line + _GAP
    if max(columns * wide, rows * high) + _GAP > _MAX_SHEET:
        raise UsageError(f"count, columns, size: the sheet would be more than {_MAX_SHEET:,} pixels wide or high")
    sheet = Image.new("RGB", (columns * wide + _GAP, rows * high + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for position, cell in enumerate(cells):
        left, top = _GAP + position % columns * wide, _GAP + position // columns * high
        draw.rectangle((left, top, left + size - 1, top + size - 1), fill=_FAINT)
        if cell.picture is None:
            _cross(draw, left, top, size)
        else:
            picture = cell.picture
            sheet.paste(picture, (left + (size - picture.width) // 2, top + (size - picture.height) // 2))
        caption = _shortened(cell.caption, font, size)
        colour = _ALARM if cell.picture is None else _INK
        draw.text((left + size / 2, top + size + line / 2), caption, fill=colour, font=font, anchor="mm")
    return sheet


def _draw_evenly(pictures: PictureSet, count: int, seed: int) -> list[int]:
    """Up to `count` indices: one of each class in turn, until there are enough; in the order of the classes."""
    by_chance = sorted(
        range(len(pictures)), key=lambda i: hashlib.sha256(f"{seed}:{pictures.names[i]}".encode()).digest()
    )
    turn_of_class: dict[int, int] = {}
    turns = []
    for index in by_chance:
        label = pictures.first_class(index)
        turn = turn_of_class.get(label, 0)
        turn_of_class[label] = turn + 1
        turns.append((turn, label, index))
    chosen = sorted(turns)[:count]
    return [index for _, _, index in sorted(chosen, key=lambda place: (place[1], place[0]))]


def _fitted(pixels: Pixels, size: int) -> Image.Image:
    """The picture as large as fits. Small ones are magnified by a whole number, so that their pixels can be seen."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)).convert("RGB")
    larger = max(image.size)
    if larger <= size:
        times = size // larger
        return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)
    width, height = (max(1, round(side * size / larger)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _cross(draw: ImageDraw.ImageDraw, left: int, top: int, size: int) -> None:
    right, bottom = left + size - 1, top + size - 1
    draw.rectangle((left, top, right, bottom), outline=_ALARM, width=2)
    draw.line((left, top, right, bottom), fill=_ALARM, width=2)
    draw.line((left, bottom, right, top), fill=_ALARM, width=2)


def _shortened(text: str, font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", width: int) -> str:
    text = " ".join(text.split()) or " "  # a line break would shift what is below
    if font.getlength(text) <= width:
        return text
    kept = len(text)
    while kept and font.getlength(text[:kept].rstrip() + "…") > width:
        kept -= 1
    return text[:kept].rstrip() + "…"

"""A drawing as an animated GIF, for places that show no SVG: the light theme, every step as one picture, no pausing."""

import io
from pathlib import Path
from typing import Final

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from convatlas.report.animations.drawing import REST, SIZE, WIDTH, Drawing, Label, Shape, ShapeRole, TextRole

_SCALE: Final = 2  # pixels for one unit
_PAGE: Final = (255, 255, 255)
_INK: Final = (27, 31, 36)
_MUTED: Final = (87, 96, 106)
_ANSWER: Final = (26, 95, 180)
_MISTAKE: Final = (179, 71, 15)
_Colour = tuple[int, int, int]

# Fill and outline with its width, as `film` has them: translucent fills are mixed with what lies below.
_FILLS: Final[dict[ShapeRole, tuple[_Colour, float]]] = {
    "cell": ((245, 246, 248), 1.0),
    "window": (_ANSWER, 0.22),
    "now": (_ANSWER, 0.3),
    "gone": (_MISTAKE, 0.14),
    "ink1": (_INK, 0.22),
    "ink2": (_INK, 0.44),
    "ink3": (_INK, 0.66),
    "ink4": (_INK, 0.88),
}
_OUTLINES: Final[dict[ShapeRole, tuple[_Colour, int]]] = {
    "cell": ((180, 185, 190), 1),
    "padding": ((205, 209, 213), 1),
    "window": (_ANSWER, 4),
    "reach": (_ANSWER, 2),
    "now": (_ANSWER, 4),
    "kept": (_ANSWER, 5),
    "waiting": (_INK, 3),
    "gone": (_MISTAKE, 4),
}
_TEXTS: Final[dict[TextRole, _Colour]] = {
    "number": _INK,
    "letter": _INK,
    "words": _INK,
    "muted": _MUTED,
    "strong": _ANSWER,
    "wrong": _MISTAKE,
}
_ANCHORS: Final = {"start": "ls", "middle": "ms", "end": "rs"}


def gif(drawing: Drawing, *, seconds: float) -> bytes:
    """The whole loop as a GIF file, 720 pixels wide; each step is shown for `seconds`, the last one longer."""
    font = ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), 0.92 * SIZE * _SCALE)
    frames = [_frame(drawing, step, font) for step in range(drawing.steps)]
    durations = [round(1000 * seconds)] * (drawing.steps - 1) + [round(1000 * seconds * (1 + REST))]
    written = io.BytesIO()
    frames[0].save(
        written, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, comment=drawing.title
    )
    return written.getvalue()


def _frame(drawing: Drawing, step: int, font: ImageFont.FreeTypeFont) -> Image.Image:
    picture = Image.new("RGB", (WIDTH * _SCALE, round(drawing.height * _SCALE)), _PAGE)
    for each in drawing.at(step):
        if isinstance(each, Shape):
            _draw_shape(picture, each)
        else:
            _draw_label(picture, each, font)
    return picture.quantize(64, dither=Image.Dither.NONE)


def _draw_shape(picture: Image.Image, shape: Shape) -> None:
    pen = ImageDraw.Draw(picture)
    for box in shape.boxes:
        left, top = round(box.x * _SCALE), round(box.y * _SCALE)
        right, bottom = round((box.x + box.width) * _SCALE), round((box.y + box.height) * _SCALE)
        if shape.role in _FILLS:
            colour, strength = _FILLS[shape.role]
            place = (left, top, right, bottom)
            below = picture.crop(place)
            picture.paste(Image.blend(below, Image.new("RGB", below.size, colour), strength), place)
        if shape.role in _OUTLINES:
            colour, width = _OUTLINES[shape.role]
            pen.rectangle((left, top, right, bottom), outline=colour, width=width)


def _draw_label(picture: Image.Image, label: Label, font: ImageFont.FreeTypeFont) -> None:
    place = (label.x * _SCALE, label.y * _SCALE)
    pen = ImageDraw.Draw(picture)
    pen.text(place, label.text, fill=_TEXTS[label.role], font=font, anchor=_ANCHORS[label.anchor])

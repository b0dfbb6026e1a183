"""A drawing as SVG: one frame, or all of them moved by CSS alone. No script, no outside file; the same bytes each time.

Marks that are seen during the same steps stand in one group, and one `@keyframes` rule makes it visible for their share
of the loop. It stops while the picture is pointed at, touched, or has the keyboard's focus. Where motion is not wanted,
and in print, the one still frame stands.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final
from xml.sax.saxutils import escape

from convatlas.errors import UsageError
from convatlas.report import palette
from convatlas.report.animations.drawing import MARGIN, SIZE, WIDTH, Box, Drawing, Label, Mark, Shape

SHOWN_WIDTH: Final = 540  # CSS pixels, where there is room
HINT: Final = "Point at it, tap it or tab to it: it pauses."
_HINT_HEIGHT: Final = 24

# The variables of a page; a file of its own brings them along.
LIGHT: Final = ";".join(f"--{role}:{colour}" for role, colour in palette.LIGHT.items())
DARK: Final = ";".join(f"--{role}:{colour}" for role, colour in palette.DARK.items())
_FONT: Final = 'system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Liberation Sans",Arial,sans-serif'
_LOOKS: Final = {
    "text": f"fill:var(--ink);font-size:{SIZE}px;font-variant-numeric:tabular-nums",
    ".muted": "fill:var(--muted)",
    ".letter": "stroke:var(--cell);stroke-width:4px;paint-order:stroke",
    ".strong": "font-weight:600;fill:var(--answer)",
    ".wrong": "font-weight:600;fill:var(--mistake)",
    ".cell": "fill:var(--cell);stroke:var(--muted);stroke-opacity:.45",
    ".padding": "fill:none;stroke:var(--muted);stroke-opacity:.6;stroke-dasharray:3 3",
    ".window": "fill:var(--answer);fill-opacity:.22;stroke:var(--answer);stroke-width:2",
    ".reach": "fill:none;stroke:var(--answer);stroke-width:1.5;stroke-dasharray:4 3",
    ".now": "fill:var(--answer);fill-opacity:.3;stroke:var(--answer);stroke-width:2",
    ".kept": "fill:none;stroke:var(--answer);stroke-width:2.5",
    ".waiting": "fill:none;stroke:var(--ink);stroke-width:1.5",
    ".gone": "fill:var(--mistake);fill-opacity:.14;stroke:var(--mistake);stroke-width:2;stroke-dasharray:5 4",
    **{f".ink{level}": f"fill:var(--ink);fill-opacity:{level * 0.22:.2f}" for level in (1, 2, 3, 4)},
}


def animated(drawing: Drawing, *, seconds: float, name: str, standalone: bool) -> str:
    """The drawing in motion, each step `seconds` long. `name` makes ids, classes and keyframes unique within a page."""
    shared = _shared(drawing.marks, name)
    groups = ["<defs>", *(f'<path id="{key}" d="{outline}"/>' for outline, key in shared.items()), "</defs>"]
    for (first, last), marks in groupby(drawing.marks, key=lambda mark: (mark.first, mark.last)):
        content = _drawn((mark.drawn for mark in marks), shared)
        if (first, last) == (0, drawing.steps - 1):
            groups.append(content)
            continue
        still = " k" if first <= drawing.still <= last else ""
        groups.append(f'<g class="s{still} {_range(first, last)}">{content}</g>')
    ranges = sorted({(mark.first, mark.last) for mark in drawing.marks} - {(0, drawing.steps - 1)})
    motion = [
        f"#{name} .s{{animation:{drawing.shares * seconds:g}s step-end infinite}}",
        f"#{name}:hover .s,#{name}:focus-within .s{{animation-play-state:paused}}",
        f"#{name} .hint{{visibility:visible}}",
        *(f"#{name} .{_range(*each)}{{animation-name:{name}-{_range(*each)}}}" for each in ranges),
    ]
    style = [
        *_looks(name),
        f"#{name} .s,#{name} .hint{{visibility:hidden}}#{name} .k{{visibility:visible}}",
        "@media screen and (prefers-reduced-motion:no-preference){" + "".join(motion) + "}",
        *(_keyframes(drawing, name, *each) for each in ranges),
    ]
    hint = f'<text class="muted hint" x="{MARGIN}" y="{drawing.height + 14:g}">{HINT}</text>'
    body = "".join([*groups, hint])
    words = f"{drawing.description} {HINT}"
    return _svg(drawing, name, words, style, body, drawing.height + _HINT_HEIGHT, standalone=standalone, focus=True)


def frame(drawing: Drawing, step: int, *, name: str) -> str:
    """One step as a picture that does not move. Raises UsageError for a step that there is not."""
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step < drawing.steps:
        raise UsageError(f"step must be a whole number from 0 to {drawing.steps - 1}, not {step!r}")
    body = _drawn(drawing.at(step), {})
    words = f"Step {step + 1} of {drawing.steps}. {drawing.description}"
    return _svg(drawing, name, words, list(_looks(name)), body, drawing.height, standalone=True, focus=False)


def check_name(name: str) -> None:
    """Raise UsageError unless the name can be an id and a part of class names: letters, digits, hyphens."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise UsageError(f"name: expected a small letter, then small letters, digits and hyphens, not {name!r}")


def _svg(
    drawing: Drawing,
    name: str,
    words: str,
    style: list[str],
    body: str,
    height: float,
    *,
    standalone: bool,
    focus: bool,
) -> str:
    shown = f'width="{SHOWN_WIDTH}" height="{height * SHOWN_WIDTH / WIDTH:.0f}"'
    if standalone:
        own = [
            f"#{name}{{{LIGHT};background:var(--page);color-scheme:light dark;font-family:{_FONT}}}",
            f"@media screen and (prefers-color-scheme:dark){{#{name}{{{DARK}}}}}",
        ]
        style = [*own, *style]
        opening = f'<svg xmlns="http://www.w3.org/2000/svg" {shown}'
    else:
        opening = f'<svg style="--width: {SHOWN_WIDTH}px"'
    tab = ' tabindex="0"' if focus else ""
    return (
        f'{opening} id="{name}" viewBox="0 0 {WIDTH} {height:g}" role="img"{tab} '
        f'aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(drawing.title)}</title><desc id="{name}-desc">{escape(words)}</desc>'
        f"<style>{''.join(style)}</style>{body}</svg>\n"
    )


def _looks(name: str) -> Iterator[str]:
    yield f"#{name}{{display:block;max-width:100%;height:auto}}#{name}:focus{{outline:2px solid var(--answer)}}"
    for selector, looks in _LOOKS.items():
        yield f"#{name} {selector}{{{looks}}}"


def _range(first: int, last: int) -> str:
    return f"r{first}-{last}"


def _keyframes(drawing: Drawing, name: str, first: int, last: int) -> str:
    shown, hidden = "{visibility:visible}", "{visibility:hidden}"
    start = f"0%{hidden}{_percent(first, drawing)}{shown}" if first else f"0%{shown}"
    end = f"{_percent(last + 1, drawing)},100%{hidden}" if last < drawing.steps - 1 else f"100%{shown}"
    return f"@keyframes {name}-{_range(first, last)}{{{start}{end}}}"


def _percent(step: int, drawing: Drawing) -> str:
    return f"{100 * step / drawing.shares:.4f}".rstrip("0").rstrip(".") + "%"


def _shared(marks: Iterable[Mark], name: str) -> dict[str, str]:
    """Outlines of several rectangles that are drawn at more than one place, each with an id: written down only once."""
    outlines = Counter(
        _outline(mark.drawn) for mark in marks if isinstance(mark.drawn, Shape) and len(mark.drawn.boxes) > 1
    )
    repeated = [outline for outline, count in outlines.items() if count > 1]
    return {outline: f"{name}-o{number}" for number, outline in enumerate(repeated)}


def _drawn(drawn: Iterable[Shape | Label], shared: Mapping[str, str]) -> str:
    return "".join(_shape(each, shared) if isinstance(each, Shape) else _label(each) for each in drawn)


def _shape(shape: Shape, shared: Mapping[str, str]) -> str:
    x, y = shape.boxes[0].x, shape.boxes[0].y
    key = shared.get(_outline(shape))
    if key is not None:
        return f'<use href="#{key}" class="{shape.role}" x="{_n(x)}" y="{_n(y)}"/>'
    return f'<path class="{shape.role}" d="{"".join(_path(box, 0, 0) for box in shape.boxes)}"/>'


def _outline(shape: Shape) -> str:
    """The path of all rectangles, seen from the corner of the first."""
    return "".join(_path(box, shape.boxes[0].x, shape.boxes[0].y) for box in shape.boxes)


def _path(box: Box, x: float, y: float) -> str:
    return f"M{_n(box.x - x)} {_n(box.y - y)}h{_n(box.width)}v{_n(box.height)}h{_n(-box.width)}z"


def _label(label: Label) -> str:
    role = "" if label.role in ("words", "number") else f' class="{label.role}"'
    anchor = "" if label.anchor == "start" else f' text-anchor="{label.anchor}"'
    return f'<text{role} x="{_n(label.x)}" y="{_n(label.y)}"{anchor}>{escape(label.text)}</text>'


def _n(value: float) -> str:
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text

"""Drawing what the layers of a network see: fields over a photograph, or how often each pixel is seen."""

from pathlib import Path

import numpy as np

from convatlas.api.field import FieldReport, SeenLayer
from convatlas.arithmetic.field.closed import AxisField, number, numbers
from convatlas.data.pictures import decode
from convatlas.data.preprocess import Preprocess
from convatlas.errors import UsageError
from convatlas.report.field_pictures import FieldPanel, write_field_panels, write_visit_panels
from convatlas.report.figure_file import check_figure_path
from convatlas.types import Pixels

MOST_PANELS = 40


def draw_fields(report: FieldReport, out: str | Path, *, photograph: str | Path | None = None) -> Path:
    """Draw what `field` found, a panel a layer, as a .png or .svg: visits where they were counted, else the fields.

    photograph: a picture's file to lay the fields over, cut to the size of the report's; without, they lie on white.
    Returns the path. Raises UsageError when nothing can be drawn, PictureError for a picture that cannot be read.
    """
    path = Path(out)
    check_figure_path("out", path)
    if len(report.layers) > MOST_PANELS:
        raise UsageError(f"layers: {len(report.layers)} are too many for one picture; name at most {MOST_PANELS}")
    of = f"{report.network}, {'x'.join(map(str, report.image))}"
    visited = [_visits_panel(layer) for layer in report.layers if layer.visits is not None]
    if visited:
        write_visit_panels(path, visited, title=f"How many units see each pixel: {of}")
        return path
    panels = [_field_panel(layer) for layer in report.layers if layer.box is not None]
    if not panels:
        raise UsageError("layers: none of them gives a map whose field is known, so there is nothing to draw")
    backdrop = _backdrop(photograph, report.image)
    write_field_panels(path, panels, backdrop, title=f"What the unit in the middle sees: {of}")
    return path


def _backdrop(photograph: str | Path | None, image: tuple[int, int, int]) -> Pixels:
    if photograph is None:
        return np.full((*image[1:], 1), 255, dtype=np.uint8)
    fitted = Preprocess(channels=3, height=image[1], width=image[2])(decode(Path(photograph)))
    return fitted.transpose(1, 2, 0)


def _field_panel(layer: SeenLayer) -> FieldPanel:
    lines = _computed_lines(layer.computed.field.axes)
    heat = None
    if layer.effective is not None:
        heat = layer.effective.influence
        lines.append(f"glow: measured, {layer.effective.side:.0f} pixels wide")
    return FieldPanel(layer=_heading(layer), caption="\n".join(lines), box=layer.box, heat=heat)


def _visits_panel(layer: SeenLayer) -> FieldPanel:
    assert layer.visits is not None
    least, most = int(layer.visits.min()), int(layer.visits.max())
    caption = f"each pixel seen by {least:,} units" if least == most else f"seen by {least:,} (dark) to {most:,} units"
    return FieldPanel(layer=_heading(layer), caption=caption, heat=layer.visits.astype(np.float64))


def _heading(layer: SeenLayer) -> str:
    return f"{layer.computed.layer}: {' x '.join(map(str, layer.computed.shape[2:]))} units"


def _computed_lines(axes: tuple[AxisField, ...]) -> list[str]:
    if all(axis.jump is None for axis in axes):
        return ["sees the whole picture" if all(axis.whole for axis in axes) else "sees one part for all units"]
    line = f"box: field {' x '.join(number(axis.size) for axis in axes)}, jump {numbers([axis.jump for axis in axes])}"
    return [line, "sees the whole picture"] if all(axis.whole for axis in axes) else [line]

"""The history of object detection in published figures, read from `detection_history.toml`. No torch."""

import functools
import importlib.resources
import tomllib
from dataclasses import MISSING, dataclass, fields
from importlib.resources.abc import Traversable
from typing import Any, Final

from convatlas.errors import DataError, did_you_mean

VOC: Final = "VOC 2007 test"
COCO: Final = ("COCO test-dev", "COCO val", "COCO val2014")
BENCHMARKS: Final = (VOC, *COCO)


# Of the fields that are not text.
_KINDS: Final[dict[str, type]] = {
    "year": int,
    "stages": int,
    "value": float,
    "lead": bool,
    "fps": float,
    "milliseconds": float,
}


@dataclass(frozen=True, kw_only=True)
class DetectionFigure:
    """One published number of one detector, and its speed where a source prints one.

    value: mean average precision in percent, at IoU 0.5 on VOC, the mean over IoU 0.5 to 0.95 on COCO. stages: 1 one
    look, 2 proposals first, 0 windows over hand-made features. At most one of `fps` (pictures a second) and
    `milliseconds` (a picture) is given, as it was printed; `excludes` says what the time leaves out.
    """

    detector: str
    label: str
    year: int
    stages: int
    on: str
    value: float
    source: str
    trained: str = ""
    lead: bool = False
    fps: float | None = None
    milliseconds: float | None = None
    hardware: str = ""
    excludes: str = ""
    speed_source: str = ""

    @property
    def rate(self) -> float | None:
        """Pictures a second, whichever way the speed was printed; None where none was."""
        return 1000 / self.milliseconds if self.milliseconds is not None else self.fps


@functools.cache
def detection_history() -> tuple[DetectionFigure, ...]:
    """All figures of the catalog, oldest first; those of one year as in the file."""
    file = importlib.resources.files("convatlas.catalog") / "detection_history.toml"
    return read_detection_history(file)


def read_detection_history(file: Traversable) -> tuple[DetectionFigure, ...]:
    """The figures of such a file, oldest first. Raises DataError that names the figure and the field it objects to."""
    entries = tomllib.loads(file.read_text(encoding="utf-8")).get("figure", [])
    if not entries:
        raise DataError(f"{file.name}: holds no [[figure]]")
    figures = [_figure(f"{file.name}, figure {number}", entry) for number, entry in enumerate(entries, start=1)]
    seen: set[tuple[str, str]] = set()
    for figure in figures:
        if (figure.detector, figure.on) in seen:
            raise DataError(f"{file.name}: {figure.detector} has two figures on {figure.on}")
        seen.add((figure.detector, figure.on))
    return tuple(sorted(figures, key=lambda figure: figure.year))


def _figure(where: str, entry: dict[str, Any]) -> DetectionFigure:
    where = f"{where} ({entry.get('detector', 'without a detector')})"
    known = {field.name: field for field in fields(DetectionFigure)}
    if "detector" in entry:
        entry = {"label": entry["detector"], **entry}
    for name, value in entry.items():
        if name not in known:
            raise DataError(f"{where}: unknown field {name!r}.{did_you_mean(name, known)}")
        if type(value) is not (kind := _KINDS.get(name, str)):
            raise DataError(f"{where}: {name}: expected {kind.__name__}, got {value!r}")
    missing = [name for name, field in known.items() if field.default is MISSING and name not in entry]
    if missing:
        raise DataError(f"{where}: lacks {', '.join(missing)}")
    figure = DetectionFigure(**entry)
    _check(where, figure)
    return figure


def _check(where: str, figure: DetectionFigure) -> None:
    if not figure.detector.strip() or not figure.source.strip():
        raise DataError(f"{where}: detector and source must say something")
    if figure.on not in BENCHMARKS:
        raise DataError(f"{where}: on: expected one of {', '.join(BENCHMARKS)}, got {figure.on!r}")
    if not 0 < figure.value < 100:
        raise DataError(f"{where}: value: expected percent between 0 and 100, got {figure.value}")
    if not 1990 <= figure.year <= 2100 or figure.stages not in (0, 1, 2):
        raise DataError(f"{where}: year or stages cannot be {figure.year} and {figure.stages}")
    if figure.fps is not None and figure.milliseconds is not None:
        raise DataError(f"{where}: give fps or milliseconds, as printed, not both")
    if (figure.rate is not None) != bool(figure.hardware and figure.speed_source):
        raise DataError(f"{where}: a speed needs hardware and speed_source, and they a speed")
    if (figure.rate is not None and not figure.rate > 0) or (figure.rate is None and figure.excludes):
        raise DataError(f"{where}: a speed is above zero, and only a speed can exclude anything")

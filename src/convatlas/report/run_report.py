"""The report of one run: what goes into it, and the self-contained HTML file that comes out."""

from dataclasses import dataclass
from pathlib import Path

from convatlas.files import write_text
from convatlas.metrics.summary import ClassifySummary, MultilabelSummary
from convatlas.types import EpochRow, Failure, Pixels


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One value of the resolved configuration and where it came from ("default", "recipe", "command line", ...)."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class PictureCard:
    """A picture to show: its pixels, the line beneath it, and what a reader who cannot see it is told."""

    pixels: Pixels
    caption: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """Everything that the report of one run shows."""

    title: str
    facts: tuple[tuple[str, str], ...]  # (name, value): model, data, parameters, time, ...
    summary: ClassifySummary | MultilabelSummary
    history: tuple[EpochRow, ...]  # empty when a bundle alone was evaluated
    settings: tuple[Setting, ...]
    wrong_pictures: tuple[PictureCard, ...]
    right_pictures: tuple[PictureCard, ...]
    skipped: tuple[Failure, ...]  # pictures that could not be read
    notes: tuple[str, ...]  # what the reader must know: warnings, an early stop, ...
    graphs: tuple[tuple[str, str], ...] = ()  # facts of the exported graphs, which may change later
    score_name: str  # of EpochRow.val_score: "top-1 accuracy" or "mAP"
    averaged: bool = False  # the probabilities are means over several views of each picture
    run: str = "RUN"  # what to call the run or bundle in the commands under "Use it"
    versions: tuple[tuple[str, str], ...] = ()  # (package, version)


def render(report: RunReport) -> str:
    """The report as one HTML document that makes no request of any kind; the same report gives the same text."""
    from convatlas.report.page import build_page  # noqa: PLC0415 - matplotlib is slow to import; records need none

    return build_page(report)


def write_report(path: Path, report: RunReport) -> None:
    """Write `render(report)` to path, as a whole or not at all. Raises SaveError when it cannot be written."""
    write_text(path, render(report))
